"""Random views of a picture, drawn by what they are for.

Reading order: augment · presets · policies · custom_change.
"""
