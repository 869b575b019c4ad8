"""Whole stories, made of the floors below."""
