"""Labelled image files: where they are, how they become pixels, views and parts."""
