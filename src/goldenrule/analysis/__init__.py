"""What images, features and predictions show beyond the scores."""
