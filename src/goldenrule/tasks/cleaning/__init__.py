"""Labels of a finished run, cleaned: looked at again, decided, applied, carried to other tools and back.

Reading order: suspects (what is to be looked at) · refit (what a head gains by it) · review_session (decisions on
cards) · cleaned_copy (a table, or a copy of the images) · label_tools (Label Studio, CVAT).
"""
