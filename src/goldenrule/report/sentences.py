"""What a report says in words: values in, plain sentences out, every number as `evaluation` prints it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from goldenrule.core.findings import Finding
from goldenrule.core.messages import count, say, word
from goldenrule.metrics import Estimate, Predictions, accuracy, value_and_interval
from goldenrule.metrics.estimate import Basis, printed

FEW_IMAGES = 100
_KIND_OF_IMAGE = {"valid": "validation", "out-of-fold": "cross-validated"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Headline:
    """The number at the top: `value`, `claim` and `interval` read as one sentence.

    `lead` says the same of an accuracy in numbers of new images, "" for other metrics; `caution` that they are few.
    """

    value: str
    claim: str
    interval: str
    lead: str
    caution: str
    basis: str

    @property
    def sentence(self) -> str:
        """The whole sentence."""
        return " ".join(text for text in (self.value, self.claim, self.interval) if text)


def headline(estimate: Estimate, split: str) -> Headline:
    """Return the number at the top in words, with what it means and which images it rests on.

    >>> headline(Estimate.of_share("accuracy", 199, 200), "test").sentence
    '99.5 % of 200 test images are recognised (95 % interval 97.2–99.9 %)'
    """
    images = images_of(split, estimate.n)
    if not estimate.defined:
        kind, metric = word(_KIND_OF_IMAGE.get(split, split)), word(estimate.name)
        claim = say("headline.no-images", kind=kind, metric=metric)
        return Headline(value="", claim=claim, interval="", lead="", caution="", basis="")
    value, low, high = printed(estimate)
    groups = f"{estimate.groups or 0:,}"
    is_accuracy = estimate.kind == "share" and estimate.name == "accuracy"
    is_bounded = is_accuracy and estimate.bounded
    return Headline(
        value=value,
        claim=say("headline.recognised", n=estimate.n, images=images)
        if is_accuracy
        else say("headline.metric", metric=word(estimate.name), images=images),
        interval=say("headline.no-interval", n=estimate.groups or 0, groups=groups)
        if not estimate.bounded
        else say("headline.interval-percent", low=low, high=high)
        if estimate.kind == "share"
        else say("headline.interval", low=low, high=high),
        lead=of_new_images(estimate, split) if is_bounded else "",
        caution=say("headline.few-images", images=count(estimate.n, "image"))
        if is_bounded and estimate.n < FEW_IMAGES
        else "",
        basis=basis_sentence(split, estimate.basis),
    )


def of_new_images(accuracy: Estimate, split: str, *, all_labels: bool = False) -> str:
    """Return what an accuracy says of 100 new images, or of as many as its interval can tell apart.

    Of fewer images than that it says how many were right.

    >>> of_new_images(Estimate.of_share("accuracy", 32, 32), "test")
    '32 of 32 held-out images are named rightly; of 100 new ones it may be 89 to 100'
    >>> of_new_images(Estimate.of_share("accuracy", 164, 200), "test")
    'Of 100 new images about 82 are named rightly [76, 87]; measured on 200 held-out images'
    """
    among = next(n for n in (100, 1_000, 10_000, 100_000) if (accuracy.high - accuracy.low) * n >= 5 or n == 100_000)
    few = accuracy.n < FEW_IMAGES
    shares = (accuracy.value * (accuracy.n / among if few else 1), accuracy.low, accuracy.high)
    right, low, high = (f"{round(among * share):,}" for share in shares)
    held_out = accuracy.basis == Basis.HELD_OUT and split != "out-of-fold"
    images = count(accuracy.n, "unseen image") if held_out else images_of(split, accuracy.n)
    fields = {"among": f"{among:,}", "right": right, "low": low, "high": high, "images": images}
    if few:
        return say("headline.few-all-labels", **fields) if all_labels else say("headline.few-new-images", **fields)
    return say("headline.all-labels", **fields) if all_labels else say("headline.new-images", **fields)


def mistakes_allowed(accuracy: Estimate) -> tuple[int, int, int]:
    """Return the fewest and most mistakes, and among how many images, that the printed interval stands for.

    >>> mistakes_allowed(Estimate.of_share("accuracy", 9, 9))
    (0, 30, 100)
    """
    if not accuracy.bounded:
        return 0, 100, 100  # nothing is known
    _, low, high = printed(accuracy)
    decimals = len(high.partition(".")[2])
    among = 100 * 10**decimals
    return among - int(Decimal(high).scaleb(decimals)), among - int(Decimal(low).scaleb(decimals)), among


def basis_sentence(split: str, basis: Basis) -> str:
    """Return whether the images that a number was measured on had a say in what was measured."""
    if split == "out-of-fold":
        if basis == Basis.HELD_OUT:
            return say("headline.folds-held-out")
        return say("headline.folds-used-for-selection")
    if basis == Basis.HELD_OUT:
        return say("headline.held-out")
    return say("headline.used-for-selection")


def baseline_sentence(predictions: Predictions) -> str:
    """Return how often it would be right to answer the most frequent class, whatever the picture."""
    scored = predictions.scored
    if predictions.task != "single" or len(scored) == 0:
        return ""
    (number, times), *others = Counter(scored.truth.tolist()).most_common(2)
    tied = any(other == times for _, other in others)
    share = Estimate.of_share("the most frequent class", times, len(scored))
    right = value_and_interval(share)
    if tied:
        return say("headline.always-tied", right=right)
    label = predictions.classes[number]
    return say("headline.always", label=label, right=right)


def all_labels_sentence(predictions: Predictions, split: str) -> str:
    """Return of how many new images with several labels all would be right, "" for a single label.

    >>> one = Predictions.from_logits([[2, -2]] * 40, ["sea", "sun"], truth=[[1, 0]] * 40, task="multi")
    >>> all_labels_sentence(one, "test")
    '40 of 40 held-out images get all their labels right; of 100 new ones it may be 91 to 100'
    """
    scored = predictions.scored
    if scored.task == "single" or not len(scored):
        return ""
    right = (scored.called == (scored.truth == 1)).all(axis=1)
    found = Estimate.of_right("all labels right", right, scored.group, basis=scored.basis)
    return of_new_images(found, split, all_labels=True) if found.bounded else ""


def left_out_sentence(predictions: Predictions) -> str:
    """Return how many images are in no score, and why."""
    missing = len(predictions) - len(predictions.scored)
    if not missing:
        return ""
    unlabelled = int((predictions.ok & ~predictions.labelled).sum())
    reasons = [f"{n:,} {status}" for status, n in predictions.status_counts.items() if status != "ok"]
    reasons += [say("list.without-label", n=f"{unlabelled:,}")] if unlabelled else []
    images, why = count(missing, "image"), say("list.comma").join(reasons)
    return say("headline.left-out", n=missing, images=images, why=why)


def mistakes_sentence(predictions: Predictions, split: str, shown: int) -> str:
    """Introduce the mistakes; where there are none, say what that does not prove."""
    scored = predictions.scored
    n = len(scored)
    if n == 0:
        return say("mistakes.unlabelled")
    images = images_of(split, n)
    if scored.task == "multi":
        wrong = int((scored.called != (scored.truth == 1)).any(axis=1).sum())
        more = f" {say('mistakes.most-confident')}" if shown else ""
        if wrong:
            return say("mistakes.labels-wrong", wrong=f"{wrong:,}", images=images) + more
        return say("mistakes.labels-right", wrong=f"{wrong:,}", images=images) + more
    wrong = int((scored.predicted != scored.truth).sum())
    if not wrong:
        _, most, among = mistakes_allowed(accuracy(predictions))
        return say(
            "mistakes.none",
            images=images,
            most=f"{most:,}",
            among=f"{among:,}",
        )
    said = say("mistakes.wrong", n=wrong, wrong=f"{wrong:,}", images=images)
    which = say("mistakes.shown-one") if wrong == 1 else say("mistakes.shown-all", wrong=wrong)
    if shown < wrong:
        which = say("mistakes.shown-some", shown=shown)
    why = say("mistakes.why")
    return f"{said} {which} {why}"


def features_sentence(computed: int, reused: int) -> str:
    """Return what the feature cache saved, or will save.

    >>> features_sentence(40, 960)
    '40 rows of features were computed; 960 came from the cache.'
    """
    if not computed:
        if not reused:
            return ""
        return say("time.nothing-computed", reused=f"{reused:,}")
    name, known = count(computed, "row of features"), f"{reused:,}"
    if reused:
        return say("time.computed-and-known", n=computed, features=name, known=known)
    return say("time.computed", n=computed, features=name)


def alarm(findings: Sequence[Finding]) -> str:
    """Return the number of errors and warnings, "" where there are none.

    >>> alarm([Finding(severity="warning", code="leak", fields={"n": 2})])
    '1 warning'
    """
    severities = Counter(finding.severity for finding in findings)
    named = [count(severities[kind], kind) for kind in ("error", "warning") if severities[kind]]
    return say("list.and").join(named)


def images_of(split: str, n: int) -> str:
    """Return a number of images with the split they belong to.

    >>> images_of("valid", 1), images_of("test", 1200)
    ('1 validation image', '1,200 test images')
    """
    return count(n, f"{_KIND_OF_IMAGE.get(split, split)} image")


def duration(seconds: float) -> str:
    """Return a time as one would say it.

    >>> duration(0.034), duration(3.14), duration(45.12), duration(125.2), duration(7_260)
    ('0.03 s', '3.1 s', '45 s', '2 min 05 s', '2 h 01 min')
    """
    if seconds < 59.5:
        return f"{seconds:.2f} s" if seconds < 1 else f"{seconds:.{int(seconds < 9.95)}f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def rough_duration(seconds: float) -> str:
    """Return a time that is expected, no more exact than it is known.

    >>> rough_duration(0.2), rough_duration(45.1), rough_duration(150), rough_duration(852), rough_duration(7_260)
    ('< 1 s', '45 s', '2.5 min', '14 min', '2 h 01 min')
    """
    if seconds < 90:
        return f"{seconds:.0f} s" if seconds >= 0.5 else "< 1 s"
    if seconds < 600:
        return f"{seconds / 60:.1f} min"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def sureness(probability: float) -> str:
    """Return a probability in percent that never reads as certain, nor as impossible.

    >>> sureness(0.874), sureness(0.9967), sureness(0.99999), sureness(0.0004), sureness(0.005)
    ('87 %', '99.7 %', '> 99.9 %', '< 0.1 %', '0.5 %')
    """
    if probability >= 0.9995:
        return "> 99.9 %"
    if probability < 0.0005:
        return "< 0.1 %"
    return f"{100 * probability:.0f} %" if 0.005 < probability < 0.995 else f"{100 * probability:.1f} %"


def ended(text: str) -> str:
    """Return a sentence with the full stop that it lacks.

    >>> ended("No. 5 is read"), ended("Is it?")
    ('No. 5 is read.', 'Is it?')
    """
    return text if text.endswith((".", "!", "?", "。")) else f"{text}."
