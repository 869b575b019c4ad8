"""Which images train, which choose, which evaluate: properties of the split."""

import random
import shutil
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from goldenrule.core.errors import OptionError, TooFewImages
from goldenrule.data.sources.folders import from_folder
from goldenrule.data.splits.folds import with_folds
from goldenrule.data.splits.splitting import (
    COARSE,
    Shares,
    check_enough,
    duplicate_units,
    sample_per_class,
    stratified_label_sets,
    stratified_splits,
    with_split,
)
from goldenrule.data.table import ImageTable, image_table, table_schema
from goldenrule.storage.files import digest

many = settings(deadline=None, max_examples=60)


def table_of(rows):
    """Return an unsplit table from (label, content, group) rows; the uri says what the row is."""
    rows = list(rows)
    table = image_table(
        Path("set"),
        [f"class {number}" for number in range(5)],
        uris=[f"{number:04d}" for number, _ in enumerate(rows)],
        splits=[None] * len(rows),
        labels=[[label] for label, _, _ in rows],
    )
    table = table.with_digests([digest(str(content).encode()) for _, content, _ in rows])
    return table._with("group", pa.array([group for _, _, group in rows], pa.string()))


def shuffled(table, seed):
    order = list(range(len(table)))
    random.Random(seed).shuffle(order)
    return type(table)(table.root, table.classes, table.rows.take(np.array(order, np.int64)))


def drawn(table, **said):
    """Split, but for tables whose groups leave a split without two classes: those are refused."""
    try:
        return with_split(table, **said)
    except TooFewImages:
        reject()


def by_uri(table):
    return dict(zip(table.uris, table.splits, strict=True))


rows_with_duplicates = st.lists(
    st.tuples(st.integers(0, 2), st.integers(0, 40), st.none() | st.sampled_from(["g", "h", "i"])), max_size=60
)
labels_and_units = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 30)), max_size=80)


@many
@given(rows_with_duplicates, st.integers(0, 3))
def test_equal_bytes_and_groups_stay_together(rows, seed):
    try:
        table = with_split(table_of(rows), seed=seed)
    except TooFewImages as error:
        assert "The groups leave" in str(error)  # noqa: PT017
        return
    splits_of = defaultdict(set)
    for (_, content, group), split in zip(rows, table.splits, strict=True):
        assert split in ("train", "valid", "test")
        splits_of["content", content].add(split)
        if group is not None:
            splits_of["group", group].add(split)
    assert all(len(splits) == 1 for splits in splits_of.values())


@many
@given(rows_with_duplicates, st.integers(0, 3), st.integers(0, 99))
def test_the_order_of_the_images_changes_no_images_part(rows, seed, order):
    table = table_of(rows)
    assert by_uri(drawn(shuffled(table, order), seed=seed)) == by_uri(drawn(table, seed=seed))


shares = st.sampled_from([(0.1, 0.1), (0.2, 0.1), (0.5, 0.4), (0.05, 0.05), (0.3, 0.6)])


@many
@given(labels_and_units, st.integers(0, 5), shares)
def test_a_class_of_three_units_or_more_is_in_every_part_and_train_has_every_class(pairs, seed, wanted):
    """A unit counts for the class most of its images have; here every unit is of one class.

    Not so a class whose smallest unit is more than twice its share: it is split together with others like it.
    """
    labels = [label for label, _ in pairs]
    units = [b"%d %d" % pair for pair in pairs]
    splits = stratified_splits(labels, units, {"valid": wanted[0], "test": wanted[1]}, seed=seed)
    for label in set(labels):
        these = {unit for mine, unit in zip(labels, units, strict=True) if mine == label}
        found = {split for mine, split in zip(labels, splits, strict=True) if mine == label}
        assert "train" in found
        sizes = Counter(unit for mine, unit in zip(labels, units, strict=True) if mine == label).values()
        coarse = min(sizes) > COARSE * max(1, round(max(wanted) * sum(sizes)))
        if len(these) >= 3 and not coarse:
            assert found == {"train", "valid", "test"}


def test_small_groups_before_a_large_one_do_not_all_leave_train():
    labels, units = [0] * 34, [b"a", b"b", *[b"c"] * 30, b"d", b"e"]
    for seed in range(20):
        splits = stratified_splits(labels, units, {"valid": 0.1, "test": 0.1}, seed=seed)
        assert set(splits) == {"train", "valid", "test"}


