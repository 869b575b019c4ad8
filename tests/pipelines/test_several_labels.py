"""Photos with several labels each, from folder to predictions: real scenes, the real network."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from goldenrule.core.errors import OptionError
from goldenrule.data.sources.label_tables import from_csv as images_of
from goldenrule.deploy.bulk import predict_files
from goldenrule.deploy.sample_submission import layout_of
from goldenrule.deploy.submission import submit
from goldenrule.metrics import f_beta, quality
from goldenrule.metrics.predictions_csv import from_csv
from goldenrule.models.classifier import Classifier
from goldenrule.pipelines.golden_rule import golden_rule
from goldenrule.pipelines.quick_fit import quick_fit
from goldenrule.runs.options import FitOptions
from goldenrule.tasks.label_check import check_labels
from goldenrule.tasks.run_comparison import compare_runs
from goldenrule.tasks.run_learning_curve import learning_curve_of
from goldenrule.training.learner import Learner


@pytest.fixture(scope="module")
def scenes(photos: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Some 100 scenes with one to three of five labels, as a contest gives them."""
    source, root = photos("scenes_multilabel"), tmp_path_factory.mktemp("several") / "scenes"
    (root / "images").mkdir(parents=True)
    rows = list(csv.DictReader((source / "train_v2.csv").read_text().splitlines()))
    several = [row for row in rows if " " in row["tags"]]
    chosen = {row["image_name"]: row for row in several[::8]}
    for label in ("desert", "mountains", "sea", "sunset", "trees"):
        alone = [row for row in rows if row["tags"] == label]
        chosen |= {row["image_name"]: row for row in alone[:: len(alone) // 16]}
    lines = ["image_name,tags", *(f"{name},{row['tags']}" for name, row in sorted(chosen.items()))]
    (root / "train_v2.csv").write_text("\n".join(lines) + "\n")
    for name in chosen:
        shutil.copy(source / "images" / f"{name}.jpg", root / "images")
    return root


@pytest.fixture(scope="module")
def told(scenes: Path, pretrained_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    folder = tmp_path_factory.mktemp("told")
    shutil.copytree(pretrained_cache, folder / "cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GOLDENRULE_CACHE", str(folder / "cache"))
        yield quick_fit(scenes, options=FitOptions(beta=2, views=0, metrics=("macro_f2",)), out=folder / "run")


def test_the_split_has_each_label_in_every_part(told: Any) -> None:
    counts = told.table.counts()
    assert told.table.task == "multi"
    assert all(counts[split][label] for split in ("train", "valid", "test") for label in told.table.classes)
    assert told.table.split("valid").task == "multi"


def test_the_headline_is_f2_of_images_and_far_above_that_of_calling_everything(told: Any) -> None:
    assert told.headline.name == "samples F2"
    ours = told.predictions["out-of-fold"]
    everything = f_beta(ours, 2, average="samples", thresholds=0.0)
    assert quality(ours, beta=2).low > everything.high
    assert told.metrics["macro_f2"]["valid"].n == len(told.predictions["valid"].scored)


def test_the_files_of_the_run_say_the_same(told: Any) -> None:
    result = json.loads((told.folder / "result.json").read_text())
    assert result["task"] == "multi"
    assert result["sets"] is None
    assert result["valid"]["samples_F2"] == quality(told.predictions["valid"], beta=2).value
    assert result["thresholds"]["values"].keys() == set(told.table.classes)
    written = from_csv((told.folder / "predictions" / "test.csv").read_text(), task="multi")
    assert written.truth.tolist() == told.predictions["test"].truth.tolist()
    again = Classifier.load(told.folder).predict_table(told.table.split("test"))
    assert again.called.tolist() == told.predictions["test"].called.tolist()
    assert again.probabilities == pytest.approx(written.probabilities, abs=1e-4)


def test_the_report_shows_each_label_with_its_threshold(told: Any) -> None:
    page = told.report.read_text()
    assert "called from" in page
    assert "samples F2 on" in page
    assert "without" in page, "the most confident mistakes are labels that are there or not"
    images = len(told.table)
    assert f"<dd>{images:,}</dd>" in page, "an image counts once, however many labels it has"


def test_several_labels_are_predicted_and_written(told: Any, scenes: Path, tmp_path: Path) -> None:
    files = sorted((scenes / "images").iterdir())[:12]
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    seen = predict_files(told.classifier, [*files, tmp_path / "broken.jpg"], out=tmp_path / "p.csv")
    rows = list(csv.DictReader((tmp_path / "p.csv").read_text().splitlines()))
    assert rows[-1]["status"] == "unreadable"
    assert rows[-1]["prediction"] == ""
    assert any(" " in row["prediction"] for row in rows)
    assert set(seen.counts) <= {"", *told.table.classes}, "labels are counted, not their combinations"


def test_a_submission_has_tags_between_spaces_and_the_labels_of_old_for_what_is_unreadable(
    told: Any, scenes: Path, tmp_path: Path
) -> None:
    test = tmp_path / "test"
    test.mkdir()
    names = [path.stem for path in sorted((scenes / "images").iterdir())[:8]]
    for name in names:
        shutil.copy(scenes / "images" / f"{name}.jpg", test)
    (test / "broken.jpg").write_bytes(b"no picture")
    sample = tmp_path / "sample.csv"
    sample.write_text("image_name,tags\n" + "".join(f"{name},sea trees\n" for name in [*names[::-1], "broken"]))
    done = submit(told.folder, test, sample, out=tmp_path / "submission.csv")
    rows = list(csv.DictReader((tmp_path / "submission.csv").read_text().splitlines()))
    assert [row["image_name"] for row in rows] == [*names[::-1], "broken"]
    assert all(set(row["tags"].split()) <= set(told.table.classes) and row["tags"] for row in rows)
    assert done.unreadable == ("broken.jpg",)
    f2 = done.expected[0]
    assert (f2.name, f2.value) == ("samples F2", quality(told.predictions["out-of-fold"], beta=2).value)
    again = submit(told.folder, test, sample, out=tmp_path / "submission.csv")
    assert again.expected == done.expected


def test_a_column_per_label_gets_a_probability_of_its_own(told: Any, tmp_path: Path, scenes: Path) -> None:
    classes = told.table.classes
    sample = tmp_path / "sample.csv"
    name = sorted((scenes / "images").iterdir())[0].name
    sample.write_text(f"id,{','.join(classes[::-1])}\n{name},{','.join('0' for _ in classes)}\n")
    layout = layout_of(sample, classes, task="multi")
    assert (layout.kind, layout.labels) == ("probabilities", tuple(range(len(classes)))[::-1])
    done = submit(told.folder, scenes / "images", sample, out=tmp_path / "out.csv", floor=0.1)
    row = next(csv.DictReader((tmp_path / "out.csv").read_text().splitlines()))
    values = np.array([float(row[label]) for label in classes])
    assert ((values >= 0.1) & (values <= 0.9)).all()
    assert abs(values.sum() - 1) > 1e-3, "labels do not share one probability"
    assert done.floor == 0.1


def test_what_only_one_label_has_is_refused_by_name(told: Any, scenes: Path) -> None:
    with pytest.raises(OptionError, match="a single label"):
        quick_fit(scenes, options=FitOptions(metrics=("accuracy",)), out=told.folder.parent / "other")
    table = images_of(scenes / "train_v2.csv")
    with pytest.raises(OptionError, match="these have several"):
        Learner(table, class_weights="balanced")


@pytest.mark.exhaustive
def test_the_whole_golden_rule_learns_several_labels_and_a_second_run_replays_it(
    scenes: Path, cache: Path, short_plan: None, tmp_path: Path
) -> None:
    options = FitOptions(beta=2, sample=5)
    done = golden_rule(scenes, options=options, out=tmp_path / "run")
    assert {"trained head", "whole network"} <= {candidate.name for candidate in done.candidates}
    assert all(np.isfinite(row.train_loss) for row in done.live.history)  # type: ignore[union-attr]
    again = golden_rule(scenes, options=options, out=tmp_path / "run")
    assert again.chosen == done.chosen
    for split, predictions in done.predictions.items():
        assert replace(again.predictions[split], basis=predictions.basis) == predictions


def test_insight_shows_doubtful_labels_and_what_is_undecided(told: Any) -> None:
    found = check_labels(told.folder, top=5)
    labels, mistakes, uncertain, best = found.sections
    assert not found.suspected.wrong.defined, "how many are wrong is not estimated"
    assert len(labels.cards) == 5
    assert all(("without " in card.label) is not ("without " in card.other) for card in labels.cards)
    assert {card.uri for card in mistakes.cards}.isdisjoint(card.uri for card in best.cards)
    assert all("without" in card.note for card in uncertain.cards)
    rows = list(csv.DictReader((told.folder / "labels" / "label_errors.csv").read_text().splitlines()))
    assert [row["path"] for row in rows[:5]] == [card.uri for card in labels.cards]


def test_two_runs_are_compared_by_the_log_loss_of_their_labels(told: Any, scenes: Path) -> None:
    other = quick_fit(scenes, options=FitOptions(views=0, folds=5), out=told.folder.parent / "folds")
    found = compare_runs(told.folder, other.folder, split="out-of-fold")
    assert set(found.gains) == {"log loss"}
    assert found.right is None


def test_a_learning_curve_of_several_labels_is_refused_in_words(told: Any) -> None:
    with pytest.raises(OptionError, match="these have several"):
        learning_curve_of(told.folder)
