"""One trial of a search: settings in, predictions on validation out. All of it is replayed where it was done before."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from goldenrule.core.progress import Progress, Silent
from goldenrule.data.augmentation.presets import by_name
from goldenrule.data.table import LabelledTable
from goldenrule.features.extractor import Features
from goldenrule.metrics import Predictions
from goldenrule.metrics.estimate import Basis
from goldenrule.models.backbone import Backbone
from goldenrule.models.classifier import Classifier
from goldenrule.models.heads import Head
from goldenrule.pipelines.calibrate import calibrated_head
from goldenrule.pipelines.context import FitContext, precomputed
from goldenrule.pipelines.finalize import scored_on_valid
from goldenrule.pipelines.fit_result import FitState
from goldenrule.pipelines.prepare import first_backbone
from goldenrule.pipelines.probe import LinearHeads, linear_head, linear_heads_of, readable
from goldenrule.pipelines.tuning.search_space import FITTED, SMOOTHING, VIEWS, Drawn, Setting, focal
from goldenrule.runs.history import EpochRow
from goldenrule.training.learner import Learner
from goldenrule.training.plan import LATE_VIEWS, RATIO

TrialReporter = Callable[[EpochRow, int], bool]
"""Given an epoch and how many there are to be: whether to give this trial up."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Trials:
    """The images that train and validate, and all that trials share. There is no test split here."""

    context: FitContext
    features: Features

    @cached_property
    def train(self) -> LabelledTable:
        """The readable, labelled training images."""
        return readable(self.context.table, "train", self.features).only_labelled()

    @cached_property
    def valid(self) -> LabelledTable:
        """The readable, labelled validation images."""
        return readable(self.context.table, "valid", self.features).only_labelled()

    @cached_property
    def default(self) -> LinearHeads:
        """The plain linear head, that of `goldenrule fit --quick --head linear`: what a search has to beat."""
        return linear_heads_of(self.context, self.features)

    @property
    def default_settings(self) -> Drawn:
        """The settings of the default head."""
        chosen, plain = self.default.chosen, self.default.candidates[0].name
        if chosen.name == plain:
            return {"head": FITTED, "augment": "none"}
        return {"head": FITTED, "augment": "side_on", "views": VIEWS[-1]}

    @cached_property
    def standing(self) -> Classifier:
        """The default head as a classifier, which live trials begin with."""
        return scored_on_valid(self.context, self.default.chosen, self.features)[0]

    @cached_property
    def _backbone_of_pairs(self) -> Backbone:
        """The backbone with the pooling that the concat-pool head stands on."""
        return first_backbone(replace(self.context.options, head="concat-pool"), self.context.progress)

    def evaluated(
        self, drawn: Drawn, watch: TrialReporter | None = None, progress: Progress | None = None
    ) -> Predictions | None:
        """Return the predictions on validation of what these settings make; None where it was given up or diverged."""
        if drawn.get("head") == FITTED:
            return self._linear(drawn)
        learn, epochs = self.learner(drawn, progress), int(drawn["epochs"])
        rates: Any = [drawn["rate"] * share for share in RATIO] if "layers" in drawn else drawn["rate"]
        told = learn.fit(
            rates,
            1,
            cycle_len=epochs,
            mixup=drawn["mixup"],
            label_smoothing=SMOOTHING if drawn["loss"] == "smoothed" else 0.0,
            stage="search",
            out_of_time=None if watch is None else lambda row: watch(row, epochs),
        )
        if len(told) < epochs:
            return None
        if "layers" in drawn:
            learn.blend()
        learn.calibrate()
        if "layers" in drawn:
            return replace(learn.evaluate(), basis=Basis.USED_FOR_SELECTION)
        rows = learn.data.features(learn.state.backbone, views=0)
        return self._predictions(learn.state.head, rows)

    def learner(self, drawn: Drawn, progress: Progress | None = None) -> Learner:
        """Return the learner of a trial, with what it begins with, ready to fit."""
        live, loss = "layers" in drawn, drawn["loss"]
        pairs = drawn.get("head") == "concat-pool"
        learn = Learner(
            self.context.table,
            self._backbone_of_pairs if pairs else self.context.backbone,
            precompute=True,
            augment=by_name(drawn["augment"]),
            augmented_views=0 if live else int(drawn.get("views", 0)),
            late_views=LATE_VIEWS,
            head="concat-pool" if pairs else "linear",
            optimizer=drawn.get("optimizer", "adamw"),
            weight_decay=drawn[Setting.WEIGHT_DECAY],
            batch_size=drawn.get(Setting.BATCH_SIZE),
            class_weights="balanced" if loss == "balanced" else None,
            loss=focal if loss == "focal" else None,
            seed=self.context.options.seed,
            **self.context.options.machines.said,
            threads=self.context.threads,
            folder=self.context.run.folder,
            progress=progress or Silent(),
        )
        if live:
            learn.load(self.standing)
            learn.freeze_to(1 if drawn["layers"] == "late" else 0)
            learn.precompute = drawn["layers"] == "late" and learn.can_precompute()
        return learn

    def _linear(self, drawn: Drawn) -> Predictions:
        count = int(drawn.get("views", 0))
        options = replace(self.context.options, augment=drawn["augment"], views=count)
        context = replace(self.context, options=options, state=FitState(), progress=Silent())
        features = precomputed(context, count) if count else self.features
        near = self.default.candidates[0].facts.get("l2") if count else None
        found = linear_head(context, self.train, features, count, "linear", near)
        head, _, _ = calibrated_head(found.head, found.out_of_fold)
        return self._predictions(head, self.features)

    def _predictions(self, head: Head, features: Features) -> Predictions:
        valid = self.valid
        logits = [
            head.logits(features.rows([digest or b"" for digest in valid.digests[start : start + 4096]]))
            for start in range(0, len(valid), 4096)
        ]
        return Predictions.from_logits(
            np.concatenate(logits),
            valid.classes,
            truth=valid.truth,
            ids=valid.uris,
            task=valid.task,
            basis=Basis.USED_FOR_SELECTION,
        )
