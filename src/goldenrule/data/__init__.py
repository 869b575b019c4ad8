"""Labelled images: the table that all else takes, and from there the pixels, views and splits.

Reading order: table · classes, grouping, units, name_order · scan (what one reading of a file tells) · loader ·
table_file, arrays, sample_photos; then the packages sources, pictures, augmentation, splits, duplicates.
"""
