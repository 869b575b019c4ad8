"""Features of the frozen backbone, computed once, cached by content, and linear heads fitted on them."""
