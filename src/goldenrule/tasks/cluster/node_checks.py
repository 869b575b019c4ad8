"""What each node of a cluster must see and be, so that its rows are those of the machine that asks for them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from goldenrule.engines.openvino import best_precision

PACKAGES = ("goldenrule", "numpy", "openvino", "pillow", "simplejpeg")
"""What the bits of a row may depend on, from the file to the feature."""
MOST_FILES = 16
"""So many of the files are looked for on each node: the first, the last, and some between."""
SHARED = "Images, cache and classifier must lie where every node has them under the same path, such as a network drive."


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeCheck:
    """What a node is asked: versions, the precision of its processor, a file just made in the cache, some images."""

    versions: Mapping[str, str]
    precision: str
    token: str  # a new file in the cache: a folder of the same name is not the same folder
    files: tuple[bytes, ...] = field(repr=False, default=())

    @classmethod
    def of_here(cls, token: Path, files: Sequence[bytes]) -> NodeCheck:
        """Return what a node must be to do what this machine does, with these files as far as they are there."""
        some = tuple(path for path in some_of(files, MOST_FILES) if os.access(path, os.R_OK))
        return cls(versions=_versions(), precision=best_precision(), token=str(token), files=some)

    def problem(self) -> str:
        """Return what is wrong on the node where this is asked, "" where nothing is."""
        for name, here in _versions().items():
            if here != self.versions[name]:
                return f"it has {name} {here}, and this command runs {self.versions[name]}. Install the same."
        if (here := best_precision()) != self.precision:
            return (
                f"its processor computes in {here}, and the rows are kept under {self.precision}: rows of two "
                "precisions are never mixed. Leave it out of the cluster, or give the command there."
            )
        unseen = [path for path in (os.fsencode(self.token), *self.files) if not os.access(path, os.R_OK)]
        if unseen:
            return f"it can't read {os.fsdecode(unseen[0])}. {SHARED}"
        return ""


def problem_here(check: NodeCheck) -> str:
    """Return what is wrong on this node, "" where nothing is: what a node runs."""
    return check.problem()


def some_of(items: Sequence[Any], most: int) -> list[Any]:
    """Return at most so many of the items, evenly spaced, the first and the last among them.

    >>> some_of(range(100), 4), some_of("ab", 4)
    ([0, 33, 66, 99], ['a', 'b'])
    """
    if len(items) <= most:
        return list(items)
    return [items[number * (len(items) - 1) // (most - 1)] for number in range(most)]


def _versions() -> dict[str, str]:
    return {name: version(name) for name in PACKAGES}
