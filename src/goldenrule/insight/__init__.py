"""What the images, the bank and the predictions tell beyond the scores."""
