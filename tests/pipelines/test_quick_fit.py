"""The quick fit, on real photos."""

from __future__ import annotations

import csv
import json
import math
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from goldenrule.core.errors import RunInUse, RunMismatch, TooFewImages
from goldenrule.data.pictures.file_digests import with_digests
from goldenrule.data.sources.folders import from_folder
from goldenrule.data.splits.folds import k_fold
from goldenrule.data.splits.splitting import with_split
from goldenrule.metrics import Predictions, accuracy, log_loss
from goldenrule.models.classifier import Classifier
from goldenrule.notebook import result_html
from goldenrule.pipelines import finalize as concluding
from goldenrule.pipelines import prepare as opening
from goldenrule.pipelines import probe as linear
from goldenrule.pipelines.quick_fit import quick_fit
from goldenrule.report.sentences import duration
from goldenrule.runs.options import FitOptions
from goldenrule.runs.store import opened
from goldenrule.runs.verified_files import known_split

PLAIN = FitOptions(views=0)
NUMBERS = {"n", "accuracy", "low", "high", "log_loss", "log_loss_low", "log_loss_high", "method", "basis"}


def result_of(folder: Path) -> dict[str, Any]:
    value = json.loads((folder / "result.json").read_text())
    assert isinstance(value, dict)
    return value


def numbers_of(folder: Path) -> dict[str, Any]:
    """What a result says, without how long it took and what it found in the bank."""
    return {name: value for name, value in result_of(folder).items() if name not in ("stages", "features")}


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((folder / "classifier").iterdir())}


