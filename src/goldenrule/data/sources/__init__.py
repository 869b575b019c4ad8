"""Where labelled images are found: folders, and the tables beside them."""
