"""What a fit tries after the linear head, and what it expects of it by measured runs on other images.

Reading order: expectations (measured_gains.json) · several_backbones.
"""
