"""What a report says in words: values in, plain sentences out, every number as `evaluation` prints it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from goldenrule.core.findings import Finding
from goldenrule.metrics import Estimate, Predictions, accuracy, value_and_interval
from goldenrule.metrics.estimate import Basis
from goldenrule.report.language import NOUNS, language, say, translated

FEW_IMAGES = 100
_KIND_OF_IMAGE = {"test": "test", "valid": "validation", "out-of-fold": "held-out"}


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
        kind, metric = translated(_KIND_OF_IMAGE.get(part, part)), translated(estimate.name)
        claim = say("There is no labelled {kind} image to measure the {metric} on", kind=kind, metric=metric)
        return Headline(value="", claim=claim, interval="", meaning="", basis="")
    value, low, high = printed(estimate)
    groups = f"{estimate.groups or 0:,}"
    is_accuracy = estimate.kind == "share" and estimate.name == "accuracy"
    return Headline(
        value=value,
        claim=_claim(estimate, images)
        if is_accuracy
        else say("{metric} on {images}", metric=translated(estimate.name), images=images),
        interval=say("(no interval: they come in {groups} groups, which are too few)", groups=groups)
        if not estimate.bounded
        else say("(95 % interval {low}–{high} %)", low=low, high=high)
        if estimate.kind == "share"
        else say("(95 % interval {low} to {high})", low=low, high=high),
        meaning=meaning(estimate) if is_accuracy and estimate.bounded else "",
        basis=basis_sentence(part, estimate.basis),
    )


def _claim(accuracy: Estimate, images: str) -> str:
    if accuracy.n == 1:
        return say("of {images} is recognised", images=images)
    return say("of {images} are recognised", images=images)


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
    if 0 < fewest < most:
        said = say(
            "For new images of the same kind, that allows for between {fewest} and {most} mistakes in {among}.",
            fewest=f"{fewest:,}",
            most=f"{most:,}",
            among=f"{among:,}",
        )
    else:
        said = say(
            "For new images of the same kind, that allows for up to {most} mistakes in {among}.",
            most=f"{most:,}",
            among=f"{among:,}",
        )
    if estimate.n >= FEW_IMAGES:
        return said
    images = count(estimate.n, "image")
    return f"{said} {say('With only {images} the interval is wide; more would narrow it.', images=images)}"


def mistakes_allowed(accuracy: Estimate) -> tuple[int, int, int]:
    """Give the fewest and most mistakes, and among how many images, that the printed interval stands for.

    >>> mistakes_allowed(Estimate.of_share("accuracy", 9, 9))
    (0, 30, 100)
    """
    if not accuracy.bounded:
        return 0, 100, 100  # nothing is known
    _, low, high = printed(accuracy)
    decimals = len(high.partition(".")[2])
    among = 100 * 10**decimals
    return among - int(Decimal(high).scaleb(decimals)), among - int(Decimal(low).scaleb(decimals)), among


def basis_sentence(part: str, basis: Basis) -> str:
    """Say whether the images that a number was measured on had a say in what was measured."""
    if part == "out-of-fold":
        if basis == "clean":
            return say("Each image was judged by a classifier that was trained without it.")
        return say(
            "Each image was judged by a classifier that was trained without it. But settings were chosen on the same "
            "images, so the number may flatter a little: a test folder that is kept apart gives a clean one."
        )
    if basis == "clean":
        return say("These images took no part in training, nor in any choice: the number is clean.")
    return say(
        "These images helped to choose the classifier, so the number flatters it. "
        "Only images that were kept apart give a clean one."
    )


def baseline_sentence(predictions: Predictions) -> str:
    """Say how often it would be right to answer the most frequent class, whatever the picture."""
    scored = predictions.scored
    if predictions.task != "single" or len(scored) == 0:
        return ""
    (number, times), *others = Counter(scored.truth.tolist()).most_common(2)
    tied = any(other == times for _, other in others)
    share = Estimate.of_share("the most frequent class", times, len(scored))
    right = value_and_interval(share)
    if tied:
        return say("Always answering the same would be right for {right} of these images.", right=right)
    answer = predictions.classes[number]
    return say("Always answering “{answer}” would be right for {right} of these images.", answer=answer, right=right)


def left_out_sentence(predictions: Predictions) -> str:
    """Say how many images are in no score, and why."""
    missing = len(predictions) - len(predictions.scored)
    if not missing:
        return ""
    unlabelled = int((predictions.ok & ~predictions.labelled).sum())
    reasons = [f"{n:,} {status}" for status, n in predictions.status_counts.items() if status != "ok"]
    reasons += [say("{n} without a label", n=f"{unlabelled:,}")] if unlabelled else []
    images, why = count(missing, "image"), say(", ").join(reasons)
    if missing == 1:
        return say("{images} is not counted: {why}.", images=images, why=why)
    return say("{images} are not counted: {why}.", images=images, why=why)


def mistakes_sentence(predictions: Predictions, part: str, shown: int) -> str:
    """Introduce the mistakes; where there are none, say what that does not prove."""
    scored = predictions.scored
    n = len(scored)
    if n == 0:
        return say("No image has a label, so there are no mistakes to show.")
    images = images_of(part, n)
    if scored.task == "multi":
        wrong = int((scored.called != (scored.truth == 1)).any(axis=1).sum())
        more = f" {say('The surest of them:')}" if shown else ""
        if wrong:
            return say("A label too many or too few: {wrong} of {images}.", wrong=f"{wrong:,}", images=images) + more
        return say("No label too many or too few: {wrong} of {images}.", wrong=f"{wrong:,}", images=images) + more
    wrong = int((scored.predicted != scored.truth).sum())
    if not wrong:
        _, most, among = mistakes_allowed(accuracy(predictions))
        return say(
            "None of {images} was mistaken. That proves no perfection: the 95 % interval still "
            "allows for up to {most} mistakes in {among} images of the same kind.",
            images=images,
            most=f"{most:,}",
            among=f"{among:,}",
        )
    said = (
        say("{wrong} of {images} was taken for another class.", wrong=f"{wrong:,}", images=images)
        if wrong == 1
        else say("{wrong} of {images} were taken for another class.", wrong=f"{wrong:,}", images=images)
    )
    which = say("It is shown here.") if wrong == 1 else say("Here are all {wrong}, the surest first.", wrong=wrong)
    if shown < wrong:
        which = say("Here are the {shown} that the classifier was surest of.", shown=shown)
    why = say(
        "A confident mistake is often a wrong label or a picture of two things: look at these before anything else."
    )
    return f"{said} {which} {why}"


def activations_sentence(computed: int, reused: int) -> str:
    """Say what the bank of activations saved, or will save.

    >>> activations_sentence(40, 960)
    '40 activations were computed; 960 were known from before and cost nothing.'
    """
    if not computed:
        if not reused:
            return ""
        return say("No activation had to be computed: all {reused} were known from before.", reused=f"{reused:,}")
    own, known = count(computed, "activation"), f"{reused:,}"
    if reused and computed == 1:
        return say("{own} was computed; {known} were known from before and cost nothing.", own=own, known=known)
    if reused:
        return say("{own} were computed; {known} were known from before and cost nothing.", own=own, known=known)
    if computed == 1:
        return say("{own} was computed and kept: the next run on the same images reads them back.", own=own)
    return say("{own} were computed and kept: the next run on the same images reads them back.", own=own)


def alarm(findings: Sequence[Finding]) -> str:
    """Give the number of errors and warnings, "" where there are none.

    >>> alarm([Finding(severity="warning", code="leak", sentence="2 images are in two parts")])
    '1 warning'
    """
    severities = Counter(finding.severity for finding in findings)
    named = [count(severities[kind], kind) for kind in ("error", "warning") if severities[kind]]
    return say(" and ").join(named)


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
    if language() != "en" and noun in NOUNS:
        return say(NOUNS[noun], n=f"{n:,}")
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