@pytest.mark.parametrize("units", [1, 2])
def test_a_class_of_one_or_two_groups_is_never_lost_to_train(units):
    names = [b"unit %d" % (number % units) for number in range(10)]
    for seed in range(10):
        assert "train" in stratified_splits([0] * 10, names, {"valid": 0.1, "test": 0.1}, seed=seed)


@many
@given(st.lists(st.integers(3, 120), min_size=1, max_size=4), st.integers(0, 5))
def test_without_duplicates_the_shares_are_kept_class_by_class(sizes, seed):
    labels = [label for label, size in enumerate(sizes) for _ in range(size)]
    units = [b"%d" % number for number in range(len(labels))]
    counts = Counter(zip(labels, stratified_splits(labels, units, {"valid": 0.1, "test": 0.2}, seed=seed), strict=True))
    for label, size in enumerate(sizes):
        assert counts[label, "valid"] == max(1, round(0.1 * size))
        assert counts[label, "test"] == max(1, round(0.2 * size))


@many
@given(
    st.lists(st.sets(st.integers(0, 3), max_size=3), min_size=40, max_size=200),
    st.integers(1, 3),
    st.integers(0, 5),
)
def test_of_several_labels_each_keeps_its_shares_and_units_stay_whole(labels, copies, seed):
    labels = [sorted(value) for value in labels for _ in range(copies)]
    units = [f"{row // copies}".encode() for row in range(len(labels))]
    splits = stratified_label_sets(labels, units, {"valid": 0.2, "test": 0.1}, seed=seed)
    assert all(len({splits[row] for row in range(at, at + copies)}) == 1 for at in range(0, len(splits), copies))
    for split, share in (("valid", 0.2), ("test", 0.1)):
        assert abs(splits.count(split) - share * len(splits)) <= 0.08 * len(splits) + 4 * copies
        for label in range(4):
            rows = [row for row, value in enumerate(labels) if label in value]
            having = sum(splits[row] == split for row in rows)
            assert abs(having - share * len(rows)) <= 0.08 * len(rows) + 4 * copies


def test_the_order_of_the_images_does_not_change_a_split_of_several_labels():
    labels = [[row % 3, 3 + row % 4] for row in range(60)]
    units = [str(row).encode() for row in range(60)]
    splits = dict(zip(units, stratified_label_sets(labels, units, {"valid": 0.2}, seed=1), strict=True))
    order = random.Random(0).sample(range(60), 60)
    again = stratified_label_sets([labels[row] for row in order], [units[row] for row in order], {"valid": 0.2}, seed=1)
    assert [splits[units[row]] for row in order] == again
    known = {unit: "train" for unit, split in splits.items() if split == "valid"}
    moved = stratified_label_sets(labels, units, {"valid": 0.2}, seed=1, known=known)
    assert not {unit for unit, split in zip(units, moved, strict=True) if split == "valid"} & known.keys()


def test_the_seed_draws_another_split_and_the_same_seed_the_same():
    rows = [(number % 2, number, None) for number in range(100)]
    first, again, other = (by_uri(with_split(table_of(rows), seed=seed)) for seed in (1, 1, 2))
    assert first == again
    assert first != other


@many
@given(rows_with_duplicates, rows_with_duplicates, st.integers(0, 3))
def test_an_earlier_split_never_changes_when_images_come(old, new, seed):
    old = [(content % 3, content, None) for _, content, _ in old]  # equal files are of one class
    new = [(content % 3, content, None) for _, content, _ in new]
    before_table = drawn(table_of(old), seed=seed)
    before = dict(zip(before_table.digests, before_table.splits, strict=True))
    after = drawn(table_of(old + new), seed=seed, before=before)
    assert after.splits[: len(old)] == before_table.splits
    for content, split in zip(after.digests, after.splits, strict=True):
        assert split == before.get(content, split)


@many
@given(rows_with_duplicates, st.integers(0, 3))
def test_an_earlier_split_never_changes_though_images_turn_out_to_belong_together(rows, seed):
    first = with_split(table_of([(label, content, None) for label, content, _ in rows]), seed=seed)
    before = dict(zip(first.digests, first.splits, strict=True))
    assert with_split(table_of(rows), seed=seed, before=before).splits == first.splits


