"""How every fit ends: save the chosen classifier, judge it through its file, write the numbers and the report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from goldenrule.analysis.duplicate_findings import duplicates
from goldenrule.core.errors import FormatError
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
from goldenrule.pipelines.fit_result import Candidate, FitResult
from goldenrule.pipelines.ood_detection import familiar_images
from goldenrule.pipelines.prepare import folder_name
from goldenrule.report.content import LiveContent
from goldenrule.runs.environment import environment
from goldenrule.runs.store import about_images
from goldenrule.runs.verified_files import CHOICE, RESULT, run_choice, run_result, was_written
from goldenrule.storage.files import write_atomic


def concluded(
    work: FitContext,
    candidates: Sequence[Candidate],
    chosen: Candidate,
    features: Features,
    *,
    live: LiveContent | None = None,
    final: bool = True,
    solved: bool = True,
) -> FitResult:
    """Save, judge and report. The test split is opened only where this is `final`, after the choice is written.

    With `solved` the out-of-fold predictions of the best linear head are reported too: not where another network was
    asked for, of which they would say nothing.
    """
    work.story.took_before(_told_before(work))
    with work.story.stage("judge"):
        classifier = _saved(work, chosen, features)
        why = [candidate.verdict.sentence for candidate in candidates if candidate.verdict]
        work.run.write_json(CHOICE, {"chosen": chosen.name, "final": final, "why": why})
        splits: tuple[Split, ...] = ("test", "valid") if final else ("valid",)
        predictions: dict[str, Predictions] = {
            split: _scored(classifier, table, work, features)
            for split in splits
            if len(table := work.table.split(split))
        }
        if chosen.evaluated_split == "valid" and "valid" in predictions:  # a linear head's was clean before others came
            predictions["valid"] = judged_apart(replace(predictions["valid"], basis=Basis.CHOSEN_ON), chosen)
        if solved:
            predictions["out-of-fold"] = _solved(candidates).judged_on
        for name, said in predictions.items():
            work.run.write(f"predictions/{name}.csv", to_csv(said))
    scored = {name: said for name, said in predictions.items() if len(said.scored)}
    mixed = {split for split in SPLITS if torn(work.table, split)}
    odd = contradictions(scored, classifier, chosen, torn=mixed, beta=work.options.beta)
    result = FitResult(
        folder=work.run.folder,
        classifier=classifier,
        table=work.table,
        predictions=predictions,
        candidates=tuple(candidates),
        chosen=chosen.name,
        options=work.options,
        stages=tuple(work.story.stages),
        features={"computed": work.story.computed, "reused": work.story.reused},
        findings=(
            *odd,
            *changed_files(work.table, work.story.stamps),
            *work.story.findings,
            *duplicates(work.table),
        ),
        live=live,
        backbones=work.story.backbones,
        dependence=work.story.dependence,
        leaks=work.story.leaks,
    )
    return _reported(work, result)


def judged_apart(valid: Predictions, chosen: Candidate) -> Predictions:
    """Return validation as it was judged by halves, where the chosen network's settings were chosen on it.

    Images that could not be judged so stay as they are, and those that can't be read any more have no prediction.
    """
    if chosen.crossed is None:
        return valid
    of_image = dict(zip(chosen.judged_on.ids, chosen.judged_on.logits, strict=True))
    every = zip(valid.ids, valid.logits, valid.ok, strict=True)
    logits = np.stack([of_image.get(uri, plain) if ok else plain for uri, plain, ok in every])
    return replace(valid, logits=logits.astype(np.float32))


def finished(work: FitContext) -> bool:
    """Return whether this run came to its end before."""
    try:
        choice = run_choice(work.run.folder)
    except FormatError:  # damaged: it is written anew
        return False
    return choice is not None and choice.final


def _told_before(work: FitContext) -> dict[str, float]:
    """Return the seconds by stage of this story as far as it was told before, {} where it came to its end."""
    if finished(work) or not was_written(work.run.folder, RESULT):
        return {}
    try:
        return {stage.name: stage.seconds for stage in run_result(work.run.folder).stages}
    except FormatError:  # damaged: it is written anew
        return {}


def scored_on_valid(work: FitContext, chosen: Candidate, features: Features) -> tuple[Classifier, Predictions]:
    """Return a candidate as a classifier, not saved, and its predictions on the validation split."""
    classifier = _classifier(work, chosen)
    return classifier, _scored(classifier, work.table.split("valid"), work, features)


def _solved(candidates: Sequence[Candidate]) -> Candidate:
    """Return the best of the linear heads: only they have out-of-fold predictions."""
    return [
        one
        for one in candidates
        if one.evaluated_split == "out-of-fold" and (one.verdict is None or one.verdict.replaced)
    ][-1]


def _saved(work: FitContext, chosen: Candidate, features: Features) -> Classifier:
    """Save the classifier and give what was saved: the numbers are those of the file (law 1)."""
    made = _classifier(work, chosen)
    replace(made, familiar=familiar_images(work, made, features)).save(work.run.folder / "classifier")
    return Classifier.load(work.run.folder / "classifier")


def _classifier(work: FitContext, chosen: Candidate) -> Classifier:
    provenance = {
        "goldenrule": environment()["goldenrule"],
        "images": about_images(work.table) | {"folder": folder_name(work.table)},  # shared: no paths of its maker
        "counts": work.table.counts(),
        "train_images": int(work.table.teaching.sum()),
        "options": work.options.shown(),
        "started_from": work.backbone.spec.weights,  # the digest: --weights and --from are names alone
        "candidate": chosen.name,
        "solver": dict(chosen.facts),
    }
    frozen = chosen.backbone.spec.weights == work.backbone.spec.weights
    kind = work.kind if frozen else engine_kind(chosen.backbone, device=work.options.device, progress=work.progress)
    if not frozen or chosen.views != (PLAIN,):
        kind = serving_kind(chosen.backbone, kind)  # it is scored by `predict`: what runs there is what is recorded
    several = work.table.task == "multi"
    return Classifier(
        work.table.classes,
        chosen.backbone,
        chosen.head,
        kind,
        provenance,
        chosen.views,
        None if several else PredictionSets.fit(chosen.judged_on, coverage=work.options.coverage, method="lac"),
        work.table.task,
        best_thresholds(chosen.judged_on, beta=work.options.beta) if several else None,
        calibration=as_json(chosen.calibration) if chosen.calibration and chosen.calibration.applied else None,
    )


def _scored(classifier: Classifier, table: ImageTable, work: FitContext, features: Features) -> Predictions:
    return with_blocks(_predicted(classifier, table, work, features), work.table)


def _predicted(classifier: Classifier, table: ImageTable, work: FitContext, features: Features) -> Predictions:
    """Return the saved classifier's predictions: from the cache's rows where they are those of its backbone."""
    if classifier.backbone.spec.weights != work.backbone.spec.weights or classifier.views != (PLAIN,):
        return classifier.predict_table(table, threads=work.threads, progress=work.progress)
    return predictions_from(classifier, features, table.digests, ids=table.uris, truth=table.truth)


def _reported(work: FitContext, result: FitResult) -> FitResult:
    from goldenrule.pipelines.result_files import report_content, result_json

    with work.story.stage("report"):
        from goldenrule.report.content_files import keep_content
        from goldenrule.report.pages.run_page import render_page

        content = report_content(result)
        keep_content(result.folder / "report", content)
        write_atomic(result.report, render_page(content))
    finished = result.after(work.story.stages)
    work.run.write_json(RESULT, result_json(finished))
    return finished
