"""Labels of a finished run, cleaned: looked at again, decided, carried to other tools and back.

Reading order: suspects (what is to be looked at) · refit (what a head gains by it) · review_session (decisions on
cards) · label_tools (files of Label Studio and CVAT), tool_exchange (to them and back).
"""
