"""Images that belong together by their names: found where names look like series, asked for by a pattern."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goldenrule.foundation.errors import OptionError
from goldenrule.images.grouping import with_alike, with_groups
from goldenrule.images.sources import from_folder
from goldenrule.images.split import duplicate_units, with_split
from goldenrule.images.table import ImageTable, image_table


def table_of(names: dict[str, list[str]]) -> ImageTable:
    """Images by class, unsplit."""
    classes = sorted(names)
    rows = [(f"{label}/{name}.ppm", number) for number, label in enumerate(classes) for name in names[label]]
    return image_table(
        Path("set"), classes, uris=[uri for uri, _ in rows], parts=[None] * len(rows), labels=[[n] for _, n in rows]
    )


def films(tracks: int, frames: int, classes: int = 3) -> ImageTable:
    names = [f"{track:05d}_{frame:05d}" for track in range(tracks) for frame in range(frames)]
    return table_of({f"{label:05d}": names for label in range(classes)})


def groups_of(table: ImageTable) -> list[str | None]:
    return list(table.rows["group"].to_pylist())


@settings(deadline=None, max_examples=20)
@given(st.integers(8, 12), st.integers(3, 8))
def test_names_of_tracks_and_frames_are_taken_for_series(tracks: int, frames: int) -> None:
    table = with_groups(films(tracks, frames))
    assert len(set(groups_of(table))) == 3 * tracks
    assert groups_of(table)[0] == "00000/00000"
    (finding,) = table.findings
    assert (finding.severity, finding.code) == ("warning", "series"), "a guess that changes the split"


@pytest.mark.parametrize(
    "names",
    [
        ["cat.1", "cat.2", "cat.3", "cat.4", "cat.5", "cat.6"],
        ["horse-1", "horse-2", "horse-3", "horse-4", "horse-5", "horse-6"],  # one series per class: no series at all
        ["0013035", "0013036", "0013037", "0013038", "0013039", "0013040"],
        ["1030_aad", "1030_bed", "1095_add", "1095_bad", "1097_dad", "1097_ebb"],
        ["a_1x", "a_2x", "a_3x", "b_1x", "b_2x", "b_3x"],  # no number at the end
        ["a_1", "b_2", "c_3", "d_4", "e_5", "f_6"],  # one image each
    ],
)
def test_other_names_are_left_alone(names: list[str]) -> None:
    table = with_groups(table_of({"one": names, "two": names}))
    assert groups_of(table) == [None] * 12
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
        with_groups(films(3, 15, classes=40)).with_digests([bytes([n % 251, n // 251] * 16) for n in range(1800)])
    )
    parts = table.parts
    assert [parts.count(part) for part in ("valid", "test")] == [180, 180]
    assert len({label for part, label in zip(parts, table.targets, strict=True) if part == "train"}) == 40
    whole = {(group, part) for group, part in zip(groups_of(table), parts, strict=True)}
    assert len(whole) == 120


def test_real_frames_of_traffic_signs_are_found_and_no_other_set_is_taken_for_films(
    photos: Callable[[str], Path],
) -> None:
    assert len({group for group in groups_of(from_folder(photos("GTSRB"))) if group}) == 215
    for name in ("dogscats", "cat_dog_horse", "clothing_small", "hymenoptera_data", "surface_crack", "flowers_128"):
        assert set(groups_of(from_folder(photos(name)))) == {None}, name


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
    for one, own in enumerate(groups):
        for other, its in enumerate(groups):
            if own is not None and own == its:
                assert found[one] == found[other]
    touched = {row for pair in pairs for row in pair}
    for row, own in enumerate(groups):
        if row not in touched and (own is None or not any(groups[other] == own for other in touched)):
            assert found[row] == own
