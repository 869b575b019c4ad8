"""Near duplicates in a fit: they stay in one split and one fold, and where a folder tears them apart it is said."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from goldenrule.data.duplicates.likeness import NearDuplicate
from goldenrule.data.grouping import with_alike
from goldenrule.data.table import ImageTable, image_table
from goldenrule.data.units import duplicate_units
from goldenrule.pipelines import split_together as together
from goldenrule.pipelines.quick_fit import quick_fit
from goldenrule.pipelines.split_together import joined_groups, kept_together
from goldenrule.runs.options import FitOptions


def altered(file: Path, copy: Path) -> None:
    with Image.open(file) as opened:
        image = opened.convert("RGB")
    width, height = image.width * 9 // 10, image.height * 9 // 10
    image.crop((0, 0, width, height)).rotate(2, Image.Resampling.BICUBIC).save(copy, quality=80)


@pytest.fixture
def folder(photos: Callable[[str], Path], tmp_path: Path) -> Path:
    """Class folders alone: 12 photos of each class, and an altered copy of each."""
    for label in ("cats", "dogs"):
        (tmp_path / "photos" / label).mkdir(parents=True)
        for number, file in enumerate(sorted((photos("dogscats") / "train" / label).iterdir())[:12]):
            shutil.copy(file, tmp_path / "photos" / label / f"{'abcdefghijkl'[number]}.jpg")
            altered(file, tmp_path / "photos" / label / f"{'abcdefghijkl'[number]}x.jpg")
    return tmp_path / "photos"


def splits_of(run: Path) -> dict[str, str]:
    with (run / "split.csv").open(newline="") as file:
        return {row["path"]: row["split"] for row in csv.DictReader(file)}


def finding(result: Any, code: str) -> Any:
    (found,) = [one for one in result.findings if one.code == code]
    return found


def test_groups_that_near_duplicates_join_are_named() -> None:
    uris = [f"{number}.jpg" for number in range(6)]
    table = image_table(Path("set"), ["x"], uris=uris, splits=[None] * 6, labels=[[0]] * 6)
    table = table.with_groups(["a", "a", "b", "b", "c", None])
    pairs = [NearDuplicate(first=one, second=two, cosine=0.99, mirrored=False) for one, two in ((0, 2), (1, 3), (4, 5))]
    together_ = with_alike(table, [(pair.first, pair.second) for pair in pairs])
    [found] = joined_groups(table, together_, pairs)
    assert found.evidence == ("a and b: 2 pairs, such as 0.jpg ~ 2.jpg",)
    assert list(joined_groups(table, table, pairs)) == [], "where they are not joined it is no news"


QUICK = FitOptions(views=0)


def test_altered_copies_stay_in_the_part_and_the_fold_of_their_original(
    folder: Path, real_cache: Path, tmp_path: Path
) -> None:
    result = quick_fit(folder, options=QUICK, out=tmp_path / "run")
    splits = splits_of(tmp_path / "run")
    assert set(splits.values()) == {"train", "valid", "test"}
    assert [uri for uri in splits if splits[uri] != splits[uri.replace("x", "")]] == []
    units = dict(zip(result.table.uris, duplicate_units(result.table), strict=True))
    assert all(units[uri] == units[uri.replace("x", "")] for uri in units)
    assert len(set(units.values())) == 24
    note = finding(result, "near-duplicate")
    assert note.severity == "note"
    assert note.sentence == "24 pairs of near duplicates are in one split"
    assert "cats/a.jpg ~ cats/ax.jpg" in note.evidence
    assert "near duplicates" in dict(result.stages)


def test_they_are_found_once_and_replayed(
    folder: Path, real_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*arguments: object, **options: object) -> None:
        raise AssertionError("looked for a second time")

    first = quick_fit(folder, options=QUICK, out=tmp_path / "run")
    monkeypatch.setattr(together, "near_duplicates", never)
    again = quick_fit(folder, options=QUICK, out=tmp_path / "run")
    assert again.findings == first.findings
    assert again.table.rows == first.table.rows


def test_an_earlier_split_stays_though_it_tears_near_duplicates_apart(
    folder: Path, real_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(together, "near_duplicates", lambda *arguments, **options: [])
        quick_fit(folder, options=QUICK, runs=tmp_path / "runs")
    before = splits_of(tmp_path / "runs" / "photos")
    assert any(before[uri] != before[uri.replace("x", "")] for uri in before)
    other = FitOptions(views=0, augment="none")
    result = quick_fit(folder, options=other, runs=tmp_path / "runs")
    assert result.folder.name == "photos-2"
    assert splits_of(result.folder) == before
    assert finding(result, "leak-near").severity == "warning"


def test_a_folder_with_parts_of_its_own_is_warned_of_near_duplicates_across_them(
    small_photos: Path, real_cache: Path, tmp_path: Path
) -> None:
    shutil.copytree(small_photos, tmp_path / "set")
    (file, *_) = sorted((tmp_path / "set" / "train" / "cats").iterdir())
    altered(file, tmp_path / "set" / "test" / "cats" / "new.jpg")
    result = quick_fit(tmp_path / "set", options=QUICK, out=tmp_path / "run")
    leak = finding(result, "leak-near")
    assert leak.severity == "warning"
    assert leak.evidence == (f"test/cats/new.jpg ~ train/cats/{file.name}",)
    assert splits_of(tmp_path / "run")["test/cats/new.jpg"] == "test"


def pair(first: int, second: int) -> NearDuplicate:
    return NearDuplicate(first=first, second=second, cosine=0.9, mirrored=False)


def table_of(labels: list[int]) -> ImageTable:
    count = len(labels)
    uris = [f"{number}.jpg" for number in range(count)]
    return image_table(Path("x"), ["a", "b"], uris=uris, splits=[None] * count, labels=[[label] for label in labels])


@settings(deadline=None)
@given(
    st.lists(st.integers(0, 1), min_size=2, max_size=30),
    st.lists(st.tuples(st.integers(0, 99), st.integers(0, 99)), max_size=60),
)
def test_no_class_is_left_without_three_units_to_split(labels: list[int], wanted: list[tuple[int, int]]) -> None:
    table, count = table_of(labels), len(labels)
    pairs = [pair(min(i, j), max(i, j)) for one, other in wanted if (i := one % count) != (j := other % count)]
    units = duplicate_units(kept_together(table, pairs))
    for label in set(labels):
        these = {unit for unit, each in zip(units, labels, strict=True) if each == label}
        assert len(these) >= min(3, labels.count(label))


def test_a_class_that_is_one_film_is_split_all_the_same_and_the_other_keeps_its_pairs_together() -> None:
    table = table_of([0] * 6 + [1] * 6)
    film = [pair(row, row + 1) for row in range(5)]
    units = duplicate_units(kept_together(table, [*film, pair(7, 9)]))
    assert len(set(units[:6])) == 6
    assert units[7] == units[9]
    assert len(set(units[6:])) == 5
