"""What names propose: an order, groups; and that hashes propose nothing."""

from __future__ import annotations

import io
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from goldenrule.data.name_order import are_hashes, by_name, by_time, named_groups, natural_key
from goldenrule.data.table import ImageTable, image_table


def table_of(uris: list[str], root: Path = Path("set"), splits: list[str | None] | None = None) -> ImageTable:
    classes = sorted({uri.split("/")[-2] for uri in uris})
    labels = [[classes.index(uri.split("/")[-2])] for uri in uris]
    return image_table(root, classes, uris=uris, splits=splits or [None] * len(uris), labels=labels)


def proposed(names: list[str], labels: tuple[str, ...] = ("one", "two")) -> dict[str, int]:
    """How many groups each proposal has, by its name."""
    table = table_of([f"{label}/{name}.png" for label in labels for name in names])
    found = named_groups(table, table.targets.tolist())
    return {one.name: len({group for group in one.groups or () if group is not None}) for one in found}


@given(st.lists(st.integers(0, 10**6), unique=True, min_size=1, max_size=50))
def test_numbers_in_names_count_as_numbers(numbers: list[int]) -> None:
    names = [f"IMG_{number}.jpg" for number in numbers]
    assert sorted(names, key=natural_key) == [f"IMG_{number}.jpg" for number in sorted(numbers)]


@given(st.lists(st.text(max_size=12), max_size=30))
def test_any_names_can_be_sorted(names: list[str]) -> None:
    assert sorted(sorted(names), key=natural_key) == sorted(sorted(names), key=natural_key)


def test_the_folder_of_a_given_part_does_not_count() -> None:
    uris = ["train/cat/1.jpg", "train/cat/3.jpg", "valid/cat/2.jpg", "valid/cat/4.jpg"]
    found = by_name(table_of(uris, splits=["train", "train", "valid", "valid"]))
    assert found is not None
    assert found.places == (0, 2, 1, 3)


def test_hashes_stand_in_no_order() -> None:
    draws = random.Random(0)
    uris = [f"cat/{draws.getrandbits(128):032x}.jpg" for _ in range(30)]
    assert by_name(table_of(uris)) is None
    assert by_name(table_of([f"cat/{number}.jpg" for number in range(30)])) is not None
    assert are_hashes(["f0fd5bbc-bf4b-4cd6-81b9-8f3883cb338d"])
    assert not are_hashes(["20261128101500", "DSC_0001", "a"])


@pytest.mark.parametrize(
    ("names", "groups"),
    [
        ([f"{film:02d}_{frame:03d}" for film in range(6) for frame in range(4)], {"series": 12, "last": 8}),
        ([f"{frame}-patient{film}" for film in range(6) for frame in range(4)], {"first": 8, "last": 12}),
        ([f"cat.{number}" for number in range(24)], {}),
        ([f"horse-{number}" for number in range(24)], {}),
        ([f"{number:07d}" for number in range(24)], {}),
        ([f"{letter}_{number}" for number, letter in enumerate("abcdefghijklmnop")], {}),
        ([f"{name}_{number}" for name in ("IMG", "DSC") for number in range(12)], {"last": 24}),
    ],
)
def test_names_propose_groups_where_a_class_has_several_of_several_images(
    names: list[str], groups: dict[str, int]
) -> None:
    assert proposed(names) == groups


def test_folders_within_a_class_are_proposed_too() -> None:
    uris = [f"{label}/s{place}/{number}.png" for label in ("a", "b") for place in range(4) for number in range(5)]
    table = image_table(
        Path("set"), ("a", "b"), uris=uris, splits=[None] * 40, labels=[[int(uri[0] == "b")] for uri in uris]
    )
    assert "folder" in {one.name for one in named_groups(table, table.targets.tolist())}


def test_a_class_of_two_groups_has_none_and_the_others_keep_theirs() -> None:
    many = [f"one/{film:02d}_{frame:03d}.png" for film in range(8) for frame in range(4)]
    few = [f"two/{film:02d}_{frame:03d}.png" for film in range(2) for frame in range(4)]
    table = table_of([*many, *few])
    series = next(one for one in named_groups(table, table.targets.tolist()) if one.name == "series")
    assert series.groups is not None
    assert [group is None for group in series.groups] == [False] * 32 + [True] * 8


def picture(taken: str | None) -> bytes:
    image, exif = Image.new("RGB", (8, 8)), Image.Exif()
    if taken:
        exif.get_ifd(0x8769)[0x9003] = taken
    sink = io.BytesIO()
    image.save(sink, "JPEG", exif=exif)
    return sink.getvalue()


def test_times_are_an_order_where_nearly_all_pictures_have_one(tmp_path: Path) -> None:
    uris = [f"cat/{number}.jpg" for number in range(20)]
    (tmp_path / "cat").mkdir()
    times = [f"2026:11:{28 - number:02d} 10:00:00" for number in range(20)]
    for uri, taken in zip(uris, times, strict=True):
        (tmp_path / uri).write_bytes(picture(taken))
    found = by_time(table_of(uris, tmp_path))
    assert found is not None
    assert found.places == tuple(reversed(range(20)))
    for uri in uris[:4]:
        (tmp_path / uri).write_bytes(picture(None))
    assert by_time(table_of(uris, tmp_path)) is None, "a fifth of them does not say"
    for uri in uris:
        (tmp_path / uri).write_bytes(picture("2026:01:01 00:00:00"))
    assert by_time(table_of(uris, tmp_path)) is None, "all of one moment stand in no order"


def test_damaged_files_have_no_time(tmp_path: Path) -> None:
    (tmp_path / "cat").mkdir()
    for number in range(10):
        (tmp_path / f"cat/{number}.jpg").write_bytes(picture("2026:01:01 00:00:00")[: 20 * number])
    assert by_time(table_of([f"cat/{number}.jpg" for number in range(10)], tmp_path)) is None
