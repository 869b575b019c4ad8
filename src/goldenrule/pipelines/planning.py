"""How long what follows takes, as far as is known: by counts, and by speeds that were measured here."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from goldenrule.data.augmentation.augment import views
from goldenrule.data.table import ImageTable
from goldenrule.engines import EngineKind
from goldenrule.features.extractor import FeatureExtractor
from goldenrule.features.speed_record import known_speed, known_training_speed
from goldenrule.metrics.selection_rules import DomainShift
from goldenrule.models.backbone import Backbone
from goldenrule.runs.options import FitOptions
from goldenrule.training.plan import DEFAULT_VIEWS, SPEED_UNKNOWN, LivePlan, live_plan

if TYPE_CHECKING:
    from goldenrule.training.learner import Learner

PROBE_STEPS = (3, 4, 10)
"""Batches that the whole network is trained on to see how long one takes: to warm up, then the difference counts."""
SHORTEST = 0.005
"""What takes less was replayed, and tells nothing."""
ALL_STEPS = "all steps"
SECONDS_BESIDE, SHARE_THAT_TRAINS = 2.0, 0.8


def expected_seconds(table: ImageTable, extractor: FeatureExtractor, options: FitOptions) -> float:
    """Return about how long a fit takes that has read its images: rows that the cache lacks, then the live steps.

    0 where an earlier run does not tell how fast this machine is.
    """
    speed = known_speed(extractor.backbone.spec, extractor.kind)
    if speed is None:
        return 0.0
    digests = {digest for digest in table.digests if digest}
    number = DEFAULT_VIEWS if options.most_views is None else options.most_views
    plain, *augmented = views(options.augmentation, number)
    cache = extractor.cache(plain)
    missing = sum(digest not in cache for digest in digests)
    training = SHARE_THAT_TRAINS * len(augmented) * missing  # their caches are not opened to tell a time
    seconds = SECONDS_BESIDE + (missing + training) / (speed or SPEED_UNKNOWN)
    if options.linear_only or options.training is not None:
        return seconds
    plan = live_plan_for(table, extractor.backbone, extractor.kind)
    return seconds + sum(step.seconds for step in plan.steps())


def live_plan_for(
    table: ImageTable,
    backbone: Backbone,
    kind: EngineKind,
    *,
    shift: DomainShift | None = None,
    images_per_second: float | None = None,
) -> LivePlan:
    """Return the plan of the live steps; the speeds measured here change its seconds, never its epochs.

    `shift`: the domain shift of these pictures, None before the head is fitted. `images_per_second` is the speed
    of training that this run has measured; speeds kept from earlier runs were those of a machine that may have been
    busy, and are corrected by as much.
    """
    before, frozen = known_training_speed(backbone.spec), known_speed(backbone.spec, kind)
    if images_per_second and before and frozen:
        frozen *= images_per_second / before
    return live_plan(
        train_images=int(table.teaching.sum()),
        valid_images=len(table.split("valid")),
        views_per_second=frozen,
        images_per_second=images_per_second or before,
        shift=shift,
    )


def training_speed(learn: Learner) -> float | None:
    """Measure how many images per second the whole network trains on here and now; None where that was not to be told.

    A few steps of the learning-rate finder more than a few take so much longer: it changes nothing (law 4).
    """
    state = learn.state
    try:
        learn.precompute = False
        learn.unfreeze()
        seconds = []
        for steps in PROBE_STEPS:
            began = time.perf_counter()
            learn.lr_find(steps=steps)
            seconds.append(time.perf_counter() - began)
        size = learn.data.source(learn.state).batch_size
    finally:
        learn.state = state  # its key too, by which steps are replayed: no verb was done
    *_, few, many = PROBE_STEPS
    *_, before, whole = seconds
    if whole < SHORTEST:
        return None
    return max((many - few) * size / (whole - before) if whole > before else 0.0, many * size / whole)
