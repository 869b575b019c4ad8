"""Where labelled images are found: folders, and the tables beside them.

Reading order: folders · listing, picture_files, system_files, split_folders (one walk) · left_out · label_tables,
label_files, label_columns · named_files, tables_beside · origin (said first) · given_pictures (what a
program has, to predict), streams (what a command names).
"""
