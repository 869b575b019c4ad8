"""Classifiers at work."""
