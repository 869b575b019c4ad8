"""The page on which labels are reviewed, and the server of this computer that it talks to.

Reading order: review_app (routes, and who may call them) · review_process (the socket, and how it ends) · page (what
the browser loads).
"""
