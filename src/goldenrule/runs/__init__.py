"""Options, and what a run keeps on disk: its folder, its history, its verified files."""