def test_a_new_image_of_a_known_group_goes_where_its_group_is():
    old = [(number % 2, number, f"group {number % 10}") for number in range(40)]
    first = with_split(table_of(old))
    before = dict(zip(first.digests, first.splits, strict=True))
    after = with_split(table_of([*old, (0, "new", "group 0"), (1, "newer", "group 1")]), before=before)
    groups = dict(zip((group for _, _, group in old), first.splits, strict=True))
    assert after.splits == [*first.splits, groups["group 0"], groups["group 1"]]


def test_images_that_come_fill_the_parts_up_to_their_shares():
    old = [(0, number, None) for number in range(30)]
    first = with_split(table_of(old))
    before = dict(zip(first.digests, first.splits, strict=True))
    after = with_split(table_of([*old, *((0, number, None) for number in range(30, 100))]), before=before)
    assert Counter(after.splits) == {"train": 80, "valid": 10, "test": 10}


def test_files_are_read_where_nobody_has_read_them_so_that_equal_ones_stay_together(picture_folder):
    root = picture_folder(each=6)
    for number in range(6):
        shutil.copy(root / "red" / "00.png", root / "red" / f"copy{number}.png")
    splits = by_uri(with_split(from_folder(root), shares=Shares(valid=0.3, test=0.3)))
    assert len({split for uri, split in splits.items() if "copy" in uri or uri == "red/00.png"}) == 1


def test_parts_that_the_folder_has_stay_and_a_missing_valid_is_carved_from_train():
    table = table_of([(number % 2, number, None) for number in range(40)])
    whole = table.with_splits(["train"] * 30 + ["valid"] * 5 + ["test"] * 5)
    assert with_split(whole) is whole
    carved = with_split(table.with_splits(["train"] * 30 + ["test"] * 10))
    assert carved.splits[30:] == ["test"] * 10
    assert Counter(carved.splits[:30]) == {"train": 26, "valid": 4}
    only_train = with_split(table.with_splits(["train"] * 40))
    assert Counter(only_train.splits) == {"train": 32, "valid": 4, "test": 4}


@pytest.mark.parametrize(("valid", "test"), [(0.5, 0.5), (-0.1, 0.1), (1, 0), (0.1, 1)])
def test_shares_that_leave_nothing_to_train_on_are_an_option_error(valid, test):
    with pytest.raises(OptionError, match="leave nothing to train on"):
        Shares(valid=valid, test=test)


def test_a_share_of_nothing_makes_no_part():
    table = with_split(table_of([(0, number, None) for number in range(40)]), shares=Shares(valid=0.1, test=0))
    assert Counter(table.splits) == {"train": 36, "valid": 4}


def test_units_join_through_bytes_that_two_groups_share():
    table = table_of([(0, "x", "g"), (0, "x", "h"), (0, "y", "h"), (0, "z", None), (0, "y", None)])
    units = duplicate_units(table)
    assert len(set(units)) == 2
    assert units[0] == units[1] == units[2] == units[4]
    assert duplicate_units(shuffled(table, 1)) != []
    assert set(duplicate_units(shuffled(table, 1))) == set(units)


def test_files_that_could_not_be_read_are_units_of_their_own():
    table = table_of([(0, "x", None)] * 3).with_digests([None, None, digest(b"x")])
    assert len(set(duplicate_units(table))) == 3


@many
@given(st.lists(st.tuples(st.integers(0, 2), st.sampled_from(["train", "test"])), max_size=60), st.integers(1, 5))
def test_a_sample_has_at_most_so_many_of_each_class_and_part_and_not_by_order(rows, count):
    table = table_of([(label, number, None) for number, (label, _) in enumerate(rows)])
    table = table.with_splits([split for _, split in rows])
    sample = sample_per_class(table, count, seed=3)
    whole = Counter(zip(table.splits, table.targets.tolist(), strict=True))
    taken = Counter(zip(sample.splits, sample.targets.tolist(), strict=True))
    assert taken == Counter({stratum: min(count, number) for stratum, number in whole.items()})
    assert set(sample_per_class(shuffled(table, 5), count, seed=3).uris) == set(sample.uris)
    assert sample.uris == sorted(sample.uris)
    assert sample.rows.schema == table_schema()


