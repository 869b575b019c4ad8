"""Folds: each image validates once, what belongs together stays together, a column may say which."""

from __future__ import annotations

import random
import re
import shutil
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from goldenrule.core.errors import OptionError, TooFewImages
from goldenrule.data.sources.folders import from_folder
from goldenrule.data.sources.label_tables import from_csv
from goldenrule.data.splits.evaluated_classes import NOT_EVALUATED
from goldenrule.data.splits.folds import (
    fold_called,
    fold_drawn,
    fold_names,
    k_fold,
    number_of_folds,
    stratified_folds,
    with_folds,
)
from goldenrule.data.splits.splitting import with_split
from goldenrule.data.table import ImageTable, Split, image_table
from goldenrule.data.units import duplicate_units
from goldenrule.storage.files import digest

many = settings(deadline=None, max_examples=60)
Row = tuple[list[int], int, str | None, Split | None]  # labels, content, group, split


def table_of(rows: Iterable[Row]) -> ImageTable:
    """Return a table of these rows; the uri says what the row is."""
    rows = list(rows)
    table = image_table(
        Path("set"),
        [f"class {number}" for number in range(5)],
        uris=[f"{number:04d}" for number, _ in enumerate(rows)],
        splits=[split for *_, split in rows],
        labels=[sorted(set(labels)) for labels, *_ in rows],
    )
    table = table.with_digests([digest(str(content).encode()) for _, content, _, _ in rows])
    return table.with_groups([group for _, _, group, _ in rows])


def single(labels: Iterable[int]) -> ImageTable:
    """Return a table of images that all differ, one class each, without splits."""
    return table_of(([label], number, None, None) for number, label in enumerate(labels))


def shuffled(table: ImageTable, seed: int) -> ImageTable:
    order = list(range(len(table)))
    random.Random(seed).shuffle(order)
    return ImageTable(table.root, table.classes, table.rows.take(np.array(order, np.int64)))


def fold_by_uri(tables: tuple[ImageTable, ...]) -> dict[str, int]:
    """Return the number of the one fold in which each image validates."""
    found: dict[str, int] = {}
    for number, table in enumerate(tables):
        for uri in table.split("valid").uris:
            assert uri not in found, "an image validates twice"
            found[uri] = number
    return found


def codes(table: ImageTable) -> list[str]:
    return [finding.code for finding in table.findings]


splits = st.sampled_from([None, "train", "valid", "test"])
groups = st.none() | st.sampled_from(["g", "h", "i"])
one_label = st.lists(st.integers(0, 2), max_size=1)
several_labels = st.lists(st.integers(0, 4), max_size=3)


def rows_of(labels: st.SearchStrategy[list[int]]) -> st.SearchStrategy[list[Row]]:
    return st.lists(st.tuples(labels, st.integers(0, 40), groups, splits), max_size=60)


@many
@given(rows_of(one_label) | rows_of(several_labels), st.integers(2, 6), st.integers(0, 3))
def test_each_image_validates_once_and_trains_otherwise_and_test_stays_test(
    rows: list[Row], folds: int, seed: int
) -> None:
    table = table_of(rows)
    units = [unit for unit, split in zip(duplicate_units(table), table.splits, strict=True) if split != "test"]
    if len(set(units)) < folds:
        with pytest.raises(TooFewImages, match=f"{folds} folds want as many images or groups"):
            k_fold(table, folds, seed=seed)
        return
    try:
        tables = k_fold(table, folds, seed=seed)
    except TooFewImages as error:
        assert "the only one of a class always trains" in str(error)  # noqa: PT017
        return
    assert len(tables) == folds
    tested = table.split("test").uris
    always = {uri for uri, fold in zip(tables[0].uris, tables[0].folds, strict=True) if fold is None} - set(tested)
    assert sorted(fold_by_uri(tables)) == sorted(set(table.uris) - set(tested) - always)
    for images in tables:
        assert images.uris == table.uris
        assert images.split("test").uris == tested
        assert None not in images.splits
        assert images.split("train").uris, "nothing trains"
        assert images.split("valid").uris or always, "nothing validates"
        learned = {label for labels in images.split("train").rows["labels"].to_pylist() for label in labels}
        evaluated = {label for labels in images.split("valid").rows["labels"].to_pylist() for label in labels}
        assert evaluated <= learned, "a class is evaluated that was not learned"


