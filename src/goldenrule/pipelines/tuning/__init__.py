"""Hyper-parameter search that goes on where it was stopped."""
