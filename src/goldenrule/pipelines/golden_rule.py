"""The golden rule of fast.ai's lesson 2, all seven steps, written with the verbs of `Learner`."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from goldenrule.core.errors import OptionError, system_errors
from goldenrule.core.progress import Progress
from goldenrule.data.augmentation.presets import stronger
from goldenrule.data.table import ImageTable
from goldenrule.features.extractor import Features
from goldenrule.metrics import log_loss
from goldenrule.metrics.selection_rules import DomainShift, Trained, domain_shift, gentle, late_rate
from goldenrule.pipelines.attempts.several_backbones import (
    Standing,
    with_several_backbones,
)
from goldenrule.pipelines.clock import Clock
from goldenrule.pipelines.context import FitContext
from goldenrule.pipelines.finalize import classifier_of, concluded, finished, scored_on_valid
from goldenrule.pipelines.fit_result import FitResult
from goldenrule.pipelines.planning import ALL_STEPS, attempts_for, expected_of, live_plan_for, training_speed
from goldenrule.pipelines.prepare import prepared_fit
from goldenrule.pipelines.probe import LinearHeads, linear_heads_of, readable
from goldenrule.pipelines.selection import ModelSelection
from goldenrule.report.content import LiveContent
from goldenrule.report.sentences import duration
from goldenrule.runs.options import FitOptions
from goldenrule.training.diagnostics import hints_by_stage
from goldenrule.training.learner import Learner
from goldenrule.training.loggers import Logger
from goldenrule.training.lr_finder import RangeTest
from goldenrule.training.plan import LATE_SPEED, LATE_VIEWS, LiveStep

MIXUP = 0.4
HIGH_SHIFT = (
    "High domain shift (the linear head is wrong on more than 3 of 10 images): late layers are trained before the "
    "whole network, at the fresh head's rate; their BatchNorms follow the batches; pictures are blended in pairs "
    "(mixup)."
)
MODERATE_SHIFT = (
    "Moderate domain shift (the linear head is right on 70 to 95 of 100 images): late layers are trained first, on "
    "features from the cache; their pictures are blended in pairs (mixup)."
)
LOW_SHIFT = (
    "Low domain shift (the linear head is right on more than 95 of 100 images): the whole network is trained at a "
    "lower rate than was found, as it has little to learn and much to forget."
)
VARIED = "They are varied more in light and size, and mirrored only if --augment says so."


@system_errors()
def golden_rule(
    source: str | os.PathLike[str] | ImageTable,
    *,
    options: FitOptions | None = None,
    out: str | Path | None = None,
    runs: str | Path = Path("runs"),
    progress: Progress | None = None,
    on_result: Callable[[FitResult], None] | None = None,
    loggers: Sequence[Logger] = (),
) -> FitResult:
    """Fit a classifier by the golden rule and evaluate it; the best network of all steps is the result.

    After step 1 there is an answer already: it is saved, and given to `on_result`. A later network takes its
    place only where it is clearly better on validation. Writes the run to `out`, by default the next free
    `runs/NAME`; goes on where a killed run stopped. `loggers` keep the epochs elsewhere too. Raises a
    `GoldenRuleError` for what the user can mend.
    """
    if options is not None and options.training is not None:
        raise OptionError("FitOptions(training=...) is for gr.train(): the golden rule chooses by itself.")
    with prepared_fit(source, options=options, out=out, runs=runs, progress=progress) as (context, features):
        return all_steps(context, features, on_result=on_result, loggers=loggers)


def all_steps(
    context: FitContext,
    features: Features,
    *,
    on_result: Callable[[FitResult], None] | None = None,
    loggers: Sequence[Logger] = (),
) -> FitResult:
    """Go through all steps in a run that is open; what was done there before, as by a quick fit, is replayed."""
    linear = linear_heads_of(context, features, root=True)  # step 1
    if context.options.linear_only:
        return concluded(context, linear.candidates, linear.chosen, linear.features)
    before = finished(context)
    if before == "no":  # what is finished is not replaced by less, not even for seconds
        first = concluded(context, linear.candidates, linear.chosen, linear.features, final=False)
        if on_result:
            on_result(first)
    elif before == "quick":
        context.progress.say(f"{context.run.folder} has its quick fit, which stays usable: going on from there.")
    clock, standing = Clock(context), Standing(context=context, linear=linear)
    shift = domain_shift(linear.begins.evaluated_on)
    planned = {
        LiveStep(one.attempt): one.seconds
        for one in attempts_for(context.table, context.backbone, context.kind, context.options, shift=shift)
    }
    if LiveStep.SIDE_BY_SIDE in planned:
        seconds = planned[LiveStep.SIDE_BY_SIDE]
        if _is_worth(standing, LiveStep.SIDE_BY_SIDE, shift, seconds) and clock.allows(LiveStep.SIDE_BY_SIDE, seconds):
            with context.state.stage("several backbones"):
                standing = with_several_backbones(standing)
    trains = _can_be_evaluated(context, linear)
    if trains and LiveStep.NETWORK in planned:
        trains = _is_worth(standing, LiveStep.NETWORK, shift, planned[LiveStep.NETWORK])
    if not trains:
        clock.say_left_out()
        return concluded(standing.context, standing.linear.candidates, standing.linear.chosen, standing.linear.features)
    selection, live = seven_steps(context, linear, standing, clock, loggers)
    if selection.best.backbone.spec.weights != standing.context.backbone.spec.weights:
        return concluded(context, selection.candidates, selection.best, linear.features, live=live)
    return concluded(standing.context, selection.candidates, selection.best, standing.linear.features, live=live)


def _is_worth(standing: Standing, attempt: LiveStep, shift: DomainShift, seconds: float) -> bool:
    """Return whether an attempt is made; what is expected of it is kept with the run, and said where it is left out."""
    context = standing.context
    loss = log_loss(standing.linear.chosen.evaluated_on).value
    found = expected_of(attempt, context.table, context.options, shift=shift, loss=loss, seconds=seconds)
    context.state.expectations.append(found)
    if not found.tried:
        context.progress.detail(f"Left out: {found.sentence}.")
    return found.tried


def _can_be_evaluated(context: FitContext, linear: LinearHeads) -> bool:
    readable_ones = readable(context.table, "valid", linear.features)
    if int(readable_ones.labelled.sum()) >= 2:
        return True
    context.progress.say(
        "Live training is left out: it is evaluated on validation, and wants two images there at least."
    )
    return False


def _expect(context: FitContext, *seconds: float) -> None:
    """Say how long the steps take that are left."""
    context.progress.expect(ALL_STEPS, sum(seconds))


def seven_steps(
    context: FitContext, linear: LinearHeads, standing: Standing, clock: Clock, loggers: Sequence[Logger] = ()
) -> tuple[ModelSelection, LiveContent]:
    """Run the steps after the linear head; return all candidates with the best, and the curves.

    They train the backbone of `linear`, and are compared with what is `standing`.
    """
    options = context.options
    shift = domain_shift(linear.begins.evaluated_on)
    high = shift == "high"
    plan = live_plan_for(context.table, context.backbone, context.kind, shift=shift)
    context.progress.say(f"Live steps, about {duration(sum(step.seconds for step in plan.steps()))}:")
    context.progress.detail(" ".join(f"{step.name}, about {duration(step.seconds)}." for step in plan.steps()))
    head = classifier_of(context, linear.begins, linear.features)
    _, valid = scored_on_valid(standing.context, standing.linear.chosen, standing.linear.features)
    late = 0.0 if shift == "low" else plan.late_seconds
    selection = ModelSelection(standing.linear, valid, beta=options.beta, progress=context.progress)
    curves: dict[str, RangeTest] = {}

    # 1. Enable data augmentation, precompute=True: the cache has plain rows, and views where they can pay.
    augmentation = options.augmentation_named("basic" if high and options.augment == "auto" else options.augment)
    learn = Learner(
        context.table,
        context.backbone,
        precompute=True,
        augment=stronger(augmentation) if high and augmentation else augmentation,
        augmented_views=0 if high else linear.views,
        late_views=LATE_VIEWS,
        head=options.head_kind,
        seed=options.seed,
        **options.machines.said,
        threads=context.threads,
        folder=context.run.folder,
        loggers=loggers,
        progress=context.progress,
    )
    if clock.limited and (measured := training_speed(learn)):  # what this run measures, not what an earlier one did
        plan = live_plan_for(context.table, context.backbone, context.kind, shift=shift, images_per_second=measured)
    _expect(context, plan.head_seconds, late, plan.network_seconds, plan.tta_seconds)
    if clock.allows(LiveStep.HEAD, plan.head_seconds):
        with context.state.stage("train the head"):
            # 2. lr_find: the highest rate where the loss is still clearly improving.
            curves["fresh head"] = rate = learn.lr_find()
            # 3. Train the last layer from precomputed features.
            learn.fit(rate.suggestion, plan.head_epochs, stage="head, precomputed", advise=False)
            # 4. Train it with augmentation, precompute=False, cycle_len=1.
            learn.precompute = False
            learn.fit(rate.suggestion, plan.live_cycles, cycle_len=1, stage="head, live", advise=False)
            selection.enter(Trained.HEAD, learn)
    # 5. Unfreeze, starting from the better head; where the backbone has more to learn, its late layers first.
    if selection.best is standing.linear.chosen:
        learn.load(head)
    if high:
        selection.notes.append(f"{HIGH_SHIFT} {VARIED}" if augmentation else HIGH_SHIFT)
        learn.bn_freeze("early")
    if shift == "moderate":
        selection.notes.append(MODERATE_SHIFT)
    _expect(context, late, plan.network_seconds, plan.tta_seconds)
    if shift != "low" and clock.allows(LiveStep.LATE_LAYERS, plan.late_seconds, wanted=bool(curves)):
        with context.state.stage("train the late layers"):
            better = learn.classifier()
            learn.freeze_to(1)
            learn.precompute = learn.can_precompute()
            learn.fit(
                [late_rate(rate.suggestion, shift) * share for share in plan.ratio],
                1,
                cycle_len=plan.late_epochs,
                mixup=MIXUP,
                stage="late layers",
                advise=False,  # the rate is the recipe's own
                out_of_time=clock.out_of_time(times_faster=LATE_SPEED),
            )
            if learn.state.out_of_time:
                clock.cut_short(LiveStep.LATE_LAYERS, learn.history.rows[-1].epoch)
            temperature, apart = 1.0, None
            if not high:  # there is something to lose
                apart = learn.crossed(keep="last")
                learn.blend()
                temperature = learn.calibrate()
            if not selection.enter(Trained.LATE_LAYERS, learn, temperature=temperature, crossed=apart):
                learn.load(better)
    _expect(context, plan.network_seconds, plan.tta_seconds)
    if clock.allows(LiveStep.NETWORK, plan.network_seconds):
        with context.state.stage("train the whole network"):
            learn.unfreeze()
            # 6. lr_find again, the rates of the groups in their ratio: earlier layers learn slower.
            curves["whole network"] = rate = learn.lr_find(rates=plan.ratio)
            top = gentle(rate.suggestion, linear.begins.evaluated_on)
            selection.notes += [LOW_SHIFT] if top < rate.suggestion else []
            # 7. Train the whole network with cycle_mult=2 until over-fitting; the best cycle is kept.
            learn.fit(
                [top * share for share in plan.ratio],
                plan.cycles,
                cycle_len=plan.cycle_len,
                cycle_mult=2,
                keep="best",
                until_over_fitting=True,
                mixup=MIXUP if high else 0.0,
                stage="whole network",
                advise=False,
                out_of_time=clock.out_of_time(),
            )
            if learn.state.out_of_time:
                clock.cut_short(LiveStep.NETWORK, learn.history.rows[-1].epoch)
            apart = learn.crossed(keep="best")
            share = learn.blend()
            selection.notes.append(f"Of the way through the training of the whole network {100 * share:.0f} % is kept.")
            if (temperature := learn.calibrate()) > 1:
                selection.notes.append(f"It was overconfident: its logits are divided by {temperature:.2f}.")
            selection.enter(Trained.NETWORK, learn, temperature=temperature, crossed=apart)
    _expect(context, plan.tta_seconds)
    views_seconds = plan.tta_seconds
    if augmentation and clock.measures(LiveStep.TTA):
        views_seconds = selection.seconds_of_views(learn, augmentation)
    if augmentation and clock.allows(LiveStep.TTA, views_seconds, wanted=not clock.left_out):
        with context.state.stage("test-time augmentation"):
            selection.enter_views(learn, augmentation)
    selection.notes += filter(None, [clock.say_left_out()])
    _expect(context)
    if selection.best.head is not standing.linear.chosen.head:
        selection.notes.append(
            "Out-of-fold numbers are those of the linear head: the network was trained once, on all."
        )
    said = hints_by_stage(learn.history.rows, chance=context.table.guessing_loss)
    return selection, LiveContent(curves=curves, history=learn.history, notes=(*selection.notes, *said))
