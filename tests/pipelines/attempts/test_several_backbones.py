"""Several backbones side by side as a step of a fit, and steps that are left out because little is expected of them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from goldenrule.cli.fit_summary import summary
from goldenrule.models.backbone import backbone
from goldenrule.models.classifier import Classifier
from goldenrule.models.cost import multiply_adds
from goldenrule.pipelines import planning
from goldenrule.pipelines.attempts import expectations, several_backbones
from goldenrule.pipelines.attempts.expectations import MeasuredShare
from goldenrule.pipelines.golden_rule import golden_rule
from goldenrule.pipelines.quick_fit import quick_fit
from goldenrule.runs.listed import listed_runs
from goldenrule.runs.options import FitOptions
from goldenrule.tasks.fit_plan import plan_for
from goldenrule.training.plan import LiveStep

SMALL = "test_efficientnet+test_resnet"
Expect = Callable[[float, float], None]


@pytest.fixture
def expect(monkeypatch: pytest.MonkeyPatch) -> Expect:
    """Let fits with the tiny network expect these shares of several backbones and of training, at any shift."""

    def expected(several: float, training: float) -> None:
        shares = {LiveStep.SIDE_BY_SIDE: several, LiveStep.NETWORK: training}
        measured = tuple(
            MeasuredShare(attempt=attempt, set=f"set {number}", shift=shift, share=share)
            for attempt, share in shares.items()
            for number in range(3)
            for shift in ("low", "moderate", "high")
        )
        monkeypatch.setattr(planning, "begins_with_the_default", lambda *_: True)
        monkeypatch.setattr(planning, "measured_shares", lambda: measured)
        monkeypatch.setattr(expectations, "IMAGINED", 0.0)
        for name, value in {"MOST_PASSES": {2: 10_000}, "HEAD_CYCLES": 1}.items():
            monkeypatch.setattr(f"goldenrule.training.plan.{name}", value)

    monkeypatch.setattr(
        several_backbones, "first_backbone", lambda _, progress: backbone(SMALL, drawn=0, size=64, progress=progress)
    )
    return expected


def lines(result: Any) -> str:
    return "\n".join(str(line) for line in summary(result, "goldenrule fit photos"))


@pytest.mark.usefixtures("cache", "short_plan")
def test_what_is_not_expected_to_gain_is_left_out_and_said_and_can_be_had(
    small_photos: Path, tmp_path: Path, expect: Expect
) -> None:
    expect(0.0, 0.0)
    run = tmp_path / "runs" / "photos"
    quick = quick_fit(small_photos, out=run)
    assert "No further step is expected to help" in lines(quick)
    found = golden_rule(small_photos, out=run)
    assert found.live is None
    assert found.chosen == quick.chosen
    assert [(one.attempt, one.tried) for one in found.expectations] == [
        (LiveStep.SIDE_BY_SIDE, False),
        (LiveStep.NETWORK, False),
    ]
    assert lines(found).count("Left out") == 2
    assert "the steps that are expected to help" in lines(found)
    assert found.report.read_text().count("Left out:") == 2
    stated = json.loads((run / "result.json").read_text())["expectations"]
    assert [(one["tried"], one["gain"]) for one in stated] == [(False, 0.0)] * 2
    assert listed_runs(tmp_path / "runs")[0].kind == "all steps expected to help"
    whole = golden_rule(small_photos, out=run, options=FitOptions(all_steps=True))
    assert whole.live is not None
    assert any("side by side" in one.name for one in whole.candidates)
    assert all(one.tried for one in whole.expectations)
    assert listed_runs(tmp_path / "runs")[0].kind == "all steps"


@pytest.mark.usefixtures("cache", "short_plan")
def test_several_backbones_that_are_not_clearly_better_are_a_candidate_that_stays_behind(
    small_photos: Path, tmp_path: Path, expect: Expect, monkeypatch: pytest.MonkeyPatch
) -> None:
    expect(0.5, 0.0)
    monkeypatch.setattr("goldenrule.metrics.selection_rules.NEEDED_PROBABILITY", 1.1)
    found = golden_rule(small_photos, out=tmp_path / "run")
    assert [one.name for one in found.candidates][-1] == "linear head, 3 backbones side by side"
    assert found.candidate.backbone.spec.name == "efficientnet_lite0"
    assert "times the work" not in lines(found)


@pytest.mark.usefixtures("cache", "short_plan")
def test_where_they_are_selected_the_classifier_is_theirs_and_training_has_to_beat_them(
    small_photos: Path, tmp_path: Path, expect: Expect, monkeypatch: pytest.MonkeyPatch
) -> None:
    expect(0.5, 0.5)
    monkeypatch.setattr("goldenrule.metrics.selection_rules.NEEDED_PROBABILITY", -1.0)
    monkeypatch.setattr("goldenrule.metrics.selection_rules.LEAST_GAIN", -9.0)
    with monkeypatch.context() as patch:
        patch.setattr("goldenrule.pipelines.golden_rule.seven_steps", lambda *_: pytest.fail("it was left out"))
        expect(0.5, 0.0)
        several = golden_rule(small_photos, out=tmp_path / "several")
    assert several.candidate.backbone.spec.name == SMALL
    assert several.headline_split == "test"
    saved = Classifier.load(tmp_path / "several")
    assert saved.ood_detector is not None
    seen = saved.predict(small_photos / "test").probabilities
    order = np.argsort([Path(one).name for one in several.predictions["test"].ids])
    np.testing.assert_allclose(several.predictions["test"].probabilities[order], seen, atol=1e-6)
    expect(0.5, 0.5)
    found = golden_rule(small_photos, out=tmp_path / "run", options=FitOptions(views=0, head="linear"))
    against = [one.verdict.names[0] for one in found.candidates if one.verdict]
    assert against[:2] == ["linear head", "linear head, 3 backbones side by side"]
    assert found.candidate.backbone.spec.name == "efficientnet_lite0", "it was trained on"
    again = golden_rule(small_photos, out=tmp_path / "run", options=FitOptions(views=0, head="linear"))
    assert again.chosen == found.chosen
    np.testing.assert_array_equal(again.predictions["test"].logits, found.predictions["test"].logits)


@pytest.mark.usefixtures("cache", "short_plan")
def test_the_plan_says_what_is_expected_before_anything_is_computed(small_photos: Path, expect: Expect) -> None:
    expect(0.4, 0.1)
    plan = plan_for(small_photos, FitOptions())
    several, training = (one.expected for one in plan.attempts)
    assert re.fullmatch(r"36 % \[\d+, \d+\]", several), "of nine sets and the imaginary one"
    assert re.fullmatch(r"9 % \[\d+, \d+\]", training)
    assert any("side by side" in step.name for step in plan.steps)
    assert plan_for(small_photos, FitOptions(quick=True)).attempts == ()


@pytest.mark.usefixtures("cache", "short_plan")
def test_another_beginning_than_what_was_measured_takes_every_step(small_photos: Path, tmp_path: Path) -> None:
    assert plan_for(small_photos, FitOptions()).attempts == (), "the tiny network is not what was measured"


@pytest.mark.usefixtures("real_cache")
@pytest.mark.exhaustive
def test_on_ants_and_bees_three_backbones_are_better_than_one(photos: Callable[[str], Path], tmp_path: Path) -> None:
    found = golden_rule(photos("hymenoptera_data"), options=FitOptions(views=0), out=tmp_path / "run")
    assert found.chosen == "linear head, 3 backbones side by side"
    assert found.expectations[0].tried
    assert "times the work of efficientnet_lite0" in lines(found)
    cost = multiply_adds(found.classifier.backbone) / multiply_adds(backbone())
    assert cost == pytest.approx(planning.TIMES_THE_WORK, abs=0.1)
