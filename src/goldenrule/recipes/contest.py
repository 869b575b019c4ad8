"""The candidates of a fit, and the best so far: a later one takes its place only where it is clearly better."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from goldenrule.evaluation import Predictions, with_own_thresholds
from goldenrule.images.augment import Augmentation, views
from goldenrule.learner import Learner
from goldenrule.recipes.calibration import calibrated_on_valid
from goldenrule.recipes.results import Candidate
from goldenrule.recipes.solved import Solved
from goldenrule.training.choice import later_replaces

TTA_VIEWS = 4


class Contest:
    """Compares on validation, always the newcomer with the best so far (DESIGN, interfaces)."""

    def __init__(self, solved: Solved, valid: Predictions, *, beta: float = 1) -> None:
        self.candidates = list(solved.candidates)
        self.best = solved.chosen
        self.notes: list[str] = []
        self._beta = beta
        self._valid = replace(valid, basis="chosen on")

    def enter(self, name: str, learn: Learner, *, temperature: float = 1.0) -> bool:
        """Let the learner's network compete; say whether it is the best now.

        `temperature` is what `learn.calibrate` has divided its logits by.
        """
        return self._enter(name, learn, learn.evaluate(), temperature)

    def enter_views(self, learn: Learner, augmentation: Augmentation) -> bool:
        """Let the best compete with itself through some augmented views as well (test-time augmentation)."""
        every = views(augmentation, TTA_VIEWS)
        best = self.best
        material = learn.material
        classifier = replace(learn.classifier(), backbone=best.body, head=best.head, engine=material.kind(best.body))
        seen = classifier.predict_table(
            material.table.part("valid"), views=every, threads=material.threads, progress=material.progress
        )
        newcomer = replace(best, name=f"{best.name}, {TTA_VIEWS} views averaged", views=every)
        taken = self._judge(newcomer, seen)
        cost = f"averaging takes {len(every)} times as long, for every image that is predicted"
        self.notes += [f"Test-time augmentation was {'taken' if taken else 'tried and not taken'}: {cost}."]
        return taken

    def _enter(self, name: str, learn: Learner, seen: Predictions, temperature: float) -> bool:
        newcomer = Candidate(
            name=name,
            body=learn.state.backbone,
            head=learn.state.head,
            judged_on=seen,
            judged_part="valid",
            calibration=calibrated_on_valid(temperature, seen),
            facts={"epochs": learn.state.epochs},
        )
        return self._judge(newcomer, seen)

    def _judge(self, newcomer: Candidate, seen: Predictions) -> bool:
        seen = with_own_thresholds(replace(seen, basis="chosen on", group=self._groups(seen)), beta=self._beta)
        verdict = later_replaces(self._valid, seen, names=(self.best.name, newcomer.name), tempered=True)
        newcomer = replace(newcomer, verdict=verdict, judged_on=seen, judged_part="valid")
        self.candidates.append(newcomer)
        if verdict.replaced:
            self.best, self._valid = newcomer, seen
        return verdict.replaced

    def _groups(self, seen: Predictions) -> NDArray[np.int64] | None:
        """Return what belongs together among these images of validation."""
        if self._valid.group is None:
            return None
        of_image = dict(zip(self._valid.ids, self._valid.group.tolist(), strict=True))
        return np.array([of_image[name] for name in seen.ids], np.int64)
