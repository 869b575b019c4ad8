"""What the way between the weights before and after live training is worth: test log loss at every share of it.

`goldenrule fit` blends the two by the share that validates best. Here the runs of golden_rule.py are replayed from
what they have stored, and every share is evaluated on test images that no choice has looked at.
"""

from __future__ import annotations

import argparse
import json
import statistics
from pathlib import Path
from typing import Any
from unittest.mock import patch

from common import RESULTS, made_with, markdown_table
from golden_runs import GoldenRun, golden_run
from goldenrule.models.network import Network, head_module
from goldenrule.pipelines.golden_rule import golden_rule
from goldenrule.runs.options import FitOptions
from goldenrule.training.inputs.batches import ValidatePixels
from goldenrule.training.learner import Learner

SETS = ("dogscats", "cat_dog_horse", "clothing_small", "hymenoptera_data")
SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)

Record = dict[str, Any]


def main() -> None:
    """Measure and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sets", nargs="*", default=SETS)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("-o", "--out", type=Path, default=RESULTS / "blend.md")
    arguments = parser.parse_args()
    records, commits = [], []
    for name in arguments.sets:
        for seed in range(arguments.seeds):
            run = golden_run(name, seed)
            records.append(evaluated(run))
            commits.append(run.commit)
            print(records[-1], flush=True)
    arguments.out.with_suffix(".json").write_text(json.dumps(records, indent=1) + "\n")
    arguments.out.write_text(page(records, commits))


def evaluated(run: GoldenRun) -> Record:
    """Replay a run, and evaluate the networks at every share of the way, and of the temperature, on test."""
    record: Record = {"set": run.set, "seed": run.seed}
    blend, calibrate = Learner.blend, Learner.calibrate

    def loss(learn: Learner) -> float:
        test = learn.data.table.split("test")
        evaluate = ValidatePixels(
            valid=test, preprocessing=learn.state.backbone.spec.preprocessing, threads=learn.data.threads
        )
        record["n"] = len(test)
        return evaluate(Network(learn.state.backbone.module, head_module(learn.state.head))).loss

    def blended(learn: Learner, shares: tuple[float, ...] = SHARES) -> float:
        before, losses = learn.state, {}
        for share in SHARES:
            blend(learn, (share,))
            losses[share] = loss(learn)
            learn.state = before
        record["test_loss"], record["chosen"] = losses, blend(learn, shares)
        return float(record["chosen"])

    def calibrated(learn: Learner) -> float:
        record["temperature"] = calibrate(learn)
        record["calibrated_loss"] = loss(learn)
        return float(record["temperature"])

    with patch.object(Learner, "blend", blended), patch.object(Learner, "calibrate", calibrated):
        golden_rule(run.photos, options=FitOptions(seed=run.seed), out=run.run)
    return record


def page(records: list[Record], commits: list[str]) -> str:
    """Return the page of docs/results."""
    rows = []
    for record in records:
        losses, chosen = record["test_loss"], record["chosen"]
        best = min(losses, key=losses.__getitem__)
        cells = [f"{losses[share]:.3f}" for share in SHARES]
        after = [f"{record['temperature']:.2f}", f"{record['calibrated_loss']:.3f}"]
        rows.append([record["set"], str(record["seed"]), str(record["n"]), *cells, f"{chosen:g}", f"{best:g}", *after])
    header = ["set", "seed", "n", *(f"share {share:g}" for share in SHARES), "chosen on validation", "best on test"]
    header += ["temperature", "log loss then"]
    return (
        "# Between the start of live training and its end\n\n"
        "Test log loss (nats) at shares of the way, 0 being the better head on the untouched backbone, and of the "
        "chosen share with the temperature that suits validation.\n\n"
        f"{markdown_table(header, rows)}\n\n"
        f"Against the trained network itself (share 1) {compared(records, 'the chosen share', chosen_loss)}. "
        f"Against the chosen share {compared(records, 'the temperature', tempered_loss, chosen_loss)}.\n\n"
        f"Made by `python benchmarks/blend.py`: {made_with(*commits)}.\n"
    )


def chosen_loss(record: Record) -> float:
    """Return the test loss of the share that validates best."""
    return float(record["test_loss"][record["chosen"]])


def tempered_loss(record: Record) -> float:
    """Return the test loss after its temperature."""
    return float(record["calibrated_loss"])


def trained_loss(record: Record) -> float:
    """Return the test loss of the trained network itself."""
    return float(record["test_loss"][1.0])


def compared(records: list[Record], name: str, of: Any, than: Any = trained_loss) -> str:
    """Say in how many runs a loss is lower and higher than another, and by how much on average."""
    gains = [than(record) - of(record) for record in records]
    better, worse = sum(gain > 1e-6 for gain in gains), sum(gain < -1e-6 for gain in gains)
    return (
        f"{name} has a lower log loss in {better} of {len(gains)} runs, a higher one in {worse}; lower by "
        f"{statistics.mean(gains):.3f} on average [{min(gains):.3f}, {max(gains):.3f}]"
    )


if __name__ == "__main__":
    main()
