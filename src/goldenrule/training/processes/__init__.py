"""Several processes that train one network together.

Reading order: work (what is sent) · team (who says what when) · launch (how the others are started) · follower (what
they run) · together (of a whole command).
"""
