"""The candidates of a fit, and the best so far: a later one takes its place only where it is clearly better."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from goldenrule.core.progress import Progress, Silent
from goldenrule.data.augmentation.augment import Augmentation, View, views
from goldenrule.data.table import ImageTable
from goldenrule.metrics import Predictions, quality, with_class_thresholds
from goldenrule.metrics.estimate import Basis, printed
from goldenrule.metrics.selection_rules import Verdict, later_replaces, on_common
from goldenrule.models.backbone import Backbone
from goldenrule.models.heads import Head
from goldenrule.pipelines.calibrate import calibrated_on_valid
from goldenrule.pipelines.fit_result import Candidate
from goldenrule.pipelines.probe import LinearHeads
from goldenrule.report.sentences import duration
from goldenrule.training.crossing import Crossed
from goldenrule.training.learner import Learner

TTA_VIEWS = 4
MEASURED_IMAGES = 4
"""So many are predicted to see how long one takes."""


class ModelSelection:
    """Compares on validation, always the newcomer with the best so far (DESIGN, interfaces)."""

    def __init__(
        self, linear: LinearHeads, valid: Predictions, *, beta: float = 1, progress: Progress | None = None
    ) -> None:
        self._progress, self._began = progress or Silent(), time.perf_counter()
        self.candidates = list(linear.candidates)
        self.best = linear.chosen
        self.notes: list[str] = []
        self._beta = beta
        self._valid = replace(valid, basis=Basis.USED_FOR_SELECTION)

    def enter(self, name: str, learn: Learner, *, temperature: float = 1.0, crossed: Crossed | None = None) -> bool:
        """Enter the learner's network; return whether it is the best now.

        `temperature` is what `learn.calibrate` has divided its logits by; where validation chose it, or anything else,
        the network is evaluated by what `learn.crossed` gave.
        """
        seen = learn.evaluate() if crossed is None else crossed.predictions
        newcomer = Candidate(
            name=name,
            backbone=learn.state.backbone,
            head=learn.state.head,
            evaluated_on=seen,
            evaluated_split="valid",
            calibration=calibrated_on_valid(temperature, seen, crossed.before if crossed else None),
            facts={"epochs": learn.state.epochs},
            crossed=crossed,
        )
        return self._evaluate(newcomer, seen)

    def enter_views(self, learn: Learner, augmentation: Augmentation) -> bool:
        """Enter the best network averaged over augmented views (test-time augmentation)."""
        every = views(augmentation, TTA_VIEWS)
        best = self.best
        seen = self._through(every, learn)
        newcomer = replace(best, name=f"{best.name}, {TTA_VIEWS} views averaged", views=every)
        taken = self._evaluate(newcomer, seen, replace(seen.only_views(0), basis=Basis.USED_FOR_SELECTION))
        cost = f"averaging takes {len(every)} times as long, for every image that is predicted"
        self.notes += [f"Test-time augmentation was {'selected' if taken else 'tried and not selected'}: {cost}."]
        return taken

    def seconds_of_views(self, learn: Learner, augmentation: Augmentation) -> float:
        """Return about how long `enter_views` takes, by the rate of a few images, after what is done once."""
        valid, best = learn.data.table.split("valid"), self.best
        classifier = replace(
            learn.classifier(), backbone=best.backbone, head=best.head, engine=learn.data.kind(best.backbone)
        )
        few = valid.where(np.arange(len(valid)) < MEASURED_IMAGES)
        took = []
        for _ in range(2):  # what is done once is done by the first
            began = time.perf_counter()
            classifier.predict_table(few, views=views(augmentation, TTA_VIEWS), threads=learn.data.threads)
            took.append(time.perf_counter() - began)
        once, steady = max(took[0] - took[1], 0.0), took[1] / len(few)
        return once * (1 if best.crossed is None else 2) + steady * len(valid)

    def _through(self, every: Sequence[View], learn: Learner) -> Predictions:
        """Return validation through several views, each half by the network that the other half chose."""
        best, data = self.best, learn.data
        valid = data.table.split("valid")

        def predicted(backbone: Backbone, head: Head, table: ImageTable) -> Predictions:
            classifier = replace(learn.classifier(), backbone=backbone, head=head, engine=data.kind(backbone))
            return classifier.predict_table(table, views=every, threads=data.threads, progress=data.progress)

        if best.crossed is None:
            return predicted(best.backbone, best.head, valid)
        half_of = dict(zip(best.crossed.predictions.ids, best.crossed.halves.tolist(), strict=True))
        half_of_image = np.array([half_of.get(uri, -1) for uri in valid.uris])
        halves = [predicted(*best.crossed.network(half), valid.where(half_of_image == half)) for half in (0, 1)]
        joined = Predictions.concatenate(halves)
        place = {uri: row for row, uri in enumerate(joined.ids)}
        return joined.select([place[uri] for uri in best.crossed.predictions.ids])

    def _evaluate(self, newcomer: Candidate, seen: Predictions, before: Predictions | None = None) -> bool:
        before, seen = on_common(self._valid if before is None else before, seen)
        seen = with_class_thresholds(
            replace(seen, basis=Basis.USED_FOR_SELECTION, group=self._groups(seen)), beta=self._beta
        )
        before = with_class_thresholds(replace(before, group=self._groups(before)), beta=self._beta)
        verdict = later_replaces(before, seen, names=(self.best.name, newcomer.name), tempered=True)
        newcomer = replace(newcomer, verdict=verdict, evaluated_on=seen, evaluated_split="valid")
        self.candidates.append(newcomer)
        self._progress.say(self._line(newcomer, before, seen, verdict))
        if verdict.replaced:
            self.best, self._valid = newcomer, seen
        return verdict.replaced

    def _line(self, newcomer: Candidate, before: Predictions, seen: Predictions, verdict: Verdict) -> str:
        """Return a stage as one line: what it did to the validation number, its time, and whether it is selected."""
        began, self._began = self._began, time.perf_counter()
        old, new = (printed(quality(one, beta=self._beta))[0] for one in (before, seen))
        epochs = f"{newcomer.facts['epochs']} epochs, " if "epochs" in newcomer.facts else ""
        outcome = "selected" if verdict.replaced else f"not selected: {verdict.why_not}"
        return f"  {newcomer.name}: {epochs}validation {old} -> {new}, {duration(self._began - began)}, {outcome}"

    def _groups(self, seen: Predictions) -> NDArray[np.int64] | None:
        """Return what belongs together among these images of validation."""
        if self._valid.group is None:
            return None
        of_image = dict(zip(self._valid.ids, self._valid.group.tolist(), strict=True))
        return np.array([of_image[name] for name in seen.ids], np.int64)
