"""Which candidate stays."""

from __future__ import annotations

import numpy as np
import pytest

from goldenrule.metrics import Predictions
from goldenrule.metrics.selection_rules import (
    HIGH_SHIFT_BELOW,
    LOW_SHIFT_ABOVE,
    NEEDED_PROBABILITY,
    ROOM_ABOVE,
    as_sure_as_allowed,
    domain_shift,
    gentle,
    late_rate,
    later_replaces,
    views_are_worth_it,
)
from goldenrule.metrics.uncertainty.power import in_two_digits

NAMES = ("plain", "views")


def predictions(margin: float, *, n: int = 200, noise: float = 1.0, wrong: int = 0, seed: int = 0) -> Predictions:
    """Predictions of two classes whose true logit leads by about `margin`; the first `wrong` are wrong."""
    truth = np.arange(n) % 2
    lead = margin + noise * np.random.default_rng(seed).normal(size=n)
    lead[:wrong] = -1.0
    logits = np.zeros((n, 2))
    logits[np.arange(n), truth] = lead
    return Predictions.from_logits(logits, ["cat", "dog"], truth=truth, basis="used for selection")


@pytest.mark.parametrize(
    ("earlier", "later", "replaced"),
    [
        pytest.param(predictions(1.0), predictions(2.0), True, id="clearly better"),
        pytest.param(predictions(2.0), predictions(1.0), False, id="clearly worse"),
        pytest.param(predictions(1.0), predictions(1.0), False, id="equal"),
        pytest.param(predictions(1.0, n=6), predictions(1.1, n=6, seed=1), False, id="too few to tell"),
        pytest.param(predictions(1.0), predictions(1.0, seed=1), False, id="a matter of luck"),
    ],
)
def test_the_later_stays_only_where_it_is_clearly_better(
    earlier: Predictions, later: Predictions, replaced: bool
) -> None:
    verdict = later_replaces(earlier, later, names=NAMES)
    assert verdict.replaced is replaced
    assert verdict.replaced is (verdict.comparison.probability_better >= NEEDED_PROBABILITY)
    assert verdict.sentence.endswith("views is selected" if replaced else "plain is kept")
    assert verdict.comparison.gain.n == len(earlier)


def test_where_a_later_one_seems_better_and_too_few_images_tell_the_sentence_says_how_many_would() -> None:
    verdict = later_replaces(predictions(1.0, n=60), predictions(1.3, n=60, seed=1), names=NAMES)
    needed = verdict.comparison.images_needed
    assert not verdict.replaced
    assert needed is not None
    assert needed > 60
    assert f", tied; about {in_two_digits(needed):,} images would be needed: plain is kept" in verdict.sentence
    worse = later_replaces(predictions(1.3, n=60, seed=1), predictions(1.0, n=60), names=NAMES)
    assert "would be needed" not in worse.sentence


def test_the_verdict_is_the_same_whenever_it_is_asked_for() -> None:
    one, other = (later_replaces(predictions(1.0), predictions(1.2, seed=2), names=NAMES) for _ in range(2))
    assert one.sentence == other.sentence


@pytest.mark.parametrize(("wrong", "worth"), [(0, False), (4, False), (5, True), (100, True)])
def test_views_are_worth_it_below_the_room_above(wrong: int, worth: bool) -> None:
    assert pytest.approx(0.98) == ROOM_ABOVE  # the table is of 200 images, of which 4 are 2 %
    assert views_are_worth_it(predictions(3.0, noise=0.1, wrong=wrong)) is worth


@pytest.mark.parametrize(
    ("wrong", "shift"), [(0, "low"), (9, "low"), (10, "moderate"), (60, "moderate"), (61, "high"), (200, "high")]
)
def test_the_domain_shift_is_told_by_how_many_the_solved_head_gets_right(wrong: int, shift: str) -> None:
    assert pytest.approx((0.7, 0.95)) == (HIGH_SHIFT_BELOW, LOW_SHIFT_ABOVE)
    assert domain_shift(predictions(3.0, noise=0.1, wrong=wrong)) == shift


def test_late_layers_of_far_pictures_learn_at_the_rate_that_was_found() -> None:
    assert (late_rate(3e-3, "high"), late_rate(3e-3, "moderate"), late_rate(1e-5, "moderate")) == (3e-3, 3e-4, 1e-5)


@pytest.mark.parametrize("n", [10, 68, 300])
def test_being_surer_of_images_that_are_all_right_is_no_gain(n: int) -> None:
    earlier = predictions(7.0, n=n, noise=0.5)
    later = Predictions.from_logits(1.5 * earlier.logits, earlier.classes, truth=earlier.truth)
    assert later_replaces(earlier, later, names=NAMES).replaced
    verdict = later_replaces(earlier, later, names=NAMES, tempered=True)
    assert not verdict.replaced
    assert n < 300 or "too little to matter" in verdict.sentence
    assert "both as sure as these images allow" in verdict.sentence


def test_being_right_more_often_is_a_gain_however_sure() -> None:
    earlier, later = predictions(4.0, noise=0.5, wrong=80), predictions(1.5, noise=0.5)
    assert later_replaces(earlier, later, names=NAMES, tempered=True).replaced
    assert not later_replaces(later, earlier, names=NAMES, tempered=True).replaced


@pytest.mark.parametrize("wrong", [0, 3, 150])
def test_as_sure_as_allowed_changes_no_order_and_is_at_most_as_sure(wrong: int) -> None:
    seen = predictions(5.0, wrong=wrong)
    told = as_sure_as_allowed(seen)
    np.testing.assert_array_equal(told.predicted, seen.predicted)
    assert (told.probabilities.max(1) <= seen.probabilities.max(1) + 1e-6).all()
    assert told.basis == "used for selection"


@pytest.mark.parametrize(("wrong", "rate"), [(0, 1e-4), (9, 1e-4), (10, 1e-3), (200, 1e-3)])
def test_what_the_body_knows_well_is_trained_gently(wrong: int, rate: float) -> None:
    assert pytest.approx(0.95) == LOW_SHIFT_ABOVE
    assert gentle(1e-3, predictions(3.0, noise=0.1, wrong=wrong)) == rate
    assert gentle(2e-5, predictions(3.0, noise=0.1, wrong=wrong)) == 2e-5
