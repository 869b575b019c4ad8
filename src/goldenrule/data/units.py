"""What stays together: a group, or files with equal bytes."""

from __future__ import annotations

from goldenrule.data.table import ImageTable

ALIKE = "alike: "
"""What the group of near duplicates is called, with the first of them."""


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
        own = b"d" + file_digest if file_digest else b"u" + uri.encode()
        names.append(own)
        if group is not None:
            first, second = sorted((find(own), find(b"g" + group.encode())))
            parent[second] = first
        else:
            find(own)
    return [find(name) for name in names]
