"""Folds and splits of whole stretches: neighbours stay together, every class is learned, sizes are even."""

from __future__ import annotations

from collections import Counter, defaultdict
from itertools import groupby, pairwise
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from goldenrule.data.splits.evaluated_classes import NOT_EVALUATED
from goldenrule.data.splits.folds import evaluation_folds
from goldenrule.data.splits.splitting import with_split
from goldenrule.data.splits.stretches import blocks, stretch_folds, torn
from goldenrule.data.table import ImageTable, image_table
from goldenrule.data.units import alike_group


def ordered(counts: list[int], groups: list[str | None] | None = None) -> ImageTable:
    """So many images of each class, in the order of their names."""
    uris = [f"{label}/{number:04d}.png" for label, count in enumerate(counts) for number in range(count)]
    labels = [[label] for label, count in enumerate(counts) for _ in range(count)]
    table = image_table(
        Path("set"), [str(label) for label in range(len(counts))], uris=uris, splits=[None] * len(uris), labels=labels
    )
    digests = [uri.encode().ljust(32, b".") for uri in uris]
    table = table.with_digests(digests).with_places(list(range(len(uris))))
    return table if groups is None else table.with_groups(groups)


def runs_of(values: list[object]) -> list[tuple[object, int]]:
    return [(value, len(list(item))) for value, item in groupby(values)]


@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(8, 60), min_size=2, max_size=5), st.integers(2, 5))
def test_each_fold_takes_one_stretch_of_each_class_and_sizes_are_even(counts: list[int], folds: int) -> None:
    table = ordered(counts)
    units = [str(row).encode() for row in range(len(table))]
    labels = table.rows["labels"].to_pylist()
    dealt = stretch_folds(labels, list(range(len(table))), units, task="single", folds=folds)
    for label in range(len(counts)):
        ours = dealt[table.targets == label].tolist()
        assert [fold for fold, _ in runs_of(ours)] == list(range(folds))
        sizes = Counter(ours)
        assert max(sizes.values()) - min(sizes.values()) <= 1


@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(1, 7), min_size=2, max_size=6), st.integers(2, 5), st.randoms())
def test_small_classes_train_in_every_fold_that_judges_them(counts: list[int], folds: int, draws: object) -> None:
    counts = [*counts, 12]
    table = ordered(counts)
    dealt = evaluation_folds(table, folds, seed=0)
    for fold in set(dealt.tolist()) - {NOT_EVALUATED}:
        evaluated, trained = set(table.targets[dealt == fold].tolist()), set(table.targets[dealt != fold].tolist())
        assert evaluated <= trained
    for label, count in enumerate(counts):
        if count == 1:
            assert (dealt[table.targets == label] == NOT_EVALUATED).all()


@settings(deadline=None, max_examples=40)
@given(st.integers(30, 90), st.integers(2, 6))
def test_groups_are_kept_whole_in_folds_and_blocks(count: int, size: int) -> None:
    groups: list[str | None] = [f"g{label}-{number // size}" for label in "ab" for number in range(count)]
    table = ordered([count, count], groups)
    dealt, block = evaluation_folds(table, 5, seed=0), blocks(table)
    assert block is not None
    for places in (dealt.tolist(), block):
        found = defaultdict(set)
        for group, place in zip(groups, places, strict=True):
            found[group].add(place)
        assert all(len(value) == 1 for value in found.values())


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(90, 300), min_size=2, max_size=4), st.integers(0, 5))
def test_drawn_parts_are_three_separated_stretches_of_each_class(counts: list[int], seed: int) -> None:
    table = with_split(ordered(counts), seed=seed)
    for label, count in enumerate(counts):
        ours = [split for split, target in zip(table.splits, table.targets, strict=True) if target == label]
        stretches = Counter(split for split, _ in runs_of(ours))
        for split in ("valid", "test"):
            assert stretches[split] == 3
            assert abs(ours.count(split) - 0.1 * count) <= 3
            assert min(length for name, length in runs_of(ours) if name == split) >= 3
    assert not torn(table, "valid")
    assert not torn(table, "test")


def test_too_few_images_for_stretches_are_drawn_one_by_one_and_said_to_be_torn() -> None:
    split = with_split(ordered([60, 60]))
    assert split.splits.count("valid") == 12
    assert torn(split, "valid")


def test_what_was_taken_together_lies_in_one_part_in_all_classes() -> None:
    split = with_split(ordered([200, 200]))
    one, other = split.splits[:200], split.splits[200:]
    assert one == other


def test_parts_that_were_split_before_keep_their_images() -> None:
    table = ordered([100, 100])
    before = {digest: "test" if row % 10 == 0 else "train" for row, digest in enumerate(table.digests) if digest}
    split = with_split(table, before=before)  # type: ignore[arg-type]
    assert [name == "test" for name in split.splits] == [row % 10 == 0 for row in range(200)]
    assert torn(split, "test")


def test_blocks_are_groups_or_pieces_of_the_order_and_near_duplicates_alone_are_none() -> None:
    table = ordered([40, 40]).with_places([None] * 80)
    assert blocks(table) is None
    assert blocks(table.with_groups([alike_group("x")] * 2 + [None] * 78)) is None
    assert blocks(table.with_groups(["film"] * 2 + [None] * 78)) == ["film"] * 2 + [None] * 78
    found = blocks(ordered([40, 40]))
    assert found is not None
    assert len(set(found)) == 12
    assert all(one == other or number > 0 for number, (one, other) in enumerate(pairwise(found)))
    assert len(runs_of(list(found))) == 12, "each is one piece"


def test_sets_of_labels_are_cut_like_classes_and_rare_ones_together() -> None:
    uris = [f"{number:03d}.png" for number in range(100)]
    labels = [[0]] * 40 + [[0, 1]] * 40 + [[1, 2]] * 3 + [[2]] * 17
    table = image_table(Path("set"), ("a", "b", "c"), uris=uris, splits=[None] * 100, labels=labels)
    table = table.with_digests([uri.encode().ljust(32, b".") for uri in uris]).with_places(list(range(100)))
    dealt = evaluation_folds(table, 5, seed=0)
    for start, stop in ((0, 40), (40, 80), (83, 100)):
        assert [fold for fold, _ in runs_of(dealt[start:stop].tolist())] == list(range(5))
    assert np.bincount(dealt[dealt >= 0]).min() >= 15


def test_a_part_whose_groups_train_is_torn_and_one_with_groups_of_its_own_is_not() -> None:
    table = ordered([40, 40]).with_places([None] * 80)
    groups: list[str | None] = [f"film {row // 8}" for row in range(80)]
    cut = table.with_groups(groups).with_splits(["valid" if row % 8 == 0 else "train" for row in range(80)])
    whole = table.with_groups(groups).with_splits(["valid" if row // 8 == 3 else "train" for row in range(80)])
    assert torn(cut, "valid")
    assert not torn(whole, "valid")
    assert not torn(cut.with_groups([alike_group(group) for group in groups]), "valid")
