"""Hyper-parameter search that goes on where it was stopped.

Reading order: search · search_space · search_trials · search_study · search_result, search_report.
"""
