"""What all steps of a fit share, and the features they stand on."""

from __future__ import annotations

import time
from dataclasses import dataclass

from goldenrule.core.progress import Progress
from goldenrule.data.augmentation.augment import views
from goldenrule.data.table import ImageTable
from goldenrule.engines import EngineKind
from goldenrule.features.cache import enforce_limit
from goldenrule.features.extractor import FeatureExtractor, Features
from goldenrule.features.speed_record import remember_speed
from goldenrule.models.backbone import Backbone
from goldenrule.pipelines.fit_result import FitState
from goldenrule.runs.options import FitOptions
from goldenrule.runs.store import Run


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FitContext:
    """What all steps of a fit share: the open run, the images, the backbone and how it runs."""

    run: Run
    table: ImageTable
    extractor: FeatureExtractor
    options: FitOptions
    state: FitState
    progress: Progress

    @property
    def backbone(self) -> Backbone:
        """The backbone."""
        return self.extractor.backbone

    @property
    def kind(self) -> EngineKind:
        """The engine that its features are kept under."""
        return self.extractor.kind

    @property
    def threads(self) -> int:
        """How many processors are used."""
        return self.extractor.threads


def precomputed(context: FitContext, count: int) -> Features:
    """Return the features of all images, with `count` augmented views of those that train, from the cache or anew."""
    state = context.state
    began = time.perf_counter()
    with state.stage("precompute views" if count else "precompute"):
        features = context.extractor.features(
            context.table,
            views=views(context.options.augmentation, count),
            augmented=context.table.teaching if count else None,
        )
    remember_speed(context.backbone.spec, context.kind, sum(features.computed), time.perf_counter() - began)
    for removed in enforce_limit(keep=[cache.name for cache in features.caches]):
        context.progress.say(
            f"The feature cache {removed['name'][:8]} ({removed['rows']:,} rows) gave way to the limit."
        )
    new = slice(1 if count else 0, None)  # the plain view was counted before
    state.computed += sum(features.computed[new])
    state.reused += sum(features.reused[new])
    return features
