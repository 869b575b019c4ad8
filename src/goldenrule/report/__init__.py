"""The report of a run: one HTML file that needs nothing but itself, and the figures for a notebook.

Reading order: content, content_files · sentences, tables, facts · thumbnails, training_curves; then pages and
figures.
"""
