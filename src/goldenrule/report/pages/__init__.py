"""Each page that is written, as a function from values to HTML."""
