"""Classifiers at work.

Reading order: bulk (predict many files) · row_formats, row_files (what rows become, part by part), class_folders ·
classifier_graph, export_formats, exporting (one file for other programs) · submission (a competition's file) · uploads,
batching, training_images, explainer, answers, web_page, guard, server, serving (over HTTP).
"""
