"""The options that say how images are found and labelled, on real command lines."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

Command = Callable[..., subprocess.CompletedProcess[str]]


def counts(root: Path) -> dict[str, dict[str, int]]:
    numbers = json.loads((root.parent / "audits" / root.name / "audit.json").read_text())
    return {split: {name: count for name, count in row.items() if count} for split, row in numbers["counts"].items()}


def test_part_folders_of_any_name_and_classes_of_another(command: Command, picture_folder: Callable[..., Path]) -> None:
    root = picture_folder(classes=("blau", "grau", "rot"), each=6)
    for split in ("lernen", "pruefen"):
        (root / split).mkdir()
    for label in ("blau", "grau", "rot"):
        (root / "pruefen" / label).mkdir()
        for path in sorted((root / label).iterdir())[:2]:
            path.rename(root / "pruefen" / label / path.name)
        (root / label).rename(root / "lernen" / label)
    (root.parent / "names.txt").write_text("blau = blue\nrot = red\n")
    found = command(
        *("audit", root, "--train-name", "lernen", "--valid-name", "pruefen"),
        *("--rename-file", "names.txt", "--rename", "grau=", "--rename", "rot=scarlet"),
    )
    assert found.returncode == 0, found.stderr
    assert counts(root) == {"train": {"blue": 4, "scarlet": 4}, "valid": {"blue": 2, "scarlet": 2}}


def test_a_fit_learns_the_new_classes(command: Command, picture_folder: Callable[..., Path]) -> None:
    root = picture_folder(classes=("blue", "navy", "red"), each=8)
    done = command("fit", "--quick", root, "--rename", "navy=blue", "--views", "0", "--out", "run")
    assert done.returncode == 0, done.stderr
    assert "navy = blue" in done.stdout
    predicted = command("predict", "run", root / "navy", "-o", "out.csv")
    assert predicted.returncode == 0
    head, *rows = (root.parent / "out.csv").read_text().splitlines()
    assert "p:navy" not in head
    assert "p:blue" in head
    assert len(rows) == 8


@pytest.fixture
def flat_photos(small_photos: Path, tmp_path: Path) -> Path:
    """A folder of 40 real cats and dogs without class folders, beside `table.csv` with columns of every kind."""
    folder = tmp_path / "flat"
    folder.mkdir()
    lines = ["file,animal,k,film,role"]
    for number, file in enumerate(sorted(small_photos.glob("train/*/*.jpg"))):
        shutil.copy(file, folder / f"{number:02d}.jpg")
        role = ("training", "val", "testing", "training")[number % 4]
        lines.append(f"{number:02d},{file.parent.name},{number % 3},film {number // 4},{role}")
    (tmp_path / "table.csv").write_text("\n".join(lines))
    return folder


def splits(run: Path) -> dict[str, list[str]]:
    """Return the images of each split as a run has written them down."""
    with (run / "split.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    return {split: [row["path"] for row in rows if row["split"] == split] for split in ("train", "valid", "test")}


QUICK = ("--quick", "--views", "0")
TABLE = ("--csv", "table.csv", "--label", "animal")


def test_columns_name_parts_and_groups_for_a_fit(command: Command, flat_photos: Path, tmp_path: Path) -> None:
    done = command("fit", "flat", *QUICK, *TABLE, "--split", "role", "--out", "run")
    assert done.returncode == 0, done.stderr
    wanted = {"train": [0, 3], "valid": [1], "test": [2]}
    assert splits(tmp_path / "run") == {
        split: [f"{number:02d}.jpg" for number in range(40) if number % 4 in rest] for split, rest in wanted.items()
    }
    done = command("fit", "flat", *QUICK, *TABLE, "--group", "film", "--out", "grouped", "-v")
    assert done.returncode == 0, done.stderr
    assert "the column film puts 40 images in 10 groups" in done.stdout
    for images in splits(tmp_path / "grouped").values():
        films = Counter(int(name[:2]) // 4 for name in images)
        assert films, "each split has images"
        assert set(films.values()) == {4}, "whole films"


def test_columns_name_parts_and_groups_for_an_audit_and_a_split(
    command: Command, flat_photos: Path, tmp_path: Path
) -> None:
    shutil.copy(flat_photos / "00.jpg", flat_photos / "01.jpg")  # one trains, one validates
    found = command("audit", "flat", *TABLE, "--split", "role", "--group", "film", "-o", "audit")
    assert found.returncode == 0, found.stderr
    numbers = json.loads((tmp_path / "audit" / "audit.json").read_text())
    assert {split: sum(row.values()) for split, row in numbers["counts"].items()} == {
        "train": 20,
        "valid": 10,
        "test": 10,
    }
    assert {"groups", "group-in-several-splits"} <= {finding["code"] for finding in numbers["findings"]}
    assert "leak" in json.dumps([finding["code"] for finding in numbers["findings"]])
    done = command("split", "flat", "new", *TABLE, "--group", "film", "--valid", "0.2", "--test", "0.2")
    assert done.returncode == 0, done.stderr
    for split in ("train", "valid", "test"):
        films = Counter(int(path.stem) // 4 for path in (tmp_path / "new" / split).rglob("*.jpg"))
        assert films
        assert set(films.values()) == {4}
    refused = command("split", "flat", "newer", *TABLE, "--split", "role")
    assert refused.returncode == 2
    assert "has a train and a valid split already. --anew" in refused.stderr


def test_drawn_folds_validate_each_image_once_in_runs_of_their_own(
    command: Command, photos: Callable[[str], Path], tmp_path: Path
) -> None:
    """Real ants and bees, which have a train and a val folder: both are dealt out."""
    source = photos("hymenoptera_data")
    validated: Counter[str] = Counter()
    for number, name in ((1, "hymenoptera_data"), (2, "hymenoptera_data-2"), (3, "hymenoptera_data-3")):
        done = command("fit", source, *QUICK, "--sample", "20", "--fold", f"{number}/3")
        assert done.returncode == 0, done.stderr
        assert f"of 3 folds {number} validates" in done.stdout
        assert "the valid split is dealt out together with the training images" in done.stdout
        assert "keep the splits" not in done.stderr
        found = splits(tmp_path / "runs" / name)
        assert len(found["train"]) + len(found["valid"]) == 40
        assert found["test"] == []
        validated.update(found["valid"])
    assert len(validated) == 40
    assert set(validated.values()) == {1}
    again = command("fit", source, *QUICK, "--sample", "20", "--fold", "2/3")
    assert "runs/hymenoptera_data-2/report.html" in again.stdout


def test_the_folds_of_a_column_validate_one_after_the_other(
    command: Command, flat_photos: Path, tmp_path: Path
) -> None:
    for number, name in ((0, "flat"), (2, "flat-2")):
        done = command("fit", "flat", *QUICK, *TABLE, "--fold-column", f"k={number}")
        assert done.returncode == 0, done.stderr
        assert f"of 3 folds {number} validates" in done.stdout
        found = splits(tmp_path / "runs" / name)
        assert found["valid"] == [f"{image:02d}.jpg" for image in range(40) if image % 3 == number]
        assert found["test"] == []
    done = command("fit", "flat", *QUICK, *TABLE, "--fold-column", "k=1.0", "--split", "role", "--out", "run")
    assert done.returncode == 0, done.stderr
    found = splits(tmp_path / "run")
    assert found["test"] == [f"{image:02d}.jpg" for image in range(40) if image % 4 == 2]
    assert found["valid"] == [f"{image:02d}.jpg" for image in range(40) if image % 3 == 1 and image % 4 != 2]


def test_a_plan_of_a_fold_counts_its_images(command: Command, flat_photos: Path) -> None:
    found = command("fit", "flat", *TABLE, "--fold", "1/4", "--plan", "--quick")
    assert found.returncode == 0, found.stderr
    assert "precompute 40 plain views" in found.stdout


WRONG = [
    ("fit", [*TABLE, "--fold", "0/5"], "--fold 0/5: wanted NUMBER/FOLDS, from 1/5 to 5/5"),
    ("fit", ["--fold", "6/5"], "--fold 6/5: wanted NUMBER/FOLDS"),
    ("fit", ["--fold", "a/b"], "--fold a/b: wanted NUMBER/FOLDS"),
    ("fit", [*TABLE, "--fold", "1/99"], "99 folds want as many images or groups, there are 40"),
    (
        "fit",
        [*TABLE, "--fold-column", "k=9"],
        "No image outside of test is of the fold '9'; the folds there are: 0, 1, 2",
    ),
    ("fit", [*TABLE, "--fold-column", "k="], "the folds there are: 0, 1, 2"),
    ("fit", [*TABLE, "--fold-column", "kk=1"], "table.csv has no column 'kk', only file, animal, k, film, role"),
    ("fit", ["--fold-column", "k=1"], "--fold-column names a column of a CSV file: give --csv FILE too"),
    ("audit", ["--group", "film", "--split", "role"], "--split and --group name a column of a CSV file: give --csv"),
    ("fit", [*TABLE, "--group", "reel"], "table.csv has no column 'reel', only file, animal, k, film, role"),
    ("audit", [*TABLE, "--split", "film"], "The column film says 'film 0': wanted train, valid, test, or nothing"),
    ("split", ["new", *TABLE, "--split", "split"], "table.csv has no column 'split'"),
    ("fit", [*TABLE, "--group", "film", "--group-by", "(.)"], "both say what stays together: give one"),
]


@pytest.mark.parametrize(("name", "arguments", "says"), WRONG, ids=[" ".join((name, *rest)) for name, rest, _ in WRONG])
def test_columns_and_folds_that_can_t_be_end_with_what_can(
    command: Command, flat_photos: Path, tmp_path: Path, name: str, arguments: list[str], says: str
) -> None:
    found = command(name, "flat", *arguments)
    assert found.returncode == 2, found.stdout + found.stderr
    assert says in found.stderr
    assert found.stdout == ""
    assert {path.name for path in tmp_path.iterdir()} == {"flat", "table.csv", "cache"}


def test_the_table_that_a_folder_has_of_its_own_is_named(command: Command, flat_photos: Path, tmp_path: Path) -> None:
    (tmp_path / "table.csv").rename(flat_photos / "labels.csv")
    refused = command("fit", "flat", "--fold-column", "k=1")
    assert refused.returncode == 2
    assert "give --csv flat/labels.csv too" in refused.stderr


def test_a_table_of_whole_paths_needs_no_folder(
    command: Command, picture_folder: Callable[..., Path], tmp_path: Path
) -> None:
    folder = picture_folder(each=3)
    files = sorted(folder.glob("*/*.png"))
    lines = [f"{file},{'even' if number % 2 else 'odd'}" for number, file in enumerate(files)]
    (tmp_path / "tables").mkdir()
    (tmp_path / "tables" / "labels.csv").write_text("\n".join(["file,side", *lines]))
    found = command("audit", "tables/labels.csv", "--label", "side")
    assert found.returncode == 0, found.stderr
    assert sum(sum(row.values()) for row in counts(folder).values()) == len(files)
    (tmp_path / "tables" / "gone.csv").write_text(
        "\n".join(["file,side", *(line.replace("/", "/no", 1) for line in lines)])
    )
    gone = command("audit", "tables/gone.csv")
    assert gone.returncode == 2
    assert f"{len(files)} of the {len(files)} paths lead to no file" in gone.stderr


def test_a_table_in_the_place_of_the_folder_names_images_beside_it(
    command: Command, flat_photos: Path, tmp_path: Path
) -> None:
    (tmp_path / "table.csv").rename(flat_photos / "table.csv")
    done = command("fit", flat_photos / "table.csv", *QUICK, "--label", "animal", "--split", "role")
    assert done.returncode == 0, done.stderr
    assert [len(images) for images in splits(tmp_path / "runs" / "flat").values()] == [20, 10, 10]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--rename", "navy"], "--rename navy: wanted OLD=NEW"),
        (["--rename", "green=x"], "There is no class 'green'"),
        (["--rename-file", "gone.txt"], "gone.txt can't be read"),
        (["--train-name", "lernen"], "has no such folder"),
        (["--csv", "table.csv", "--train-name", "lernen"], "two ways to label"),
    ],
)
def test_what_does_not_fit_ends_with_what_to_do(
    command: Command, picture_folder: Callable[..., Path], arguments: list[str], says: str
) -> None:
    found = command("audit", picture_folder(each=3), *arguments)
    assert found.returncode == 2
    assert says in found.stderr