@pytest.fixture
def unbroken(fitted: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The session's fit, with its cache: what was computed for it is there."""
    monkeypatch.setenv("GOLDENRULE_CACHE", str(fitted.folder.parent / "cache"))
    return fitted


@pytest.fixture
def photo_folder(small_photos: Path, tmp_path: Path) -> Path:
    """Class folders alone, of the test's own: 20 cats and 20 dogs."""
    return Path(shutil.copytree(small_photos / "train", tmp_path / "mine"))


def test_the_result_has_the_documented_shape(fitted: Any) -> None:
    result = result_of(fitted.folder)
    assert result["schema_version"] == 2
    assert result["valid"]["n"] == 16
    assert result["test"]["n"] == 12
    assert result["out_of_fold"]["n"] == 40
    for split in ("valid", "test", "out_of_fold"):
        assert set(result[split]) == NUMBERS
    assert {stage["name"] for stage in result["stages"]} >= {
        "read",
        "backbone",
        "precompute",
        "fit linear head",
        "evaluate",
        "report",
    }
    assert all(stage["seconds"] >= 0 for stage in result["stages"])
    assert set(result["features"]) == {"computed", "reused"}
    assert result["chosen"] in [candidate["name"] for candidate in result["candidates"]]
    assert result["classes"] == ["cats", "dogs"]
    assert result["counts"] == {
        "train": {"cats": 20, "dogs": 20, "": 0},
        "valid": {"cats": 8, "dogs": 8, "": 0},
        "test": {"cats": 6, "dogs": 6, "": 0},
    }
    assert set(result["engine"]) - {"alone"} == {"name", "precision", "version"}


def test_every_number_has_its_n_and_its_interval(fitted: Any) -> None:
    result = result_of(fitted.folder)
    scored = [result["valid"], result["test"], result["out_of_fold"]]
    scored += [candidate["out_of_fold"] for candidate in result["candidates"]]
    for numbers in scored:
        assert numbers["n"] > 0
        assert 0 <= numbers["low"] <= numbers["accuracy"] <= numbers["high"] <= 1
        assert 0 <= numbers["log_loss_low"] <= numbers["log_loss"] <= numbers["log_loss_high"]
    headline = result["headline"]
    assert headline["split"] == "test"
    assert (headline["n"], headline["value"]) == (12, result["test"]["accuracy"])
    assert headline["low"] <= headline["value"] <= headline["high"]


def test_a_number_says_whether_it_was_chosen_on(fitted: Any) -> None:
    result = result_of(fitted.folder)
    assert result["test"]["basis"] == result["valid"]["basis"] == "held out"
    assert result["out_of_fold"]["basis"] == "used for selection"
    assert all(candidate["out_of_fold"]["basis"] == "used for selection" for candidate in result["candidates"])


def test_cats_and_dogs_are_told_apart(really_fitted: Any) -> None:
    assert really_fitted.headline_split == "test"
    assert really_fitted.headline.value >= 0.9
    assert accuracy(really_fitted.predictions["valid"]).value >= 0.9


def test_the_numbers_are_those_of_the_prediction_files_and_of_the_saved_classifier(unbroken: Any) -> None:
    result = result_of(unbroken.folder)
    loaded = Classifier.load(unbroken.folder)
    for split in ("valid", "test"):
        with (unbroken.folder / "predictions" / f"{split}.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        assert len(rows) == result[split]["n"]
        right = [row["prediction"] == row["truth"] for row in rows]
        assert np.mean(right) == result[split]["accuracy"]
        losses = [-math.log(float(row[f"p:{row['truth']}"])) for row in rows]
        assert np.mean(losses) == pytest.approx(result[split]["log_loss"], rel=1e-5)
        again = loaded.predict([unbroken.table.root / row["path"] for row in rows])
        for row, probabilities in zip(rows, again.probabilities, strict=True):
            ours = [float(row[f"p:{name}"]) for name in loaded.classes]
            assert ours == pytest.approx(probabilities.tolist(), abs=1e-4)


def test_a_second_fit_computes_nothing_and_changes_nothing(
    unbroken: Any, small_photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*arguments: object, **options: object) -> None:
        raise AssertionError("computed a second time")

    before, files = numbers_of(unbroken.folder), bytes_of(unbroken.folder)
    monkeypatch.setattr("goldenrule.features.extractor.compiled", never)
    monkeypatch.setattr(linear, "fit_outcome", never)
    again = quick_fit(small_photos, out=unbroken.folder)
    assert again.stages == unbroken.stages, "the first time stays what it was"
    assert f"<dd>{duration(unbroken.first_seconds)}</dd>" in again.report.read_text()
    assert again.features["computed"] == 0
    assert again.features["reused"] >= 68
    assert numbers_of(unbroken.folder) == before
    assert bytes_of(unbroken.folder) == files


def test_a_fit_in_another_folder_gives_the_same_bits(unbroken: Any, small_photos: Path, tmp_path: Path) -> None:
    quick_fit(small_photos, out=tmp_path / "other")
    assert numbers_of(tmp_path / "other") == numbers_of(unbroken.folder)
    assert bytes_of(tmp_path / "other") == bytes_of(unbroken.folder)


def test_the_test_part_is_opened_once_and_after_the_choice_is_written(
    unbroken: Any, small_photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened_parts: list[tuple[str, bool]] = []
    original = concluding._scored

    def watched(classifier: Classifier, table: Any, *rest: Any) -> Predictions:
        written = [tmp_path / "run" / name for name in ("choice.json", "classifier/classifier.json")]
        opened_parts.append((table.splits[0], all(path.exists() for path in written)))
        return original(classifier, table, *rest)

    monkeypatch.setattr(concluding, "_scored", watched)
    quick_fit(small_photos, out=tmp_path / "run")
    assert [split for split, _ in opened_parts].count("test") == 1
    assert all(after_choice for _, after_choice in opened_parts)
    choice, predicted = tmp_path / "run" / "choice.json", tmp_path / "run" / "predictions" / "test.csv"
    assert choice.stat().st_mtime_ns <= predicted.stat().st_mtime_ns
    assert json.loads(choice.read_text())["chosen"] == result_of(tmp_path / "run")["chosen"]


def test_the_test_part_changes_neither_choice_nor_classifier(unbroken: Any, small_photos: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(small_photos, tmp_path / "dogscats"))
    (other / "test" / "cats").rename(other / "test" / "swapped")
    (other / "test" / "dogs").rename(other / "test" / "cats")
    (other / "test" / "swapped").rename(other / "test" / "dogs")
    swapped = quick_fit(other, out=tmp_path / "run")
    assert swapped.chosen == unbroken.chosen
    assert bytes_of(tmp_path / "run")["head.safetensors"] == bytes_of(unbroken.folder)["head.safetensors"]
    assert accuracy(swapped.predictions["test"]).value == pytest.approx(1 - unbroken.headline.value)


def test_class_folders_alone_are_split_and_the_split_never_changes(
    unbroken: Any, photo_folder: Path, small_photos: Path, tmp_path: Path
) -> None:
    first = quick_fit(photo_folder, options=PLAIN, runs=tmp_path / "runs")
    assert first.folder == tmp_path / "runs" / "mine"
    before = known_split(first.folder)
    assert sorted(set(before.values())) == ["test", "train", "valid"]
    for label in ("cats", "dogs"):
        for file in (small_photos / "valid" / label).iterdir():
            shutil.copy(file, photo_folder / label)
    second = quick_fit(photo_folder, options=PLAIN, runs=tmp_path / "runs")
    assert second.folder == tmp_path / "runs" / "mine-2"
    after = known_split(second.folder)
    assert len(after) == 56
    assert {digest: after[digest] for digest in before} == before
    assert known_split(first.folder) == before
    again = quick_fit(photo_folder, options=PLAIN, runs=tmp_path / "runs")
    assert again.folder == second.folder


def test_other_options_get_another_folder_with_the_same_split(
    unbroken: Any, photo_folder: Path, tmp_path: Path
) -> None:
    first = quick_fit(photo_folder, options=PLAIN, runs=tmp_path / "runs")
    other = quick_fit(photo_folder, options=replace(PLAIN, augment="basic", views=1), runs=tmp_path / "runs")
    assert (first.folder.name, other.folder.name) == ("mine", "mine-2")
    assert known_split(first.folder) == known_split(other.folder)
    third = quick_fit(photo_folder, options=replace(PLAIN, threads=1), runs=tmp_path / "runs")
    assert third.folder == first.folder  # threads change how fast, not what


def test_folds_are_stories_of_their_own_and_no_split_is_taken_over_from_or_by_them(
    unbroken: Any, photo_folder: Path, tmp_path: Path
) -> None:
    """Fold 1 before there is another run, fold 2 after one that has drawn a split, and that one again with others."""
    runs = tmp_path / "runs"
    first = quick_fit(photo_folder, options=replace(PLAIN, fold="1/3"), runs=runs)
    drawn = quick_fit(photo_folder, options=PLAIN, runs=runs)
    second = quick_fit(photo_folder, options=replace(PLAIN, fold="2/3"), runs=runs)
    other = quick_fit(photo_folder, options=replace(PLAIN, augment="basic", views=1), runs=runs)
    folders = [one.folder.name for one in (first, drawn, second, other)]
    assert folders == ["mine", "mine-2", "mine-3", "mine-4"]
    images = with_digests(from_folder(photo_folder))
    for one, wanted in zip((first, second), k_fold(images, 3)[:2], strict=True):
        assert one.table.splits == wanted.splits
    assert set(drawn.table.splits) == {"train", "valid", "test"}
    assert drawn.table.splits == with_split(images).splits
    assert other.table.splits == drawn.table.splits
    assert quick_fit(photo_folder, options=replace(PLAIN, fold="2/3"), runs=runs).folder == second.folder
    by_hand = quick_fit(k_fold(images, 3)[2], options=PLAIN, runs=runs)
    assert (by_hand.folder.name, by_hand.headline_split) == ("mine-5", "valid")
    assert by_hand.table.splits == k_fold(images, 3)[2].splits
    with pytest.raises(RunMismatch, match="fold=1/3 instead of fold=3/3"):
        quick_fit(photo_folder, options=replace(PLAIN, fold="3/3"), out=first.folder)


def test_a_sample_is_drawn_before_its_folds(unbroken: Any, small_photos: Path, tmp_path: Path) -> None:
    """Train and valid have 20 and 8 of each class; the test split stays, and is sampled as ever."""
    folded = [
        quick_fit(small_photos, options=replace(PLAIN, sample=6, fold=f"{number}/3"), out=tmp_path / f"run {number}")
        for number in (1, 2, 3)
    ]
    validated = [uri for one in folded for uri in one.table.split("valid").uris]
    assert len(validated) == len(set(validated)) == 12
    for one in folded:
        assert one.table.counts()["valid"] == {"cats": 2, "dogs": 2, "": 0}
        assert one.table.counts()["test"] == {"cats": 6, "dogs": 6, "": 0}
        assert one.headline_split == "test"
        assert {"fold", "valid-merged"} <= {finding.code for finding in one.findings}


def test_the_folder_of_another_story_is_refused_and_stays_as_it_is(unbroken: Any, photo_folder: Path) -> None:
    before = {path: path.read_bytes() for path in unbroken.folder.rglob("*") if path.is_file()}
    with pytest.raises(RunMismatch, match="other images"):
        quick_fit(photo_folder, out=unbroken.folder)
    with pytest.raises(RunMismatch, match="seed=0 instead of seed=1"):
        quick_fit(unbroken.table.root, options=FitOptions(seed=1), out=unbroken.folder)
    assert {path: path.read_bytes() for path in unbroken.folder.rglob("*") if path.is_file()} == before


def test_a_story_that_another_process_finished_meanwhile_is_not_written_over(
    unbroken: Any, photo_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = opening.load_backbone

    def slow(*arguments: Any, **options: Any) -> Any:
        monkeypatch.setattr(opening, "load_backbone", original)
        quick_fit(photo_folder, options=PLAIN, out=tmp_path / "run")
        return original(*arguments, **options)

    monkeypatch.setattr(opening, "load_backbone", slow)
    with pytest.raises(RunMismatch, match="seed=0 instead of seed=7"):
        quick_fit(photo_folder, options=replace(PLAIN, seed=7), out=tmp_path / "run")
    assert result_of(tmp_path / "run")["options"]["seed"] == 0


def test_a_folder_in_use_is_refused(unbroken: Any, photo_folder: Path, tmp_path: Path) -> None:
    with opened(tmp_path / "run"), pytest.raises(RunInUse, match="process"):
        quick_fit(photo_folder, options=PLAIN, out=tmp_path / "run")


def test_without_a_test_part_there_is_no_test_number(unbroken: Any, small_photos: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(small_photos, tmp_path / "two", ignore=shutil.ignore_patterns("test")))
    found = quick_fit(folder, options=PLAIN, out=tmp_path / "run")
    result = result_of(tmp_path / "run")
    assert result["test"] is None
    assert not (tmp_path / "run" / "predictions" / "test.csv").exists()
    assert found.headline_split == "valid"


def test_a_folder_without_valid_gets_one_carved_from_train(unbroken: Any, small_photos: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(small_photos, tmp_path / "two", ignore=shutil.ignore_patterns("valid")))
    quick_fit(folder, options=PLAIN, out=tmp_path / "run")
    counts = result_of(tmp_path / "run")["counts"]
    assert {split: sum(count.values()) for split, count in counts.items()} == {"train": 36, "valid": 4, "test": 12}


def test_an_unlabelled_test_folder_is_predicted_and_never_scored(
    unbroken: Any, small_photos: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(small_photos, tmp_path / "flat", ignore=shutil.ignore_patterns("test")))
    (folder / "test1").mkdir()
    for file in (small_photos / "test" / "cats").iterdir():
        shutil.copy(file, folder / "test1")
    found = quick_fit(folder, options=PLAIN, out=tmp_path / "run")
    assert result_of(tmp_path / "run")["test"] is None
    with (tmp_path / "run" / "predictions" / "test.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 6
    assert "truth" not in rows[0]
    assert all(row["status"] == "ok" and row["prediction"] for row in rows)
    assert found.headline_split == "valid"


def test_a_class_that_only_valid_has_is_a_finding_and_no_shift(
    really_fitted: Any, small_photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOLDENRULE_CACHE", str(really_fitted.folder.parent / "cache"))
    folder = Path(shutil.copytree(small_photos, tmp_path / "new"))
    (folder / "valid" / "bears").mkdir()  # sorts before cats and dogs
    for file in sorted((small_photos / "valid" / "cats").iterdir())[:2]:
        (folder / "valid" / "bears" / file.name).write_bytes(file.read_bytes() + b"\0")
    found = quick_fit(folder, options=PLAIN, out=tmp_path / "run")
    result = result_of(tmp_path / "run")
    assert result["classes"] == ["bears", "cats", "dogs"]
    assert [finding["code"] for finding in result["findings"]].count("class-missing") == 2  # in train and in test
    assert result["valid"]["n"] == 18
    assert result["valid"]["accuracy"] <= 16 / 18
    assert result["test"]["accuracy"] >= 0.9
    assert math.isfinite(result["valid"]["log_loss"])
    assert found.predictions["valid"].probabilities[:, 0].max() < 1e-3


def test_unreadable_files_have_a_status_and_no_prediction(unbroken: Any, small_photos: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(small_photos, tmp_path / "bad"))
    for split in ("train", "valid", "test"):
        (folder / split / "cats" / "text.jpg").write_text(f"no picture in {split}")
    quick_fit(folder, options=PLAIN, out=tmp_path / "run")
    result = result_of(tmp_path / "run")
    (finding,) = [one for one in result["findings"] if one["code"] == "unreadable"]
    assert len(finding["evidence"]) == 3
    assert result["status"]["valid"] == {"ok": 16, "unreadable": 1}
    assert result["status"]["test"] == {"ok": 12, "unreadable": 1}
    assert (result["valid"]["n"], result["test"]["n"], result["out_of_fold"]["n"]) == (16, 12, 40)
    with (tmp_path / "run" / "predictions" / "valid.csv").open(newline="") as file:
        (row,) = [row for row in csv.DictReader(file) if row["status"] == "unreadable"]
    assert row["prediction"] == row["probability"] == row["p:cats"] == row["p:dogs"] == ""
    assert (
        bytes_of(tmp_path / "run")["head.safetensors"]
        == bytes_of(quick_fit(small_photos, options=PLAIN, out=tmp_path / "held out").folder)["head.safetensors"]
    )


@pytest.mark.usefixtures("cache")
def test_files_of_which_none_can_be_read_are_named(tmp_path: Path) -> None:
    for label in ("cats", "dogs"):
        (tmp_path / "bad" / label).mkdir(parents=True)
        for number in range(4):
            (tmp_path / "bad" / label / f"{number}.jpg").write_text(f"{label} {number}")
    with pytest.raises(TooFewImages, match=r"8 .*can't be read.*cats/0\.jpg") as error:
        quick_fit(tmp_path / "bad", out=tmp_path / "run")
    assert "Fewer than two classes" in str(error.value)


def test_images_that_are_all_the_same_are_an_error_and_no_nan(
    unbroken: Any, small_photos: Path, tmp_path: Path
) -> None:
    one = sorted((small_photos / "train" / "cats").iterdir())[0]
    for label in ("cats", "dogs"):
        (tmp_path / "same" / "train" / label).mkdir(parents=True)
        for number in range(4):
            shutil.copy(one, tmp_path / "same" / "train" / label / f"{number}.jpg")
    with pytest.raises(TooFewImages, match="same picture"):
        quick_fit(tmp_path / "same", options=PLAIN, out=tmp_path / "run")


def test_the_limit_of_the_bank_is_kept_by_a_fit(
    cache: Path, picture_folder: Callable[..., Path], tmp_path: Path
) -> None:
    from goldenrule.features import cache as banks
    from goldenrule.features.cache import FeatureCache
    from goldenrule.storage.files import digest

    old = FeatureCache({"weights": "old"}, 1000)
    old.add([digest(str(n).encode()) for n in range(600)], np.ones((600, 1000), np.float16))
    banks.set_limit(1_000_000)
    found = quick_fit(picture_folder(each=6), options=PLAIN, out=tmp_path / "run")
    assert found.features["computed"] == 12
    assert [bank["rows"] for bank in banks.stored()] == [12]


@pytest.mark.slow
def test_a_table_can_be_given_instead_of_a_folder(unbroken: Any, photo_folder: Path, tmp_path: Path) -> None:
    by_table = quick_fit(from_folder(photo_folder), options=PLAIN, out=tmp_path / "one")
    by_folder = quick_fit(photo_folder, options=PLAIN, out=tmp_path / "two")
    assert numbers_of(by_table.folder) == numbers_of(by_folder.folder)


@pytest.mark.slow
def test_the_concat_pool_head_is_fitted_saved_and_judged(
    cache: Path, picture_folder: Callable[..., Path], tmp_path: Path
) -> None:
    found = quick_fit(picture_folder(each=20), options=FitOptions(head="concat-pool", views=0), out=tmp_path / "run")
    assert Classifier.load(tmp_path / "run").head.kind == "concat-pool"
    assert found.headline.value == 1.0
    assert "accuracy" in result_html(found)
    assert log_loss(found.predictions["valid"]).n == result_of(tmp_path / "run")["valid"]["n"]
