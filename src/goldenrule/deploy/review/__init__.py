"""The page on which labels are reviewed, the server of this computer that it talks to, and what decisions become.

Reading order: review_app (routes, and who may call them) · review_process (the socket, and how it ends) · page (what
the browser loads) · cleaned_copy (the labels as decided: a table, or a copy of the images).
"""
