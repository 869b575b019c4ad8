"""What a fit of this folder would cost here: counts what the cache lacks, computes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

from goldenrule.core.progress import Progress, Silent
from goldenrule.data.augmentation.augment import views
from goldenrule.data.splits.splitting import with_split
from goldenrule.data.table import ImageTable
from goldenrule.features.extractor import FeatureExtractor
from goldenrule.features.speed_record import known_speed
from goldenrule.models.backbone import Backbone
from goldenrule.models.graphs.compiled import check_device
from goldenrule.pipelines.backbone_selection import MOST_IMAGES, sampled
from goldenrule.pipelines.planning import attempts_for, live_plan_for
from goldenrule.pipelines.prepare import candidate_backbones, read_images, run_before
from goldenrule.runs.options import FitOptions
from goldenrule.runs.verified_files import run_choice
from goldenrule.training.plan import (
    DEFAULT_VIEWS,
    LEAST_EXPECTED,
    SPEED_UNKNOWN,
    Expectation,
    Plan,
    Step,
    plan_quick_fit,
)


def plan_for(
    source: Path | ImageTable,
    options: FitOptions,
    *,
    out: Path | None = None,
    runs: Path = Path("runs"),
    progress: Progress | None = None,
) -> Plan:
    """Return the plan of a fit with the rows that the cache has already taken off, and what a run has of it.

    `out` is the folder of that run, by default one in `runs`.
    """
    progress, asked = progress or Silent(), options
    device = check_device(options.device)
    table, options = read_images(source, options, progress)
    before = run_before(table, asked, out=out, runs=runs)
    if options.folds is None:
        table = with_split(table, seed=options.seed)
    backbones = candidate_backbones(options, progress)
    backbone = backbones[0]
    extractor = FeatureExtractor.of(backbone, device=device, threads=options.threads, progress=progress)
    number = DEFAULT_VIEWS if options.most_views is None else options.most_views
    caches = [extractor.cache(view) for view in views(options.augmentation, number)]
    digests = {digest for digest in table.digests if digest}
    train = table.split("train").only_labelled()
    train_digests = {digest for digest in train.digests if digest}
    plan = plan_quick_fit(
        images=len(table),
        train_images=len(train),
        missing_plain=caches[0].missing(digests),
        missing_augmented=sum(cache.missing(train_digests) for cache in caches[1:]),
        features=backbone.spec.features,
        classes=len(table.classes),
        views=options.most_views,
        views_per_second=known_speed(backbone.spec, extractor.kind),
        head=options.head_kind,
    )
    if not options.linear_only:
        live = live_plan_for(table, backbone, extractor.kind)
        attempts = attempts_for(table, backbone, extractor.kind, options)
        plan = replace(plan, steps=(*plan.steps, *_further(live.steps(), attempts)), attempts=attempts)
    if before is not None:
        plan = replace(plan, run=str(before), done=_done(before))
    if not options.candidates:
        return plan
    choosing = _choosing(sampled(train, MOST_IMAGES, seed=options.seed), backbones, device)
    return replace(plan, steps=(*plan.steps[:2], choosing, *plan.steps[2:]))


def _done(run: Path) -> Literal["nothing", "quick", "whole"]:
    """Return what a run has come to the end of."""
    choice = run_choice(run)
    if choice is None or not choice.final:
        return "nothing"
    return "quick" if choice.quick else "whole"


def _further(live: Sequence[Step], attempts: Sequence[Expectation]) -> Sequence[Step]:
    """Return the steps after the linear head: before the live ones the attempts that were measured."""
    if not attempts:
        return live
    beside, *_ = attempts
    less = f"unless less than {LEAST_EXPECTED:g} is expected"
    several = Step(name=f"try {beside.name}", seconds=beside.seconds, condition=less)
    return (several, replace(live[0], condition=f"{less} of all that follows"), *live[1:])


def _choosing(asked: ImageTable, backbones: Sequence[Backbone], device: str) -> Step:
    """Return what choosing among backbones takes: the plain rows of training images that their caches lack."""
    seconds, stored = 0.5 * len(backbones), 0
    for backbone in backbones[1:]:  # the first has its rows by then
        extractor = FeatureExtractor.of(backbone, device=device)
        cache = extractor.cache()
        missing = cache.missing({digest for digest in asked.digests if digest})
        seconds += missing / (known_speed(backbone.spec, extractor.kind) or SPEED_UNKNOWN)
        stored += missing * (2 * backbone.spec.features + 40)
    names = ", ".join(backbone.spec.name for backbone in backbones)
    condition = "what follows: if the first is selected"
    return Step(name=f"choose among {names}", seconds=seconds, stored_bytes=stored, condition=condition)
