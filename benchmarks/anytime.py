"""What `goldenrule fit` gives for its minutes: the answer after each step, on images that no choice has seen.

For each set and seed three answers are scored on test images: the linear head, that on several backbones side by side,
and what is chosen at the end when every step is taken (`--all-steps`); beside them the end of the recipe of before,
which had no backbones side by side and left out nothing. What a step took away of the log loss is what later fits
expect of it on other sets (`measured_gains.json` in the package, written with --keep). Leave-one-set-out: for each set
the decisions are those that the other sets alone would have made.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

import goldenrule
from common import DATA, RESULTS, made_with, markdown_table, with_clean_test
from goldenrule.core.progress import Bars
from goldenrule.core.schema import as_type
from goldenrule.metrics import Predictions, accuracy, log_loss, paired_bootstrap, value_and_interval
from goldenrule.metrics.selection_rules import domain_shift
from goldenrule.pipelines import golden_rule as recipe
from goldenrule.pipelines.attempts.expectations import MeasuredShare, expectation
from goldenrule.pipelines.attempts.several_backbones import ALL_EMBEDDED
from goldenrule.pipelines.fit_result import FitResult
from goldenrule.pipelines.quick_fit import quick_fit
from goldenrule.runs.options import FitOptions
from goldenrule.training.plan import LEAST_EXPECTED, LiveStep

SETS = (
    "hymenoptera_data",
    "cat_dog_horse",
    "surface_crack",
    "clothing_small",
    "GTSRB_native15",
    "dogscats",
    "cifar10_cat_dog_horse",
    "flowers_128",
    "GTSRB",
    "dog_breed",
)
BUDGETS = {"5 s": 5, "15 s": 15, "1 min": 60, "5 min": 300, "20 min": 1200}
GAINS = Path(goldenrule.__file__).parent / "pipelines" / "attempts" / "measured_gains.json"
LIVE = ("train the head", "train the late layers", "train the whole network", "test-time augmentation")
SIDE_BY_SIDE, NETWORK = LiveStep.SIDE_BY_SIDE, LiveStep.NETWORK


def main() -> None:
    """Measure what is missing, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sets", nargs="*", default=SETS)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--keep", action="store_true", help="write what later fits expect into the package")
    parser.add_argument("-o", "--out", type=Path, default=RESULTS / "anytime.md")
    arguments = parser.parse_args()
    kept = arguments.out.with_suffix(".json")
    found = json.loads(kept.read_text()) if kept.exists() else {"made_with": made_with(), "runs": []}
    done = {(run["set"], run["seed"]) for run in found["runs"]}
    for seed in range(arguments.seeds):
        for name in arguments.sets:
            if (DATA / name).is_dir() and (name, seed) not in done:
                found["runs"].append(measured(name, seed))
                kept.write_text(json.dumps(found, indent=1) + "\n")
                print(name, seed, {key: round(one["loss"], 3) for key, one in found["runs"][-1]["answers"].items()})
    shares = [as_type(one, MeasuredShare, what="a share") for one in shares_of(found["runs"])]
    if arguments.keep:
        GAINS.write_text(
            json.dumps({"made_with": found["made_with"], "shares": shares_of(found["runs"])}, indent=1) + "\n"
        )
    text = page(found, shares)
    arguments.out.write_text(text)
    print(text)


def measured(name: str, seed: int) -> dict[str, Any]:
    """Return the answers of a set after each step: their losses on test, image by image, and the seconds till then."""
    options, progress = FitOptions(seed=seed), Bars()
    with tempfile.TemporaryDirectory() as folder:
        source, run = with_clean_test(name, Path(folder)), Path(folder) / "run"
        first = quick_fit(source, options=options, out=run, progress=progress)
        whole = recipe.golden_rule(source, options=replace(options, all_steps=True), out=run, progress=progress)
        beside = replace(options, backbone=ALL_EMBEDDED, views=0)
        several = quick_fit(source, options=beside, out=Path(folder) / "several", progress=progress)
        shutil.copytree(run, Path(folder) / "before")  # most of its training is replayed
        with mock.patch.object(recipe, "attempts_for", return_value=()):
            before = recipe.golden_rule(source, options=options, out=Path(folder) / "before", progress=progress)
        stages = dict(whole.stages)
        seconds = sum(took for stage, took in first.stages)
        wider = stages.get("several backbones", 0.0)
        live = sum(stages.get(stage, 0.0) for stage in LIVE)
        linear = next(one for one in whole.candidates if one.name == first.chosen)
        verdict = next(one.verdict for one in whole.candidates if "side by side" in one.name)
        return {
            "set": name,
            "seed": seed,
            "train": len(first.table.split("train")),
            "classes": len(first.table.classes),
            "shift": domain_shift(linear.evaluated_on),
            "linear_loss": log_loss(linear.evaluated_on).value,
            "several_selected": bool(verdict and verdict.replaced),
            "several_loss": log_loss(several.predictions["out-of-fold"]).value,
            "answers": {
                "linear": answer(first, seconds),
                "several": answer(several, seconds + wider),
                "whole": answer(whole, seconds + wider + live),
                "before": answer(before, seconds + live),
            },
        }


