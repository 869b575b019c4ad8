"""Which candidate stays: pure rules over out-of-fold or validation predictions."""

from __future__ import annotations

from dataclasses import dataclass, replace

from goldenrule.evaluation import Comparison, Predictions, accuracy, paired_bootstrap, value_and_interval

NEEDED_PROBABILITY = 0.9
"""A later stage replaces an earlier one only at this one-sided probability of a lower log loss."""
ROOM_ABOVE = 0.98
"""Out-of-fold accuracy from which on augmented views are not computed."""
FAR_BELOW = 0.7
"""Out-of-fold accuracy of the solved head below which pictures are taken to be far from those the body knows."""
KNOWN_ABOVE = 0.95
"""Out-of-fold accuracy of the solved head above which the body knows such pictures well."""
GENTLE_RATE = 1e-4
"""The head's rate above which the whole network is not trained where the body knows such pictures well."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Whether the later of two candidates stays, and the paired comparison it rests on."""

    replaced: bool
    comparison: Comparison
    sentence: str


def later_replaces(earlier: Predictions, later: Predictions, *, names: tuple[str, str]) -> Verdict:
    """Compare two candidates on the same images: the earlier stays unless the later is clearly better.

    One-sided paired bootstrap of the log loss, at least `NEEDED_PROBABILITY`.
    """
    comparison = paired_bootstrap(earlier, later, metric="log_loss")
    replaced = comparison.probability_better >= NEEDED_PROBABILITY
    verdict = f"{names[1]} is taken" if replaced else f"{names[0]} stays"
    gain = comparison.gain
    change = "lower"
    if gain.value < 0:
        change, gain = "higher", replace(gain, value=-gain.value, low=-gain.high, high=-gain.low)
    sentence = (
        f"{names[1]} against {names[0]}: log loss {change} by {value_and_interval(gain)} on "
        f"{gain.n:,} images, lower in {100 * comparison.probability_better:.1f} % of resamples "
        f"({100 * NEEDED_PROBABILITY:.0f} % are needed): {verdict}"
    )
    return Verdict(replaced=replaced, comparison=comparison, sentence=sentence)


def far_from_known(out_of_fold: Predictions) -> bool:
    """Say whether the pictures are far from those the body was trained with, by what the solved head makes of them.

    Then the body has much to learn: higher rates pay, and late BatchNorms that follow the batches.
    """
    return accuracy(out_of_fold).value < FAR_BELOW


def gentle(rate: float, out_of_fold: Predictions) -> float:
    """Give the rate at which the whole network is trained where the finder suggests this one.

    Where the solved head is nearly always right the body has little to learn and much to forget: higher rates make it
    worse on new pictures, which the training loss that the finder looks at does not show (docs/decisions/0021).
    """
    return min(rate, GENTLE_RATE) if accuracy(out_of_fold).value > KNOWN_ABOVE else rate


def views_are_worth_it(out_of_fold: Predictions) -> bool:
    """Say whether augmented views could still gain something over the plain head.

    Not where the out-of-fold accuracy is `ROOM_ABOVE` or more: what is nearly always right
    does not get better by waiting five times as long.
    """
    return accuracy(out_of_fold).value < ROOM_ABOVE
