"""From an answer to the values that its files are made of."""

from __future__ import annotations

import datetime
from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from goldenrule.analysis.label_issues import find_label_issues
from goldenrule.core.schema import as_json
from goldenrule.data.units import copies_by_id
from goldenrule.metrics import Predictions, log_loss
from goldenrule.report.content import Promised, ReportContent, SuspectedLabelErrors
from goldenrule.runs.environment import environment
from goldenrule.storage.files import digest, in_shell

if TYPE_CHECKING:
    from goldenrule.data.table import ImageTable
    from goldenrule.metrics.selection_rules import Verdict
    from goldenrule.pipelines.fit_result import FitResult

SCHEMA_VERSION = 2
MOST_LABELS = 8
"""So many suspected label errors stand in a report; `goldenrule labels` has all."""


def result_json(result: FitResult) -> dict[str, Any]:
    """Return result.json: the numbers of a run, for programs."""
    found: dict[str, Any] = as_json(_result(result))
    return found


def _result(result: FitResult) -> dict[str, Any]:
    scored = result.scored
    return {
        "schema_version": SCHEMA_VERSION,
        "headline": {"split": result.headline_split, **as_json(result.headline)},
        "task": result.table.task,
        "valid": _numbers(result, scored.get("valid")),
        "test": _numbers(result, scored.get("test")),
        "out_of_fold": _numbers(result, scored.get("out-of-fold")),
        "metrics": _metrics_json(result),
        "chosen": result.chosen,
        "quick": result.options.quick,
        "left_out": result.left_out,
        "expectations": [as_json(one) | {"gain": one.gain} for one in result.expectations],
        "candidates": [
            {
                "name": candidate.name,
                "evaluated_on": candidate.evaluated_split,
                candidate.evaluated_split.replace("-", "_"): _numbers(result, candidate.evaluated_on),
                "comparison": candidate.verdict.sentence if candidate.verdict else None,
                "verdict": _verdict_json(candidate.verdict) if candidate.verdict else None,
                "solver": candidate.facts,
            }
            for candidate in result.candidates
        ],
        "backbones": result.backbones,
        "sets": _sets_json(result),
        "thresholds": result.classifier.thresholds,
        "ood": _ood_json(result),
        "calibration": _calibration_json(result),
        "live": _live_json(result),
        "stages": [{"name": name, "seconds": seconds} for name, seconds in result.stages],
        "features": result.features,
        "classes": result.table.classes,
        "images": len(result.read),
        "counts": result.read.counts(),
        "status": {split: predictions.status_counts for split, predictions in result.predictions.items()},
        "findings": result.findings,
        "dependence": result.dependence,
        "leaked": {split: Counter(result.leaks.values())[split] for split in sorted({*result.leaks.values()})},
        "neighbours_in_train": result.torn_splits,
        "options": result.options.shown(),
        "engine": result.classifier.engine,
        "environment": environment(),
    }


