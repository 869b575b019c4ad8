"""What a fit of this folder would cost here: counts what the bank lacks, computes nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from goldenrule.activations.precompute import bank_for
from goldenrule.engine import EngineKind
from goldenrule.foundation.progress import Progress, Silent
from goldenrule.images.augment import views
from goldenrule.images.split import with_split
from goldenrule.images.table import ImageTable
from goldenrule.models.backbone import Backbone
from goldenrule.models.compiled import check_device, engine_kind
from goldenrule.recipes.opening import first_body, read_table
from goldenrule.recipes.options import FitOptions
from goldenrule.recipes.speed import known_speed, known_training_speed
from goldenrule.training.choice import Familiarity
from goldenrule.training.plan import DEFAULT_VIEWS, LivePlan, Plan, live_plan, plan_answer


def plan_for(source: Path | ImageTable, options: FitOptions, *, progress: Progress | None = None) -> Plan:
    """Give the plan of a fit with the rows that the bank has already taken off."""
    progress = progress or Silent()
    device = check_device(options.device)
    table = read_table(source, options, progress)
    if options.folds is None:
        table = with_split(table, seed=options.seed)
    body = first_body(options, progress)
    kind = engine_kind(body, device=device, progress=progress)
    number = DEFAULT_VIEWS if options.most_views is None else options.most_views
    banks = [bank_for(body.spec, kind, view) for view in views(options.augmentation, number)]
    digests = {digest for digest in table.digests if digest}
    train = table.part("train")
    train_digests = {digest for digest in train.digests if digest}
    return plan_answer(
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
