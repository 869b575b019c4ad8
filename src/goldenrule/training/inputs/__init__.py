"""Where the batches of a training come from, and what is made of them on their way."""
