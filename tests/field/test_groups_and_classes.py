"""What belongs together is never confounded with the classes: not by a guess, and not silently by what was given."""

from __future__ import annotations

import csv
import json
import subprocess
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from goldenrule.core.errors import TooFewImages
from goldenrule.data.sources.folders import from_folder
from goldenrule.data.sources.label_tables import from_csv, from_source
from goldenrule.data.splits.splitting import with_split
from goldenrule.data.table import ImageTable

Draw = Callable[..., Path]
Command = Callable[..., subprocess.CompletedProcess[str]]


def classes_by_split(table: ImageTable) -> dict[str, set[str]]:
    found: dict[str, set[str]] = defaultdict(set)
    for split, labels in zip(table.splits, table.rows["labels"].to_pylist(), strict=True):
        found[str(split)] |= {table.classes[label] for label in labels}
    return dict(found)


def imagenet(splits: tuple[str, ...] = ("train", "valid"), each: int = 8) -> Iterator[str]:
    for split in splits:
        for number, label in enumerate(("cats", "dogs", "horses")):
            for index in range(each):
                yield f"{split}/{label}/n0208704{number}_{1000 + 7 * index}.png"


def cameras(*names: str, each: int = 6, classes: tuple[str, ...] = ("cats", "dogs")) -> list[str]:
    numbers = range(len(names) * each)
    return [f"{label}/{names[n // each]}_{n + 100 * k:04d}.png" for k, label in enumerate(classes) for n in numbers]


def test_names_like_those_of_imagenet_are_no_series(draw: Draw) -> None:
    table = from_folder(draw(imagenet()))
    assert set(table.rows["group"].to_pylist()) == {None}
    assert table.findings == ()


def test_a_fit_of_such_names_is_judged_by_folds_that_know_every_class(draw: Draw, command: Command) -> None:
    found = command("fit", draw(imagenet()), "--quick", "--out", "run")
    assert found.returncode == 0, found.stderr
    result = json.loads((draw([]).parent / "run" / "result.json").read_text())
    assert result["out_of_fold"]["accuracy"] > 0.9
    assert result["valid"]["accuracy"] > 0.9


@pytest.mark.parametrize("names", [("IMG", "DSC"), ("IMG", "DSC", "P"), ("DSCF", "DSCN", "IMG", "PICT")])
def test_names_of_cameras_do_not_take_a_class_from_a_part(draw: Draw, names: tuple[str, ...]) -> None:
    split = with_split(from_folder(draw(cameras(*names))))
    assert classes_by_split(split) == {split: {"cats", "dogs"} for split in ("train", "valid", "test")}
    assert split.splits.count("train") > 0.6 * len(split)


def test_cameras_of_a_flat_folder_with_a_table_are_no_series_either(draw: Draw) -> None:
    names = {f"images/{name}_{n:04d}.png": ("cats", "dogs")[n % 2] for name in ("IMG", "DSC") for n in range(12)}
    root = draw(names)
    (root / "labels.csv").write_text("id,label\n" + "".join(f"{name},{label}\n" for name, label in names.items()))
    split = with_split(from_source(root))
    assert classes_by_split(split) == {split: {"cats", "dogs"} for split in ("train", "valid", "test")}


def test_names_of_films_alone_change_nothing(draw: Draw) -> None:
    films = [
        f"{label}/{film:02d}_{frame:03d}.png" for label in ("cats", "dogs") for film in range(12) for frame in range(3)
    ]
    table = from_folder(draw(films))
    assert set(table.rows["group"].to_pylist()) == {None}
    assert table.findings == ()


def test_given_groups_that_leave_a_part_without_classes_are_refused_by_name(draw: Draw, command: Command) -> None:
    root = draw(cameras("IMG", "DSC"))
    found = command("fit", root, "--quick", "--group-by", "^(IMG|DSC)")
    assert found.returncode == 2
    assert "cats/DSC, cats/IMG" in found.stderr
    assert "--folds 2" in found.stderr
    assert command("fit", root, "--quick", "--group-by", "^(IMG|DSC)", "--folds", "2").returncode == 0


def test_a_group_a_class_can_not_be_judged_and_is_refused_by_name(draw: Draw, command: Command) -> None:
    root = draw(cameras("IMG"))
    for more in ((), ("--folds", "2"), ("--fold", "1/2")):
        found = command("fit", root, "--quick", "--group-by", "^(IMG)", *more)
        assert found.returncode == 2, more
        assert "IMG" in found.stderr or "group" in found.stderr