@many
@given(rows_of(one_label) | rows_of(several_labels), st.integers(2, 4), st.integers(0, 3), st.integers(0, 99))
def test_units_stay_whole_and_the_order_of_the_images_changes_nothing(
    rows: list[Row], folds: int, seed: int, order: int
) -> None:
    """For each row there is a second one with the same bytes, and four without any kin."""
    kin = [([0], 100 + number, None, None) for number in range(4)]
    table = table_of([*rows, *rows, *kin])
    try:
        tables = k_fold(table, folds, seed=seed)
    except TooFewImages:
        reject()
    found = fold_by_uri(tables)
    folds_of: dict[object, set[int]] = defaultdict(set)
    for uri, unit in zip(table.uris, duplicate_units(table), strict=True):
        if uri in found:
            folds_of[unit].add(found[uri])
    assert all(len(value) == 1 for value in folds_of.values())
    assert fold_by_uri(k_fold(shuffled(table, order), folds, seed=seed)) == found


@many
@given(st.lists(st.integers(0, 3), min_size=6, max_size=100), st.integers(2, 6), st.integers(0, 3))
def test_each_fold_validates_its_share_of_every_class(labels: list[int], folds: int, seed: int) -> None:
    try:
        tables = k_fold(single(labels), folds, seed=seed)
    except TooFewImages:
        reject()  # of as many images as folds one is alone of its class, and always trains
    for table in tables:
        counts = table.split("valid").counts()["valid"]
        for label, number in Counter(labels).items():
            assert abs(counts[f"class {label}"] - number / folds) < 1


@many
@given(st.lists(st.lists(st.integers(0, 4), max_size=3), min_size=60, max_size=150), st.integers(2, 5))
def test_of_several_labels_each_is_spread_over_the_folds(labels: list[list[int]], folds: int) -> None:
    table = table_of((value, number, None, None) for number, value in enumerate(labels))
    counts = [images.split("valid").counts()["valid"] for images in k_fold(table, folds)]
    for name, number in Counter(f"class {label}" for value in labels for label in set(value)).items():
        for count in counts:
            assert abs(count[name] - number / folds) <= 0.08 * len(labels) + 2


@many
@given(
    st.lists(st.tuples(st.lists(st.integers(0, 2), min_size=1, max_size=1), st.integers(0, 40), groups, splits)),
    st.integers(2, 6),
    st.integers(0, 3),
)
def test_folds_keep_units_whole_whatever_the_order(rows: list[Row], folds: int, seed: int) -> None:
    table = table_of(rows)
    units = duplicate_units(table)
    assigned = stratified_folds(table.targets, units, folds=folds, seed=seed)
    fold_of: dict[bytes, int] = {}
    for unit, fold in zip(units, assigned.tolist(), strict=True):
        assert fold_of.setdefault(unit, fold) == fold
        assert NOT_EVALUATED <= fold < folds
    for label in set(table.targets.tolist()):
        these = {fold for fold, its in zip(assigned.tolist(), table.targets.tolist(), strict=True) if its == label}
        assert len(these) > 1 or NOT_EVALUATED in these
    order = np.random.default_rng(seed).permutation(len(rows))
    mixed = stratified_folds(table.targets[order], [units[row] for row in order], folds=folds, seed=seed)
    assert mixed.tolist() == assigned[order].tolist()


