"""Each figure, as a function from values to a drawing; `plot` finds the one for a value.

Reading order: plot · drawing (points, lines and ticks, for pages and for matplotlib) · penalty_curve, reliability,
growth · page_width · plots, training_figures, data_figure, picture_figures, confusion_figure · comparison_figures,
search_figures, augmentation_figure, heat.
"""
