"""Near duplicates found by the features that a cache has: far windows, turned and written-on copies too.

A description (`data.duplicates.likeness`) of a cropped or turned picture soon differs; what a pretrained backbone makes
of it hardly does. But features are close for two photos of one thing, too: they only propose, and a registration
decides.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

import numpy as np

from goldenrule.core.progress import Progress
from goldenrule.core.randomness import generator
from goldenrule.core.schema import as_json
from goldenrule.data.augmentation.augment import PLAIN
from goldenrule.data.duplicates.close_vectors import Floats, close_pairs
from goldenrule.data.duplicates.likeness import NearDuplicate
from goldenrule.data.duplicates.near_duplicates import MOST_CHECKS, apart, widely_alike
from goldenrule.data.pictures.decode import DECODING
from goldenrule.data.table import ImageTable
from goldenrule.features.cache import FORMAT, FeatureCache, Halves, digests_in, stored

CANDIDATE = 0.75
"""The cosine of features from which on a pair is looked at closely (docs/results/near_duplicates.md)."""
Likened = Callable[[Halves], Halves]
DIMENSIONS, _BLOCK, _MOST_VALUES, _PER_BUCKET = 256, 4096, 1 << 25, 8
"""Features are projected to so many dimensions first, so that 100,000 images take 100 MB."""


def near_duplicates(
    table: ImageTable,
    cache: FeatureCache,
    *,
    known: Collection[tuple[int, int]] = (),
    likened: Likened | None = None,
    threads: int = 4,
    progress: Progress | None = None,
) -> list[NearDuplicate]:
    """Return the pairs of different files with close features whose pictures match, but for `known` ones.

    Of files with equal bytes one stands for all; two of one group are no such pair; images without a row in the
    cache have none. `likened` makes of a cache's rows what pictures are likened by (`BackboneSpec.averaged`).
    Costs grow with the number of images: each is compared with its nearest few only.
    """
    first: dict[bytes, int] = {}
    digests = table.digests
    for row in np.flatnonzero(cache.has(digests)).tolist():
        first.setdefault(digests[row] or b"", row)
    if len(first) < 2:
        return []
    rows, short = list(first.values()), shortened(cache, list(first), likened)
    close = close_pairs(
        short,
        least=CANDIDATE,
        most=MOST_CHECKS,
        origin=short.mean(axis=0),
        per_bucket=_PER_BUCKET,
        progress=progress,
    )
    pairs = [
        NearDuplicate(first=rows[one], second=rows[other], cosine=float(cosine), mirrored=False)
        for one, other, cosine in zip(*close, strict=True)
    ]
    new = [pair for pair in apart(table, pairs) if (pair.first, pair.second) not in known]
    return widely_alike(table, new, threads=threads, progress=progress)


def with_cached(
    table: ImageTable, pairs: Sequence[NearDuplicate], *, threads: int = 4, progress: Progress | None = None
) -> list[NearDuplicate]:
    """Return the pairs, and those that features in a cache find beside them; the table has digests.

    A fit finds those too: what has no network goes by a cache that a fit has left, and computes no features.
    """
    if (cache := best_cache(table.digests)) is None:
        return list(pairs)
    known = {(pair.first, pair.second) for pair in pairs}
    more = near_duplicates(table, cache, known=known, threads=threads, progress=progress)
    return sorted([*pairs, *more], key=lambda pair: (pair.first, pair.second))


def shortened(cache: FeatureCache, digests: Sequence[bytes], likened: Likened | None = None) -> Floats:
    """Return the features of these images as vectors (n, DIMENSIONS) of length 1, by one fixed random projection.

    Cosines stay what they were, give or take .02 (Johnson and Lindenstrauss 1984).
    """
    likened = likened or (lambda rows: rows)
    features = likened(cache.rows(digests[:1])).shape[1]
    projection = generator(0, "likeness", features).standard_normal((features, DIMENSIONS)).astype(np.float32)
    short = np.empty((len(digests), DIMENSIONS), np.float32)
    count = min(_BLOCK, _MOST_VALUES // cache.features + 1)
    for start in range(0, len(digests), count):
        block = likened(cache.rows(digests[start : start + count])).astype(np.float32)
        short[start : start + count] = block @ projection
    return np.asarray(short / np.maximum(np.linalg.norm(short, axis=1, keepdims=True), 1e-6), np.float32)


def best_cache(digests: Sequence[bytes | None]) -> FeatureCache | None:
    """Return the cache of plain pooled features that has rows of most of these images, the one used last among equals.

    None where no cache has a row of any. Nothing is computed, and no backbone is loaded.
    """
    wanted = {digest for digest in digests if digest is not None}
    best, most = None, 0
    for about in stored():
        key = about["key"]
        made = (key.get("view"), key.get("decoding"), key.get("format"))
        pooled = key.get("tap", "pooled") == "pooled" and key.get("pooling") != "flattened"
        if pooled and made == (as_json(PLAIN), DECODING, FORMAT) and about["rows"] > most:
            found = len(wanted.intersection(digests_in(about["name"])))
            best, most = (key, found) if found > most else (best, most)
    return FeatureCache(best, best["features"]) if best else None
