"""What to do next, ranked by how much it could gain at most; every gain is counted on the run's own images."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from goldenrule.core.messages import say
from goldenrule.metrics import Predictions, confusion, per_class
from goldenrule.report.content import ReportContent
from goldenrule.report.sentences import images_of

LEAST_OF_CLASS = 5
"""Fewer images of a class say nothing of how weak it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """One thing to do: a sentence, and how many points of accuracy it could gain at most; `about` is a forecast.

    `gain` is None where nothing was measured that tells; `why` says what it was counted on.
    """

    sentence: str
    gain: float | None = None
    about: bool = False
    why: str = ""

    @property
    def gain_text(self) -> str:
        """The gain in points of accuracy."""
        if self.gain is None:
            return say("advice.unknown")
        points = f"{100 * self.gain:.1f}"
        return say("advice.about", points=points) if self.about else say("advice.up-to", points=points)


def advice(content: ReportContent) -> tuple[Advice, ...]:
    """Return what could be done, the largest gain first, what is not known last; of a single label each image."""
    scored = content.predictions.scored
    single = scored.task == "single"
    found = [
        *(_of_classes(scored, content.headline_split) if single and len(scored) else ()),
        *_of_labels(content),
        *_of_more_images(content, single=single),
        *_of_training(content),
    ]
    return tuple(sorted(found, key=lambda one: -1.0 if one.gain is None else one.gain, reverse=True))


def _of_classes(scored: Predictions, split: str) -> Iterator[Advice]:
    table, n = confusion(scored), len(scored)
    wrong = table + table.T
    np.fill_diagonal(wrong, 0)
    one, other = divmod(int(wrong.argmax()), len(scored.classes))
    confused, images = int(wrong.max()), images_of(split, n)
    if confused > 1:
        names = {"one": scored.classes[one], "other": scored.classes[other]}
        why = say("advice.counted", n=confused, images=images)
        yield Advice(sentence=say("advice.confused", **names), gain=confused / n, why=why)
    if len(scored.classes) < 3:
        return
    right = float(np.trace(table)) / n
    scores = [score for score in per_class(scored) if score.support >= LEAST_OF_CLASS]
    weakest = min(scores, key=lambda score: score.recall.value, default=None)
    if weakest is not None and weakest.recall.value < right:
        missing = (right - weakest.recall.value) * weakest.support / n
        recall = f"{100 * weakest.recall.value:.0f} %"
        sentence = say("advice.weakest", name=weakest.name, recall=recall)
        yield Advice(sentence=sentence, gain=missing, why=say("advice.raised", images=images))


def _of_labels(content: ReportContent) -> Iterator[Advice]:
    if content.labels and content.labels.suspected:
        suspected, images = content.labels.suspected, content.labels.images
        yield Advice(
            sentence=say("advice.labels", n=suspected),
            gain=suspected / images,
            why=say("advice.counted-labels", images=images_of("out-of-fold", images)),
        )


def _of_more_images(content: ReportContent, *, single: bool) -> Iterator[Advice]:
    if content.growth and content.growth.gain:
        value, low, high = (100 * share for share in content.growth.gain)
        why = say("advice.forecast", low=f"{low:.1f}", high=f"{high:.1f}")
        yield Advice(sentence=say("advice.double"), gain=value / 100, about=True, why=why)
    elif single:
        yield Advice(sentence=say("advice.measure-curve"))


def _of_training(content: ReportContent) -> Iterator[Advice]:
    if content.quick:
        why = ""
        if content.whole_fit:
            loss, fall = content.whole_fit
            why = say("advice.expected-fall", loss=f"{loss:.2g}", fall=f"{fall:.1g}")
        yield Advice(sentence=say("advice.whole-fit"), why=why)
