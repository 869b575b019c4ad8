"""What stays together: a group, or files with equal bytes."""

from __future__ import annotations

from goldenrule.data.table import ImageTable

_ALIKE = "alike:"
"""What the name of a group of near duplicates begins with."""


def alike_group(uri: str) -> str:
    """Return the name of the group of near duplicates whose first is this image.

    >>> alike_group("cats/1.jpg")
    'alike: cats/1.jpg'
    """
    return f"{_ALIKE} {uri}"


def is_alike(group: str | None) -> bool:
    """Return whether a group is one of near duplicates, which `alike_group` named.

    >>> is_alike("alike: cats/1.jpg"), is_alike("film 1"), is_alike(None)
    (True, False, False)
    """
    return group is not None and group.startswith(_ALIKE)


def is_named(group: str | None) -> bool:
    """Return whether a group was given, by the user or by names: not one of near duplicates.

    >>> is_named("alike: cats/1.jpg"), is_named("film 1"), is_named(None)
    (False, True, False)
    """
    return group is not None and not is_alike(group)


def duplicate_units(table: ImageTable) -> list[bytes]:
    """Return for each image the name of what must stay together: its group, or all files with its bytes.

    Equal bytes join the groups they appear in (union-find over digests and groups).
    """
    parent: dict[bytes, bytes] = {}

    def find(name: bytes) -> bytes:
        parent.setdefault(name, name)
        while parent[name] != name:
            parent[name] = parent[parent[name]]
            name = parent[name]
        return name

    names = []
    groups = table.rows["group"].to_pylist()
    for uri, file_digest, group in zip(table.uris, table.digests, groups, strict=True):
        unit = b"d" + file_digest if file_digest else b"u" + uri.encode()
        names.append(unit)
        if group is not None:
            first, second = sorted((find(unit), find(b"g" + group.encode())))
            parent[second] = first
        else:
            find(unit)
    return [find(name) for name in names]


def copies_by_id(table: ImageTable) -> dict[str, bytes]:
    """Return for each image, by its id, the name of what it shares with its copies and near copies."""
    groups = table.rows["group"].to_pylist()
    copies = table.with_groups([group if is_alike(group) else None for group in groups])
    return dict(zip(copies.uris, duplicate_units(copies), strict=True))
