"""Step 1 of the golden rule: features, plain and of augmented views, and the heads fitted on them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from goldenrule.core.errors import TooFewImages
from goldenrule.core.findings import plural
from goldenrule.core.option import HeadKind
from goldenrule.core.reason import Reason
from goldenrule.core.schema import as_json
from goldenrule.data.pictures.unread import unreadable, wanted_once
from goldenrule.data.splits.evaluated_classes import not_evaluated
from goldenrule.data.splits.stretches import with_blocks
from goldenrule.data.table import ImageTable, LabelledTable, Split
from goldenrule.data.units import duplicate_units
from goldenrule.features.extractor import Features
from goldenrule.features.likelihood import learned_classes
from goldenrule.metrics import with_class_thresholds
from goldenrule.metrics.selection_rules import later_replaces, on_common, views_are_worth_it
from goldenrule.pipelines.calibrate import calibrated_head
from goldenrule.pipelines.context import FitContext, precomputed
from goldenrule.pipelines.fit_result import Candidate
from goldenrule.pipelines.linear_heads import SOLVER_VERSION, FittedHead, fit_outcome, fitted
from goldenrule.runs.store import Outcome, about_images
from goldenrule.storage.tensors import Array, check_arrays
from goldenrule.training.plan import DEFAULT_VIEWS


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LinearHeads:
    """The linear heads, the selected one, the plain features of all images, and how many views the cache has.

    `begins` is the one that a network is trained from: of the kind that was asked for, never on square roots by itself.
    """

    candidates: tuple[Candidate, ...]
    chosen: Candidate
    begins: Candidate
    features: Features
    views: int


def linear_heads_of(context: FitContext, features: Features, *, root: bool = False) -> LinearHeads:
    """Fit the linear head on plain features, then, where it leaves room, with augmented views; choose out-of-fold.

    With `root` the linear head on square roots is tried in between, where no kind of head was asked for. Where a quick
    fit takes that one, views are tried only where they were asked for: they seldom pay then (decision 62).
    """
    if features.failures:
        context.state.findings.append(unreadable(features.failures))
    train = readable(context.table, "train", features).only_labelled()
    check_learnable(train, features.failures)
    kind = context.options.head_kind
    name = head_name(kind)
    if context.options.folds:
        name = f"{name}, mean of {context.options.folds} folds"
        context.progress.say(
            f"--folds {context.options.folds}: all images but test ones are dealt out to folds, and evaluate "
            "out-of-fold. Live training is left out, as it would take that many times as long; --fold "
            f"1/{context.options.folds} and so on does it a fold at a time."
        )
    candidates = [candidate_of(context, name, linear_head(context, train, features, 0, kind))]
    begins = chosen = candidates[0]
    context.state.findings += not_evaluated(train, set(chosen.evaluated_on.ids))
    if root and context.options.head is None and not context.options.folds:
        near = chosen.facts.get("l2")
        rooted = candidate_of(context, head_name("root"), linear_head(context, train, features, 0, "root", near))
        candidates.append(_compared(chosen, rooted, as_cheap=True))
        if _is_selected(candidates[-1]):
            kind, name, chosen = "root", head_name("root"), candidates[-1]
    count = context.options.most_views
    if count is None:
        seldom = kind == "root" and context.options.quick
        count = DEFAULT_VIEWS if views_are_worth_it(chosen.evaluated_on) and not seldom else 0
    if count:
        seen = precomputed(context, count)
        varied = train.where(seen.has(train.digests, views=True))  # files can change while a fit runs
        check_learnable(varied, seen.failures)
        with_views = candidate_of(
            context,
            f"{name}, {count} views",
            linear_head(context, varied, seen, count, kind, chosen.facts.get("l2")),
        )
        candidates.append(_compared(chosen, with_views))
        chosen = candidates[-1] if _is_selected(candidates[-1]) else chosen
        begins = chosen if kind == context.options.head_kind else begins
    best = calibrated(context, chosen)
    begins = best if begins is chosen else calibrated(context, begins)
    every = tuple(best if one is chosen else one for one in candidates)
    return LinearHeads(candidates=every, chosen=best, begins=begins, features=features, views=count)


def head_name(kind: HeadKind) -> str:
    """Return what a head of this kind is called.

    >>> head_name("linear"), head_name("root")
    ('linear head', 'square-root head')
    """
    return "square-root head" if kind == "root" else f"{kind} head"


def _is_selected(candidate: Candidate) -> bool:
    return candidate.verdict is not None and candidate.verdict.replaced


def _compared(before: Candidate, after: Candidate, *, as_cheap: bool = False) -> Candidate:
    """Return the later candidate with the verdict on whether it takes the place of the one before."""
    both = on_common(before.evaluated_on, after.evaluated_on)
    return replace(after, verdict=later_replaces(*both, names=(before.name, after.name), as_cheap=as_cheap))


def readable(table: ImageTable, split: Split, features: Features) -> ImageTable:
    """Return the images of a split that have features."""
    of_split = np.array([one == split for one in table.splits], dtype=bool)
    return table.where(of_split & features.has(table.digests))


def calibrated(context: FitContext, candidate: Candidate) -> Candidate:
    """Return a linear head's candidate with the temperature that mends its probabilities, where one does."""
    head, evaluated_on, tried = calibrated_head(candidate.head, candidate.evaluated_on)
    predictions = with_class_thresholds(evaluated_on, beta=context.options.beta)
    return replace(candidate, head=head, evaluated_on=predictions, calibration=tried)


