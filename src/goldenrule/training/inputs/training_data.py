"""`TrainingData`: what a training run is told about and with; it never changes while the run goes on."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, get_args

import numpy as np
import psutil
import torch

from goldenrule.core.errors import BackboneError, OptionError, TooFewImages
from goldenrule.core.memory import readable_bytes
from goldenrule.core.progress import Progress, Silent
from goldenrule.data.augmentation.augment import Augmentation, View, views
from goldenrule.data.loader import Canvases
from goldenrule.data.table import ImageTable, LabelledTable, Split
from goldenrule.engines import EngineKind
from goldenrule.features.extractor import FeatureExtractor, Features
from goldenrule.features.likelihood import learned_classes
from goldenrule.models.backbone import Backbone
from goldenrule.models.graphs.boundary import Boundary, boundary
from goldenrule.models.graphs.compiled import available_threads, engine_kind
from goldenrule.runs.machines import Machines
from goldenrule.training.inputs.batches import (
    BankRows,
    LiveRows,
    Pixels,
    Sampling,
    Source,
    Validate,
    ValidatePixels,
    ValidateRows,
    balanced_weights,
)
from goldenrule.training.plan import MOST_BOUNDARY_BYTES, MOST_PIXELS, MOST_ROWS, batch_size, views_that_fit
from goldenrule.training.state import LearnerState

ClassWeights = Literal["balanced"]
MOST_CANVAS_BYTES = 1 << 30
"""Decoded pictures are kept for the next epoch up to so much memory: some 2,500 photos."""


@dataclass(frozen=True, kw_only=True, eq=False)
class TrainingData:
    """Images with parts and digests, how they are augmented and in what batches they come.

    `augmented_views` are kept of pooled features, `late_views` before the late layers; None: as many.
    """

    table: ImageTable
    base: Backbone
    augmentation: Augmentation | None
    augmented_views: int
    late_views: int | None = None
    seed: int
    batch_size: int | None = None
    class_weights: ClassWeights | None = None
    sampling: Sampling = "uniform"
    machines: Machines = field(default_factory=Machines)
    threads: int = field(default_factory=available_threads)
    progress: Progress = field(default_factory=Silent)

    def __post_init__(self) -> None:
        if self.class_weights not in (None, "balanced"):
            raise OptionError(f"class_weights={self.class_weights!r}: wanted None or 'balanced'.")
        if self.sampling not in get_args(Sampling):
            raise OptionError(f"sampling={self.sampling!r}: wanted one of {', '.join(get_args(Sampling))}.")
        if self.table.task == "multi" and (self.class_weights or self.sampling == "balanced"):
            raise OptionError(
                "class_weights and sampling balance classes of which an image has one; these have several."
            )
        if self.class_weights and self.sampling == "balanced":
            raise OptionError("class_weights and sampling both balance the classes: wanted one of them.")

    def split(self, name: Split) -> LabelledTable:
        """Return the readable, labelled images of train or valid, found out by precomputing their plain views."""
        table = self.table.split(name)
        cache = self.features(self.base, views=0).caches[0]
        return table.where(cache.has(table.digests)).only_labelled()

    def features(self, backbone: Backbone, *, views: int) -> Features:
        """Return the rows of train and valid, with this many augmented views of train; from the cache or made now."""
        key = (*_looks(backbone), views)
        if key not in self._features:
            self._features[key] = self._precomputed(backbone, views)
        return self._features[key]

    def source(self, state: LearnerState) -> Source:
        """Return where the batches of this state's next fit come from."""
        train = self._train()
        if state.precompute:
            kept = self._kept(state)
            train = train.where(kept.has(train.digests, views=True))  # files can change while a fit runs
            _check_learnable(train)
            return BankRows(
                train=train,
                features=kept,
                seed=self.seed,
                batch_size=self._size(train, MOST_ROWS if state.frozen_backbone else MOST_PIXELS),
                sampling=self.sampling,
            )
        spec = state.backbone.spec
        if state.frozen_backbone:
            return LiveRows(
                train=train,
                engine=self.extractor(state.backbone).engine,
                preprocessing=spec.preprocessing,
                augmentation=self.augmentation,
                seed=self.seed,
                batch_size=self._size(train, MOST_ROWS),
                sampling=self.sampling,
                threads=self.threads,
                canvases=self._canvases(spec.preprocessing.size),
            )
        return Pixels(
            train=train,
            preprocessing=spec.preprocessing,
            augmentation=self.augmentation,
            seed=self.seed,
            batch_size=self._size(train, MOST_PIXELS),
            sampling=self.sampling,
            threads=self.threads,
            canvases=self._canvases(spec.preprocessing.size),
            device=None if self.machines.device == "cpu" else torch.device(self.machines.device),
        )

    def validation(self, state: LearnerState) -> Validate | None:
        """Return the validation of this state's next fit; None without labelled validation images."""
        valid = self.split("valid")
        if not len(valid):
            return None
        if state.frozen_backbone or state.precompute:
            return ValidateRows(valid=valid, features=self._kept(state))
        return ValidatePixels(valid=valid, preprocessing=state.backbone.spec.preprocessing, threads=self.threads)

    def can_keep(self, state: LearnerState) -> bool:
        """Return whether what flows into this state's late layers can be kept: the backbone can be cut, and it fits."""
        try:
            return self._fitting(self._boundary(state)) >= 0
        except OptionError:
            return False

    def _kept(self, state: LearnerState) -> Features:
        """Return the rows that this state trains on or is evaluated on: pooled, or those before the late layers."""
        if state.frozen_backbone:
            return self.features(state.backbone, views=self.augmented_views if state.precompute else 0)
        early = self._boundary(state)
        return self.features(early, views=self._bounded(early))

    def _boundary(self, state: LearnerState) -> Boundary:
        key = _looks(state.backbone)
        if key not in self._boundaries:
            self._boundaries.clear()  # each holds a whole module
            try:
                self._boundaries[key] = boundary(state.backbone)
            except BackboneError as error:
                raise OptionError(f"{error} Set precompute = False: its late layers train on live images.") from error
        return self._boundaries[key]

    @property
    def _late_views(self) -> int:
        wanted = self.augmented_views if self.late_views is None else self.late_views
        return wanted if self.augmentation else 0

    def _fitting(self, early: Backbone) -> int:
        """Return how many augmented views have room before the late layers, -1 where not even the plain ones do."""
        train = int(self.table.teaching.sum())
        images = train + len(self.table.split("valid"))
        return views_that_fit(self._late_views, images=images, train_images=train, features=early.spec.features)

    def _bounded(self, early: Backbone) -> int:
        """Return how many augmented views are kept before the late layers, and say what they take, before they do."""
        train = int(self.table.teaching.sum())
        count = train + len(self.table.split("valid"))
        wanted, fit = self._late_views, self._fitting(early)
        if fit < 0:
            raise OptionError(
                f"{count:,} images of {readable_bytes(2 * early.spec.features)} each before the late layers are more "
                f"than the {readable_bytes(MOST_BOUNDARY_BYTES)} kept: set precompute = False to train on live images."
            )
        if (*_looks(early), fit) not in self._features:
            total = readable_bytes(2 * early.spec.features * (count + fit * train))
            less = f" (no room for more than {fit} of {wanted} augmented ones)" if fit < wanted else ""
            self.progress.detail(
                f"Before the late layers: {count + fit * train:,} views{less}, {total} in the feature cache."
            )
        return fit

    def extractor(self, backbone: Backbone) -> FeatureExtractor:
        """Return the extractor of a backbone; compiled once."""
        key = _looks(backbone)
        if key not in self._extractors:
            self._extractors[key] = FeatureExtractor(
                backbone=backbone, kind=self.kind(backbone), threads=self.threads, progress=self.progress
            )
        return self._extractors[key]

    def kind(self, backbone: Backbone) -> EngineKind:
        """Return the engine that runs a backbone here."""
        return engine_kind(backbone, device=self.machines.device, progress=self.progress)

    def _precomputed(self, backbone: Backbone, count: int) -> Features:
        wanted = self.table.where(self.table.teaching | np.array([split == "valid" for split in self.table.splits]))
        every: tuple[View, ...] = views(self.augmentation, count)
        return self.extractor(backbone).features(wanted, views=every, augmented=wanted.teaching)

    def _train(self) -> LabelledTable:
        labelled = self.split("train")
        _check_learnable(labelled)
        if self.class_weights == "balanced":
            return labelled.with_weights(np.asarray(labelled.rows["weight"].to_numpy()) * balanced_weights(labelled))
        return labelled

    def _size(self, train: LabelledTable, most: int) -> int:
        return self.batch_size or batch_size(len(train), most=most)

    @cached_property
    def _features(self) -> dict[tuple[str, int, int], Features]:
        return {}

    def _canvases(self, size: int) -> Canvases:
        """Return the kept pictures for this side of the input; those of another one make room."""
        if size not in self._canvases_of_size:
            self._canvases_of_size.clear()
            self._canvases_of_size[size] = new_canvases()
        return self._canvases_of_size[size]

    @cached_property
    def _canvases_of_size(self) -> dict[int, Canvases]:
        return {}

    @cached_property
    def _boundaries(self) -> dict[tuple[str, int], Boundary]:
        return {}

    @cached_property
    def _extractors(self) -> dict[tuple[str, int], FeatureExtractor]:
        return {}


def new_canvases(processes: int = 1) -> Canvases:
    """Return an empty store of decoded pictures, for one of so many processes that share this machine's memory."""
    return Canvases(min(MOST_CANVAS_BYTES, psutil.virtual_memory().total // 8) // processes)


def _check_learnable(train: LabelledTable) -> None:
    if len(learned_classes(train.truth)) < (2 if train.task == "single" else 1):
        raise TooFewImages(f"{train.root} has readable training images of fewer than two classes: add some.")


def _looks(backbone: Backbone) -> tuple[str, int]:
    """Return what tells the backbones of one run apart: architecture and weights, and the side of the input."""
    return f"{backbone.spec.timm_name} {backbone.spec.weights}", backbone.spec.preprocessing.size
