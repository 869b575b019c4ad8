"""`ReportContent`: everything a report says, as plain values; whoever ran the run fills it in."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from goldenrule.analysis.label_issues import SuspectedLabel
from goldenrule.core.findings import Finding
from goldenrule.core.messages import Message
from goldenrule.metrics import Estimate, Predictions
from goldenrule.runs.history import History
from goldenrule.training.lr_finder import RangeTest


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveContent:
    """What live training left to look at: learning-rate finders by step, epochs, and sentences."""

    curves: Mapping[str, RangeTest]
    history: History
    notes: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Promised:
    """What a classifier promises of new images, and what held-out images of one split found.

    `what` is "sets", which hold the true class in a share `promised` of images or more, or "ood", by which so many
    images like those of the training are flagged at most.
    """

    what: Literal["sets", "ood"]
    promised: float
    found: Estimate
    split: str

    @property
    def broken(self) -> bool:
        """Whether the whole interval lies on the wrong side of what was promised."""
        if not self.found.bounded:
            return False
        return self.found.high < self.promised if self.what == "sets" else self.found.low > self.promised


@dataclass(frozen=True, slots=True, kw_only=True)
class SuspectedLabelErrors:
    """Labels that are probably wrong, each with its copies left out; `suspected` are all of `images` that are."""

    images: int
    suspected: int
    first: Sequence[SuspectedLabel]


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """What people say of a run in its report: who, what for, and their notes as Markdown; "" for nothing."""

    title: str = ""
    team: str = ""
    goal: str = ""
    notes: str = ""

    @property
    def is_told(self) -> bool:
        """Whether there is anything beside a title."""
        return bool(self.team or self.goal or self.notes)


@dataclass(frozen=True, slots=True, kw_only=True)
class GrowthPoint:
    """Accuracy at so many images per class, measured or forecast, with its interval."""

    images_per_class: float
    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """A learning curve: points that were measured, forecasts, and what it says of them; `now` is where the run stands.

    `gain` is what twice as many images are forecast to add: (value, low, high) as shares, None where it is not known.
    """

    points: Sequence[GrowthPoint]
    forecasts: Sequence[GrowthPoint]
    now: float
    gain: tuple[float, float, float] | None
    sentences: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportContent:
    """What a report shows; equal values give an equal page.

    - `headline` is the number at the top, measured on `headline_split`: "test", "valid" or "out-of-fold".
    - `estimates`: split -> metric -> `Estimate`, the splits in the order in which they are shown.
    - `predictions` are those of `headline_split`: confusion, mistakes and the table per class come from them.
    - `counts`: split -> class -> images, as `ImageTable.counts()` gives them; "" counts the unlabelled ones.
    - `stages`: (name, seconds) in the order they ran; `features`: {"computed": 640, "reused": 0}.
    - `candidates`: {"name", "estimates": metric -> `Estimate`, "comparison": a sentence or "", "chosen"}.
    - `penalty_path`: (l2, out-of-fold log loss) as tried; `penalty` is the one that was taken.
    - `backbone`: name, parameters, features, source {from, trained_on, licence}, preprocessing {...}.
    - `images`: split -> images where an image can count for several classes, None where `counts` says it.
    - `thresholds`: from what probability each of several labels is called, by class; `about_thresholds` says why.
    - `image` gives the bytes of an image by its id, None where they are gone; only mistakes are asked for.
    - `live`: what live training left, None where there was none.
    - `backbones`: those that were tried, as `candidates`; `backbones_say` which was taken, and why.
    - `calibration`: a sentence on how far probabilities are from what comes true; `uncalibrated`: what would have been
      predicted on `headline_split` without the temperature that was applied, None where none was.
    - `sets`: a sentence on the sets of classes, "" where there are none.
    - `ood`: a sentence on images that are flagged as out-of-distribution, "" where none can be.
    - `bases`: what the numbers of each split rest on, where that is more than their estimates say.
    - `next_steps`: sentences, or commands that begin with "goldenrule ".
    - `promises`: the prediction sets and the OOD detector against held-out images; empty where nothing was held out.
    - `labels`: suspected label errors by out-of-fold predictions, None where there are no such predictions.
    - `left_out`: sentences on steps that were left out, as little was expected of them.
    - `whole_fit`: the log loss now, and by how much a whole fit is expected to lower it; None where that is not known.
    - `quick`: whether this was a quick fit, of the linear head alone, and more may be had from a whole one.
    - `labels_of_copies`: the labels that copies of an image have beside its own, by its id; only where there are such.
    - `shrinkage`: that of the discriminant analysis which the head adds to a logistic regression; None without one.
    - `growth`: the learning curve, where `goldenrule learning-curve` has measured it.
    """

    title: str
    created: str
    headline: Estimate
    headline_split: str
    estimates: Mapping[str, Mapping[str, Estimate]]
    predictions: Predictions
    counts: Mapping[str, Mapping[str, int]]
    stages: Sequence[tuple[str, float]]
    features: Mapping[str, int]
    candidates: Sequence[Mapping[str, Any]]
    penalty_path: Sequence[tuple[float, float]]
    penalty: float
    backbone: Mapping[str, Any]
    engine: str
    options: Mapping[str, Any]
    environment: Mapping[str, str]
    findings: Sequence[Finding]
    image: Callable[[str], bytes | None]
    next_steps: Sequence[str]
    live: LiveContent | None = None
    sets: str = ""
    images: Mapping[str, int] | None = None
    thresholds: Mapping[str, float] | None = None
    about_thresholds: str = ""
    ood: str = ""
    backbones: Sequence[Mapping[str, Any]] = ()
    backbones_say: str = ""
    calibration: str = ""
    uncalibrated: Predictions | None = None
    bases: Mapping[str, Message] = field(default_factory=dict)
    promises: Sequence[Promised] = ()
    labels: SuspectedLabelErrors | None = None
    growth: Growth | None = None
    labels_of_copies: Mapping[str, Sequence[str]] = field(default_factory=dict)
    quick: bool = False
    shrinkage: float | None = None
    whole_fit: tuple[float, float] | None = None
    left_out: Sequence[str] = ()
