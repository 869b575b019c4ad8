"""A classifier over HTTP, for programs and for people.

Reading order: uploads, batching · training_images, explainer · answers, web_page (and the files in page/), guard ·
server, serving.
"""
