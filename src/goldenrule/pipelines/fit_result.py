"""What a fit gives: candidates, and the `FitResult` with the numbers of the one that was chosen."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from goldenrule.analysis.backbone_choice import BackboneChoice
from goldenrule.core.findings import Finding
from goldenrule.core.messages import Message
from goldenrule.data.augmentation.augment import PLAIN, View
from goldenrule.data.containers.inside import Stamp
from goldenrule.data.splits.stretches import torn
from goldenrule.data.table import ImageTable, Split
from goldenrule.metrics import (
    Estimate,
    Predictions,
    f_beta,
    log_loss,
    mean_set_size,
    quality,
    set_coverage,
    singletons,
    value_and_interval,
)
from goldenrule.metrics.estimate import Basis
from goldenrule.metrics.registry import metric_named
from goldenrule.metrics.selection_rules import Verdict, domain_shift, views_are_worth_it
from goldenrule.models.backbone import Backbone
from goldenrule.models.classifier import Classifier
from goldenrule.models.heads import Head
from goldenrule.pipelines.calibrate import Calibrated, measured, undone
from goldenrule.pipelines.planning import attempts_for, seconds_of_views
from goldenrule.report.content import LiveContent
from goldenrule.report.sentences import images_of
from goldenrule.runs.options import FitOptions
from goldenrule.runs.verified_files import ChoiceJson, LeftOut
from goldenrule.training.plan import Expectation

if TYPE_CHECKING:
    from goldenrule.training.crossing import Crossed


REPORT = "report"
"""The stage that writes the report."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FitBefore:
    """What an earlier fit of the same run has written: seconds by stage, and what it came to, if it was whole."""

    stages: Mapping[str, float]
    choice: ChoiceJson | None


