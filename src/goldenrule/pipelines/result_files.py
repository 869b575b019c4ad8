"""From an answer to the values that its files are made of."""

from __future__ import annotations

import datetime
from collections import Counter
from typing import TYPE_CHECKING, Any

from goldenrule.core.schema import as_json
from goldenrule.metrics import Predictions, log_loss
from goldenrule.report.content import ReportContent
from goldenrule.runs.environment import environment
from goldenrule.storage.files import digest, in_shell

if TYPE_CHECKING:
    from goldenrule.metrics.selection_rules import Verdict
    from goldenrule.pipelines.fit_result import FitResult

SCHEMA_VERSION = 1


def result_json(answer: FitResult) -> dict[str, Any]:
    """Return result.json: the numbers of a run, for programs."""
    found: dict[str, Any] = as_json(_result(answer))
    return found


def _result(answer: FitResult) -> dict[str, Any]:
    scored = answer.scored
    return {
        "schema_version": SCHEMA_VERSION,
        "headline": {"split": answer.headline_split, **as_json(answer.headline)},
        "task": answer.table.task,
        "valid": _numbers(answer, scored.get("valid")),
        "test": _numbers(answer, scored.get("test")),
        "out_of_fold": _numbers(answer, scored.get("out-of-fold")),
        "metrics": _metrics_json(answer),
        "chosen": answer.chosen,
        "candidates": [
            {
                "name": candidate.name,
                "judged_on": candidate.evaluated_split,
                candidate.evaluated_split.replace("-", "_"): _numbers(answer, candidate.judged_on),
                "comparison": candidate.verdict.sentence if candidate.verdict else None,
                "verdict": _verdict_json(candidate.verdict) if candidate.verdict else None,
                "solver": candidate.facts,
            }
            for candidate in answer.candidates
        ],
        "backbones": answer.backbones,
        "sets": _sets_json(answer),
        "thresholds": answer.classifier.thresholds,
        "unlike": _unlike_json(answer),
        "calibration": _calibration_json(answer),
        "live": _live_json(answer),
        "stages": [{"name": name, "seconds": seconds} for name, seconds in answer.stages],
        "activations": answer.features,
        "classes": answer.table.classes,
        "counts": answer.table.counts(),
        "status": {split: predictions.status_counts for split, predictions in answer.predictions.items()},
        "findings": answer.findings,
        "dependence": answer.dependence,
        "leaked": {split: Counter(answer.leaks.values())[split] for split in sorted({*answer.leaks.values()})},
        "neighbours_in_train": answer.torn_splits,
        "options": answer.options.shown(),
        "engine": answer.classifier.engine,
        "environment": environment(),
    }


def report_content(answer: FitResult) -> ReportContent:
    """Return what the report page shows."""
    spec = answer.classifier.backbone.spec
    chosen = next(candidate for candidate in answer.candidates if candidate.name == answer.chosen)
    facts, thresholds = chosen.facts, answer.classifier.thresholds
    return ReportContent(
        title=answer.table.root.resolve().name,
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        headline=answer.headline,
        headline_split=answer.headline_split,
        estimates={
            split: {
                answer.headline.name: answer.quality(predictions),
                "log loss": log_loss(predictions),
                **{name.replace("_", " "): of_split[split] for name, of_split in answer.metrics.items()},
            }
            for split, predictions in answer.scored.items()
        },
        predictions=answer.scored[answer.headline_split],
        counts=answer.table.counts(),
        stages=answer.stages,
        features=answer.features,
        candidates=[
            {
                "name": candidate.name,
                "estimates": {
                    answer.headline.name: answer.quality(candidate.judged_on),
                    "log loss": log_loss(candidate.judged_on),
                },
                "comparison": candidate.verdict.sentence if candidate.verdict else "",
                "chosen": candidate.name == answer.chosen,
            }
            for candidate in answer.candidates
        ],
        penalty_path=[(float(l2), float(loss)) for l2, loss in facts.get("path", ())],
        penalty=float(facts.get("l2", 0.0)),
        backbone={
            "name": spec.name,
            "parameters": spec.parameters,
            "features": spec.features,
            "source": dict(spec.source),
            "preprocessing": as_json(spec.preprocessing),
        },
        engine=str(answer.classifier.engine),
        options=answer.options.shown(),
        environment=environment(),
        findings=answer.findings,
        image=_reader(answer),
        next_steps=next_steps(answer),
        live=answer.live,
        bases={split: answer.basis(split) for split in answer.scored},
        sets=answer.about_sets(),
        images=Counter(split or "all" for split in answer.table.splits) if answer.table.task == "multi" else None,
        thresholds=dict(zip(thresholds.classes, thresholds.values, strict=True)) if thresholds else None,
        about_thresholds=thresholds.sentence if thresholds else "",
        unlike=answer.about_unlike(),
        backbones=_backbones(answer),
        backbones_say=answer.backbones.sentence if answer.backbones else "",
        calibration=answer.about_calibration(),
        uncalibrated=answer.uncalibrated(answer.headline_split),
    )


