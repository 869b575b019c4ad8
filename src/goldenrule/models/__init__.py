"""Pretrained bodies, heads, and the classifier that is saved, shared and served."""
