"""Where labelled images are found: folders, and the tables beside them; archives and shards.

Reading order: folders · listing, picture_files, system_files, split_folders (one walk), archive_listing (the same of an
archive) · left_out · label_tables, label_files, label_columns · named_files, tables_beside · shards, tar_samples,
parquet_samples · origin (said first) · given_pictures (what a program has, to predict), streams (what a command names).
"""
