"""Files that are whole or absent: digests, manifests, locks, and one rule for what a user names to be written."""
