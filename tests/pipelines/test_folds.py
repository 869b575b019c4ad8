"""The average of folds: every labelled image but test ones trains and evaluates, in seconds."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import goldenrule as gr
from goldenrule.core.errors import OptionError, TooFewImages
from goldenrule.data.units import duplicate_units
from goldenrule.deploy.submission import evaluated, submit
from goldenrule.features.linear import Rows, fit_linear_at
from goldenrule.metrics.probabilities import softmax
from goldenrule.pipelines.golden_rule import golden_rule
from goldenrule.pipelines.linear_heads import training_rows
from goldenrule.pipelines.quick_fit import quick_fit
from goldenrule.runs.options import FitOptions
from goldenrule.runs.verified_files import drew_split
from goldenrule.tasks.fit_plan import plan_for
from goldenrule.tasks.reopened import reopened

FOUR = FitOptions(folds=4, views=0)


@pytest.fixture(scope="module")
def world(really_fitted: Any, small_photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The answer of four folds on cats and dogs with a valid split, and a test split without labels."""
    folder = tmp_path_factory.mktemp("folds")
    shutil.copytree(small_photos, folder / "contest")
    for number, file in enumerate(sorted((folder / "contest" / "test").glob("*/*"))):
        file.rename(folder / "contest" / "test" / f"{number}.jpg")
    for label in ("cats", "dogs"):
        (folder / "contest" / "test" / label).rmdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GOLDENRULE_CACHE", str(really_fitted.folder.parent / "cache"))
        return golden_rule(folder / "contest", out=folder / "run", options=FOUR)