def answer(result: FitResult, seconds: float) -> dict[str, Any]:
    """Return what an answer is worth on test, and when it was there."""
    test = result.scored["test"]
    probabilities = test.scored.probabilities
    return {
        "chosen": result.chosen,
        "seconds": round(seconds, 1),
        "loss": log_loss(test).value,
        "accuracy": value_and_interval(accuracy(test)),
        "n": len(test.scored),
        "of_truth": np.round(probabilities[np.arange(len(probabilities)), test.scored.truth], 6).tolist(),
    }


def shares_of(runs: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the share of the log loss that each attempt took away on test: of each set the mean over its seeds."""
    found: dict[tuple[str, str, str], list[float]] = {}
    for run in runs:
        of = run["answers"]
        standing = of["several"] if run["several_selected"] else of["linear"]
        for attempt, before, after in ((SIDE_BY_SIDE, of["linear"], standing), (NETWORK, standing, of["whole"])):
            share = (before["loss"] - after["loss"]) / max(before["loss"], LEAST_EXPECTED)
            found.setdefault((attempt, run["set"], run["shift"]), []).append(share)
    return [
        {"attempt": attempt, "set": name, "shift": shift, "share": round(float(np.mean(shares)), 4)}
        for (attempt, name, shift), shares in found.items()
    ]


def decided(run: dict[str, Any], shares: Sequence[MeasuredShare]) -> list[tuple[float, dict[str, Any]]]:
    """Return the answers of a fit that expects what the other sets gave, each with the seconds till then."""
    others = [one for one in shares if one.set != run["set"]]
    of, loss, known = run["answers"], run["linear_loss"], {"shift": run["shift"], "seconds": 0.0, "measured": others}
    steps, standing, spent = [(of["linear"]["seconds"], of["linear"])], of["linear"], of["linear"]["seconds"]
    beside = expectation(SIDE_BY_SIDE, loss=loss, **known).tried
    if beside:
        spent = of["several"]["seconds"]
        if run["several_selected"]:
            standing, loss = of["several"] | {"chosen": "linear head, side by side"}, run["several_loss"]
        steps.append((spent, standing))
    if expectation(NETWORK, loss=loss, **known).tried:
        last = of["whole"] if beside else of["before"]
        steps.append((spent + of["before"]["seconds"] - of["linear"]["seconds"], last))
    return steps


def at(steps: Sequence[tuple[float, dict[str, Any]]], seconds: float) -> dict[str, Any] | None:
    """Return the answer that is there after so many seconds."""
    there = [one for when, one in steps if when <= seconds]
    return there[-1] if there else None


def before_of(run: dict[str, Any]) -> list[tuple[float, dict[str, Any]]]:
    """Return the answers of the recipe of before."""
    of = run["answers"]
    return [(of["linear"]["seconds"], of["linear"]), (of["before"]["seconds"], of["before"])]


def predictions(one: dict[str, Any]) -> Predictions:
    """Return an answer's predictions of the test images, of which the probability of the truth is all that is kept."""
    of_truth = np.clip(np.array(one["of_truth"]), 1e-12, 1 - 1e-12)
    logits = np.log(np.stack([of_truth, 1 - of_truth], axis=1))
    return Predictions.from_logits(logits, ["true", "not true"], truth=[0] * len(logits))


def page(found: dict[str, Any], shares: Sequence[MeasuredShare]) -> str:
    """Return the page of docs/results."""
    runs = found["runs"]
    return (
        "# Accuracy per minute\n\n"
        "Log loss on test images that no choice has seen, lower is better, of the answer that `goldenrule fit` has "
        "after so many seconds on two cores. *Before* is the recipe that takes every step of the golden rule on one "
        "backbone; *now* is the one that tries several backbones side by side and leaves out what is not expected to "
        f"lower the log loss by {LEAST_EXPECTED:g}, where what is expected comes from the other sets alone "
        "(leave-one-set-out). A budget counts the stages of a fit, not Python's start; caches are empty, backbones "
        f"prepared.\n\n{budgets_table(runs, shares)}\n\n"
        "## At the end\n\n"
        'Log loss and accuracy on test, and the minutes; "lower by" compares the last answers of both on the same '
        f"images, with the paired 95 % interval.\n\n{ends_table(runs, shares)}\n\n{totals(runs, shares)}\n\n"
        "## What each attempt gave\n\n"
        "The share of the log loss on test that it took away, of what was standing; an attempt that was not selected "
        f"took away nothing.\n\n{shares_table(runs, shares)}\n\n{expected_table(shares)}\n\n"
        f"Made by `python benchmarks/anytime.py`: {found['made_with']}.\n"
    )


def budgets_table(runs: Sequence[dict[str, Any]], shares: Sequence[MeasuredShare]) -> str:
    """Return the log losses at each budget, before and now."""
    rows = []
    for run in runs:
        before, now = before_of(run), decided(run, shares)
        cells = []
        for seconds in BUDGETS.values():
            pair = [at(steps, seconds) for steps in (before, now)]
            cells.append(" / ".join("none yet" if one is None else f"{one['loss']:.3f}" for one in pair))
        rows.append([run["set"], str(run["seed"]), run["shift"], *cells])
    return markdown_table(["set", "seed", "shift", *(f"{name}: before / now" for name in BUDGETS)], rows)


def ends_table(runs: Sequence[dict[str, Any]], shares: Sequence[MeasuredShare]) -> str:
    """Return the last answers, before and now."""
    rows = []
    for run in runs:
        (took_before, before), (took, now) = before_of(run)[-1], decided(run, shares)[-1]
        gain = paired_bootstrap(predictions(before), predictions(now), metric="log_loss").gain
        rows.append(
            [
                run["set"],
                str(run["seed"]),
                f"{run['train']:,} / {now['n']:,}",
                f"{before['loss']:.3f}; {before['accuracy']}; {took_before / 60:.1f}",
                f"{now['loss']:.3f}; {now['accuracy']}; {took / 60:.1f}",
                value_and_interval(gain),
                now["chosen"],
            ]
        )
    header = ["set", "seed", "train / test", "before", "now", "lower by", "now selected"]
    return markdown_table(header, rows)


def totals(runs: Sequence[dict[str, Any]], shares: Sequence[MeasuredShare]) -> str:
    """Return what all sets say together."""
    pairs = [(before_of(run)[-1], decided(run, shares)[-1]) for run in runs]
    lower = sum(now["loss"] < before["loss"] - 5e-4 for (_, before), (_, now) in pairs)
    higher = sum(now["loss"] > before["loss"] + 5e-4 for (_, before), (_, now) in pairs)
    minutes = [sum(one[side][0] for one in pairs) / 60 for side in (0, 1)]
    losses = [float(np.mean([one[side][1]["loss"] for one in pairs])) for side in (0, 1)]
    return (
        f"Over {len(pairs)} runs: mean log loss {losses[0]:.3f} -> {losses[1]:.3f}; lower in {lower}, higher in "
        f"{higher}; minutes in all {minutes[0]:.1f} -> {minutes[1]:.1f}."
    )


def shares_table(runs: Sequence[dict[str, Any]], shares: Sequence[MeasuredShare]) -> str:
    """Return the shares by set."""
    rows = []
    for name in dict.fromkeys(run["set"] for run in runs):
        of = {one.attempt: one for one in shares if one.set == name}
        run = next(run for run in runs if run["set"] == name)
        cells = [f"{100 * of[attempt].share:.0f} %" for attempt in (SIDE_BY_SIDE, NETWORK)]
        losses = " -> ".join(f"{run['answers'][one]['loss']:.3f}" for one in ("linear", "several", "whole"))
        rows.append([name, of[NETWORK].shift, losses, *cells, run["answers"]["whole"]["chosen"]])
    header = ["set", "shift", "linear -> side by side -> all steps (seed 0)", str(SIDE_BY_SIDE), str(NETWORK), "chosen"]
    return markdown_table(header, rows)


def expected_table(shares: Sequence[MeasuredShare]) -> str:
    """Return what a fit of another set expects, by domain shift."""
    rows = []
    for attempt in (SIDE_BY_SIDE, NETWORK):
        for shift in ("low", "moderate", "high"):
            one = expectation(attempt, shift=shift, loss=None, seconds=0.0, measured=shares)
            rows.append([str(attempt), shift, str(one.sets), one.expected])
    return markdown_table(["attempt", "shift", "sets", "expected of another set, with the 95 % interval"], rows)


if __name__ == "__main__":
    main()
