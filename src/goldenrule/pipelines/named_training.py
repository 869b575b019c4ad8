"""One named network trained one way, with the verbs of `Learner`: from zero, the head alone, or all of it.

From zero begins with random weights. Transfer learning keeps the pretrained backbone frozen and trains the head, or
fits it; fine-tuning begins with that linear head and trains the whole network (Kumar et al., "Fine-tuning can distort
pretrained features", arXiv:2202.10054). Unlike `golden_rule` the result is what was asked for, better or not; how it
stands against the linear head is said.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from goldenrule.core.errors import OptionError, TooFewImages, system_errors
from goldenrule.core.progress import Progress
from goldenrule.data.splits.stretches import with_blocks
from goldenrule.data.table import ImageTable
from goldenrule.features.extractor import Features
from goldenrule.metrics import with_class_thresholds
from goldenrule.metrics.estimate import Basis
from goldenrule.metrics.selection_rules import Trained, gentle, later_replaces, rate_from_zero
from goldenrule.models.backbone import Backbone
from goldenrule.models.trainable import moving_norms
from goldenrule.pipelines.calibrate import calibrated_on_valid
from goldenrule.pipelines.context import FitContext
from goldenrule.pipelines.finalize import concluded, scored_on_valid
from goldenrule.pipelines.fit_result import Candidate, FitResult
from goldenrule.pipelines.prepare import backbone_from_scratch, begun
from goldenrule.pipelines.probe import Solved, check_learnable, linear_heads_of, readable
from goldenrule.report.content import LiveContent
from goldenrule.runs.options import FitOptions
from goldenrule.runs.training_options import TrainingOptions
from goldenrule.training.diagnostics import hints_by_stage
from goldenrule.training.learner import Learner
from goldenrule.training.lr_finder import RangeTest
from goldenrule.training.plan import RATIO
from goldenrule.training.schedule import Constant, OneCycle, Schedule

FEWEST_VALID = 2


@system_errors()
def train(
    source: str | os.PathLike[str] | ImageTable,
    *,
    options: FitOptions,
    out: str | Path | None = None,
    runs: str | Path = Path("runs"),
    final: bool = True,
    progress: Progress | None = None,
) -> FitResult:
    """Train the network that `options.backbone` names as `options.training` says, judge it and write the run.

    Writes to `out`, by default the next free `runs/NAME`, with the split of the runs before it; goes on where a killed
    run stopped. Unless this is `final` the test split stays closed, until the same is told again and is final. Raises a
    `GoldenRuleError` for what the user can mend.
    """
    training = options.training
    if training is None:
        raise OptionError("train() wants FitOptions(training=TrainingOptions(type=...)); without it there is fit.")
    with begun(source, options=options, out=out, runs=runs, progress=progress) as (work, features):
        valid = int(readable(work.table, "valid", features).labelled.sum())
        if not training.solved and valid < FEWEST_VALID:
            raise TooFewImages(f"{valid} labelled validation images: wanted {FEWEST_VALID} or more to judge training.")
        if training.type == "fromzero":
            return _from_zero(work, features, training, final)
        solved = linear_heads_of(work, features)
        if training.solved:
            return concluded(work, solved.candidates, solved.chosen, solved.features, final=final)
        return _from_pretrained(work, solved, training, final)


def _from_zero(work: FitContext, features: Features, training: TrainingOptions, final: bool) -> FitResult:
    check_learnable(readable(work.table, "train", features).only_labelled(), features.failures)
    backbone = backbone_from_scratch(work.options, work.progress)
    learn = _learner(work, training, backbone)
    learn.unfreeze()
    learn.bn_freeze(False)  # random layers have no statistics to keep
    bounded = partial(rate_from_zero, optimizer=training.optimizer, normalised=moving_norms(backbone.module) > 0)
    curves = _fit(work, learn, training, (1.0, 1.0, 1.0), bounded)
    candidate = _candidate(work, learn, training, Trained.FROM_ZERO)
    live = _live(work, learn, curves)
    return concluded(work, [candidate], candidate, features, live=live, final=final, solved=False)


def _from_pretrained(work: FitContext, solved: Solved, training: TrainingOptions, final: bool) -> FitResult:
    """Train the head on features from the cache, or from the linear head on the whole network."""
    head_only = training.type == "transfer_learning"
    learn = _learner(work, training, work.backbone, views=solved.views if head_only else 0, precompute=head_only)
    standing, before = scored_on_valid(work, solved.chosen, solved.features)
    if head_only:
        curves = _fit(work, learn, training, (1.0, 1.0, 1.0))
    else:
        learn.load(standing)
        learn.unfreeze()
        curves = _fit(work, learn, training, RATIO, lambda rate: gentle(rate, solved.chosen.judged_on))
    candidate = _candidate(work, learn, training, Trained.HEAD if head_only else Trained.FINE_TUNED)
    before = replace(with_class_thresholds(before, beta=work.options.beta), basis=Basis.CHOSEN_ON)
    verdict = later_replaces(before, candidate.judged_on, names=(solved.chosen.name, candidate.name), tempered=True)
    candidate = replace(candidate, verdict=replace(verdict, asked_for=True))
    every, live = [*solved.candidates, candidate], _live(work, learn, curves)
    return concluded(work, every, candidate, solved.features, live=live, final=final, solved=False)


def _learner(
    work: FitContext, training: TrainingOptions, backbone: Backbone, *, views: int = 0, precompute: bool = False
) -> Learner:
    options = work.options
    return Learner(
        work.table,
        backbone,
        precompute=precompute,
        augment=options.augmentation,
        augmented_views=views,
        head=options.head,
        optimizer=training.optimizer or "adamw",
        batch_size=training.batch_size,
        seed=options.seed,
        device=options.device,
        threads=work.threads,
        folder=work.run.folder,
        progress=work.progress,
    )


def _fit(
    work: FitContext,
    learn: Learner,
    training: TrainingOptions,
    ratio: tuple[float, ...],
    bounded: Callable[[float], float] = lambda rate: rate,
) -> dict[str, RangeTest]:
    """Find the rate where none was given, and train: one cycle, or at a constant rate where it may end earlier."""
    curves: dict[str, RangeTest] = {}
    stage = training.type.replace("_", " ").replace("fromzero", "from zero")
    with work.story.stage(stage):
        top = training.lr
        if top is None:
            curves[stage] = found = learn.lr_find(rates=ratio)
            top = bounded(found.suggestion)
        schedule: Schedule = OneCycle(epochs=training.most_epochs)
        if training.stops:
            schedule = Constant(epochs=training.most_epochs)
        learn.fit(
            [top * share for share in ratio],
            schedule=schedule,
            keep="best" if training.stops else "last",
            advise=training.lr is not None,
            until_over_fitting=training.overfit or False,
            until_converged=training.converged,
            save_every=training.save_every,
            stage=stage,
        )
    if not learn.history:
        raise OptionError(f"The loss became no number at a rate of {top:.2g}. Give a lower one: --lr {top / 10:.2g}.")
    return curves


def _candidate(work: FitContext, learn: Learner, training: TrainingOptions, name: str) -> Candidate:
    apart = learn.crossed((1.0,), keep="best" if training.stops else "last")
    temperature = learn.calibrate()
    seen = replace(learn.evaluate() if apart is None else apart.predictions, basis=Basis.CHOSEN_ON)
    seen = with_blocks(seen, work.table)
    return Candidate(
        name=name,
        backbone=learn.state.backbone,
        head=learn.state.head,
        judged_on=with_class_thresholds(seen, beta=work.options.beta),
        evaluated_split="valid",
        calibration=calibrated_on_valid(temperature, seen, apart.before if apart else None),
        facts={"epochs": learn.state.epochs},
        crossed=apart,
    )


def _live(work: FitContext, learn: Learner, curves: dict[str, RangeTest]) -> LiveContent:
    notes = hints_by_stage(learn.history.rows, chance=work.table.guessing_loss)
    return LiveContent(curves=curves, history=learn.history, notes=notes)
