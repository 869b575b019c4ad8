"""Classifiers at work.

Reading order: bulk (predict many files) · row_formats, row_files (what rows become, part by part), class_folders ·
classifier_graph, run_pictures, quantizing, export_formats, precision_cost, exporting (one file for other programs) ·
sample_submission, submission (a competition's file); local_server, then web (a classifier over HTTP) and
review (labels in the browser).
"""
