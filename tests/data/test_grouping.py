"""Images that belong together by their names: found where names look like series, asked for by a pattern."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goldenrule.core.errors import OptionError
from goldenrule.data.grouping import with_alike, with_groups
from goldenrule.data.splits.splitting import with_split
from goldenrule.data.table import ImageTable, image_table
from goldenrule.data.units import duplicate_units


def table_of(names: dict[str, list[str]]) -> ImageTable:
    """Images by class, unsplit."""
    classes = sorted(names)
    rows = [(f"{label}/{name}.ppm", number) for number, label in enumerate(classes) for name in names[label]]
    return image_table(
        Path("set"), classes, uris=[uri for uri, _ in rows], splits=[None] * len(rows), labels=[[n] for _, n in rows]
    )


def films(tracks: int, frames: int, classes: int = 3) -> ImageTable:
    names = [f"{track:05d}_{frame:05d}" for track in range(tracks) for frame in range(frames)]
    return table_of({f"{label:05d}": names for label in range(classes)})


def groups_of(table: ImageTable) -> list[str | None]:
    return list(table.rows["group"].to_pylist())


def test_names_alone_group_nothing() -> None:
    table = with_groups(films(10, 5))
    assert set(groups_of(table)) == {None}
    assert table.findings == ()


def test_the_same_series_name_in_two_folders_is_two_series() -> None:
    table = with_groups(films(2, 4, classes=2), "gtsrb")
    assert sorted(set(groups_of(table)), key=str) == ["00000/00000", "00000/00001", "00001/00000", "00001/00001"]


def test_a_pattern_names_the_group_and_what_it_does_not_fit_stands_alone() -> None:
    names = {"ill": ["p1-left", "scan p1-right", "odd"], "well": ["p2-left", "p2-right"]}
    table = with_groups(table_of(names), r"(p\d+)-")
    assert groups_of(table) == ["ill/p1", "ill/p1", None, "well/p2", "well/p2"]
    assert len(set(duplicate_units(table))) == 3


def test_the_preset_of_gtsrb_and_none() -> None:
    assert groups_of(with_groups(films(1, 2), "gtsrb"))[:3] == ["00000/00000", "00000/00000", "00001/00000"]
    assert groups_of(with_groups(films(3, 5), "none")) == [None] * 45


@pytest.mark.parametrize(("pattern", "what"), [("(", "no regular expression"), ("patient", "fits no name")])
def test_a_pattern_that_is_none_or_fits_nothing_is_an_error(pattern: str, what: str) -> None:
    with pytest.raises(OptionError, match=what):
        with_groups(films(2, 2), pattern)


def test_long_films_are_split_over_the_classes_together() -> None:
    table = with_split(
        with_groups(films(3, 15, classes=40), "gtsrb").with_digests(
            [bytes([n % 251, n // 251] * 16) for n in range(1800)]
        )
    )
    splits = table.splits
    assert [splits.count(split) for split in ("valid", "test")] == [180, 180]
    assert len({label for split, label in zip(splits, table.targets, strict=True) if split == "train"}) == 40
    whole = {(group, split) for group, split in zip(groups_of(table), splits, strict=True)}
    assert len(whole) == 120


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.sampled_from([None, None, "g1", "g2", "g3"]), min_size=2, max_size=20),
    st.lists(st.tuples(st.integers(0, 19), st.integers(0, 19)), max_size=12),
)
def test_pairs_that_are_alike_and_their_groups_become_one_group(
    groups: list[str | None], pairs: list[tuple[int, int]]
) -> None:
    table = table_of({"a": [str(row) for row in range(len(groups))]}).with_groups(groups)
    pairs = [(one, other) for one, other in pairs if max(one, other) < len(groups) and one != other]
    found = groups_of(with_alike(table, pairs))
    for one, other in pairs:
        assert found[one] == found[other] is not None
    for one, group in enumerate(groups):
        for other, its in enumerate(groups):
            if group is not None and group == its:
                assert found[one] == found[other]
    touched = {row for pair in pairs for row in pair}
    for row, group in enumerate(groups):
        if row not in touched and (group is None or not any(groups[other] == group for other in touched)):
            assert found[row] == group
