"""Which images train, which validate, which test; folds, and folders copied by them.

Reading order: splitting · few_groups · folds · stretches (neighbours stay together) · evaluated_classes · copy_out,
split_layout.
"""
