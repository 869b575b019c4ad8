"""What shows the product at work.

Reading order: digits · lessons.
"""
