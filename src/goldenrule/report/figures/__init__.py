"""Each figure, as a function from values to a drawing; `plot` finds the one for a value.

Reading order: plot · plots, training_figures, data_figure, reliability_figure · penalty_curve, reliability_curve (for
pages, without matplotlib) · comparison_figures, search_figures, augmentation_figure, heat.
"""
