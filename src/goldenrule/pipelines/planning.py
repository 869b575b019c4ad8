"""How long what follows takes, as far as is known: by counts, and by speeds that were measured here."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from goldenrule.data.augmentation.augment import views
from goldenrule.data.table import ImageTable
from goldenrule.engines import EngineKind
from goldenrule.features.extractor import FeatureExtractor
from goldenrule.features.speed_record import known_speed, known_training_speed
from goldenrule.metrics.selection_rules import DomainShift
from goldenrule.models.backbone import Backbone, BackboneSpec
from goldenrule.models.catalog import DEFAULT_BACKBONE, EMBEDDED
from goldenrule.pipelines.attempts.expectations import expectation, measured_shares
from goldenrule.runs.options import FitOptions
from goldenrule.training.plan import (
    DEFAULT_VIEWS,
    SPEED_UNKNOWN,
    Expectation,
    LivePlan,
    LiveStep,
    live_plan,
    plan_quick_fit,
)

if TYPE_CHECKING:
    from goldenrule.training.learner import Learner

TIMES_THE_WORK = 5.7
"""Multiply-adds of all embedded backbones side by side, in those of the default one."""
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
    missing = cache.missing(digests)
    training = SHARE_THAT_TRAINS * len(augmented) * missing  # their caches are not opened to tell a time
    seconds = SECONDS_BESIDE + (missing + training) / (speed or SPEED_UNKNOWN)
    if options.linear_only or options.training is not None:
        return seconds
    plan = live_plan_for(table, extractor.backbone, extractor.kind)
    return seconds + sum(step.seconds for step in plan.steps())


def seconds_of_views(table: ImageTable, backbone: Backbone, kind: EngineKind, options: FitOptions) -> float:
    """Return about how long the views take that a whole fit tries and a quick one has not; 0: none are left."""
    if options.most_views is not None:
        return 0.0
    train = len(table.split("train").only_labelled())

    def seconds(count: int) -> float:
        return plan_quick_fit(
            images=len(table),
            train_images=train,
            missing_plain=0,
            missing_augmented=count * train,
            features=backbone.spec.features,
            classes=len(table.classes),
            views=count,
            views_per_second=known_speed(backbone.spec, kind),
            head="root",
        ).seconds

    return seconds(DEFAULT_VIEWS) - seconds(0)


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


def attempts_for(
    table: ImageTable,
    backbone: Backbone,
    kind: EngineKind,
    options: FitOptions,
    *,
    shift: DomainShift | None = None,
    loss: float | None = None,
) -> tuple[Expectation, ...]:
    """Return what follows the linear head, whose log loss is `loss`, and what is expected of it; None: not known yet.

    What comes later is expected to begin where the one before is expected to end. Empty where nothing was measured of
    such a fit: then every step is taken.
    """
    if not begins_with_the_default(options, backbone.spec):
        return ()
    live = live_plan_for(table, backbone, kind, shift=shift)
    seconds = {
        LiveStep.SIDE_BY_SIDE: seconds_of_several(len(table), backbone.spec, kind),
        LiveStep.NETWORK: sum(step.seconds for step in live.steps()),
    }
    found = []
    for attempt, took in seconds.items():
        one = expected_of(attempt, table, options, shift=shift, loss=loss, seconds=took)
        if loss is not None and one.gain is not None and one.tried:
            loss -= max(one.gain, 0.0)
        found.append(one)
    return tuple(found)


def expected_of(
    attempt: LiveStep,
    table: ImageTable,
    options: FitOptions,
    *,
    shift: DomainShift | None,
    loss: float | None,
    seconds: float,
) -> Expectation:
    """Return what is expected of an attempt on these images; nothing was measured of images with several labels."""
    measured = () if table.task == "multi" else measured_shares()
    found = expectation(attempt, shift=shift, loss=loss, seconds=seconds, measured=measured)
    return replace(found, tried=True) if options.all_steps else found


def begins_with_the_default(options: FitOptions, spec: BackboneSpec) -> bool:
    """Return whether a fit begins with the embedded default as it is: what was measured was measured of it."""
    plain = options.training is None and options.folds is None and not options.candidates and options.size is None
    weights = options.weights is None and options.start_from is None
    return (
        plain and weights and spec.name == DEFAULT_BACKBONE and spec.timm_name == EMBEDDED[DEFAULT_BACKBONE].timm_name
    )


def seconds_of_several(images: int, spec: BackboneSpec, kind: EngineKind) -> float:
    """Return about how long `with_several_backbones` takes, by the speed of the default backbone on this machine."""
    return 5.0 + TIMES_THE_WORK * images / (known_speed(spec, kind) or SPEED_UNKNOWN)
