"""Random views of a picture, drawn by what they are for."""
