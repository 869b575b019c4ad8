"""From the bytes of a file to pixels, and from pixels to the input of a network."""
