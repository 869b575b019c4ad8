"""Labelled images: the table that all else takes, and from there the pixels, views and splits."""
