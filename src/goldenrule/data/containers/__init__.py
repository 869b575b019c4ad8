"""Files that lie in archives, or in the rows of Parquet files: read where they stand, by a path that goes on into them.

Reading order: inside (the one way to them) · members (what an archive holds, what is refused) · in_tar, in_zip,
in_parquet · objects (those at addresses).
"""
