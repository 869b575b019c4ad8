"""What a fit of this folder would cost here: counts what the bank lacks, computes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from goldenrule.activations.precompute import bank_for
from goldenrule.engine import EngineKind
from goldenrule.foundation.progress import Progress, Silent
from goldenrule.images.augment import PLAIN, views
from goldenrule.images.split import with_split
from goldenrule.images.table import ImageTable
from goldenrule.models.backbone import Backbone
from goldenrule.models.compiled import check_device, engine_kind
from goldenrule.recipes.backbones import MOST_IMAGES, sampled
from goldenrule.recipes.opening import candidate_bodies, read_table
from goldenrule.recipes.options import FitOptions
from goldenrule.recipes.speed import known_speed, known_training_speed
from goldenrule.training.choice import Familiarity
from goldenrule.training.plan import DEFAULT_VIEWS, SPEED_UNKNOWN, LivePlan, Plan, Step, live_plan, plan_answer


def plan_for(source: Path | ImageTable, options: FitOptions, *, progress: Progress | None = None) -> Plan:
    """Give the plan of a fit with the rows that the bank has already taken off."""
    progress = progress or Silent()
    device = check_device(options.device)
    table = read_table(source, options, progress)
    if options.folds is None:
        table = with_split(table, seed=options.seed)
    bodies = candidate_bodies(options, progress)
    body = bodies[0]
    kind = engine_kind(body, device=device, progress=progress)
    number = DEFAULT_VIEWS if options.most_views is None else options.most_views
    banks = [bank_for(body.spec, kind, view) for view in views(options.augmentation, number)]
    digests = {digest for digest in table.digests if digest}
    train = table.part("train")
    train_digests = {digest for digest in train.digests if digest}
    plan = plan_answer(
        images=len(table),
        train_images=len(train),
        missing_plain=int(np.sum([digest not in banks[0] for digest in digests])),
        missing_augmented=sum(digest not in bank for bank in banks[1:] for digest in train_digests),
        features=body.spec.features,
        classes=len(table.classes),
        views=options.most_views,
        views_per_second=known_speed(body.spec, kind),
        head=options.head,
        live=None if options.solved_only else live_plan_for(table, body, kind),
    )
    if not options.candidates:
        return plan
    choosing = _choosing(sampled(train, MOST_IMAGES, seed=options.seed), bodies, device)
    return Plan(steps=(*plan.steps[:2], choosing, *plan.steps[2:]))


def _choosing(asked: ImageTable, bodies: Sequence[Backbone], device: str) -> Step:
    """Give what choosing among backbones takes: the plain rows of training images that their banks lack."""
    seconds, stored = 0.5 * len(bodies), 0
    for body in bodies[1:]:  # the first has its rows by then
        kind = engine_kind(body, device=device)
        bank = bank_for(body.spec, kind, PLAIN)
        missing = sum(digest not in bank for digest in set(asked.digests) if digest)
        seconds += missing / (known_speed(body.spec, kind) or SPEED_UNKNOWN)
        stored += missing * (2 * body.spec.features + 40)
    names = ", ".join(body.spec.name for body in bodies)
    condition = "what follows: if the first is taken"
    return Step(name=f"choose among {names}", seconds=seconds, stored_bytes=stored, condition=condition)


def live_plan_for(table: ImageTable, body: Backbone, kind: EngineKind, *, known: Familiarity | None = None) -> LivePlan:
    """Give the plan of the live steps; the speeds measured here change its seconds, never its epochs.

    `known`: how well the body knows such pictures, None before the head is solved.
    """
    return live_plan(
        train_images=len(table.part("train")),
        valid_images=len(table.part("valid")),
        views_per_second=known_speed(body.spec, kind),
        images_per_second=known_training_speed(body.spec),
        known=known,
    )
