"""Folders as archives and competitions lay them out: recognised, or refused with the option that works."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from goldenrule.core.errors import SourceError
from goldenrule.data.sources.label_tables import from_source
from goldenrule.data.table import ImageTable

Draw = Callable[..., Path]
Command = Callable[..., subprocess.CompletedProcess[str]]


def labels(table: ImageTable) -> dict[str, list[str]]:
    every = zip(table.uris, table.rows["labels"].to_pylist(), strict=True)
    return {uri: [table.classes[label] for label in value] for uri, value in every}


def numbered(*folders: str, each: int = 4) -> list[str]:
    return [f"{folder}/{number}.png" for folder in folders for number in range(each)]


@pytest.mark.parametrize(
    "folders",
    [
        ("train_images", "test_images"),
        ("images_train", "images_test"),
        ("TrainImages", "TestImages"),
        ("trainset", "testset"),
    ],
)
def test_folders_of_parts_beside_a_table_are_no_classes(draw: Draw, folders: tuple[str, str]) -> None:
    train, test = folders
    root = draw([f"{train}/a{number}.png" for number in range(6)] + [f"{test}/b{number}.png" for number in range(3)])
    (root / "train.csv").write_text("image,label\n" + "".join(f"a{n}.png,{'xy'[n % 2]}\n" for n in range(6)))
    (root / "sample_submission.csv").write_text("image,label\n" + "".join(f"b{n}.png,x\n" for n in range(3)))
    table = from_source(root)
    assert table.classes == ("x", "y")
    assert [split for split in table.splits if split == "test"] == ["test"] * 3
    assert all(not label for uri, label in labels(table).items() if uri.startswith(test))


@pytest.mark.parametrize(
    ("train", "test"),
    [
        ("training_set/training_set", "test_set/test_set"),
        ("seg_train/seg_train", "seg_test/seg_test"),
        ("train/train", "val/val"),
        ("Training Data", "Test Data"),
        ("train/images", "test/images"),
    ],
)
def test_parts_that_are_wrapped_twice_or_called_otherwise_are_parts(draw: Draw, train: str, test: str) -> None:
    root = draw(numbered(f"{train}/cats", f"{train}/dogs", f"{test}/cats", f"{test}/dogs"))
    table = from_source(root)
    assert table.classes == ("cats", "dogs")
    assert sorted(set(map(str, table.splits))) == sorted({"train", "valid" if "val" in test else "test"})


@pytest.mark.parametrize("table_name", ["train.csv", "Train.csv", "labels_train.tsv", "annotations.jsonl"])
def test_a_flat_train_folder_takes_its_labels_from_the_only_table_that_names_its_images(
    draw: Draw, table_name: str
) -> None:
    root = draw(numbered("train", "test"))
    if table_name.endswith("jsonl"):
        text = "".join(f'{{"image_id": "train/{n}.png", "label": "{"xy"[n % 2]}"}}\n' for n in range(4))
    else:
        comma = "\t" if table_name.endswith("tsv") else ","
        text = f"image_id{comma}label\n" + "".join(f"train/{n}{comma}{'xy'[n % 2]}\n" for n in range(4))
    (root / table_name).write_text(text)
    assert {uri: label for uri, label in labels(from_source(root)).items() if label} == {
        f"train/{n}.png": ["xy"[n % 2]] for n in range(4)
    }


def test_of_several_tables_the_user_says_which(draw: Draw, command: Command) -> None:
    root = draw(numbered("images"))
    for name in ("a.csv", "b.csv"):
        (root / name).write_text("id,label\n" + "".join(f"{n},{'xy'[n % 2]}\n" for n in range(4)))
    found = command("fit", root, "--quick")
    assert found.returncode == 2
    assert f"--csv {root / 'a.csv'}; --csv {root / 'b.csv'}" in found.stderr


def test_a_table_that_labels_the_images_of_all_folders_otherwise_is_asked_for(draw: Draw, command: Command) -> None:
    names = {
        f"HAM_images_part_{part}/{part}{number}.png": ("ill", "well")[number % 2]
        for part in (1, 2)
        for number in range(12)
    }
    root = draw(names)
    table = root / "HAM_metadata.csv"
    table.write_text("image_id,dx\n" + "".join(f"{Path(name).stem},{label}\n" for name, label in names.items()))
    found = command("fit", root, "--quick")
    assert found.returncode == 2
    assert f"--csv {table}" in found.stderr
    assert "--labels-from folder" in found.stderr
    assert command("fit", root, "--csv", table, "--quick", "--out", "run").returncode == 0
    assert from_source(root, labels_from="folder").classes == ("HAM_images_part_1", "HAM_images_part_2")


def test_a_table_of_other_facts_is_named_and_not_used(draw: Draw) -> None:
    root = draw(numbered("cats", "dogs"))
    names = [f"{label}/{n}.png" for label in ("cats", "dogs") for n in range(4)]
    (root / "sizes.csv").write_text(
        "path,width,height\n" + "".join(f"{name},48,4{k}\n" for k, name in enumerate(names))
    )
    table = from_source(root)
    assert table.classes == ("cats", "dogs")
    assert [finding.code for finding in table.findings] == ["table-not-used"]


def test_a_table_that_says_the_same_as_the_folders_is_no_news(draw: Draw) -> None:
    root = draw(numbered("cats", "dogs"))
    rows = [f"{label}/{n}.png,{number},{label}" for number, label in enumerate(("cats", "dogs")) for n in range(4)]
    (root / "train.csv").write_text("\n".join(["path,number,label", *rows]))
    table = from_source(root)
    assert (table.classes, table.findings) == (("cats", "dogs"), ())


def test_the_same_folders_under_every_class_are_asked_for(draw: Draw, command: Command) -> None:
    root = draw(numbered("site A/ill", "site A/well", "site B/ill", "site B/well", each=8))
    found = command("fit", root, "--quick")
    assert found.returncode == 2
    assert "--labels-from parent" in found.stderr
    assert from_source(root, labels_from="parent").classes == ("ill", "well")
    assert from_source(root, labels_from="folder").classes == ("site A", "site B")
    assert command("fit", root, "--quick", "--labels-from", "parent").returncode == 0


def test_parts_inside_of_each_class_are_parts(draw: Draw) -> None:
    table = from_source(draw(numbered("cats/train", "cats/val", "dogs/train", "dogs/val")))
    assert table.classes == ("cats", "dogs")
    assert table.splits == (["train"] * 4 + ["valid"] * 4) * 2


@pytest.mark.parametrize(
    ("around", "inside"), [("PetImages", ""), ("chest/chest", ""), ("chest/chest", "train/"), ("archive", "train/")]
)
def test_folders_around_the_classes_are_named(draw: Draw, command: Command, around: str, inside: str) -> None:
    root = draw(numbered(f"{around}/{inside}Cat", f"{around}/{inside}Dog"))
    found = command("fit", root, "--quick")
    assert found.returncode == 2
    assert f"give that folder: {root / around}. " in found.stderr
    assert from_source(root / around).classes == ("Cat", "Dog")


def test_a_class_called_train_beside_others_is_a_class(draw: Draw) -> None:
    table = from_source(draw(numbered("bus", "car", "train")))
    assert table.classes == ("bus", "car", "train")
    assert [finding.code for finding in table.findings] == ["train-is-a-class"]


def test_a_flat_train_folder_without_any_label_is_refused(draw: Draw) -> None:
    with pytest.raises(SourceError, match="no class folders"):
        from_source(draw(numbered("train", "test")))


def test_names_in_two_normal_forms_are_one_class(draw: Draw) -> None:
    table = from_source(draw(numbered("train/caf\u00e9", "train/th\u00e9", "valid/cafe\u0301", "valid/the\u0301")))
    assert table.classes == ("caf\u00e9", "th\u00e9")
    assert table.findings == ()


def test_the_only_class_of_a_part_is_no_wrapping(draw: Draw, command: Command) -> None:
    root = draw(numbered("train/cats/indoor", "train/cats/outdoor", "test/cats/indoor"))
    assert from_source(root).classes == ("cats",)
    found = command("fit", root, "--quick")
    assert found.returncode == 2
    assert "one class only" in found.stderr
