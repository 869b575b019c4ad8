"""What shows the product at work: the digits, the lessons."""
