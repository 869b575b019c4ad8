"""One file for each thing that a folder of images or a finished run is asked."""
