"""Backbones as graphs: exported for an engine, cut, folded, and read at their last feature maps.

Reading order: compiled · prepared · boundary, cutting · folding · feature_maps.
"""
