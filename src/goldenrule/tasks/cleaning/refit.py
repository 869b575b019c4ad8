"""The linear head fitted again on decided labels, from the cache, and compared with the one before."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from goldenrule.core.errors import TooFewImages
from goldenrule.data.splits.stretches import with_blocks
from goldenrule.data.table import LabelledTable
from goldenrule.features.extractor import Features
from goldenrule.features.likelihood import learned_classes
from goldenrule.features.linear import PreparedRows, fit_linear
from goldenrule.metrics import Basis, Estimate, McNemar, Predictions, accuracy, mcnemar
from goldenrule.pipelines.linear_heads import training_rows

LEAST_P = 0.001
Changes = Mapping[str, str | None]
"""The labels that were decided, by path; None is out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refit:
    """Two linear heads on the same images under the labels as decided: on the labels of before, and on those of now.

    `basis` of both is "used for selection" where labels of these images were changed: those that the heads doubted
    were looked at, the others not. `test` is None where there is nothing to compare.
    """

    evaluated_on: str
    before: Estimate
    after: Estimate
    test: McNemar | None
    learned_from: int
    seconds: float

    @property
    def sentence(self) -> str:
        """Return which head is better, in plain words."""
        if self.test is None:
            return "Too few images to compare the heads."
        now, before = self.test.only_b_right, self.test.only_a_right
        verdict = {"b": "The new head is better", "a": "The old head was better", "neither": "No difference is shown"}
        chance = f"p = {self.test.p_value:.2g}" if self.test.p_value >= LEAST_P else f"p < {LEAST_P:g}"
        return f"{verdict[self.test.better]}: {now:,} newly right, {before:,} newly wrong (McNemar, {chance})."


class HeadRefitter:
    """The images of a run, ready to fit its linear head again and again.

    Both heads have the penalty that was best for the labels as they were. They are compared on validation; where a run
    has none, out-of-fold, in folds that stay the same. The test split is not looked at (law 10).
    """

    def __init__(self, images: LabelledTable, features: Features, *, seed: int) -> None:
        splits = np.array([split or "" for split in images.splits])
        self.images = images
        self.train = np.flatnonzero(splits == "train")
        valid = np.flatnonzero(splits == "valid")
        self.evaluated_on = "valid" if len(valid) else "out-of-fold"
        self.evaluated = valid if len(valid) else self.train
        learned = images.where(splits == "train").only_labelled()
        rows = training_rows(learned, features, views=0, seed=seed)
        self.l2 = fit_linear(rows).l2
        self._folds = rows.folds
        self._rows = PreparedRows(rows)
        self._uris = images.uris
        digests = images.digests
        self._valid_rows = features.rows([digest for row in valid if (digest := digests[row]) is not None])
        self._before = self._logits(images.targets, np.ones(len(images), bool))

    def refit(self, changes: Changes) -> Refit:
        """Return what the head that learns from labels as decided gains.

        Raises `TooFewImages` where fewer than two classes are left.
        """
        began = time.perf_counter()
        index = {name: number for number, name in enumerate(self.images.classes)}
        targets, stays = self.images.targets.copy(), np.ones(len(self.images), bool)
        for row, uri in enumerate(self._uris):
            if uri in changes:
                name = changes[uri]
                stays[row] = name is not None
                targets[row] = targets[row] if name is None else index[name]
        logits = self._logits(targets, stays)
        changed = (targets != self.images.targets) | ~stays
        kept = np.flatnonzero(stays[self.evaluated])
        sure = self.evaluated_on == "valid" and not changed[self.evaluated].any()
        basis = Basis.HELD_OUT if sure else Basis.USED_FOR_SELECTION
        before, after = (self._predictions(one, targets, kept, basis) for one in (self._before, logits))
        return Refit(
            evaluated_on=self.evaluated_on,
            before=accuracy(before),
            after=accuracy(after),
            test=mcnemar(before, after) if len(kept) > 1 else None,
            learned_from=int(stays[self.train].sum()),
            seconds=round(time.perf_counter() - began, 3),
        )

    def _logits(self, targets: npt.NDArray[np.int64], stays: npt.NDArray[np.bool_]) -> npt.NDArray[np.float32]:
        """Return the logits of the evaluated images by a head that learned from the training images that stay."""
        of_train, learned = targets[self.train], stays[self.train]
        if len(learned_classes(of_train[learned])) < 2:
            raise TooFewImages("Fewer than two classes are left to learn from: undo a decision.")
        if self.evaluated_on != "valid":
            return self._rows.fold_logits(of_train, learned, self.l2)
        return self._rows.head(of_train, learned, self.l2).logits(self._valid_rows)

    def _predictions(
        self,
        logits: npt.NDArray[np.float32],
        targets: npt.NDArray[np.int64],
        kept: npt.NDArray[np.int64],
        basis: Basis,
    ) -> Predictions:
        rows = self.evaluated[kept]
        if self.evaluated_on != "valid":
            told = self._folds[kept] >= 0
            kept, rows = kept[told], rows[told]
        said = Predictions.from_logits(
            logits[kept], self.images.classes, truth=targets[rows], ids=[self._uris[row] for row in rows], basis=basis
        )
        return with_blocks(said, self.images)