def patients(root: Path, groups: dict[str, str]) -> Path:
    path = root / "labels.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "label", "group"])
        writer.writerows([name, Path(name).parent.name, group] for name, group in groups.items())
    return path


def test_a_disease_of_one_patient_trains_is_not_judged_and_is_named(draw: Draw, command: Command) -> None:
    names = [f"{label}/{number:02d}.png" for label in ("cats", "dogs", "horses") for number in range(12)]
    root = draw(names)
    groups = {name: "patient 0" if "horses" in name else f"{name[:3]} {int(name[-6:-4]) // 2}" for name in names}
    table = patients(root, groups)
    split = with_split(from_csv(table))
    assert classes_by_split(split)["train"] == {"cats", "dogs", "horses"}
    assert classes_by_split(split)["valid"] == classes_by_split(split)["test"] == {"cats", "dogs"}
    found = command("fit", root, "--csv", table, "--quick", "--out", "run")
    assert found.returncode == 0, found.stderr
    assert "horses: 12 images, patient 0" in found.stdout
    assert "the valid split has no image of 1 of 3 classes (horses)" in found.stdout
    evaluated = (root.parent / "run" / "predictions" / "out-of-fold.csv").read_text()
    assert "horses/" not in evaluated
    assert "cats/" in evaluated


def test_a_class_of_one_image_trains_is_not_judged_and_is_named(draw: Draw, command: Command) -> None:
    names = [f"{label}/{number:02d}.png" for label in ("cats", "dogs") for number in range(12)]
    root = draw([*names, "horses/only.png"])
    found = command("fit", root, "--quick", "--min-per-class", "1", "--out", "run")
    assert found.returncode == 0, found.stderr
    assert "horses: 1 image" in found.stdout
    assert "horses/" not in (root.parent / "run" / "predictions" / "out-of-fold.csv").read_text()


def test_parts_without_a_class_are_named_after_the_split_is_drawn(draw: Draw) -> None:
    names = [f"cats/{number:02d}.png" for number in range(20)] + [f"dogs/{number:02d}.png" for number in range(20)]
    split = with_split(from_folder(draw([*names, "horses/0.png", "horses/1.png"])))
    missing = [finding for finding in split.findings if finding.code == "class-missing"]
    assert [finding.evidence for finding in missing] == [("horses",)] * len(missing)
    assert missing


def test_a_fold_of_a_column_never_judges_a_class_that_only_it_has(draw: Draw) -> None:
    from goldenrule.data.splits.folds import fold_called, k_fold

    names = [f"{label}/{number:02d}.png" for label in ("cats", "dogs") for number in range(6)]
    root = draw([*names, "horses/0.png", "horses/1.png"])
    rows = [f"{name},{name.split('/')[0]},{int(name[-5]) % 2}" for name in names]
    (root / "labels.csv").write_text(
        "\n".join(["path,label,fold", *rows, "horses/0.png,horses,0", "horses/1.png,horses,0"])
    )
    table = from_csv(root / "labels.csv")
    for images in (fold_called(table, "0"), *k_fold(table)):
        splits = classes_by_split(images)
        assert splits["valid"] <= splits["train"]
    (finding,) = (one for one in fold_called(table, "0").findings if one.code == "class-of-one-fold")
    assert finding.evidence in (("horses/0.png",), ("horses/1.png",)), "one is enough to learn the class from"


def test_what_groups_refuse_says_which_groups(draw: Draw) -> None:
    with pytest.raises(TooFewImages, match=r"cats is of 2 groups \(cats/DSC, cats/IMG\)"):
        with_split(from_folder(draw(cameras("IMG", "DSC")), group_by="^(IMG|DSC)"))


def test_an_earlier_split_that_tears_given_groups_is_not_kept(draw: Draw, command: Command) -> None:
    names = [f"{label}/{number:02d}.png" for label in ("cats", "dogs") for number in range(24)]
    root = draw(names)
    assert command("fit", root, "--quick").returncode == 0
    table = patients(root, {name: f"{name[:4]} {int(name[-6:-4]) // 6}" for name in names})
    found = command("fit", root, "--csv", table, "--quick")
    assert found.returncode == 0, found.stderr
    assert "in several splits, and is not reused: a new one is drawn" in found.stdout
    assert "keep the splits they had" not in found.stdout + found.stderr
    splits = defaultdict(set)
    with (root.parent / "runs" / "set-2" / "split.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            splits[row["path"][:4], int(row["path"][-6:-4]) // 6].add(row["split"])
    assert all(len(split) == 1 for split in splits.values())
