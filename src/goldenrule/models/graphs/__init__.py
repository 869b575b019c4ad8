"""Backbones as graphs: exported for an engine, cut, folded, and read at their last feature maps."""
