"""Pictures that are there more than once: equal, nearly equal, or one a part of the other."""
