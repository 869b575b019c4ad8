"""What shows the product at work.

Reading order: textiles · digits · lessons.
"""
