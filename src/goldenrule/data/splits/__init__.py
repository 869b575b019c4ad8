"""Which images train, which validate, which test; folds, and folders copied by them."""