@pytest.fixture(autouse=True)
def same_cache(really_fitted: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was computed for the session's fit is there."""
    monkeypatch.setenv("GOLDENRULE_CACHE", str(really_fitted.folder.parent / "cache"))


def test_train_and_valid_are_dealt_to_the_folds_together_and_a_finding_says_so(world: Any) -> None:
    assert set(world.table.splits) == {"train", "test"}
    seen = world.predictions["out-of-fold"]
    assert len(seen.scored) == 56, "40 of train and 16 of valid"
    assert sorted(set(seen.fold.tolist())) == [0, 1, 2, 3]
    for fold in range(4):
        assert np.bincount(seen.truth[seen.fold == fold]).tolist() == [7, 7]
    assert "valid-merged" in [finding.code for finding in world.findings]


def test_there_are_no_live_steps_and_no_part_is_carved(world: Any) -> None:
    assert world.live is None
    assert world.chosen == "linear head, mean of 4 folds"
    assert set(world.scored) == {"out-of-fold"}
    assert world.headline_split == "out-of-fold"
    assert world.headline.basis == "used for selection"
    assert not drew_split(world.folder), "a later run takes nothing over"


def test_the_classifier_is_the_average_of_the_heads_that_were_solved_without_each_fold(world: Any) -> None:
    opened = reopened(world.folder)
    train = opened.table.split("train")
    features = opened.features()
    rows = training_rows(train, features, views=0, seed=0, folds=4)
    x = rows.read(0, len(rows)).astype(np.float32)
    l2 = world.candidates[0].facts["l2"]
    heads = [fit_linear_at(_weighted(rows, rows.folds != fold), l2) for fold in range(4)]
    wanted = softmax(np.mean([head.logits(x) for head in heads], axis=0))
    found = softmax(opened.classifier.logits(x))
    np.testing.assert_allclose(found, wanted, atol=5e-3)


def _weighted(rows: Rows, mask: Any) -> Rows:
    from dataclasses import replace

    return replace(rows, weights=mask.astype(np.float32))


def test_result_and_report_stand_without_a_valid_part(world: Any) -> None:
    result = json.loads((world.folder / "result.json").read_text())
    assert result["valid"] is None
    assert result["test"] is None
    assert result["headline"]["split"] == "out-of-fold"
    assert result["options"]["folds"] == 4
    assert result["candidates"][0]["solver"]["averaged_folds"] == 4
    assert result["sets"]["n"] == 56, "sets are calibrated out-of-fold"
    assert "mean of 4 folds" in (world.folder / "report.html").read_text()


def test_a_contest_is_answered_with_what_the_folds_let_expect(world: Any, tmp_path: Path) -> None:
    sample = tmp_path / "sample.csv"
    sample.write_text("id,label\n" + "".join(f"{number},0.5\n" for number in range(12)))
    done = submit(world.folder, world.table.root / "test", sample, out=tmp_path / "submission.csv")
    assert done.expected[0].n == 56
    seen = evaluated(world.folder, world.classifier)
    assert seen is not None
    assert len(seen) == 56
    rows = (tmp_path / "submission.csv").read_text().splitlines()
    assert len(rows) == 13
    dogs = [float(row.split(",")[1]) > 0.5 for row in rows[1:]]
    assert sum(dogs[:6]) <= 1
    assert sum(dogs[6:]) >= 5, "the first six are cats, the others dogs"


def test_without_a_test_part_all_images_train_and_judge(small_photos: Path, tmp_path: Path) -> None:
    shutil.copytree(small_photos / "train", tmp_path / "mine")
    fit_result = quick_fit(tmp_path / "mine", out=tmp_path / "run", options=FOUR)
    assert set(fit_result.table.splits) == {"train"}
    assert fit_result.headline.n == 40
    again = quick_fit(tmp_path / "mine", out=tmp_path / "run", options=FOUR)
    assert again.headline == fit_result.headline, "replayed"


def test_a_labelled_test_part_stays_and_judges(small_photos: Path, tmp_path: Path) -> None:
    fit_result = quick_fit(small_photos, out=tmp_path / "run", options=FOUR)
    assert fit_result.headline_split == "test"
    assert (fit_result.headline.n, fit_result.headline.basis) == (12, "held out")


def test_copies_stay_in_one_fold(small_photos: Path, tmp_path: Path) -> None:
    shutil.copytree(small_photos / "train", tmp_path / "mine")
    for file in sorted((tmp_path / "mine" / "cats").iterdir())[:6]:
        shutil.copy(file, file.with_name(f"copy of {file.name}"))
    fit_result = quick_fit(tmp_path / "mine", out=tmp_path / "run", options=FOUR)
    fold = dict(
        zip(fit_result.predictions["out-of-fold"].ids, fit_result.predictions["out-of-fold"].fold.tolist(), strict=True)
    )
    train = fit_result.table.split("train")
    by_unit: dict[bytes, set[int]] = {}
    for uri, unit in zip(train.uris, duplicate_units(train), strict=True):
        by_unit.setdefault(unit, set()).add(fold[uri])
    assert len(by_unit) <= 40
    assert all(len(folds) == 1 for folds in by_unit.values())


def test_the_plan_has_no_live_steps(small_photos: Path) -> None:
    names = [step.name for step in plan_for(small_photos, FOUR).steps]
    assert "fit the linear head" in names
    assert not any("train" in name for name in names)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"folds": 1}, "--folds 1: wanted 2 to 20"),
        ({"folds": 21}, "--folds 21: wanted 2 to 20"),
        ({"folds": 5, "fold": "1/5"}, "give one option"),
        ({"folds": 5, "head": "concat-pool"}, "--fold 1/5"),
    ],
)
def test_what_does_not_go_together_is_told(options: dict[str, Any], said: str) -> None:
    with pytest.raises(OptionError, match=said):
        FitOptions(**options)


def test_more_folds_than_pictures_are_refused(picture_folder: Callable[..., Path], tmp_path: Path) -> None:
    pictures = picture_folder(each=4, seed=9)  # no pictures of other tests
    with pytest.raises(TooFewImages, match="12 folds want as many images"):
        quick_fit(pictures, out=tmp_path / "run", options=FitOptions(folds=12, views=0))


def test_by_hand_too(really_fitted: Any, small_photos: Path) -> None:
    table, features = gr.features_of(gr.from_folder(small_photos), gr.backbone())
    head = gr.fit_head(table.split("train"), features, folds=8)
    assert set(head.out_of_fold.fold.tolist()) == set(range(8))
    assert head.facts["averaged_folds"] == 8
    with pytest.raises(OptionError, match="averages linear heads"):
        gr.fit_head(table.split("train"), features, folds=8, kind="concat-pool")
