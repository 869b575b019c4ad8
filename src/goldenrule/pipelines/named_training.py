"""One named network trained one way, with the verbs of `Learner`: from scratch, the head alone, or all of it.

From scratch begins with random weights. Transfer learning keeps the pretrained backbone frozen and trains the head, or
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
from goldenrule.metrics import Predictions, accuracy, log_loss, with_class_thresholds
from goldenrule.metrics.estimate import Basis
from goldenrule.metrics.selection_rules import Trained, gentle, later_replaces, rate_from_scratch
from goldenrule.models.backbone import Backbone
from goldenrule.models.trainable import moving_norms
from goldenrule.pipelines.calibrate import calibrated_on_valid
from goldenrule.pipelines.context import FitContext
from goldenrule.pipelines.finalize import concluded, scored_on_valid
from goldenrule.pipelines.fit_result import Candidate, FitResult
from goldenrule.pipelines.prepare import backbone_from_scratch, prepared_fit
from goldenrule.pipelines.probe import LinearHeads, check_learnable, linear_heads_of, readable
from goldenrule.report.content import LiveContent
from goldenrule.runs.options import FitOptions
from goldenrule.runs.training_options import TrainingOptions
from goldenrule.training.diagnostics import Level, ended_worse, hints_by_stage
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
    """Train the network that `options.backbone` names as `options.training` says, evaluate it and write the run.

    Writes to `out`, by default the next free `runs/NAME`, with the split of the runs before it; goes on where a killed
    run stopped. Unless this is `final` the test split stays closed, until the same is told again and is final. Raises a
    `GoldenRuleError` for what the user can mend.
    """
    training = options.training
    if training is None:
        raise OptionError("train() wants FitOptions(training=TrainingOptions(type=...)); without it there is fit.")
    with prepared_fit(source, options=options, out=out, runs=runs, progress=progress) as (context, features):
        valid = int(readable(context.table, "valid", features).labelled.sum())
        if not training.linear and valid < FEWEST_VALID:
            raise TooFewImages(
                f"{valid} labelled validation images: wanted {FEWEST_VALID} or more to evaluate training."
            )
        if training.type == "fromzero":
            return _from_scratch(context, features, training, final)
        linear = linear_heads_of(context, features)
        if training.linear:
            return concluded(context, linear.candidates, linear.chosen, linear.features, final=final)
        return _from_pretrained(context, linear, training, final)


def _from_scratch(context: FitContext, features: Features, training: TrainingOptions, final: bool) -> FitResult:
    check_learnable(readable(context.table, "train", features).only_labelled(), features.failures)
    backbone = backbone_from_scratch(context.options, context.progress)
    learn = _learner(context, training, backbone)
    learn.unfreeze()
    learn.bn_freeze(False)  # random layers have no statistics to keep
    bounded = partial(rate_from_scratch, optimizer=training.optimizer, normalised=moving_norms(backbone.module) > 0)
    curves = _fit(context, learn, training, (1.0, 1.0, 1.0), bounded)
    candidate = _candidate(context, learn, training, Trained.FROM_SCRATCH)
    live = _live(context, learn, curves)
    return concluded(context, [candidate], candidate, features, live=live, final=final, linear=False)


def _from_pretrained(context: FitContext, linear: LinearHeads, training: TrainingOptions, final: bool) -> FitResult:
    """Train the head on features from the cache, or from the linear head on the whole network."""
    head_only = training.type == "transfer_learning"
    learn = _learner(context, training, context.backbone, views=linear.views if head_only else 0, precompute=head_only)
    standing, before = scored_on_valid(context, linear.chosen, linear.features)
    if head_only:
        curves = _fit(context, learn, training, (1.0, 1.0, 1.0))
    else:
        learn.load(standing)
        learn.unfreeze()
        curves = _fit(context, learn, training, RATIO, lambda rate: gentle(rate, linear.chosen.evaluated_on))
    candidate = _candidate(context, learn, training, Trained.HEAD if head_only else Trained.FINE_TUNED)
    before = replace(with_class_thresholds(before, beta=context.options.beta), basis=Basis.USED_FOR_SELECTION)
    worse = ended_worse(_level(before), _level(candidate.evaluated_on), variant="train")
    context.state.findings += [worse] if worse else []
    verdict = later_replaces(before, candidate.evaluated_on, names=(linear.chosen.name, candidate.name), tempered=True)
    candidate = replace(candidate, verdict=replace(verdict, asked_for=True))
    every, live = [*linear.candidates, candidate], _live(context, learn, curves)
    return concluded(context, every, candidate, linear.features, live=live, final=final, linear=False)


def _learner(
    context: FitContext, training: TrainingOptions, backbone: Backbone, *, views: int = 0, precompute: bool = False
) -> Learner:
    options = context.options
    return Learner(
        context.table,
        backbone,
        precompute=precompute,
        augment=options.augmentation,
        augmented_views=views,
        head=options.head_kind,
        optimizer=training.optimizer or "adamw",
        batch_size=training.batch_size,
        seed=options.seed,
        **options.machines.said,
        threads=context.threads,
        folder=context.run.folder,
        progress=context.progress,
    )


def _fit(
    context: FitContext,
    learn: Learner,
    training: TrainingOptions,
    ratio: tuple[float, ...],
    bounded: Callable[[float], float] = lambda rate: rate,
) -> dict[str, RangeTest]:
    """Find the rate where none was given, and train: one cycle, or at a constant rate where it may end earlier."""
    curves: dict[str, RangeTest] = {}
    stage = training.type.replace("_", " ").replace("fromzero", "from scratch")
    with context.state.stage(stage):
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


def _candidate(context: FitContext, learn: Learner, training: TrainingOptions, name: str) -> Candidate:
    apart = learn.crossed((1.0,), keep="best" if training.stops else "last")
    temperature = learn.calibrate()
    seen = replace(learn.evaluate() if apart is None else apart.predictions, basis=Basis.USED_FOR_SELECTION)
    seen = with_blocks(seen, context.table)
    return Candidate(
        name=name,
        backbone=learn.state.backbone,
        head=learn.state.head,
        evaluated_on=with_class_thresholds(seen, beta=context.options.beta),
        evaluated_split="valid",
        calibration=calibrated_on_valid(temperature, seen, apart.before if apart else None),
        facts={"epochs": learn.state.epochs},
        crossed=apart,
    )


def _level(predictions: Predictions) -> Level:
    """Return the loss of predictions, and the share of images that is right; of several labels the share of labels."""
    scored = predictions.scored
    right = accuracy(scored).value if scored.task == "single" else float((scored.called == scored.truth).mean())
    return Level(log_loss(scored).value, right)


def _live(context: FitContext, learn: Learner, curves: dict[str, RangeTest]) -> LiveContent:
    notes = hints_by_stage(learn.history.rows, chance=context.table.guessing_loss)
    return LiveContent(curves=curves, history=learn.history, notes=notes)