def report_content(result: FitResult) -> ReportContent:
    """Return what the report page shows."""
    spec = result.classifier.backbone.spec
    facts, thresholds = result.candidate.facts, result.classifier.thresholds
    copies = copies_by_id(result.table)
    return ReportContent(
        title=result.table.name,
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        headline=result.headline,
        headline_split=result.headline_split,
        estimates={
            split: {
                result.headline.name: result.quality(predictions),
                "log loss": log_loss(predictions),
                **{name.replace("_", " "): of_split[split] for name, of_split in result.metrics.items()},
            }
            for split, predictions in result.scored.items()
        },
        predictions=result.scored[result.headline_split],
        counts=result.read.counts(),
        stages=result.reported_stages,
        features=result.features,
        candidates=[
            {
                "name": candidate.name,
                "estimates": {
                    result.headline.name: result.quality(candidate.evaluated_on),
                    "log loss": log_loss(candidate.evaluated_on),
                },
                "comparison": candidate.verdict.sentence if candidate.verdict else "",
                "chosen": candidate.name == result.chosen,
            }
            for candidate in result.candidates
        ],
        penalty_path=[(float(l2), float(loss)) for l2, loss in facts.get("path", ())],
        penalty=float(facts.get("l2", 0.0)),
        shrinkage=facts.get("shrinkage"),
        backbone={
            "name": spec.name,
            "parameters": spec.parameters,
            "features": spec.features,
            "source": dict(spec.source),
            "preprocessing": as_json(spec.preprocessing),
        },
        engine=str(result.classifier.engine),
        options=result.options.shown(),
        environment=environment(),
        findings=result.findings,
        image=_reader(result),
        next_steps=next_steps(result, shared=True),
        live=result.live,
        bases={split: result.basis(split) for split in result.scored},
        sets=result.about_sets(),
        images=Counter(split or "all" for split in result.table.splits) if result.table.task == "multi" else None,
        thresholds=dict(zip(thresholds.classes, thresholds.values, strict=True)) if thresholds else None,
        about_thresholds=thresholds.sentence if thresholds else "",
        ood=result.about_ood(),
        backbones=_backbones(result),
        backbones_say=result.backbones.sentence if result.backbones else "",
        calibration=result.about_calibration(),
        uncalibrated=result.uncalibrated(result.headline_split),
        promises=_promises(result),
        labels=_labels(result, copies),
        labels_of_copies=_labels_of_copies(result.table, copies),
        quick=result.options.quick and (not result.ahead or any(one.tried for one in result.ahead)),
        whole_fit=result.expected_of_whole_fit if result.options.quick else None,
        left_out=[one.sentence for one in result.expectations if not one.tried],
    )


def _promises(result: FitResult) -> list[Promised]:
    """Return what prediction sets and the OOD detector promise, each with what the cleanest split found."""
    rule, detector = result.classifier.sets, result.classifier.ood_detector
    sets = [
        Promised(what="sets", promised=rule.coverage, found=measures["coverage"], split=split)
        for split, measures in result.sets_measured.items()
        if rule
    ]
    ood = [
        Promised(what="ood", promised=detector.rate, found=found, split=split)
        for split, found in result.ood_measured.items()
        if detector and found.defined
    ]
    return [*sets[:1], *ood[:1]]


def _labels(result: FitResult, unit_of: Mapping[str, bytes]) -> SuspectedLabelErrors | None:
    """Return the labels that out-of-fold predictions doubt, one for all copies of an image."""
    predictions = result.scored.get("out-of-fold")
    if predictions is None:
        return None
    issues = find_label_issues(predictions)
    doubted = [one for one in issues.first(issues.listed) if one.suspected]
    distinct = {(unit_of[one.id], one.given): one for one in reversed(doubted)}
    first = sorted(distinct.values(), key=lambda one: one.rank)[:MOST_LABELS]
    return SuspectedLabelErrors(images=len(issues), suspected=len(doubted), first=first)


def _labels_of_copies(table: ImageTable, unit_of: Mapping[str, bytes]) -> dict[str, list[str]]:
    """Return for images whose copies are labelled otherwise those other labels: it is not known which are right."""
    if table.task != "single":
        return {}
    numbers = table.rows["labels"].to_pylist()
    label_of = {uri: table.classes[number[0]] for uri, number in zip(table.uris, numbers, strict=True) if number}
    labels_of: dict[bytes, set[str]] = defaultdict(set)
    for uri, label in label_of.items():
        labels_of[unit_of[uri]].add(label)
    others = {uri: labels_of[unit_of[uri]] - {label} for uri, label in label_of.items()}
    return {uri: sorted(labels) for uri, labels in others.items() if labels}


def next_steps(result: FitResult, *, shared: bool = False) -> tuple[str, ...]:
    """Return the commands that follow, as a shell takes them.

    In a page that may be `shared` a run's folder that was not named from here is its name alone.
    """
    outside = result.folder.is_absolute() or ".." in result.folder.parts
    run = in_shell(result.folder.name if shared and outside else result.folder)
    return (
        f"goldenrule predict {run} NEW_PHOTOS -o predictions.csv",
        f"goldenrule predict {run} NEW_PHOTOS --min-confidence 0.9",
        f"goldenrule labels {run}",
        *([f"goldenrule learning-curve {run}"] if result.table.task == "single" else []),
        f"goldenrule explain {run} NEW_PHOTOS",
    )


