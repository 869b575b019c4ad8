"""The command line: one file per command, named after it.

Reading order: main · options (signatures made from the options) · terminal, custom (what several commands share).
"""
