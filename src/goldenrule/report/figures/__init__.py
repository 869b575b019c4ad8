"""Each figure, as a function from values to a drawing; `plot` finds the one for a value."""
