"""Classes renamed, merged and left out: every image keeps what it shows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goldenrule.core.errors import OptionError, SourceError
from goldenrule.data.classes import renaming_of, with_classes
from goldenrule.data.table import ImageTable, image_table

NAMES = ("cane", "cavallo", "gatto", "ragno")


def table_of(labels: Sequence[Sequence[int]]) -> ImageTable:
    uris = [f"{row}.jpg" for row in range(len(labels))]
    return image_table(Path("set"), NAMES, uris=uris, splits=[None] * len(uris), labels=labels)


def named(table: ImageTable) -> dict[str, set[str]]:
    rows = zip(table.uris, table.rows["labels"].to_pylist(), strict=True)
    return {uri: {table.classes[label] for label in value} for uri, value in rows}


@settings(deadline=None)
@given(
    st.lists(st.sets(st.integers(0, 3), max_size=3), max_size=20),
    st.dictionaries(st.sampled_from(NAMES), st.sampled_from(["dog", "horse", "ragno", None])),
)
def test_every_image_has_the_new_names_of_its_old_ones(labels, renaming) -> None:
    before = table_of([sorted(label) for label in labels])
    after = with_classes(before, renaming)
    wanted = {}
    for uri, value in named(before).items():
        new = {renaming.get(name, name) for name in value} - {None}
        if new or not value:
            wanted[uri] = new
    assert named(after) == wanted
    assert list(after.classes) == sorted({renaming.get(name, name) for name in NAMES} - {None})


def test_what_was_done_is_a_finding() -> None:
    table = with_classes(table_of([[0], [1], [3]]), {"cane": "dog", "cavallo": "dog", "ragno": None})
    assert [(one.code, one.evidence) for one in table.findings] == [
        ("classes-renamed", ("cane = dog", "cavallo = dog")),
        ("classes-left-out", ("ragno",)),
    ]
    assert table.findings[1].sentence == "1 class with 1 image is left out"


def test_a_class_that_is_not_there_names_the_nearest() -> None:
    with pytest.raises(OptionError, match=r"no class 'cani' to rename; there is 'cane'"):
        with_classes(table_of([[0]]), {"cani": "dog"})


def test_renamings_stand_in_a_file_and_the_command_line_has_the_last_word(tmp_path: Path) -> None:
    file = tmp_path / "names.txt"
    file.write_text("# Italian\ncane = dog  # good boy\n\ncavallo=horse\nragno =\n")
    assert renaming_of(["cavallo=pony"], file) == {"cane": "dog", "cavallo": "pony", "ragno": None}
    file.write_text("cane = dog\ncavallo\n")
    with pytest.raises(OptionError, match="line 2: wanted OLD=NEW"):
        renaming_of([], file)
    with pytest.raises(OptionError, match="--rename =dog: wanted OLD=NEW"):
        renaming_of(["=dog"])
    with pytest.raises(SourceError, match=r"gone\.txt can't be read"):
        renaming_of([], tmp_path / "gone.txt")