def test_a_larger_sample_holds_the_smaller_one():
    table = table_of([(number % 3, number, None) for number in range(90)])
    small, large = (set(sample_per_class(table, count).uris) for count in (4, 9))
    assert small < large
    with pytest.raises(OptionError, match="--sample 0"):
        sample_per_class(table, 0)


def of_groups(**classes_of):
    """Return a table of groups whose images are of these classes: a="0011" has two images of each."""
    every = [
        (int(label), f"{group} {n}", group) for group, labels in classes_of.items() for n, label in enumerate(labels)
    ]
    return table_of(every)


@pytest.mark.parametrize(
    ("groups", "drawn"),
    [
        ({"a": "0000000111111111", "b": "0001", "c": "0111"}, {"train": "abc", "valid": "bc"}),
        (
            {"a": "0000000111111111", "b": "0001", "c": "0111", "d": "0011"},
            {"train": "abcd", "valid": "bcd", "test": "bcd"},
        ),
    ],
)
def test_a_few_groups_are_dealt_out_whole_as_well_as_can_be(groups, drawn):
    table = with_split(of_groups(**groups))
    of_group = dict(zip(table.rows["group"].to_pylist(), table.splits, strict=True))
    assert set(of_group.values()) == drawn.keys()
    assert all(group in drawn[split] for group, split in of_group.items())
    [found] = [finding for finding in table.findings if finding.code == "few-groups"]
    assert found.fields["n"] == len(groups)
    assert ("test split" in found.sentence) == ("test" not in drawn)
    assert {line.partition(":")[0] for line in found.evidence} == drawn.keys()


def test_groups_of_which_no_validation_can_be_made_say_how_many_are_wanted():
    with pytest.raises(
        TooFewImages, match=r"1 is of 1 group .*two classes need three groups each.*omit --group"
    ) as error:
        with_split(of_groups(a="0000", b="000", c="1111"))
    assert "class 0 is of 2 groups (a, b)" in str(error.value)


def few_of(counts, splits=None):
    names = sorted(counts)
    labels = [[index] for index, name in enumerate(names) for _ in range(counts[name])]
    return image_table(
        Path("set"), names, uris=[str(n) for n in range(len(labels))], splits=[splits] * len(labels), labels=labels
    )


@pytest.mark.parametrize(
    ("counts", "split", "says"),
    [
        ({"cat": 9}, None, r"one class only \('cat'\).*tells two or more apart. Add a folder"),
        (
            {"cat": 1, "dog": 9},
            None,
            r"'cat' has 1 image, a split into train, valid and test needs 3: add images, merge the class with "
            r"another, or pass --min-per-class 1",
        ),
        ({"cat": 2, "dog": 9}, "train", r"'cat' has 2 images, cross-validation on the training split needs 3"),
        ({"ant": 2, "bee": 1, "cat": 9}, None, r"'ant' has 2 images \(1 more like it\).*--min-per-class 1"),
    ],
)
def test_too_few_images_say_which_class_and_what_to_do(counts, split, says):
    with pytest.raises(TooFewImages, match=says):
        check_enough(few_of(counts, split), min_per_class=3)


def test_enough_images_pass():
    check_enough(few_of({"cat": 3, "dog": 3}), min_per_class=3)
    check_enough(few_of({"cat": 1, "dog": 3}), min_per_class=1)


@pytest.mark.parametrize("draw", [with_split, lambda table: with_folds(table, 5)], ids=["splits", "folds"])
def test_how_often_a_column_is_read_does_not_grow_with_the_images(draw, monkeypatch):
    """A column that is read for each image takes minutes for a hundred thousand of them."""
    reads = Counter()
    for name in ("uris", "splits", "digests", "places", "folds"):
        column = getattr(ImageTable, name)

        def read(table, name=name, column=column):
            reads[name] += 1
            return column.fget(table)

        monkeypatch.setattr(ImageTable, name, property(read))
    found = []
    for count in (40, 400):
        reads.clear()
        draw(table_of((number % 4, number, None) for number in range(count)))
        found.append(dict(reads))
    assert found[0] == found[1]
    assert found[0]["places"] >= 1