@dataclass(slots=True)
class FitState:
    """What is known so far while a fit runs; ends as a `FitResult`."""

    began: float = field(default_factory=time.monotonic)
    stages: list[tuple[str, float]] = field(default_factory=list)
    before: FitBefore | None = None  # read once: what this fit itself writes on its way is none
    findings: list[Finding] = field(default_factory=list)
    computed: int = 0
    reused: int = 0
    backbones: BackboneChoice | None = None
    dependence: Mapping[str, Any] = field(default_factory=dict)  # whether neighbours are alike, and what it does
    leaks: Mapping[str, str] = field(default_factory=dict)  # uri -> split: images that train has too, or nearly
    left_out: list[LeftOut] = field(default_factory=list)  # steps that --minutes had no time for
    expectations: list[Expectation] = field(default_factory=list)  # of what was decided on after the linear head
    stamps: Mapping[str, Stamp | None] = field(default_factory=dict)  # of the files, when they were read first

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time a stage; what is done twice is added up."""
        began = time.perf_counter()
        yield
        before = dict(self.stages)
        before[name] = round(before.get(name, 0.0) + time.perf_counter() - began, 3)
        self.stages = list(before.items())

    def took(self, *, again: bool) -> tuple[tuple[str, float], ...]:
        """Return the seconds by stage of the first time: as they were told where all is done `again`.

        Else a stage has the longer one of its times across interruptions.

        >>> FitState(stages=[("read", 2.0)], before=FitBefore(stages={"read": 1.0}, choice=None)).took(again=True)
        (('read', 1.0),)
        """
        now, before = dict(self.stages), self.before.stages if self.before else {}
        if again:
            return tuple({**before, **{name: took for name, took in now.items() if name not in before}}.items())
        return tuple((now | {name: max(took, now.get(name, 0.0)) for name, took in before.items()}).items())


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Candidate:
    """A network that could be the result, and what its choice looked at.

    `evaluated_on` are out-of-fold predictions for linear heads, those on valid for what was trained live: `crossed`
    where something was chosen on them, each half then predicted by what the other half chose; `verdict` is the
    comparison with the candidate that was the best before it.
    """

    name: str
    backbone: Backbone
    head: Head
    evaluated_on: Predictions
    evaluated_split: str  # "out-of-fold" or "valid"
    views: tuple[View, ...] = (PLAIN,)
    verdict: Verdict | None = None
    calibration: Calibrated | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    crossed: Crossed | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class FitResult:
    """What a fit gives: the run's folder, the classifier, its predictions per split, and the numbers."""

    folder: Path
    classifier: Classifier
    table: ImageTable
    read: ImageTable  # those of the table that could be read as pictures
    predictions: Mapping[str, Predictions]  # "test", "valid", "out-of-fold": labelled or not
    candidates: tuple[Candidate, ...]
    chosen: str
    options: FitOptions
    stages: tuple[tuple[str, float], ...]
    features: Mapping[str, int]
    findings: tuple[Finding, ...]
    live: LiveContent | None = None
    backbones: BackboneChoice | None = None  # where one was chosen among several
    dependence: Mapping[str, Any] = field(default_factory=dict)  # whether neighbours are alike, and what it does
    leaks: Mapping[str, str] = field(default_factory=dict)  # uri -> split: images that train has too, or nearly
    left_out: tuple[LeftOut, ...] = ()  # steps that --minutes had no time for
    expectations: tuple[Expectation, ...] = ()  # of what was decided on after the linear head, in that order
    seconds: float = 0.0  # that this fit took; `stages` are of the first time, where steps were done before

    def after(self, stages: Iterable[tuple[str, float]], *, seconds: float) -> FitResult:
        """Return this answer with more stages; what was measured of it is not measured again."""
        later = replace(self, stages=tuple(stages), seconds=seconds)
        later.__dict__.update({name: found for name, found in self.__dict__.items() if name not in later.__dict__})
        return later

    @property
    def reported_stages(self) -> tuple[tuple[str, float], ...]:
        """The stages that the report names: all but its own, which is not over when it is written."""
        return tuple((name, seconds) for name, seconds in self.stages if name != REPORT)

    @property
    def first_seconds(self) -> float:
        """Seconds that the reported stages took the first time, as terminal and report say."""
        return sum(seconds for _, seconds in self.reported_stages)

    @property
    def candidate(self) -> Candidate:
        """The candidate that was chosen."""
        return next(one for one in self.candidates if one.name == self.chosen)

    @cached_property
    def ahead(self) -> tuple[Expectation, ...]:
        """What a whole fit would decide on after this quick one, and what is expected of it; empty: not measured."""
        return attempts_for(
            self.table,
            self.classifier.backbone,
            self.classifier.engine,
            self.options,
            shift=domain_shift(self.candidate.evaluated_on),
            loss=log_loss(self.candidate.evaluated_on).value,
        )

    @property
    def expected_of_whole_fit(self) -> tuple[float, float] | None:
        """The log loss of this quick fit, and what a whole one is expected to take away of it; None: not known."""
        ahead = [one for one in self.ahead if one.tried]
        gains = [one.gain for one in ahead if one.gain is not None]
        if not ahead or len(gains) < len(ahead) or ahead[0].loss is None:
            return None
        return ahead[0].loss, sum(gains)

    @property
    def seconds_of_views_ahead(self) -> float:
        """About how long the views take that a whole fit tries after this quick one; 0: it tries none."""
        chosen = self.candidate
        if chosen.head.kind != "root" or not views_are_worth_it(chosen.evaluated_on):
            return 0.0
        return seconds_of_views(self.table, chosen.backbone, self.classifier.engine, self.options)

    @property
    def scored(self) -> dict[str, Predictions]:
        """The splits with labelled, readable images, the cleanest first."""
        return {name: predictions for name, predictions in self.predictions.items() if len(predictions.scored)}

    @property
    def headline_split(self) -> str:
        """The split whose accuracy is the headline: the first that no choice has looked at, else out-of-fold.

        That is test; without one valid, where a linear head was chosen, by out-of-fold data; else valid as it was
        evaluated by halves. Out-of-fold numbers are those of the linear head. A split with neighbours in train comes
        last.
        """
        mixed = self.torn_splits
        held_out = [
            split
            for split, predictions in self.scored.items()
            if predictions.basis == Basis.HELD_OUT and split not in mixed
        ]
        if held_out:
            return held_out[0]
        trained = self.candidate.evaluated_split == "valid"
        rest = ("valid", "out-of-fold") if trained and "valid" not in mixed else ("out-of-fold", "valid")
        return next((split for split in rest if split in self.scored), next(iter(self.scored)))

    @cached_property
    def torn_splits(self) -> tuple[str, ...]:
        """The splits whose images have neighbours in train that are like them: their numbers flatter."""
        splits: tuple[Split, ...] = ("valid", "test")
        return tuple(split for split in splits if torn(self.table, split))

    def basis(self, split: str) -> Message:
        """Return what a split's number rests on: "held out", "used for selection", or what train gives away of it."""
        predictions = self.scored[split]
        if leaked := [row for row, uri in enumerate(predictions.ids) if self.leaks.get(uri) == split]:
            rest = [row for row in range(len(predictions)) if row not in set(leaked)]
            without = self.quality(predictions.select(rest))
            return Message("scores.leaked", {"n": len(leaked), "without": value_and_interval(without)})
        if split in self.torn_splits:
            return Message("scores.neighbours")
        return Message(f"word.{predictions.basis}")

    @property
    def headline(self) -> Estimate:
        """The number to quote: accuracy, multi-label: F-beta averaged over images."""
        return self.quality(self.scored[self.headline_split])

    def quality(self, predictions: Predictions) -> Estimate:
        """Return the accuracy of predictions, multi-label: their F-beta averaged over images."""
        return quality(predictions, beta=self.options.beta)

    @cached_property
    def metrics(self) -> dict[str, dict[str, Estimate]]:
        """The metrics that were asked for, by name or by a beta: name -> split -> estimate."""
        scored = self.scored.items()
        asked = {name: metric_named(name) for name in self.options.metrics}
        if self.options.beta != 1 and self.table.task == "single":
            asked |= {f"macro F{self.options.beta:g}": partial(f_beta, beta=self.options.beta)}
        return {name: {split: metric(predictions) for split, predictions in scored} for name, metric in asked.items()}

    @cached_property
    def sets_measured(self) -> dict[str, dict[str, Estimate]]:
        """Return how often the sets of classes hold the true one, and how large they are, by held-out split."""
        found: dict[str, dict[str, Estimate]] = {}
        for split, predictions in self.scored.items():
            if self.classifier.sets and predictions.basis == Basis.HELD_OUT:
                sets = self.classifier.sets.sets(predictions)
                measures = (
                    set_coverage(predictions, sets),
                    mean_set_size(predictions, sets),
                    singletons(predictions, sets),
                )
                found[split] = {one.name: one for one in measures}
        return found

    @cached_property
    def ood_measured(self) -> dict[str, Estimate]:
        """Return the share of images that are flagged as out-of-distribution, by split that had no say in it."""
        ood_detector = self.classifier.ood_detector
        return {
            split: ood_detector.flagged(predictions, basis=Basis.HELD_OUT)
            for split, predictions in self.predictions.items()
            if ood_detector
            and predictions.distance is not None
            and not (split == "valid" and ood_detector.basis == Basis.USED_FOR_SELECTION)
        }

    def about_ood(self) -> str:
        """Return when an image is flagged as out-of-distribution, and the measured share of flagged images."""
        ood_detector = self.classifier.ood_detector
        if ood_detector is None:
            return ""
        measured = [
            f" Flagged on {split}: {value_and_interval(estimate)} of {estimate.n:,}."
            for split, estimate in self.ood_measured.items()
            if estimate.n
        ]
        return f"{ood_detector.sentence}{''.join(measured)}"

    def about_sets(self) -> str:
        """Return the target coverage of the prediction sets, and what was measured."""
        rule = self.classifier.sets
        if rule is None:
            return ""
        measured = [
            f" On {split}: {value_and_interval(measures['coverage'])} of {measures['coverage'].n:,}, "
            f"{value_and_interval(measures['set size'])} classes a set."
            for split, measures in self.sets_measured.items()
        ]
        return f"{rule.sentence}{''.join(measured)}"

    @property
    def calibration(self) -> Calibrated | None:
        """The temperature that was tried on the chosen candidate."""
        return self.candidate.calibration

    def uncalibrated(self, split: str) -> Predictions | None:
        """Return the predictions of a split without the temperature that was applied; None where none was."""
        if split == "out-of-fold":  # those of the best linear head, whatever was chosen in the end
            tried = [one.calibration for one in self.candidates if one.calibration and one.calibration.before]
            return tried[-1].before if tried and tried[-1].applied else None
        calibrated = self.calibration
        if (
            calibrated and calibrated.applied and calibrated.fitted_on == split and calibrated.before is not None
        ):  # each half has its own
            return calibrated.before
        return undone(self.predictions[split], calibrated) if calibrated and calibrated.applied else None

    @cached_property
    def calibration_measured(self) -> dict[str, dict[str, Mapping[str, Estimate]]]:
        """Give, by split, how far probabilities are from what comes true: "after", and "before" a temperature."""
        found: dict[str, dict[str, Mapping[str, Estimate]]] = {}
        for split, predictions in self.scored.items():
            before = self.uncalibrated(split)
            found[split] = ({"before": measured(before)} if before else {}) | {"after": measured(predictions)}
        return found

    def about_calibration(self) -> str:
        """Return the calibration error on the headline's images, and what a temperature did to it."""
        found = self.calibration_measured.get(self.headline_split)
        if found is None:
            return ""
        if self.table.task == "multi":
            return self._about_lines(found)
        error = found["after"]["calibration error"]
        images = images_of(self.headline_split, error.n)
        said = f"Confidence and accuracy are {value_and_interval(error)} apart on {images}"
        calibrated = self.calibration
        if "before" in found and calibrated:
            was = value_and_interval(found["before"]["calibration error"])
            return (
                f"{said}, {was} before logits were divided by {calibrated.temperature.value:.3g} "
                f"(fitted on {calibrated.temperature.n:,} images, {calibrated.fitted_on})."
            )
        if calibrated is None or calibrated.applied:
            return f"{said}."
        return (
            f"{said}. No temperature is applied: {calibrated.temperature.value:.3g}, fitted out-of-fold, "
            "does not clearly help."
        )

    def _about_lines(self, found: Mapping[str, Mapping[str, Estimate]]) -> str:
        calibrated, loss = self.calibration, value_and_interval(found["after"]["log loss"])
        where = images_of(self.headline_split, found["after"]["log loss"].n)
        if calibrated is None or "before" not in found:
            tried = "No line per label is applied: fitted out-of-fold, it does not clearly help." if calibrated else ""
            return f"The log loss is {loss} on {where}. {tried}".strip()
        was = value_and_interval(found["before"]["log loss"])
        return f"The log loss is {loss} on {where}, {was} before each label's logit was put on a line of its own."

    @property
    def report(self) -> Path:
        """The report's file."""
        return self.folder / "report.html"

    def __fspath__(self) -> str:
        """Return the run's folder: what takes the path of a run takes its result too."""
        return str(self.folder)

    def __repr__(self) -> str:
        return f"FitResult({self.folder}: {self.chosen}, {self.headline_split}, {self.headline})"
