"""What a report says in words: values in, plain sentences out, every number as `evaluation` prints it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from goldenrule.evaluation import Estimate, Predictions, accuracy, value_and_interval
from goldenrule.evaluation.estimate import Basis
from goldenrule.foundation.findings import Finding

FEW_IMAGES = 100
_KIND_OF_IMAGE = {"test": "test", "valid": "validation", "out-of-fold": "held-out"}
_KEPT_APART = "These images took no part in training, nor in any choice: the number is clean."
_CHOSEN_ON = (
    "These images helped to choose the classifier, so the number flatters it. "
    "Only images that were kept apart give a clean one."
)
_FOLDS_CLEAN = "Each image was judged by a classifier that was trained without it."
_FOLDS_CHOSEN_ON = (
    "Each image was judged by a classifier that was trained without it. But settings were chosen on the same "
    "images, so the number may flatter a little: a test folder that is kept apart gives a clean one."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Headline:
    """The number at the top: `value`, `claim` and `interval` read as one sentence."""

    value: str
    claim: str
    interval: str
    meaning: str
    basis: str

    @property
    def sentence(self) -> str:
        """The whole sentence."""
        return " ".join(part for part in (self.value, self.claim, self.interval) if part)


def headline(estimate: Estimate, part: str) -> Headline:
    """Give the number at the top in words, with what it means and which images it rests on.

    >>> headline(Estimate.of_share("accuracy", 199, 200), "test").sentence
    '99.5 % of 200 test images are recognised (95 % interval 97.2–99.9 %)'
    """
    images = images_of(part, estimate.n)
    if not estimate.defined:
        claim = f"There is no labelled {_KIND_OF_IMAGE.get(part, part)} image to measure the {estimate.name} on"
        return Headline(value="", claim=claim, interval="", meaning="", basis="")
    value, low, high = printed(estimate)
    is_accuracy = estimate.kind == "share" and estimate.name == "accuracy"
    unit = " %" if estimate.kind == "share" else ""
    return Headline(
        value=value,
        claim=f"of {images} {'is' if estimate.n == 1 else 'are'} recognised"
        if is_accuracy
        else f"{estimate.name} on {images}",
        interval=f"(95 % interval {low}–{high}{unit})" if unit else f"(95 % interval {low} to {high})",
        meaning=meaning(estimate) if is_accuracy else "",
        basis=basis_sentence(part, estimate.basis),
    )


def printed(estimate: Estimate) -> tuple[str, str, str]:
    """Give the value with its unit, low and high of a defined estimate, with the digits that `render` prints.

    >>> printed(Estimate.of_share("accuracy", 9, 9))
    ('100 %', '70', '100')
    """
    value, _, interval = value_and_interval(estimate).partition(" [")
    low, _, high = interval.removesuffix("]").partition(", ")
    return value, low, high


def meaning(estimate: Estimate) -> str:
    """Say what the interval of an accuracy leaves open, as numbers of mistakes one can imagine.

    >>> meaning(Estimate.of_share("accuracy", 199, 200))
    'For new images of the same kind, that allows for between 1 and 28 mistakes in 1,000.'
    """
    fewest, most, among = mistakes_allowed(estimate)
    amount = f"between {fewest:,} and {most:,}" if 0 < fewest < most else f"up to {most:,}"
    few = (
        f" With only {count(estimate.n, 'image')} the interval is wide; more would narrow it."
        if estimate.n < FEW_IMAGES
        else ""
    )
    return f"For new images of the same kind, that allows for {amount} mistakes in {among:,}.{few}"


def mistakes_allowed(accuracy: Estimate) -> tuple[int, int, int]:
    """Give the fewest and most mistakes, and among how many images, that the printed interval stands for.

    >>> mistakes_allowed(Estimate.of_share("accuracy", 9, 9))
    (0, 30, 100)
    """
    _, low, high = printed(accuracy)
    decimals = len(high.partition(".")[2])
    among = 100 * 10**decimals
    return among - int(Decimal(high).scaleb(decimals)), among - int(Decimal(low).scaleb(decimals)), among


def basis_sentence(part: str, basis: Basis) -> str:
    """Say whether the images that a number was measured on had a say in what was measured."""
    if part == "out-of-fold":
        return _FOLDS_CLEAN if basis == "clean" else _FOLDS_CHOSEN_ON
    return _KEPT_APART if basis == "clean" else _CHOSEN_ON


def baseline_sentence(predictions: Predictions) -> str:
    """Say how often it would be right to answer the most frequent class, whatever the picture."""
    scored = predictions.scored
    if predictions.task != "single" or len(scored) == 0:
        return ""
    (number, times), *others = Counter(scored.truth.tolist()).most_common(2)
    tied = any(other == times for _, other in others)
    answer = "the same" if tied else f"“{predictions.classes[number]}”"
    share = Estimate.of_share("the most frequent class", times, len(scored))
    return f"Always answering {answer} would be right for {value_and_interval(share)} of these images."


def left_out_sentence(predictions: Predictions) -> str:
    """Say how many images are in no score, and why."""
    missing = len(predictions) - len(predictions.scored)
    if not missing:
        return ""
    unlabelled = int((predictions.ok & ~predictions.labelled).sum())
    reasons = [f"{n:,} {status}" for status, n in predictions.status_counts.items() if status != "ok"]
    reasons += [f"{unlabelled:,} without a label"] if unlabelled else []
    verb = "is" if missing == 1 else "are"
    return f"{count(missing, 'image')} {verb} not counted: {', '.join(reasons)}."


def mistakes_sentence(predictions: Predictions, part: str, shown: int) -> str:
    """Introduce the mistakes; where there are none, say what that does not prove."""
    scored = predictions.scored
    n = len(scored)
    if n == 0:
        return "No image has a label, so there are no mistakes to show."
    if scored.task == "multi":
        wrong = int((scored.called != (scored.truth == 1)).any(axis=1).sum())
        said = "A label too many or too few" if wrong else "No label too many or too few"
        more = " The surest of them:" if shown else ""
        return f"{said}: {wrong:,} of {images_of(part, n)}.{more}"
    wrong = int((scored.predicted != scored.truth).sum())
    if not wrong:
        _, most, among = mistakes_allowed(accuracy(predictions))
        return (
            f"None of {images_of(part, n)} was mistaken. That proves no perfection: the 95 % interval still "
            f"allows for up to {most:,} mistakes in {among:,} images of the same kind."
        )
    which = "It is shown here." if wrong == 1 else f"Here are all {wrong}, the surest first."
    if shown < wrong:
        which = f"Here are the {shown} that the classifier was surest of."
    return (
        f"{wrong:,} of {images_of(part, n)} {'was' if wrong == 1 else 'were'} taken for another class. "
        f"{which} A confident mistake is often a wrong label or a picture of two things: look at these "
        "before anything else."
    )


def activations_sentence(computed: int, reused: int) -> str:
    """Say what the bank of activations saved, or will save.

    >>> activations_sentence(40, 960)
    '40 activations were computed; 960 were known from before and cost nothing.'
    """
    if not computed:
        return f"No activation had to be computed: all {reused:,} were known from before." if reused else ""
    said = f"{count(computed, 'activation')} {'was' if computed == 1 else 'were'} computed"
    if reused:
        return f"{said}; {reused:,} were known from before and cost nothing."
    return f"{said} and kept: the next run on the same images reads them back."


def alarm(findings: Sequence[Finding]) -> str:
    """Give the number of errors and warnings, "" where there are none.

    >>> alarm([Finding(severity="warning", code="leak", sentence="2 images are in two parts")])
    '1 warning'
    """
    severities = Counter(finding.severity for finding in findings)
    named = [count(severities[kind], kind) for kind in ("error", "warning") if severities[kind]]
    return " and ".join(named)


def images_of(part: str, n: int) -> str:
    """Give a number of images with the part they belong to.

    >>> images_of("valid", 1), images_of("test", 1200)
    ('1 validation image', '1,200 test images')
    """
    return count(n, f"{_KIND_OF_IMAGE.get(part, part)} image")


def count(n: int, noun: str) -> str:
    """Give a number and its noun.

    >>> count(2, "class"), count(1, "image")
    ('2 classes', '1 image')
    """
    plural = noun + ("es" if noun.endswith("s") else "s")
    return f"{n:,} {noun if n == 1 else plural}"


def duration(seconds: float) -> str:
    """Give a time as one would say it.

    >>> duration(0.034), duration(3.14), duration(125.2), duration(7_260)
    ('0.03 s', '3.1 s', '2 min 05 s', '2 h 01 min')
    """
    if seconds < 59.95:
        return f"{seconds:.2f} s" if seconds < 1 else f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def sureness(probability: float) -> str:
    """Give a probability in percent that never reads as certain.

    >>> sureness(0.874), sureness(0.9967), sureness(0.99999)
    ('87 %', '99.7 %', '> 99.9 %')
    """
    if probability >= 0.9995:
        return "> 99.9 %"
    return f"{100 * probability:.1f} %" if probability >= 0.995 else f"{100 * probability:.0f} %"