def next_steps(answer: FitResult) -> tuple[str, ...]:
    """Return the commands that follow, as a shell takes them.

    The report goes with its page wherever that goes: a run's folder that was not named from here is its name alone.
    """
    inside = not answer.folder.is_absolute() and ".." not in answer.folder.parts
    run = in_shell(answer.folder if inside else answer.folder.name)
    return (
        f"goldenrule predict {run} NEW_PHOTOS -o predictions.csv",
        f"goldenrule predict {run} NEW_PHOTOS --min-confidence 0.9",
        f"goldenrule insight {run}",
        *([f"goldenrule learning-curve {run}"] if answer.table.task == "single" else []),
        f"goldenrule explain {run} NEW_PHOTOS",
    )


def _live_json(answer: FitResult) -> dict[str, Any] | None:
    if answer.live is None:
        return None
    rates = {
        name: {"rule": test.rule, "rate": test.suggestion, "minimum": test.minimum}
        | {"rates": test.rates, "losses": test.losses, "ratio": test.ratio}
        for name, test in answer.live.curves.items()
    }
    return {"lr_find": rates, "history": answer.live.history, "notes": answer.live.notes}


def _metrics_json(answer: FitResult) -> dict[str, Any]:
    """Return every metric that was asked for, by name and split."""
    return {
        name: {split.replace("-", "_"): estimate for split, estimate in of_split.items()}
        for name, of_split in answer.metrics.items()
    }


def _sets_json(answer: FitResult) -> dict[str, Any] | None:
    if answer.classifier.sets is None:
        return None
    measured = {
        split: {name.replace(" ", "_"): estimate for name, estimate in of.items()}
        for split, of in answer.sets_measured.items()
    }
    return {**as_json(answer.classifier.sets), "says": answer.classifier.sets.sentence, "measured": measured}


def _unlike_json(answer: FitResult) -> dict[str, Any] | None:
    if answer.classifier.familiar is None:
        return None
    familiar = answer.classifier.familiar
    return {**as_json(familiar), "says": familiar.sentence, "measured": answer.unlike_measured}


def _backbones(answer: FitResult) -> list[dict[str, Any]]:
    """Return the backbones that were tried, as rows like those of the candidates."""
    return [
        {
            "name": one.name,
            "estimates": {one.quality.name: one.quality, "log loss": one.log_loss},
            "comparison": one.why,
            "chosen": one.name == answer.backbones.chosen,
        }
        for one in (answer.backbones.candidates if answer.backbones else ())
        if answer.backbones
    ]


def _calibration_json(answer: FitResult) -> dict[str, Any]:
    """Return the temperature that was tried on the chosen candidate, and what was measured of probabilities."""
    calibrated = answer.calibration
    tried = {**as_json(calibrated), "applied": calibrated.applied, "why": calibrated.why} if calibrated else None
    splits = {
        split.replace("-", "_"): {
            when: {name.replace(" ", "_").lower(): one for name, one in found.items()}
            for when, found in of_split.items()
        }
        for split, of_split in answer.calibration_measured.items()
    }
    return {"tried": tried, "measured": splits, "says": answer.about_calibration()}


def _reader(answer: FitResult) -> Any:
    known = dict(zip(answer.table.uris, answer.table.digests, strict=True))

    def image(uri: str) -> bytes | None:
        try:
            content: bytes = answer.table.read(uri)
        except OSError:
            return None
        return content if digest(content) == known.get(uri) else None  # else it is another picture by now

    return image


def _verdict_json(verdict: Verdict) -> dict[str, Any]:
    """Return what came of a comparison, as `VerdictJson` reads it."""
    return {"against": verdict.names[0], "better": verdict.better, "asked_for": verdict.asked_for}


def _numbers(answer: FitResult, predictions: Predictions | None) -> dict[str, Any] | None:
    if predictions is None or not len(predictions.scored):
        return None
    share, loss = answer.quality(predictions), log_loss(predictions)
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