def _live_json(result: FitResult) -> dict[str, Any] | None:
    if result.live is None:
        return None
    rates = {
        name: {"rule": test.rule, "rate": test.suggestion, "minimum": test.minimum}
        | {"rates": test.rates, "losses": test.losses, "ratio": test.ratio}
        for name, test in result.live.curves.items()
    }
    return {"lr_find": rates, "history": result.live.history, "notes": result.live.notes}


def _metrics_json(result: FitResult) -> dict[str, Any]:
    """Return every metric that was asked for, by name and split."""
    return {
        name: {split.replace("-", "_"): estimate for split, estimate in of_split.items()}
        for name, of_split in result.metrics.items()
    }


def _sets_json(result: FitResult) -> dict[str, Any] | None:
    if result.classifier.sets is None:
        return None
    measured = {
        split: {name.replace(" ", "_"): estimate for name, estimate in of.items()}
        for split, of in result.sets_measured.items()
    }
    return {**as_json(result.classifier.sets), "says": result.classifier.sets.sentence, "measured": measured}


def _ood_json(result: FitResult) -> dict[str, Any] | None:
    if result.classifier.ood_detector is None:
        return None
    ood_detector = result.classifier.ood_detector
    return {**as_json(ood_detector), "says": ood_detector.sentence, "measured": result.ood_measured}


def _backbones(result: FitResult) -> list[dict[str, Any]]:
    """Return the backbones that were tried, as rows like those of the candidates."""
    return [
        {
            "name": one.name,
            "estimates": {one.quality.name: one.quality, "log loss": one.log_loss},
            "comparison": one.why,
            "chosen": one.name == result.backbones.chosen,
        }
        for one in (result.backbones.candidates if result.backbones else ())
        if result.backbones
    ]


def _calibration_json(result: FitResult) -> dict[str, Any]:
    """Return the temperature that was tried on the chosen candidate, and what was measured of probabilities."""
    calibrated = result.calibration
    tried = {**as_json(calibrated), "applied": calibrated.applied, "why": calibrated.why} if calibrated else None
    splits = {
        split.replace("-", "_"): {
            when: {name.replace(" ", "_").lower(): one for name, one in found.items()}
            for when, found in of_split.items()
        }
        for split, of_split in result.calibration_measured.items()
    }
    return {"tried": tried, "measured": splits, "says": result.about_calibration()}


def _reader(result: FitResult) -> Any:
    known = dict(zip(result.table.uris, result.table.digests, strict=True))

    def image(uri: str) -> bytes | None:
        try:
            content: bytes = result.table.read(uri)
        except OSError:
            return None
        return content if digest(content) == known.get(uri) else None  # else it is another picture by now

    return image


def _verdict_json(verdict: Verdict) -> dict[str, Any]:
    """Return what came of a comparison, as `VerdictJson` reads it."""
    return {"against": verdict.names[0], "better": verdict.better, "asked_for": verdict.asked_for}


def _numbers(result: FitResult, predictions: Predictions | None) -> dict[str, Any] | None:
    if predictions is None or not len(predictions.scored):
        return None
    share, loss = result.quality(predictions), log_loss(predictions)
    return {
        "n": share.n,
        share.name.replace(" ", "_"): share.value,
        "low": share.low if share.bounded else None,
        "high": share.high if share.bounded else None,
        **({"groups": share.groups, "effective_n": share.effective_n} if share.groups is not None else {}),
        "method": share.method,
        "log_loss": loss.value,
        "log_loss_low": loss.low if loss.bounded else None,
        "log_loss_high": loss.high if loss.bounded else None,
        "basis": share.basis,
    }
