"""What must stay together in a fit's split though no name says so: near duplicates, found by the plain features."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np

from goldenrule.core.errors import FormatError
from goldenrule.core.findings import Finding, plural
from goldenrule.data.duplicates.likeness import NearDuplicate
from goldenrule.data.grouping import with_alike
from goldenrule.data.splits.splitting import FEWEST_UNITS
from goldenrule.data.table import ImageTable
from goldenrule.data.units import duplicate_units
from goldenrule.features.extractor import Features
from goldenrule.features.similar_windows import near_duplicates
from goldenrule.pipelines.context import FitContext
from goldenrule.runs.store import Outcome, about_images
from goldenrule.storage.tensors import Array, check_arrays

NEAR_VERSION = 1
"""Goes up when other pairs are found: an earlier run's are not replayed then."""


def kept_together(table: ImageTable, pairs: Sequence[NearDuplicate]) -> ImageTable:
    """Return the images with near duplicates in one group each.

    But not in a class that would be left with fewer than three units to split: one film is a poor class, no
    validation is none at all. The finding on near duplicates in two splits then says so.
    """
    joined = with_alike(table, [(pair.first, pair.second) for pair in pairs])
    before, after = _units_of_classes(table), _units_of_classes(joined)
    lost = {label for label, units in before.items() if len(after[label]) < min(FEWEST_UNITS, len(units))}
    if not lost:
        return joined
    labels = table.rows["labels"].to_pylist()
    kept = [pair for pair in pairs if not lost & {*labels[pair.first], *labels[pair.second]}]
    return with_alike(table, [(pair.first, pair.second) for pair in kept])


def joined_groups(table: ImageTable, together: ImageTable, pairs: Sequence[NearDuplicate]) -> Iterator[Finding]:
    """Return a finding on groups that near duplicates have joined: which, by how many pairs, and one of them."""
    groups, now, uris = table.rows["group"].to_pylist(), together.rows["group"].to_pylist(), table.uris
    found: dict[tuple[str, str], list[str]] = defaultdict(list)
    for pair in pairs:
        first, second = groups[pair.first], groups[pair.second]
        if first is not None and second is not None and first != second and now[pair.first] == now[pair.second]:
            one, other = sorted((first, second))
            found[one, other].append(f"{uris[pair.first]} ~ {uris[pair.second]}")
    if found:
        yield Finding(
            severity="warning",
            code="groups-joined",
            fields={"n": sum(map(len, found.values()))},
            evidence=tuple(
                f"{one} and {other}: {plural(len(some), 'pair')}, such as {some[0]}"
                for (one, other), some in found.items()
            ),
        )


def leaked(table: ImageTable, pairs: Sequence[NearDuplicate]) -> dict[str, str]:
    """Return the images (with their split) of validation and test that train has too, or nearly so."""
    splits, uris, digests = table.splits, table.uris, table.digests
    taught = {digest for digest, split in zip(digests, splits, strict=True) if split == "train" and digest is not None}
    found = {row for row, digest in enumerate(digests) if digest in taught and splits[row] != "train"}
    for pair in pairs:
        for one, other in ((pair.first, pair.second), (pair.second, pair.first)):
            if splits[other] == "train" and splits[one] in ("valid", "test"):
                found.add(one)
    return {uris[row]: str(splits[row]) for row in sorted(found)}


def near_pairs(context: FitContext, features: Features) -> list[NearDuplicate]:
    """Return the near duplicates among the images of a fit; found once per run, then replayed (law 7)."""
    key = {
        "step": "near duplicates",
        "version": NEAR_VERSION,
        "images": about_images(context.table),
        "cache": features.caches[0].name,
    }

    def found() -> Outcome:
        cache = features.caches[0]
        likened = context.backbone.spec.averaged
        pairs = near_duplicates(
            context.table, cache, likened=likened, threads=context.threads, progress=context.progress
        )
        rows = np.array([(pair.first, pair.second, pair.mirrored) for pair in pairs], np.int32).reshape(-1, 3)
        return Outcome({"pairs": rows, "cosine": np.array([pair.cosine for pair in pairs], np.float32)}, {})

    with context.state.stage("near duplicates"):
        outcome, _ = context.run.step(key, found, check=lambda kept: _check_pairs(kept, len(context.table)))
    return [
        NearDuplicate(first=int(first), second=int(second), cosine=float(cosine), mirrored=bool(mirrored))
        for (first, second, mirrored), cosine in zip(outcome.tensors["pairs"], outcome.tensors["cosine"], strict=True)
    ]


def _check_pairs(kept: Outcome, images: int) -> None:
    """Raise `FormatError` where a kept outcome holds no pairs of so many images."""
    wanted = {"pairs": Array(("pairs", 3), kind="whole"), "cosine": Array(("pairs",))}
    check_arrays(kept.tensors, wanted, what="the near duplicates")
    pairs = kept.tensors["pairs"][:, :2]
    if pairs.size and not 0 <= pairs.min() <= pairs.max() < images:
        raise FormatError(f"The near duplicates name images beyond the {images} that there are.")


def _units_of_classes(table: ImageTable) -> dict[int, set[bytes]]:
    units: dict[int, set[bytes]] = defaultdict(set)
    for unit, labels, split in zip(duplicate_units(table), table.rows["labels"].to_pylist(), table.splits, strict=True):
        if split in (None, "train"):
            for label in labels:
                units[label].add(unit)
    return units
