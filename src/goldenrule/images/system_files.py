"""Folders and files that systems and programs make beside photos: thumbnails, bins, indices. None is a user's image."""

from __future__ import annotations

from collections.abc import Collection
from fnmatch import fnmatchcase

_FOLDERS = (
    *("@eadir", "@recycle", "@recently-snapshot", "@tmp", "@sharebin", "@synoresource"),  # Synology, QNAP
    *("#recycle", "#snapshot", "~snapshot", "lost+found", "found.[0-9][0-9][0-9]"),
    *("$recycle.bin", "recycler", "recycled", "system volume information"),  # Windows
    *("__macosx", "network trash folder", "temporary items"),  # macOS, and what it puts into archives
    *("*.lrdata", "*.lrcat-data", "[[]originals]", "__pycache__"),  # Lightroom, ACDSee, Python
)
_FILES = ("thumbs.db", "ehthumbs.db", "ehthumbs_vista.db", "desktop.ini", "icon\r", "picasa.ini", "zbthumbnail.info")
PICASA = frozenset((".picasa.ini", "picasa.ini"))
_DERIVED = frozenset(("resources", "private", "database", "scopes", "external"))
"""What a library of Apple Photos holds beside the originals: smaller copies of them, and no user's files."""


def is_system_folder(name: str, above: str, beside: Collection[str]) -> bool:
    """Return whether a folder of that name, within the folder `above` and beside these names, is none of a user's.

    >>> is_system_folder("@eaDir", "cats", []), is_system_folder("Originals", "cats", [".picasa.ini"])
    (True, True)
    >>> is_system_folder("Originals", "photos", []), is_system_folder("cats", "photos", [])
    (False, False)
    """
    folded = name.casefold()
    if name.startswith(".") or any(fnmatchcase(folded, pattern) for pattern in _FOLDERS):
        return True
    if folded == "originals":
        return not PICASA.isdisjoint(own.casefold() for own in beside)
    return folded in _DERIVED and above.casefold().endswith((".photoslibrary", ".aplibrary"))


def is_system_file(name: str) -> bool:
    """Return whether a file of that name is hidden, or made by a system.

    >>> is_system_file("._photo.jpg"), is_system_file("Thumbs.db"), is_system_file("photo.jpg")
    (True, True, False)
    """
    return name.startswith(".") or name.casefold() in _FILES
