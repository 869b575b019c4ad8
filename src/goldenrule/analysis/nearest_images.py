"""The nearest training images of a picture, as the network sees it: what it must have thought of.

Likeness is the cosine of the features less the mean of the training images': without the mean all pictures are alike
to some degree, and 0 would not mean "nothing in common" (docs/results/neighbours.md).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from goldenrule.core.errors import OptionError
from goldenrule.core.progress import Progress
from goldenrule.data.duplicates.likeness import NearDuplicate
from goldenrule.data.duplicates.near_duplicates import widely_alike
from goldenrule.data.table import ImageTable, image_table
from goldenrule.features.extractor import Features

Floats = npt.NDArray[np.float32]
Read = Callable[[int, int], npt.NDArray[np.floating]]
Copy = Literal["", "same file", "nearly the same"]

CLOSE = 0.5
"""The similarity from which on two pictures are laid on each other: copies need not be closer than other pictures."""
BLOCK_BYTES = 32 << 20
QUERIES = 1024
"""So many pictures are compared with a block of training images at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbour:
    """A training image with its classes and its similarity: 1 for the same picture, about 0 for any other."""

    id: str
    labels: tuple[str, ...]
    similarity: float
    copy: Copy = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbours:
    """The nearest training images of one picture, the most similar first; none where it can't be read."""

    id: str
    nearest: tuple[Neighbour, ...] = ()

    def share(self, label: str) -> float:
        """Return the share of the neighbours that are of this class; nan where there are none."""
        return sum(label in one.labels for one in self.nearest) / len(self.nearest) if self.nearest else float("nan")


def nearest(
    images: ImageTable,
    seen: Features,
    train: ImageTable,
    known: Features,
    *,
    k: int = 5,
) -> list[Neighbours]:
    """Return the `k` nearest of the `train` images for each of `images`, by the plain features of one backbone.

    Both tables have digests; `seen` holds the rows of the images, `known` those of the training images. Training files
    with equal bytes count once. Costs grow with images times training images; of both, blocks are read.
    """
    first: dict[bytes, int] = {}
    for row, digest in enumerate(train.digests):
        if digest is not None and digest in known.caches[0]:
            first.setdefault(digest, row)
    digests, rows = list(first), list(first.values())
    asked = [
        (row, content)
        for row, content in enumerate(images.digests)
        if content is not None and content in seen.caches[0]
    ]
    uris, labels = train.uris, train.rows["labels"].to_pylist()
    result = [Neighbours(id=uri) for uri in images.uris]
    if not digests:  # the training images are gone, or none could be read
        return result
    found = nearest_rows(
        lambda start, stop: seen.rows([content for _, content in asked[start:stop]]),
        len(asked),
        lambda start, stop: known.rows(digests[start:stop]),
        len(digests),
        k=k,
        features=known.caches[0].features,
    )
    for (row, content), (places, similarities) in zip(asked, found, strict=True):
        result[row] = Neighbours(
            id=result[row].id,
            nearest=tuple(
                Neighbour(
                    id=uris[rows[place]],
                    labels=tuple(train.classes[label] for label in labels[rows[place]]),
                    similarity=float(similarity),
                    copy="same file" if content == digests[place] else "",
                )
                for place, similarity in zip(places.tolist(), similarities, strict=True)
            ),
        )
    return result


def nearest_rows(
    queries: Read, asked: int, rows: Read, count: int, *, k: int, features: int
) -> Iterator[tuple[npt.NDArray[np.int64], Floats]]:
    """Return for each query the places of its nearest rows and their similarities, the most similar first.

    `queries(start, stop)` and `rows(start, stop)` read blocks (stop - start, features) of `asked` and `count`. Of rows
    that are equally similar the earlier ones are taken. Raises `OptionError` for a `k` below 1.
    """
    if k < 1:
        raise OptionError(f"k={k}: wanted how many nearest images to give, at least 1.")
    if not asked or not count:
        return
    size = max(1, BLOCK_BYTES // (4 * features))
    spans = [(start, min(start + size, count)) for start in range(0, count, size)]
    mean = sum(rows(*span).sum(axis=0, dtype=np.float64) for span in spans) / count
    for begin in range(0, asked, QUERIES):
        directions = _directions(queries(begin, min(begin + QUERIES, asked)), mean)
        best = np.empty((len(directions), 0), np.float32)
        places = np.empty((len(directions), 0), np.int64)
        for start, stop in spans:
            best = np.concatenate([best, directions @ _directions(rows(start, stop), mean).T], axis=1)
            new = np.broadcast_to(np.arange(start, stop), (len(directions), stop - start))
            places = np.concatenate([places, new], axis=1)
            order = np.argsort(-best, axis=1, kind="stable")[:, :k]
            best, places = np.take_along_axis(best, order, 1), np.take_along_axis(places, order, 1)
        yield from zip(places, np.clip(best, -1, 1), strict=True)


def with_copies(
    found: Sequence[Neighbours],
    images: ImageTable,
    train: ImageTable,
    *,
    threads: int = 4,
    progress: Progress | None = None,
) -> list[Neighbours]:
    """Return the same neighbours, those marked whose picture lies on the asked one: resized, cropped, mirrored, turned.

    `found` is for the rows of `images`. Only the closest few of each are laid on it; where a file is gone, none.
    """
    paths = [str(images.root / uri) for uri in images.uris]
    pairs, places = [], []
    for row, neighbours in enumerate(found):
        for place, one in enumerate(neighbours.nearest):
            if not one.copy and one.similarity >= CLOSE:
                pairs.append(NearDuplicate(first=row, second=len(paths), cosine=one.similarity, mirrored=False))
                places.append((row, place))
                paths.append(str(train.root / one.id))
    count = len(paths)
    joint = image_table(Path("/"), (), uris=paths, splits=[None] * count, labels=[[]] * count)
    alike = {pair.second for pair in widely_alike(joint, pairs, threads=threads, progress=progress)}
    marked = {place for pair, place in zip(pairs, places, strict=True) if pair.second in alike}
    return [
        replace(
            neighbours,
            nearest=tuple(
                replace(one, copy="nearly the same") if (row, place) in marked else one
                for place, one in enumerate(neighbours.nearest)
            ),
        )
        for row, neighbours in enumerate(found)
    ]


def _directions(rows: npt.NDArray[np.floating], mean: npt.NDArray[np.float64]) -> Floats:
    """Return rows (n, features) less the mean, each of length 1."""
    centred = rows.astype(np.float32) - mean.astype(np.float32)
    return np.asarray(centred / np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-6), np.float32)
