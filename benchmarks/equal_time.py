"""The golden rule beside fastai's shortest `fine_tune` and beside its own heads, on the same photos, in whole seconds.

`goldenrule fit` with default options; fastai's `fine_tune(1)`, one frozen epoch and one of the whole network, is the
training nearest to it in time. Both from the same pretrained EfficientNet-Lite0, the seed that of the row. Gains are
how much lower goldenrule's log loss is (nats), paired on the same images. Where a set has no labelled test split, every
second validation image of each class is put to test. Needs the extra `bench`.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np

import peer_goldenrule
from common import RESULTS, ROOT, commit, made_with, markdown_table
from golden_runs import RUNS, GoldenRun, golden_run
from goldenrule.metrics import Predictions, paired_bootstrap
from measure import measured

SCRIPT = ROOT / "benchmarks" / "peer_fastai.py"
METHOD = "fine_tune1"
Record = dict[str, Any]


def main() -> None:
    """Measure what is not there yet and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sets", nargs="*", default=["dogscats"])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("-o", "--out", type=Path, default=RESULTS / "equal_time.md")
    arguments = parser.parse_args()
    rows, commits, others = [], [], []
    for name in arguments.sets:
        for seed in range(arguments.seeds):
            ours, quick = golden_run(name, seed), golden_run(name, seed, options=("--quick",))
            theirs = fastai(ours)
            commits += [ours.commit, theirs["commit"]]
            others += [ours.cost.others_cpu_share, theirs["cost"]["others_cpu_share"]]
            rows.append(row(ours, quick, theirs))
            print(" | ".join(rows[-1]), flush=True)
    arguments.out.write_text(page(rows, commits, max(others)))


def fastai(ours: GoldenRun) -> Record:
    """Return what fastai said about the photos of a run, and what it cost; measured now unless it is kept."""
    kept = RUNS / f"{ours.set}-{ours.seed}-fastai-{METHOD}.json"
    if not kept.exists():
        out = kept.with_suffix(".out")
        command = (sys.executable, str(SCRIPT), str(ours.photos), "--method", METHOD, "--seed", str(ours.seed))
        cost = measured((*command, "-o", str(out)), environment=os.environ, log=kept.with_suffix(".log"))
        said = json.loads(out.read_text(encoding="utf-8"))
        record = {"classes": said["classes"], "parts": said["parts"], "commit": commit()}
        record["cost"] = {"seconds": cost.seconds, "others_cpu_share": cost.others_cpu_share}
        kept.write_text(json.dumps(record), encoding="utf-8")
    found: Record = json.loads(kept.read_text(encoding="utf-8"))
    return found


def row(ours: GoldenRun, quick: GoldenRun, theirs: Record) -> list[str]:
    """Return one row of the table."""
    said, linear = peer_goldenrule.result(ours.run), peer_goldenrule.result(quick.run)
    cells = [ours.set, str(ours.seed), said["chosen"], f"{ours.cost.seconds:.0f}", f"{theirs['cost']['seconds']:.0f}"]
    for split in ("valid", "test"):
        scored, beside = predictions(said, split), predictions(theirs, split)
        cells += [
            loss(said, split),
            loss(theirs, split),
            gain(beside, scored),
            gain(predictions(linear, split), scored),
        ]
    trained = next(one for one in ours.result["candidates"] if one["name"] == "trained head")
    return [*cells, f"{trained['valid']['log_loss']:.3f}"]


def predictions(record: Record, split: str) -> Predictions:
    """Return the predictions on a split, in the order of the file names."""
    images = sorted(record["parts"][split]["images"], key=lambda image: Path(image["path"]).name)
    classes = record["classes"]
    return Predictions.from_logits(
        np.log(np.maximum([image["probabilities"] for image in images], 1e-12)),
        classes,
        truth=[classes.index(image["truth"]) for image in images],
        ids=[Path(image["path"]).name for image in images],
    )


def gain(first: Predictions, last: Predictions) -> str:
    """Return by how much the last log loss is lower than the first, with its interval."""
    found = paired_bootstrap(first, last, metric="log_loss").gain
    return f"{found.value:+.3f} [{found.low:+.3f}, {found.high:+.3f}]"


def loss(record: Record, split: str) -> str:
    """Return a log loss and on how many images it was measured."""
    return f"{record['parts'][split]['log_loss']:.3f} n={record['parts'][split]['n']}"


def page(rows: list[list[str]], commits: list[str], others: float) -> str:
    """Return the page of docs/results."""
    how = " ".join((__doc__ or "").partition("\n\n")[2].replace(" Needs the extra `bench`.", "").split())
    head = ["set", "seed", "chosen", "seconds", "fastai's"]
    for split in ("valid", "test"):
        head += [f"log loss, {split}", "fastai's", "gain on fastai", "gain on the linear head"]
    head.append("its own trained head, valid")
    return (
        f"# At equal time\n\n{how} The trained head is that of steps 2 to 4, on precomputed and live rows.\n\n"
        f"{markdown_table(head, rows)}\n\nOther programs used at most {100 * others:.0f} % of the processor.\n\n"
        f"Made by `python benchmarks/equal_time.py`: {made_with(*commits)}.\n"
    )


if __name__ == "__main__":
    main()
