"""Files that lie in archives: read where they stand, by a path that goes on into the archive.

Reading order: inside (the one way to them) · members (what an archive holds, and what is refused) · in_tar, in_zip.
"""
