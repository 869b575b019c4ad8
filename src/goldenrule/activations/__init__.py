"""Activations of the frozen body, computed once, kept in a bank, and heads solved on them."""
