"""Choosing a backbone: several backbones' features in the cache, a head fitted on each, evaluated out-of-fold."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np

from goldenrule.analysis.backbone_choice import BackboneChoice, Tried, choose_backbone
from goldenrule.core.errors import FormatError
from goldenrule.core.progress import Progress
from goldenrule.core.randomness import key
from goldenrule.core.schema import as_json, from_json
from goldenrule.data.table import ImageTable, LabelledTable
from goldenrule.features.extractor import FeatureExtractor, Features
from goldenrule.features.speed_record import remember_speed
from goldenrule.models.backbone import Backbone
from goldenrule.models.cost import multiply_adds
from goldenrule.pipelines.context import FitContext, precomputed
from goldenrule.pipelines.linear_heads import SOLVER_VERSION, fit_head
from goldenrule.pipelines.probe import check_learnable, readable
from goldenrule.runs.options import FitOptions
from goldenrule.runs.store import Outcome, about_images

Table = TypeVar("Table", bound=ImageTable)
MOST_IMAGES = 2_000
"""Of more training images a stratified sample of so many is asked: enough to tell candidates apart, in a minute."""
CHOICE_VERSION = 1


def with_chosen_backbone(
    context: FitContext, features: Features, backbones: Sequence[Backbone]
) -> tuple[FitContext, Features]:
    """Go on with the backbone that suits the training part of a fit best, as if it had been named; give its features.

    `features` are those of the first backbone. The choice is made once per run, written down before it is obeyed, and
    replayed (laws 6 and 7). What the candidates gave stays in the cache.
    """
    train = readable(context.table, "train", features).only_labelled()
    check_learnable(train, features.failures)
    step = {
        "step": "choose backbone",
        "version": [CHOICE_VERSION, SOLVER_VERSION],
        "candidates": [
            [backbone.spec.name, backbone.spec.weights, as_json(backbone.spec.preprocessing)] for backbone in backbones
        ],
        "images": about_images(train),
        "seed": context.options.seed,
    }

    def chosen() -> Outcome:
        found = evaluated_backbones(train, backbones, options=context.options, progress=context.progress)
        return Outcome({"candidates": np.arange(len(backbones))}, as_json(found))

    with context.state.stage("choose backbone"):
        outcome, replayed = context.run.step(step, chosen, check=lambda kept: _check_choice(kept, backbones))
    found = from_json(outcome.facts, BackboneChoice)
    context.progress.say(f"{found.sentence}{' Chosen before: replayed.' if replayed else ''}")
    context.state.backbones = found
    if not replayed:
        context.state.computed += sum(one.computed for one in found.candidates)
    backbone = next(backbone for backbone in backbones if backbone.spec.name == found.chosen)
    if backbone is context.backbone:
        return context, features
    extractor = FeatureExtractor.of(
        backbone, device=context.options.device, threads=context.options.threads, progress=context.progress
    )
    context = replace(context, extractor=extractor)
    return context, precomputed(context, 0)


def _check_choice(kept: Outcome, backbones: Sequence[Backbone]) -> None:
    """Raise `FormatError` where a kept outcome chooses none of these."""
    found = from_json(kept.facts, BackboneChoice)
    if found.chosen not in {backbone.spec.name for backbone in backbones}:
        raise FormatError(f"{found.chosen} was chosen, which is none of those to choose from.")


def evaluated_backbones(
    train: LabelledTable, backbones: Sequence[Backbone], *, options: FitOptions, progress: Progress
) -> BackboneChoice:
    """Return the choice among backbones by readable training images with digests; of many a sample is asked."""
    asked = sampled(train, MOST_IMAGES, seed=options.seed)
    made = []
    for backbone in backbones:
        progress.say(f"Trying {backbone.spec.name} on {len(asked):,} training images.")
        began = time.perf_counter()
        extractor = FeatureExtractor.of(backbone, device=options.device, threads=options.threads, progress=progress)
        features = extractor.features(asked)
        seconds, computed = time.perf_counter() - began, sum(features.computed)
        remember_speed(backbone.spec, extractor.kind, computed, seconds)
        made.append((backbone, features, seconds, computed))
    for _, features, _, _ in made:
        asked = asked.where(features.has(asked.digests))  # files can change while a fit runs
    tried = []
    for backbone, features, seconds, computed in made:
        head = fit_head(asked, features, seed=options.seed, progress=progress)
        tried.append(
            Tried(
                name=backbone.spec.name,
                out_of_fold=head.out_of_fold,
                multiply_adds=multiply_adds(backbone),
                seconds=seconds,
                computed=computed,
            )
        )
    return choose_backbone(tried, of=len(train))


def sampled(train: Table, most: int, *, seed: int) -> Table:
    """Return at most about `most` images, each class by its share but with two at least, drawn by (seed, uri)."""
    if len(train) <= most:
        return train
    uris, labels = train.uris, train.rows["labels"].to_pylist()
    strata: dict[tuple[int, ...], list[int]] = {}
    for row in sorted(range(len(train)), key=lambda row: key(seed, "choose backbone", uris[row])):
        strata.setdefault(tuple(labels[row]), []).append(row)
    mask = np.zeros(len(train), dtype=bool)
    for rows in strata.values():
        mask[rows[: max(2, round(most * len(rows) / len(train)))]] = True
    return train.where(mask)
