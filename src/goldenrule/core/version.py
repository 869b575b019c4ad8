"""The version: it is written here, and nowhere else (decision 63)."""

__version__ = "0.1.0"
