"""What is said of images before anything is learned: how many, their classes, and where their labels come from."""

from __future__ import annotations

from collections.abc import Sequence

from goldenrule.core.findings import plural
from goldenrule.data.table import ImageTable

MOST_NAMED = 6
FOLDER_NAMES = "the folders' names"
PART_OF_THEM = (
    "table-names-part",
    "table-of-other-images",
    "table-of-unlabelled",
    "table-says-otherwise",
    "table-not-used",
    "table-against-folders",
    "images-unlisted",
    "images-missing",
)
"""Codes of findings on a table that names other images than there are, or says otherwise what they are."""


def origin_line(table: ImageTable) -> str:
    """Return the line that begins a fit: images, classes, what says their labels, and what that leaves out.

    Such as "pets: 60 images, 2 classes (cats, dogs), labels from the folders' names".
    """
    about = f"{table.name}: {counted(len(table), int((~table.labelled).sum()))}"
    classes = f"{plural(len(table.classes), 'class', 'classes')} ({some_names(table.classes)})"
    labels = [] if table.labels_table is None else [f"labels from {table.labels_table or FOLDER_NAMES}"]
    part = [finding.sentence for finding in table.findings if finding.code in PART_OF_THEM]
    return f"{'; '.join([', '.join([about, classes, *labels]), *part])}."


def counted(images: int, unlabelled: int) -> str:
    """Return a number of images; those without a label are counted apart.

    >>> counted(60, 0), counted(75, 15)
    ('60 images', '60 labelled images and 15 without a label')
    """
    if not unlabelled:
        return plural(images, "image")
    return f"{plural(images - unlabelled, 'labelled image')} and {unlabelled:,} without a label"


def some_names(names: Sequence[str], most: int = MOST_NAMED) -> str:
    """Return the first names, and how many more there are.

    >>> some_names(["cat", "dog"]), some_names(list("abcdefgh"))
    ('cat, dog', 'a, b, c, d, e, f and 2 more')
    """
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
