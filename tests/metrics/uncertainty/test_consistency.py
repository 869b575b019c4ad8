"""Numbers that can't all be true are errors; those of a sound run are not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from goldenrule.metrics import Predictions, PredictionSets
from goldenrule.metrics.uncertainty.consistency import _at_most, at_the_end_of_its_range, inconsistencies
from goldenrule.metrics.uncertainty.ood import OODDetector

CLASSES = ["cat", "dog", "horse"]


def said(n: int, seed: int, *, skill: float = 3.0, truth: np.ndarray | None = None, **more: object) -> Predictions:
    """Calibrated predictions: logits are `skill` at the true class, and normal noise of that variance."""
    draws = np.random.default_rng(seed)
    truth = np.arange(n) % 3 if truth is None else truth
    logits = np.sqrt(skill) * draws.normal(size=(n, 3)) + skill * np.eye(3)[truth]
    return Predictions.from_logits(logits, CLASSES, truth=truth, **more)  # type: ignore[arg-type]


def codes(splits: dict[str, Predictions], **more: object) -> dict[str, str]:
    return {one.code: one.severity for one in inconsistencies(splits, **more)}  # type: ignore[arg-type]


def test_a_sound_run_contradicts_nothing() -> None:
    for seed in range(40):
        splits = {"out-of-fold": said(300, seed), "valid": said(60, seed + 100), "test": said(60, seed + 200)}
        sets = PredictionSets.fit(splits["out-of-fold"])
        errors = [one for one in inconsistencies(splits, sets=sets) if one.severity == "error"]
        assert errors == [], (seed, errors)


def test_worse_than_guessing_in_accuracy_and_in_log_loss() -> None:
    shifted = said(60, 0, truth=np.arange(60) % 3)
    wrong = Predictions.from_logits(shifted.logits, CLASSES, truth=(np.arange(60) + 1) % 3)
    assert codes({"test": wrong}) == {"worse-than-guessing": "error"}
    (found,) = inconsistencies({"test": wrong})
    assert "33.3 % by naming the most frequent class" in found.evidence[0]
    assert found.leads
    sure = said(200, 1, skill=1.0)
    too_sure = Predictions.from_logits(30 * sure.logits, CLASSES, truth=sure.truth)
    (found,) = inconsistencies({"valid": too_sure})
    assert found.evidence[0].startswith("log loss")


def test_a_class_that_is_never_predicted_is_named() -> None:
    predictions = said(90, 2)
    logits = predictions.logits[:, 0].copy()
    logits[:, 2] = -9
    blind = Predictions.from_logits(logits, CLASSES, truth=predictions.truth)
    found = {one.code: one for one in inconsistencies({"out-of-fold": blind})}
    assert found["never-predicted"].evidence[0].startswith("horse: 30 images, ")
    assert "never-predicted" not in codes({"out-of-fold": blind.select(range(24))}), "eight images are few"


@pytest.mark.parametrize(("good", "bad"), [("valid", "out-of-fold"), ("test", "out-of-fold"), ("valid", "test")])
def test_parts_that_differ_more_than_chance_allows(good: str, bad: str) -> None:
    splits = {good: said(100, 3, skill=8.0), bad: said(100, 4, skill=1.5)}
    (found,) = inconsistencies(splits)
    assert found.code == "far-apart"
    assert found.sentence.startswith(f"{good} looks far better than {bad}")
    near = {good: said(100, 3, skill=3.5), bad: said(100, 4, skill=3.0)}
    assert codes(near) == {}


def test_another_mix_of_classes_alone_is_no_contradiction() -> None:
    hard = np.repeat([0, 1, 2], [20, 20, 160])
    easy = np.repeat([0, 1, 2], [80, 80, 40])
    draws = np.random.default_rng(5)

    def one_class_hard(truth: np.ndarray) -> Predictions:
        logits = 8.0 * np.eye(3)[truth] + draws.normal(size=(len(truth), 3))
        missed = (truth == 2) & (draws.random(len(truth)) < 0.5)
        logits[missed] = 8.0 * np.eye(3)[0]
        return Predictions.from_logits(logits / 8, CLASSES, truth=truth)

    assert "far-apart" not in codes({"out-of-fold": one_class_hard(hard), "test": one_class_hard(easy)})


def test_groups_make_a_difference_less_certain() -> None:
    groups = np.arange(100) // 10
    right = np.eye(3)[np.zeros(100, int)] * 4
    wrong = right.copy()
    wrong[groups >= 6] = np.eye(3)[1] * 4
    truth = np.zeros(100, int)
    alone = {"valid": (right, None), "test": (wrong, None)}
    films = {"valid": (right, groups), "test": (wrong, groups)}
    found = [
        codes(
            {
                name: Predictions.from_logits(value, CLASSES, truth=truth, group=by)
                for name, (value, by) in splits.items()
            }
        )
        for splits in (alone, films)
    ]
    assert "far-apart" in found[0]
    assert "far-apart" not in found[1]


def test_sets_that_hold_every_class_say_nothing_and_few_images_are_a_note() -> None:
    everything = PredictionSets(threshold=1.0, method="lac", coverage=0.95, n=200)
    assert codes({"test": said(80, 8, skill=40.0)}, sets=everything)["sets-hold-everything"] == "error"
    assert codes({"test": said(50, 8, skill=1.0)}, sets=everything) == {"sets-hold-everything": "note"}
    few = PredictionSets.fit(said(12, 9), coverage=0.95)
    assert codes({"test": said(50, 8)}, sets=few) == {"sets-need-images": "note"}


def test_a_coverage_that_was_promised_and_missed() -> None:
    rule = PredictionSets.fit(said(300, 10))
    new = said(200, 11)
    mixed = Predictions.from_logits(new.logits, CLASSES, truth=np.where(np.arange(200) < 60, 0, new.truth))
    assert codes({"test": mixed}, sets=rule, held_out={"test": True})["coverage-missed"] == "error"
    assert "coverage-missed" not in codes({"valid": mixed}, sets=rule, held_out={"valid": False})
    asked, got = 0.95, 183  # of 200: 91.5 % [86.8, 94.6]
    logits = np.tile([4.0, 0.0, 0.0], (200, 1))
    truth = np.repeat([0, 1], [got, 200 - got])
    predictions = Predictions.from_logits(logits, CLASSES, truth=truth)
    singles = PredictionSets(threshold=0.5, method="lac", coverage=asked, n=200)
    (found,) = (one for one in inconsistencies({"test": predictions}, sets=singles) if one.code.startswith("coverage"))
    assert (found.severity, found.leads) == ("note", False), "with 200 images to calibrate on chance does that"
    assert "91.5 % [86.8, 94.6] of 200" in found.sentence
    assert "once in" in found.advice


def test_more_flagged_than_was_promised() -> None:
    draws = np.random.default_rng(12)
    references = (draws.normal(size=(300, 8)) + 4).astype(np.float16)
    ood_detector = OODDetector.fit(references, [str(row) for row in range(300)])

    def flagged(rows: np.ndarray, seed: int) -> dict[str, str]:
        predictions = said(len(rows), seed, distance=ood_detector.distances(rows))
        return codes({"test": predictions}, ood_detector=ood_detector)

    assert flagged(draws.normal(size=(100, 8)) + 4, 13) in ({}, {"flagged-doubtful": "note"})
    far = draws.normal(size=(100, 8)) + 4
    far[:30] -= 8
    assert flagged(far, 13)["flagged-missed"] == "error"


def test_a_choice_at_the_end_of_its_range() -> None:
    def codes_at(value: float, predictions: Predictions) -> list[str]:
        return [
            one.sentence.split()[-4] for one in at_the_end_of_its_range("penalty (l2)", value, 1e-5, 1e2, predictions)
        ]

    usual, noise, plain = said(300, 20), said(300, 21, skill=0.0), said(300, 22, skill=200.0)
    assert codes_at(1e-5, usual) == ["lowest"]
    assert codes_at(1e2, usual) == ["highest"]
    assert codes_at(1e-2, usual) == []
    assert codes_at(1e-5, plain) == [], "all is told apart"
    assert codes_at(1e2, noise) == [], "nothing can be learned"


def test_a_split_of_one_group_is_a_warning_however_many_images_it_has() -> None:
    whole = said(60, 0)
    assert codes({"test": replace(whole, group=np.zeros(60, np.int64))}).get("one-group") == "warning"
    assert "one-group" not in codes({"test": replace(whole, group=np.arange(60) // 20)})
    assert "one-group" not in codes({"test": whole})


@given(st.integers(1, 3000), st.floats(0.0, 1.0), st.floats(0.1, 60.0), st.floats(0.1, 60.0))
def test_a_chance_that_is_not_known_exactly_is_beta_binomial(n: int, part: float, first: float, second: float) -> None:
    wanted = stats.betabinom.cdf(int(part * n), n, first, second)
    assert _at_most(int(part * n), n, 1.0, first, second) == pytest.approx(wanted, abs=1e-8)