def candidate_of(context: FitContext, name: str, head: FittedHead) -> Candidate:
    """Return a fitted linear head as a candidate, evaluated out-of-fold."""
    return Candidate(
        name=name,
        backbone=context.backbone,
        head=head.head,
        evaluated_on=with_class_thresholds(with_blocks(head.out_of_fold, context.table), beta=context.options.beta),
        evaluated_split="out-of-fold",
        facts=head.facts,
    )


def linear_head(
    context: FitContext,
    train: LabelledTable,
    features: Features,
    count: int,
    kind: HeadKind,
    near: float | None = None,
) -> FittedHead:
    """Return the head on plain features and `count` augmented views of the training images; fitted once a run."""
    options = context.options
    key = {
        "step": "fit head",
        "version": SOLVER_VERSION,
        "numpy": np.__version__,
        "head": kind,
        "images": about_images(train),
        "seed": options.seed,
        "views": count,
        "near": near,
        **({"folds": options.folds} if options.folds else {}),
        "augment": options.augment,
        "weights": context.backbone.spec.weights,
        "banks": [cache.name for cache in features.caches],
        "engine": as_json(context.kind),
    }
    called = "root head" if kind == "root" else "linear head"
    with context.state.stage(f"fit {called} with views" if count else f"fit {called}"):
        outcome, replayed = context.run.step(
            key,
            lambda: fit_outcome(
                train,
                features,
                views=count,
                kind=kind,
                seed=options.seed,
                near=near,
                folds=options.folds,
                progress=context.progress,
            ),
            check=lambda kept: _check_fits(kept, train, kind, context.backbone.spec.features),
        )
    if replayed and count:
        context.progress.detail(f"The head with views was fitted before: replayed from {context.run.folder}.")
    elif replayed and kind == options.head_kind:
        context.progress.say(f"The head was fitted before: replayed from {context.run.folder}.")
    return fitted(train, outcome, kind)


def _check_fits(kept: Outcome, train: LabelledTable, kind: HeadKind, features: int) -> None:
    """Raise `FormatError` where a kept outcome is no head for these images."""
    count, classes = len(train), len(train.classes)
    wanted = {
        "fold_logits": Array((count, classes), missing=True),  # NaN where no fold evaluates an image
        "fold": Array((count,), kind="whole"),
    }
    check_arrays(kept.tensors, wanted, what="the fitted head")
    found = fitted(train, kept, kind)
    check_arrays(
        {"logits": found.head.logits(np.zeros((1, features), np.float16))},
        {"logits": Array((1, classes))},
        what="the fitted head",
    )


def check_learnable(train: LabelledTable, failures: Mapping[str, Reason]) -> None:
    """Raise `TooFewImages` unless the readable training images are of two classes, and of two pictures or groups."""
    if len(learned_classes(train.truth)) < (2 if train.task == "single" else 1):
        found, wanted = wanted_once(failures)
        raise TooFewImages(
            f"Fewer than two classes of {train.root} have a readable training image: {plural(len(failures), 'file')} "
            f"can't be read ({'; '.join(found[:3])}{'; ...' if found[3:] else ''}). "
            + (f"Wanted: {wanted}. " if wanted else "")
            + "Replace them and start again."
        )
    if len(set(duplicate_units(train))) < 2:
        raise TooFewImages(
            f"All {len(train):,} readable training images of {train.root} are the same picture, or of one group: "
            "there is nothing to evaluate a classifier on. Add others."
        )
