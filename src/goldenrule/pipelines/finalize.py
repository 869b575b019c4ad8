"""How every fit ends: save the chosen classifier, evaluate it through its file, write the numbers and the report."""

from __future__ import annotations

import datetime
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np

from goldenrule.analysis.duplicate_findings import duplicates
from goldenrule.core.errors import FormatError
from goldenrule.core.findings import Finding
from goldenrule.core.schema import as_json
from goldenrule.data.augmentation.augment import PLAIN
from goldenrule.data.splits.stretches import torn, with_blocks
from goldenrule.data.table import SPLITS, ImageTable, Split
from goldenrule.features.extractor import Features
from goldenrule.features.scoring import predictions_from
from goldenrule.metrics import Predictions, PredictionSets, best_thresholds
from goldenrule.metrics.estimate import Basis
from goldenrule.metrics.predictions_csv import to_csv
from goldenrule.models.classifier import Classifier
from goldenrule.models.graphs.compiled import engine_kind, serving_kind
from goldenrule.pipelines.changed_files import changed_files
from goldenrule.pipelines.context import FitContext
from goldenrule.pipelines.contradictions import contradictions
from goldenrule.pipelines.fit_result import REPORT, Candidate, FitBefore, FitResult
from goldenrule.pipelines.ood_detection import fitted_ood_detector
from goldenrule.report.content import LiveContent
from goldenrule.runs.environment import environment
from goldenrule.runs.store import about_images
from goldenrule.runs.verified_files import (
    CHOICE,
    RESULT,
    ChoiceJson,
    TestScored,
    run_choice,
    run_result,
    was_written,
)
from goldenrule.storage.files import digest, json_digest, write_atomic
from goldenrule.storage.tensors import tensors_content


def concluded(
    context: FitContext,
    candidates: Sequence[Candidate],
    chosen: Candidate,
    features: Features,
    *,
    live: LiveContent | None = None,
    final: bool = True,
    linear: bool = True,
) -> FitResult:
    """Save, evaluate and report. The test split is opened only where this is `final`, after the choice is written.

    With `linear` the out-of-fold predictions of the best linear head are reported too: not where another network was
    asked for, of which they would say nothing.
    """
    if context.state.before is None:
        context.state.before = _before(context)
    with context.state.stage("evaluate"):
        classifier = _saved(context, chosen, features)
        why = [candidate.verdict.sentence for candidate in candidates if candidate.verdict]
        splits: tuple[Split, ...] = ("test", "valid") if final else ("valid",)
        scored_before = _test_scored(context)
        if final and len(context.table.split("test")):
            scored_before = _with_scored(scored_before, classifier, chosen.name)
        context.state.findings += _scored_again(scored_before)
        context.run.write_json(
            CHOICE,
            {"chosen": chosen.name, "final": final, "quick": context.options.quick, "why": why}
            | {"left_out": as_json(context.state.left_out), "test_scored": as_json(scored_before)},
        )
        predictions: dict[str, Predictions] = {
            split: _scored(classifier, table, context, features)
            for split in splits
            if len(table := context.table.split(split))
        }
        if (
            chosen.evaluated_split == "valid" and "valid" in predictions
        ):  # a linear head's was held out before others came
            predictions["valid"] = evaluated_apart(
                replace(predictions["valid"], basis=Basis.USED_FOR_SELECTION), chosen
            )
        if linear:
            predictions["out-of-fold"] = _linear(candidates).evaluated_on
        for name, said in predictions.items():
            context.run.write(f"predictions/{name}.csv", to_csv(said))
    scored = {name: said for name, said in predictions.items() if len(said.scored)}
    mixed = {split for split in SPLITS if torn(context.table, split)}
    odd = contradictions(scored, classifier, chosen, torn=mixed, beta=context.options.beta)
    read = _read(context, features)
    result = FitResult(
        folder=context.run.folder,
        classifier=classifier,
        table=context.table,
        read=read,
        predictions=predictions,
        candidates=tuple(candidates),
        chosen=chosen.name,
        options=context.options,
        stages=_stages(context, final=final),
        features={"computed": context.state.computed, "reused": context.state.reused},
        findings=(
            *odd,
            *changed_files(context.table, context.state.stamps),
            *context.state.findings,
            *duplicates(read),
        ),
        live=live,
        backbones=context.state.backbones,
        dependence=context.state.dependence,
        leaks=context.state.leaks,
        left_out=tuple(context.state.left_out),
        expectations=tuple(context.state.expectations),
    )
    return _reported(context, result, final=final)


def evaluated_apart(valid: Predictions, chosen: Candidate) -> Predictions:
    """Return validation as it was evaluated by halves, where the chosen network's settings were chosen on it.

    Images that could not be evaluated so stay as they are, and those that can't be read any more have no prediction.
    """
    if chosen.crossed is None:
        return valid
    of_image = dict(zip(chosen.evaluated_on.ids, chosen.evaluated_on.logits, strict=True))
    every = zip(valid.ids, valid.logits, valid.ok, strict=True)
    logits = np.stack([of_image.get(uri, plain) if ok else plain for uri, plain, ok in every])
    return replace(valid, logits=logits.astype(np.float32))


def finished(context: FitContext) -> Literal["no", "quick", "whole"]:
    """Return whether this run came to an end before: that of a quick fit, or of the whole one that goes on from it."""
    choice = _choice(context)
    if choice is None or not choice.final:
        return "no"
    return "quick" if choice.quick else "whole"


def _choice(context: FitContext) -> ChoiceJson | None:
    try:
        return run_choice(context.run.folder)
    except FormatError:  # damaged: it is written anew
        return None


def _test_scored(context: FitContext) -> tuple[TestScored, ...]:
    choice = _choice(context)
    return choice.test_scored if choice else ()


