"""Neighbours that are alike, in whole fits: found by the images, kept together, told first; else nothing changes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

Command = Callable[..., subprocess.CompletedProcess[str]]


def result_of(run: Path) -> dict[str, Any]:
    return dict(json.loads((run / "result.json").read_text()))


def codes(result: dict[str, Any]) -> set[str]:
    return {finding["code"] for finding in result["findings"]}


def films(root: Path, *, names: Callable[[int, int], str], seed: int = 0, films: int = 14, frames: int = 8) -> Path:
    """Pictures of two classes: each film has colours of its own, and a corner that hardly shows the class."""
    draws = np.random.default_rng(seed)
    for label, name in enumerate(("left", "right")):
        (root / name).mkdir(parents=True)
        for film in range(films):
            scene = draws.integers(0, 256, (6, 6, 3))
            for frame in range(frames):
                pixels = np.clip(scene + draws.normal(0, 25, scene.shape), 0, 255)
                pixels[2:4, 4 * label : 4 * label + 2] += 25
                image = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).resize((48, 48), 0)
                image.save(root / name / f"{names(film, frame)}.png")
    return root


def numbered(film: int, frame: int) -> str:
    return f"{8 * film + frame:04d}"


def tracked(film: int, frame: int) -> str:
    return f"{film:02d}_{frame:03d}"


def test_on_bricks_the_dependence_leads_with_the_number_of_blocks(
    photos: Callable[[str], Path], real_command: Command, tmp_path: Path
) -> None:
    done = real_command("fit", photos("surface_crack"), "--quick", "--views", "0", "--out", "run")
    first = done.stdout.splitlines()[0]
    assert first.startswith("warning: images near each other by name are alike: with neighbours kept together accuracy")
    result = result_of(tmp_path / "run")
    together, mixed = result["dependence"]["together"], result["dependence"]["random"]
    assert together["low"] < 0.881 < together["high"], "what 210 further photos of the same walls were found to have"
    assert mixed["value"] > together["value"] + 0.03
    assert result["out_of_fold"]["groups"] >= 10
    assert "effective n" in done.stdout
    page = (tmp_path / "run" / "report.html").read_text()
    assert page.index("images near each other by name are alike") < page.index('id="scores"')


@pytest.mark.exhaustive
def test_on_cats_and_dogs_nothing_changes(photos: Callable[[str], Path], real_command: Command, tmp_path: Path) -> None:
    """A stretch of the folder: whoever lies side by side there does so here."""
    for split, most in (("train", 150), ("valid", 50)):
        for label in ("cats", "dogs"):
            (tmp_path / "set" / split / label).mkdir(parents=True)
            for file in sorted((photos("dogscats") / split / label).iterdir())[:most]:
                shutil.copy(file, tmp_path / "set" / split / label)
    nothing_changes(real_command, tmp_path / "set", tmp_path)


@pytest.mark.exhaustive
def test_on_all_cats_and_dogs_nothing_changes(
    photos: Callable[[str], Path], real_command: Command, tmp_path: Path
) -> None:
    nothing_changes(real_command, photos("dogscats"), tmp_path)


def nothing_changes(command: Command, folder: Path, tmp_path: Path) -> None:
    done = command("fit", folder, "--quick", "--views", "0", "--out", "run")
    result = result_of(tmp_path / "run")
    assert result["dependence"]["outcome"] == "none"
    assert not codes(result) & {"neighbours-alike", "neighbours-alike-harmless", "neighbours-unchecked"}
    assert "groups" not in result["out_of_fold"]
    assert "effective n" not in done.stdout
    assert result["headline"]["split"] == "valid"


def test_films_by_number_alone_are_kept_together_in_folds_and_parts(command: Command, tmp_path: Path) -> None:
    root = films(tmp_path / "set", names=numbered)
    done = command("fit", root, "--quick", "--views", "0", "--out", "run")
    assert done.returncode == 0, done.stderr
    result = result_of(tmp_path / "run")
    assert (result["dependence"]["outcome"], result["dependence"]["found"]) == ("dependent", "name")
    assert result["neighbours_in_train"] == []
    places = defaultdict(list)
    for line in (tmp_path / "run" / "split.csv").read_text().splitlines()[1:]:
        path, split = line.split(",")[:2]
        places[path.split("/")[0], split].append(int(Path(path).stem))
    for (_, split), place in places.items():
        breaks = int((np.diff(sorted(place)) > 1).sum())
        assert breaks <= 6, f"{split} is of stretches"
    assert places["left", "test"]


def test_groups_that_names_propose_are_taken_where_the_images_agree(command: Command, tmp_path: Path) -> None:
    root = films(tmp_path / "set", names=tracked)
    assert command("fit", root, "--quick", "--views", "0", "--out", "run").returncode == 0
    result = result_of(tmp_path / "run")
    assert result["dependence"]["outcome"] == "dependent"
    finding = next(one for one in result["findings"] if one["code"] == "neighbours-alike")
    assert "with the same name before its last number are alike" in finding["sentence"]
    splits = defaultdict(set)
    for line in (tmp_path / "run" / "split.csv").read_text().splitlines()[1:]:
        path, split = line.split(",")[:2]
        splits[path.rpartition("_")[0]].add(split)
    assert all(len(value) == 1 for value in splits.values())


def test_the_same_names_on_other_images_propose_and_change_nothing(command: Command, tmp_path: Path) -> None:
    root = films(tmp_path / "films", names=tracked)
    draws = np.random.default_rng(1)
    for label in ("left", "right"):
        files = sorted((root / label).iterdir())
        (tmp_path / "set" / label).mkdir(parents=True)
        for file, other in zip(files, draws.permutation(len(files)), strict=True):
            shutil.copy(file, tmp_path / "set" / label / files[other].name)
    assert command("fit", tmp_path / "set", "--quick", "--views", "0", "--out", "run").returncode == 0
    result = result_of(tmp_path / "run")
    assert result["dependence"]["outcome"] == "none"
    assert "neighbours-alike" not in codes(result)


def test_with_group_by_none_it_is_told_and_nothing_changes(command: Command, tmp_path: Path) -> None:
    root = films(tmp_path / "set", names=numbered)
    done = command("fit", root, "--quick", "--views", "0", "--group-by", "none", "--out", "run")
    result = result_of(tmp_path / "run")
    assert "quote the lower number" in done.stdout
    assert "groups" not in result["out_of_fold"]
    assert result["out_of_fold"]["accuracy"] > result["dependence"]["together"]["value"] + 0.05


def test_given_parts_that_cut_through_neighbours_are_marked_and_blocks_lead(command: Command, tmp_path: Path) -> None:
    root = films(tmp_path / "films", names=numbered)
    for file in sorted(root.glob("*/*.png")):
        split = "valid" if int(file.stem) % 5 == 0 else "train"
        (tmp_path / "set" / split / file.parent.name).mkdir(parents=True, exist_ok=True)
        os.link(file, tmp_path / "set" / split / file.parent.name / file.name)
    done = command("fit", tmp_path / "set", "--quick", "--views", "0", "--out", "run")
    result = result_of(tmp_path / "run")
    assert result["neighbours_in_train"] == ["valid"]
    assert result["headline"]["split"] == "out-of-fold"
    assert "neighbours in train" in done.stdout
    leading = [finding["code"] for finding in result["findings"] if finding["leads"]]
    assert [code for code in leading if "neighbours" in code] == ["neighbours-alike", "neighbours-in-two-splits"]


def test_hashes_for_names_are_said_to_tell_nothing(command: Command, tmp_path: Path) -> None:
    draws = np.random.default_rng(2)
    root = films(tmp_path / "set", names=lambda *_: draws.bytes(16).hex())
    assert command("fit", root, "--quick", "--views", "0", "--out", "run").returncode == 0
    result = result_of(tmp_path / "run")
    assert result["dependence"]["outcome"] == "unknown"
    assert "neighbours-unchecked" in codes(result)


def test_asked_again_it_is_replayed_and_a_split_that_was_kept_stays_with_a_warning(
    command: Command, tmp_path: Path
) -> None:
    root = films(tmp_path / "set", names=numbered)
    first = command("fit", root, "--quick", "--views", "0", "--group-by", "none")
    assert first.returncode == 0
    second = command("fit", root, "--quick", "--views", "0")
    before, after = (result_of(tmp_path / "runs" / name) for name in ("set", "set-2"))
    assert (tmp_path / "runs" / "set" / "split.csv").read_text() == (
        tmp_path / "runs" / "set-2" / "split.csv"
    ).read_text()
    assert before["neighbours_in_train"] == []
    assert after["neighbours_in_train"] == ["valid", "test"]
    assert "valid and test have most neighbours in train" in second.stdout
    again = command("fit", root, "--quick", "--views", "0")
    assert "replayed" in again.stderr + again.stdout
    assert result_of(tmp_path / "runs" / "set-2")["dependence"] == after["dependence"]


@pytest.mark.parametrize("option", [("--fold", "2/5"), ("--folds", "3"), ("--sample", "60")])
def test_it_goes_with_folds_and_samples(command: Command, tmp_path: Path, option: tuple[str, str]) -> None:
    root = films(tmp_path / "set", names=numbered)
    done = command("fit", root, "--quick", "--views", "0", *option, "--out", "run")
    assert done.returncode == 0, done.stderr
    assert result_of(tmp_path / "run")["dependence"]["outcome"] in ("dependent", "alike")


def test_leaked_images_are_counted_in_the_basis_and_the_number_without_them_stands_beside(
    command: Command, tmp_path: Path
) -> None:
    root = films(tmp_path / "films", names=tracked, films=20, frames=2)
    for label in ("left", "right"):
        for number, file in enumerate(sorted((root / label).iterdir())):
            split = "valid" if number % 4 == 0 else "train"
            (tmp_path / "set" / split / label).mkdir(parents=True, exist_ok=True)
            shutil.copy(file, tmp_path / "set" / split / label / f"{draw_name(number)}.png")
    copied = sorted((tmp_path / "set/train/left").iterdir())[:3]
    for number, file in enumerate(copied):
        shutil.copy(file, tmp_path / "set/valid/left" / f"copy{number}.png")
    done = command("fit", tmp_path / "set", "--quick", "--views", "0", "--group-by", "none", "--out", "run")
    assert done.returncode == 0, done.stderr
    leaked = result_of(tmp_path / "run")["leaked"]["valid"]
    assert leaked >= 3
    assert f"{leaked} leaked; " in done.stdout
    assert " without" in done.stdout
    assert f"{leaked} leaked" in (tmp_path / "run" / "report.html").read_text()


def draw_name(number: int) -> str:
    return np.random.default_rng(number).bytes(16).hex()


def test_a_given_part_with_numbers_of_its_own_is_not_taken_for_neighbours(command: Command, tmp_path: Path) -> None:
    train, valid = (films(tmp_path / split, names=numbered, seed=seed) for split, seed in (("a", 1), ("b", 2)))
    for split, root in (("train", train), ("valid", valid)):
        shutil.copytree(root, tmp_path / "set" / split)
    command("fit", tmp_path / "set", "--quick", "--views", "0", "--out", "run")
    result = result_of(tmp_path / "run")
    assert result["dependence"]["outcome"] == "dependent"
    assert result["neighbours_in_train"] == []
    assert result["headline"]["split"] == "valid"


def test_in_a_narrow_terminal_no_number_and_no_word_of_the_table_is_cut(command: Command, tmp_path: Path) -> None:
    root = films(tmp_path / "set", names=numbered)
    done = command(
        "fit", root, "--quick", "--views", "0", "--out", "run", "--head", "linear", "-v", env={"COLUMNS": "80"}
    )
    table = done.stdout.partition("linear head")[2].partition("Prediction sets")[0]
    assert "(effective n)" in table
    assert "out-of-fold" in table
    assert "…" not in table