@given(st.lists(st.integers(0, 3), min_size=1, max_size=100), st.integers(2, 6))
def test_folds_of_single_images_differ_by_at_most_one_image_of_a_class(labels: list[int], folds: int) -> None:
    assigned = stratified_folds(labels, [b"%d" % number for number in range(len(labels))], folds=folds, seed=0)
    for label in set(labels):
        ours = assigned[np.array(labels) == label]
        assert (ours == NOT_EVALUATED).sum() == (1 if len(ours) == 1 else 0), "a single image always trains"
        assert np.ptp(np.bincount(ours[ours >= 0], minlength=folds)) <= 1
    sizes = np.bincount(assigned[assigned >= 0], minlength=folds)
    assert np.ptp(sizes) <= len(set(labels))


def test_the_seed_draws_other_folds_and_the_same_seed_the_same() -> None:
    first, again, other = (fold_by_uri(k_fold(single([0, 1] * 30), 5, seed=seed)) for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_train_and_valid_are_one_and_a_finding_says_so() -> None:
    rows = [([number % 2], number, None, split) for number, split in enumerate(["train", "valid", "test", None] * 6)]
    tables = k_fold(table_of(rows), 3)
    assert len(fold_by_uri(tables)) == 18
    assert all("valid-merged" in codes(table) for table in tables)
    assert "the valid split is dealt out together with the training images" in str(tables[0].findings[0])
    assert "valid-merged" not in codes(k_fold(single([0, 1] * 6), 3)[0])


def test_a_fold_says_what_validates() -> None:
    second = k_fold(single([0, 1] * 10), 5)[1]
    assert [str(finding) for finding in second.findings] == ["note: of 5 folds 2 validates, all else trains."]


def test_a_split_leaves_a_fold_as_it_is() -> None:
    table = k_fold(single([0, 1] * 10), 5)[1]
    assert with_split(table) is table


def test_a_class_of_fewer_images_or_groups_than_folds_is_a_finding() -> None:
    rows: list[Row] = [([0], number, None, None) for number in range(20)]
    rows += [([1], 30 + number, None, None) for number in range(3)]
    rows += [([2], 40 + number, "film", None) for number in range(9)]
    tables = k_fold(table_of(rows), 5)
    for table in tables:
        (found,) = (finding for finding in table.findings if finding.code == "class-in-few-folds")
        assert found.evidence == ("class 1: in 3 of 5", "class 2: in 0 of 5")
        assert "2 classes are not in every fold" in str(found)
        (unjudged,) = (finding for finding in table.findings if finding.code == "class-not-judged")
        assert unjudged.evidence == ("class 2: 9 images, film",)
    assert [table.counts()["train"]["class 2"] for table in tables] == [9] * 5, (
        "one film trains, and is never evaluated"
    )


def test_equal_files_are_known_by_their_bytes_where_nobody_has_read_them(picture_folder: Callable[..., Path]) -> None:
    root = picture_folder(each=6)
    for number in range(6):
        shutil.copy(root / "red" / "00.png", root / "red" / f"copy{number}.png")
    found = fold_by_uri(k_fold(from_folder(root), 3))
    assert len({fold for uri, fold in found.items() if "copy" in uri or uri == "red/00.png"}) == 1


@pytest.mark.parametrize("folds", [-1, 0, 1])
def test_less_than_two_folds_are_an_option_error(folds: int) -> None:
    with pytest.raises(OptionError, match="wanted two or more"):
        k_fold(single([0, 1] * 6), folds)


def test_more_folds_than_images_say_how_many_there_are() -> None:
    with pytest.raises(TooFewImages, match="9 folds want as many images or groups, there are 6: take fewer folds"):
        k_fold(single([0, 1] * 3), 9)


@given(st.integers(2, 999_999), st.data())
def test_what_is_said_of_a_fold_is_read(folds: int, data: Any) -> None:
    number = data.draw(st.integers(1, folds))
    assert number_of_folds(f" {number}/{folds}") == (number, folds)


@pytest.mark.parametrize(
    "fold", ["", "2", "0/5", "6/5", "1/1", "0/0", "-1/5", "a/b", "1/5/2", "1.5/5", "/5", "2/", "²/5"]
)
def test_what_is_no_fold_says_what_is(fold: str) -> None:
    with pytest.raises(OptionError, match=f"--fold {re.escape(fold)}: wanted NUMBER/FOLDS, from 1/5 to 5/5"):
        number_of_folds(fold)


def test_a_drawn_fold_is_the_one_of_that_number() -> None:
    table = single([0, 1] * 10)
    for number in range(1, 6):
        assert fold_drawn(table, f"{number}/5", seed=3).splits == k_fold(table, 5, seed=3)[number - 1].splits


class TestNamed:
    """Folds that the images have."""

    @pytest.fixture
    def table(self) -> ImageTable:
        rows = [([number % 2], number, None, "test" if number == 11 else None) for number in range(12)]
        return table_of(rows).with_folds([*["10", "9", "a"] * 3, None, None, "only test"])

    def test_they_come_in_order_and_an_image_of_none_always_trains(self, table: ImageTable) -> None:
        assert fold_names(table) == ["9", "10", "a"]
        tables = k_fold(table)
        assert [images.split("valid").uris for images in tables] == [
            ["0001", "0004", "0007"],
            ["0000", "0003", "0006"],
            ["0002", "0005", "0008"],
        ]
        for images in tables:
            assert {"0009", "0010"} <= set(images.split("train").uris)
            assert images.split("test").uris == ["0011"]

    def test_one_may_be_asked_for_by_name(self, table: ImageTable) -> None:
        assert fold_called(table, "10").splits == k_fold(table)[1].splits

    def test_a_number_draws_others(self, table: ImageTable) -> None:
        assert sorted(set(with_folds(table, 4).folds), key=str) == ["1", "2", "3", "4", None]
        assert len(k_fold(table, 4)) == 4

    @pytest.mark.parametrize("name", ["7", "only test", ""])
    def test_a_name_that_there_is_not_says_which_there_are(self, table: ImageTable, name: str) -> None:
        with pytest.raises(OptionError, match=f"fold '{name}'; the folds there are: 9, 10, a"):
            fold_called(table, name)

    def test_without_any_it_is_said_what_to_do(self) -> None:
        with pytest.raises(OptionError, match=r"have no folds of their own: say how many to draw, such as k_fold\("):
            k_fold(single([0, 1] * 4))
        with pytest.raises(OptionError, match="have one fold only, 'a'"):
            k_fold(single([0, 1] * 4).with_folds(["a"] * 8))
        with pytest.raises(OptionError, match="All images are of the fold 'a': nothing is left to train on"):
            fold_called(single([0, 1] * 4).with_folds(["a"] * 8), "a")

    def test_a_group_in_several_is_a_warning(self) -> None:
        table = table_of(([number % 2], number, "gh"[number // 6], None) for number in range(12))
        torn = k_fold(table.with_folds(["0", "1"] * 6))[0]
        (found,) = (finding for finding in torn.findings if finding.code == "group-in-several-folds")
        assert found.evidence == ("g", "h")
        whole = k_fold(table.with_folds(["0"] * 6 + ["1"] * 6))[0]
        assert "group-in-several-folds" not in codes(whole)

    def test_the_classic_table_of_a_contest_gives_them(self, tmp_path: Path) -> None:
        lines = ["image_id,label,fold"]
        for number in range(12):
            (tmp_path / f"{number}.jpg").write_text(str(number))
            lines.append(f"{number},{'ab'[number % 2]},{number // 2 % 3}.0")
        (tmp_path / "train.csv").write_text("\n".join(lines))
        tables = k_fold(from_csv(tmp_path / "train.csv", fold="fold"))
        assert [table.split("valid").uris for table in tables] == [
            ["0.jpg", "1.jpg", "6.jpg", "7.jpg"],
            ["2.jpg", "3.jpg", "8.jpg", "9.jpg"],
            ["10.jpg", "11.jpg", "4.jpg", "5.jpg"],
        ]