def _with_scored(before: tuple[TestScored, ...], classifier: Classifier, chosen: str) -> tuple[TestScored, ...]:
    """Return the classifiers that were scored on the test split, with this one, each with its first day."""
    predicts = json_digest({
        "head": digest(tensors_content(classifier.head.tensors)).hex(),
        "backbone": classifier.backbone.spec.weights,
        "views": as_json(classifier.views),
    })  # fmt: skip
    if any(one.classifier == predicts for one in before):
        return before
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    return (*before, TestScored(classifier=predicts, chosen=chosen, day=today))


def _scored_again(scored: Sequence[TestScored]) -> list[Finding]:
    """Return a note where the test split was scored for more than one classifier."""
    if len(scored) < 2:
        return []
    each = tuple(f"{one.chosen}, {one.day}" for one in scored)
    return [Finding(severity="note", code="test-scored-again", fields={"n": len(scored)}, evidence=each)]


def _before(context: FitContext) -> FitBefore:
    """Return what this run has told before: what is replayed took those seconds then."""
    if not was_written(context.run.folder, RESULT):
        return FitBefore(stages={}, choice=None)
    try:
        stages = {stage.name: stage.seconds for stage in run_result(context.run.folder).stages}
    except FormatError:  # damaged: it is written anew
        return FitBefore(stages={}, choice=None)
    return FitBefore(stages=stages, choice=_choice(context))


def _stages(context: FitContext, *, final: bool) -> tuple[tuple[str, float], ...]:
    """Return the seconds by stage: those of the first time, where this fit came to its end before."""
    state, quick = context.state, context.options.quick
    choice = state.before.choice if state.before else None
    same = choice is not None and (choice.final, choice.quick) == (final, quick)
    return state.took(again=same and choice is not None and choice.left_out == tuple(state.left_out))


def scored_on_valid(context: FitContext, chosen: Candidate, features: Features) -> tuple[Classifier, Predictions]:
    """Return a candidate as a classifier, not saved, and its predictions on the validation split."""
    classifier = classifier_of(context, chosen, features)
    return classifier, _scored(classifier, context.table.split("valid"), context, features)


def _linear(candidates: Sequence[Candidate]) -> Candidate:
    """Return the best of the linear heads: only they have out-of-fold predictions."""
    return [
        one
        for one in candidates
        if one.evaluated_split == "out-of-fold" and (one.verdict is None or one.verdict.replaced)
    ][-1]


def _saved(context: FitContext, chosen: Candidate, features: Features) -> Classifier:
    """Save the classifier and give what was saved: the numbers are those of the file (law 1)."""
    made = classifier_of(context, chosen, features)
    replace(made, ood_detector=fitted_ood_detector(context, made, features)).save(context.run.folder / "classifier")
    return Classifier.load(context.run.folder / "classifier")


def _read(context: FitContext, features: Features) -> ImageTable:
    """Return the images that could be read as pictures."""
    return context.table.where(features.has(context.table.digests))


def classifier_of(context: FitContext, chosen: Candidate, features: Features) -> Classifier:
    """Return a candidate as a classifier, not saved yet; `features` are those of the images that could be read."""
    read = _read(context, features)
    provenance = {
        "goldenrule": environment()["goldenrule"],
        "images": about_images(context.table) | {"folder": context.table.name},  # shared: no paths of its maker
        "counts": read.counts(),
        "train_images": int(read.teaching.sum()),
        "options": context.options.shown(),
        "started_from": context.backbone.spec.weights,  # the digest: --weights and --from are names alone
        "candidate": chosen.name,
        "solver": dict(chosen.facts),
    }
    frozen = chosen.backbone.spec.weights == context.backbone.spec.weights
    kind = (
        context.kind
        if frozen
        else engine_kind(chosen.backbone, device=context.options.device, progress=context.progress)
    )
    if not frozen or chosen.views != (PLAIN,):
        kind = serving_kind(chosen.backbone, kind)  # it is scored by `predict`: what runs there is what is recorded
    several = context.table.task == "multi"
    return Classifier(
        context.table.classes,
        chosen.backbone,
        chosen.head,
        kind,
        provenance,
        chosen.views,
        None if several else PredictionSets.fit(chosen.evaluated_on, coverage=context.options.coverage, method="lac"),
        context.table.task,
        best_thresholds(chosen.evaluated_on, beta=context.options.beta) if several else None,
        calibration=as_json(chosen.calibration) if chosen.calibration and chosen.calibration.applied else None,
    )


def _scored(classifier: Classifier, table: ImageTable, context: FitContext, features: Features) -> Predictions:
    return with_blocks(_predicted(classifier, table, context, features), context.table)


def _predicted(classifier: Classifier, table: ImageTable, context: FitContext, features: Features) -> Predictions:
    """Return the saved classifier's predictions: from the cache's rows where they are those of its backbone."""
    if classifier.backbone.spec.weights != context.backbone.spec.weights or classifier.views != (PLAIN,):
        return classifier.predict_table(table, threads=context.threads, progress=context.progress)
    return predictions_from(classifier, features, table.digests, ids=table.uris, truth=table.truth)


def _reported(context: FitContext, result: FitResult, *, final: bool) -> FitResult:
    from goldenrule.pipelines.result_files import report_content, result_json

    with context.state.stage(REPORT):
        from goldenrule.report.content_files import keep_content
        from goldenrule.report.model_card import CARD, model_card, write_card
        from goldenrule.report.pages.run_page import render_page

        content = report_content(result)
        keep_content(result.folder / "report", content)
        write_atomic(result.report, render_page(content))
        write_card(result.folder / CARD, model_card(content))
    finished = result.after(_stages(context, final=final), seconds=time.monotonic() - context.state.began)
    context.run.write_json(RESULT, result_json(finished))
    return finished
