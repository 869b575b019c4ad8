"""Two finished runs are compared on the images that neither has learned from."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from goldenrule.core.errors import OptionError, SourceError
from goldenrule.core.schema import as_json
from goldenrule.data.table_file import table_content
from goldenrule.metrics import image_losses, mcnemar
from goldenrule.models.classifier import Classifier
from goldenrule.pipelines.quick_fit import quick_fit
from goldenrule.runs.options import FitOptions
from goldenrule.runs.verified_files import run_images
from goldenrule.storage.manifest import write_recorded
from goldenrule.tasks.run_comparison import compare_runs


@pytest.fixture(scope="module")
def other_split(small_photos: Path, fitted: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A run on the same photos as class folders alone, split anew, and with a few labels of another mind."""
    source = tmp_path_factory.mktemp("again")
    for label in ("cats", "dogs"):
        (source / "photos" / label).mkdir(parents=True)
        for file in sorted(small_photos.rglob(f"{label}/*.jpg")):
            (source / "photos" / label / file.name).symlink_to(file)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GOLDENRULE_CACHE", str(fitted.folder.parent / "cache"))
        return quick_fit(source / "photos", out=source / "run", options=FitOptions(seed=3))


def splits(run: Path) -> dict[str, str]:
    """Return the part of each image, by digest."""
    with (run / "split.csv").open() as file:
        return {row["digest"]: row["split"] for row in csv.DictReader(file)}


def test_a_run_and_itself_are_a_tie_on_its_test_images(fitted: Any) -> None:
    compared = compare_runs(fitted.folder, fitted.folder)
    assert (compared.split, compared.n, compared.basis) == ("test", 12, "held out")
    assert compared.right == mcnemar(fitted.predictions["test"], fitted.predictions["test"])
    assert compared.left_out == {}
    assert all("are tied on 12 images; by what is seen no number" in one for one in compared.sentences)


def test_what_one_has_learned_from_the_other_is_not_judged_by(fitted: Any, other_split: Any) -> None:
    one, other = splits(fitted.folder), splits(other_split.folder)
    assert one.keys() == other.keys()  # the same files, found by their bytes in another folder
    compared = compare_runs(fitted.folder, other_split.folder, split="out-of-fold")
    assert compared.n == sum(one[image] == other[image] == "train" for image in one)
    assert compared.basis == "used for selection"


def test_images_that_one_has_learned_from_are_left_out_and_counted(fitted: Any, other_split: Any) -> None:
    one, other = splits(fitted.folder), splits(other_split.folder)
    tested = {image for image in one if "test" in (one[image], other[image])}
    common = {image for image in tested if one[image] == other[image]}
    learned = [sum(value[image] == "train" for image in tested) for value in (one, other)]
    assert learned[0] or learned[1]
    if len(common) < 2:
        with pytest.raises(OptionError, match=r"no 2 common images in test: .*learned from.*same seed"):
            compare_runs(fitted.folder, other_split.folder, split="test")
        return
    compared = compare_runs(fitted.folder, other_split.folder, split="test")
    assert compared.n == len(common)
    names = (fitted.folder, other_split.folder)
    assert [compared.left_out.get(f"that {name} learned from", 0) for name in names] == learned


def test_the_gain_is_that_of_the_predictions_of_both(fitted: Any, other_split: Any) -> None:
    compared = compare_runs(fitted.folder, other_split.folder, split="out-of-fold")
    a, b = fitted.predictions["out-of-fold"], other_split.predictions["out-of-fold"]
    shared = {Path(name).name for name in a.ids} & {Path(name).name for name in b.ids}
    pair = []
    for seen in (a, b):
        ours = seen.select([row for row, name in enumerate(seen.ids) if Path(name).name in shared])
        pair.append(ours.select(sorted(range(len(ours)), key=lambda row: Path(ours.ids[row]).name)))
    assert compared.n == len(shared)
    gain = float((image_losses(pair[0]) - image_losses(pair[1])).mean())
    assert compared.gains["log loss"].gain.value == pytest.approx(gain, abs=1e-6)
    assert as_json(compared)["gains"]["log loss"]["images_needed"] == compared.gains["log loss"].images_needed


def test_the_numbers_are_json(fitted: Any, other_split: Any) -> None:
    value = as_json(compare_runs(fitted.folder, other_split.folder, split="out-of-fold"))
    assert json.loads(json.dumps(value, allow_nan=False)) == value


def test_equal_files_count_once_and_that_is_said(fitted: Any, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(fitted.folder, run)
    table = run_images(run)
    test = [row for row, split in enumerate(table.splits) if split == "test" and table.targets[row] == 0]
    digests = list(table.digests)
    digests[test[1]] = digests[test[0]]
    write_recorded(run, "images.arrow", table_content(table.with_digests(digests)))
    compared = compare_runs(run, run)
    assert compared.n == fitted.predictions["test"].truth.size - 1
    assert compared.left_out == {"with the very bytes of another, which counts once": 1}


def test_a_folder_of_runs_names_them_and_one_that_is_missing_is_called_so(fitted: Any, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"no finished run.* It holds runs: give one of them, such as .*run"):
        compare_runs(fitted.folder.parent, fitted.folder)
    with pytest.raises(SourceError, match=r"no finished run.* There is no such folder"):
        compare_runs(fitted.folder, tmp_path / "gone")
    with pytest.raises(SourceError, match=r"no classifier.* It holds runs: give one of them, such as .*run"):
        Classifier.load(fitted.folder.parent)


def test_what_is_no_run_and_no_part_is_a_clear_error(fitted: Any, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no finished run"):
        compare_runs(fitted.folder, tmp_path)
    with pytest.raises(OptionError, match="wanted auto, test, valid, out-of-fold"):
        compare_runs(fitted.folder, fitted.folder, split="train")  # type: ignore[arg-type]


def test_runs_of_other_images_have_nothing_in_common(
    fitted: Any, picture_folder: Any, cache: Path, tmp_path: Path
) -> None:
    del cache
    made = quick_fit(picture_folder(classes=("cats", "dogs")), out=tmp_path / "run")
    with pytest.raises(
        OptionError, match=r"no 2 common images in test or valid or out-of-fold: .* not among the images"
    ):
        compare_runs(fitted.folder, made.folder)


def test_runs_of_other_classes_are_a_clear_error(fitted: Any, picture_folder: Any, cache: Path, tmp_path: Path) -> None:
    del cache
    made = quick_fit(picture_folder(), out=tmp_path / "run")
    with pytest.raises(
        OptionError, match=r"have other classes: only .* knows cats, dogs; .* fit both on the same folder"
    ):
        compare_runs(fitted.folder, made.folder)
