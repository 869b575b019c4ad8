"""Backbones as graphs: exported for an engine, carried, cut, folded, and read at their last feature maps.

Reading order: compiled, graph_check · carried · prepared · boundary, cutting · folding · feature_maps · map_output.
"""
