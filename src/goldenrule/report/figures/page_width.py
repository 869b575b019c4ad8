"""How wide a figure of matplotlib is drawn for a page."""

PAGE_INCHES = 4.8
"""So wide that its letters can be read on a phone, where it is shown at about this size."""
