"""Features of the frozen backbone, computed once, cached by content, and linear heads fitted on them.

Reading order: extractor · cache, row_index · linear, root_head, lbfgs, likelihood · scoring · similar_windows ·
speed_record.
"""
