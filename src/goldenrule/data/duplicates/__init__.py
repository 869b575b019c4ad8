"""Pictures that are there more than once: equal, nearly equal, or one a part of the other.

Reading order: near_duplicates · likeness · close_vectors · registration.
"""
