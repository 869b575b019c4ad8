"""Whole fits, made of the floors below: prepare, probe, train, select, finalize."""
