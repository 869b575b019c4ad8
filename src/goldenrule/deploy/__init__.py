"""Classifiers at work.

Reading order: bulk (predict many files) · submission (a competition's file).
"""
