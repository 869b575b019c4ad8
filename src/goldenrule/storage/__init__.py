"""Files that are whole or absent: digests, manifests, locks, and one rule for what a user names to be written.

Reading order: files · manifest · outputs (paths that a user names) · regular_files (paths that a user gives) ·
unfinished, lock · tensors · cache_folder.
"""
