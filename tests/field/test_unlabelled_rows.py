"""Rows without a label are predicted, and train nothing: whatever trains takes tables that hold labelled rows only."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from goldenrule.core.errors import InputError
from goldenrule.data.sources.label_tables import from_csv
from goldenrule.data.table import LabelledTable

Draw = Callable[..., Path]
Command = Callable[..., subprocess.CompletedProcess[str]]
NAMES = {f"images/{label} {number:02d}.png": label for label in ("cats", "dogs") for number in range(20)}
MORE = {f"images/unknown {number:02d}.png": "cats" for number in range(15)}


def several(name: str) -> str:
    """One label or two: each picture is of an animal, every third one is also small."""
    return NAMES[name] + ("|small" if int(name[-6:-4]) % 3 == 0 else "")


def table_with(root: Path, label: Callable[[str], str], unlabelled: Iterable[str], name: str) -> Path:
    path = root / name
    rows = [*(f"{text},{label(text)}" for text in NAMES), *(f"{text}," for text in unlabelled)]
    path.write_text("path,kind\n" + "\n".join(rows) + "\n")
    return path


@pytest.mark.parametrize(
    ("label", "more"),
    [
        pytest.param(several, (), marks=pytest.mark.exhaustive),
        (several, ("--head", "gap-1024")),
        pytest.param(NAMES.__getitem__, (), marks=pytest.mark.exhaustive),
        (NAMES.__getitem__, ("--folds", "3")),
    ],
    ids=["several labels", "several labels, trained head", "one label", "one label, folds"],
)
def test_unlabelled_rows_change_no_head(draw: Draw, command: Command, label: Any, more: tuple[str, ...]) -> None:
    root = draw(NAMES | MORE)
    heads = []
    for unlabelled in ({}, MORE):
        table = table_with(root, label, unlabelled, f"{len(unlabelled)}.csv")
        quick = ("--separator", "|", "--quick", "--views", "0", *more)
        found = command("fit", root, "--csv", table, *quick, "--out", f"run{len(unlabelled)}")
        assert found.returncode == 0, found.stderr
        result = json.loads((root.parent / f"run{len(unlabelled)}" / "result.json").read_text())
        heads.append((result["out_of_fold"]["n"], result["out_of_fold"]["log_loss"]))
    assert heads[0] == heads[1]
    assert ("15 images without a label" in found.stdout) or "Nothing is learned from them" in found.stdout


@pytest.mark.exhaustive
def test_the_whole_golden_rule_takes_them_in_its_stride(draw: Draw, command: Command) -> None:
    root = draw(NAMES | MORE)
    table = table_with(root, several, MORE, "labels.csv")
    found = command("fit", root, "--csv", table, "--separator", "|", "--out", "run")
    assert found.returncode == 0, found.stderr
    assert "nan" not in found.stdout
    for more in (("labels", "run"), ("tune", root, "--trials", "2", "--out", "searched")):
        found = command(*more)
        assert found.returncode == 0, found.stderr


def test_a_labelled_table_holds_no_row_without_a_label(draw: Draw) -> None:
    root = draw(NAMES | MORE)
    table = from_csv(table_with(root, several, MORE, "labels.csv"), separator="|")
    labelled = table.only_labelled()
    assert (len(labelled), len(table)) == (40, 55)
    assert isinstance(labelled.where(np.ones(40, dtype=bool)).split("train"), LabelledTable)
    with pytest.raises(InputError, match="15 of 55 images have no label"):
        LabelledTable(table.root, table.classes, table.rows, task=table.task)
