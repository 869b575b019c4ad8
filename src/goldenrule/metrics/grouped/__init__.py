"""Intervals where images come in groups: there the sample is of groups.

Reading order: clusters · jackknife.
"""
