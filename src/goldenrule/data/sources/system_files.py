"""Folders and files that systems and programs make beside photos: thumbnails, bins, indices. None is a user's image."""

from __future__ import annotations

import re
from collections.abc import Collection
from fnmatch import fnmatchcase

from goldenrule.data.sources.picture_files import by_name

_FOLDERS = (
    *("@eadir", "@recycle", "@recently-snapshot", "@tmp", "@sharebin", "@synoresource"),  # Synology, QNAP
    *("#recycle", "#snapshot", "~snapshot", "lost+found", "found.[0-9][0-9][0-9]"),
    *("$recycle.bin", "system volume information", "lost.dir"),  # Windows, Android
    *("__macosx", "network trash folder", "temporary items"),  # macOS, and what it puts into archives
    *("*.lrdata", "*.lrcat-data", "[[]originals]", "__pycache__"),  # Lightroom, ACDSee, Python
)
_FILES = ("thumbs.db", "ehthumbs.db", "ehthumbs_vista.db", "desktop.ini", "icon\r", "picasa.ini", "zbthumbnail.info")
_STREAMS = re.compile(r"(?i).[:\uf03a](?:zone\.identifier|smartscreen|encryptable|com\.\w+|afp_\w+)")
"""Streams of a file that Windows and macOS keep, as files of their own: WSL and archives leave them beside it."""
_BINS = ("recycler", "recycled")
_IN_BINS = re.compile(r"(?i)s-1-5-[\d-]+|info2?|desktop\.ini")
PICASA = frozenset((".picasa.ini", "picasa.ini"))
_DERIVED = frozenset(("resources", "private", "database", "scopes", "external"))
"""What a library of Apple Photos holds beside the originals: smaller copies of them, and no user's files."""
_NO_CLASS = (".", "@", "#", "$", "~", "_")


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
        return not PICASA.isdisjoint(text.casefold() for text in beside)
    return folded in _DERIVED and above.casefold().endswith((".photoslibrary", ".aplibrary"))


def may_be_bin(name: str) -> bool:
    """Return whether old versions of Windows call their bin so; a class may have that name too.

    >>> may_be_bin("RECYCLER"), may_be_bin("trash")
    (True, False)
    """
    return name.casefold() in _BINS


def is_bin(inside: Collection[str]) -> bool:
    """Return whether a folder of such a name, with these names in it, is a bin: it holds no picture itself.

    >>> is_bin(["S-1-5-21-7"]), is_bin(["1.jpg", "desktop.ini"]), is_bin([])
    (True, False, False)
    """
    return any(map(_IN_BINS.fullmatch, inside)) and not any(by_name(name) == "picture" for name in inside)


def may_be_class(name: str) -> bool:
    """Return whether a folder that looks like a system's has a name that a user may have given to a class.

    >>> may_be_class("temporary items"), may_be_class("@eaDir")
    (True, False)
    """
    return not name.startswith(_NO_CLASS)


def is_system_file(name: str) -> bool:
    """Return whether a file of that name is hidden, or made by a system.

    >>> is_system_file("._photo.jpg"), is_system_file("photo.jpg:Zone.Identifier"), is_system_file("photo.jpg")
    (True, True, False)
    """
    return name.startswith(".") or name.casefold() in _FILES or _STREAMS.search(name) is not None
