"""The four heads of `--head` on a frozen EfficientNet-Lite0, evaluated on test images, paired with the linear one.

Each head is fitted on the plain activations of all training images as `goldenrule fit --quick --views 0` does it: the
linear one solved, the others trained; none is calibrated.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any, get_args

from common import RESULTS, commit, made_with, markdown_table, with_clean_test
from goldenrule.core.option import HeadKind
from goldenrule.core.progress import Bars
from goldenrule.data.splits.splitting import with_split
from goldenrule.data.table import ImageTable
from goldenrule.features.extractor import FeatureExtractor
from goldenrule.metrics import Predictions, accuracy, log_loss, paired_bootstrap, value_and_interval
from goldenrule.models.backbone import backbone, pooling_for
from goldenrule.pipelines.linear_heads import fit_head
from goldenrule.pipelines.prepare import read_images
from goldenrule.pipelines.probe import readable
from goldenrule.runs.options import FitOptions

SETS = ("hymenoptera_data", "clothing_small", "GTSRB_native15")


def main() -> None:
    """Measure and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sets", nargs="*", default=SETS)
    parser.add_argument("-o", "--out", type=Path, default=RESULTS / "heads.md")
    arguments = parser.parse_args()
    measured_at, progress = commit(), Bars()
    with tempfile.TemporaryDirectory() as folder:
        results = [measured(name, Path(folder), progress) for name in arguments.sets]
    made = made_with(measured_at)
    arguments.out.write_text(page(results, made))
    arguments.out.with_suffix(".json").write_text(json.dumps({"made_with": made, "sets": results}, indent=1) + "\n")
    print(arguments.out.read_text())


def measured(name: str, folder: Path, progress: Bars) -> dict[str, Any]:
    """Evaluate every head on the test part of a set."""
    table = with_split(read_images(with_clean_test(name, folder), FitOptions(), progress)[0], seed=0)
    said = {kind: predicted(table, kind, progress) for kind in get_args(HeadKind)}
    linear = said["linear"]
    heads = []
    for kind, predictions in said.items():
        gains = {"loss": "", "accuracy": ""}
        if kind != "linear":
            gains = {
                "loss": value_and_interval(paired_bootstrap(linear, predictions, metric="log_loss").gain),
                "accuracy": value_and_interval(paired_bootstrap(linear, predictions, metric="accuracy").gain),
            }
        numbers = {
            "accuracy": value_and_interval(accuracy(predictions)),
            "log_loss": value_and_interval(log_loss(predictions)),
        }
        heads.append({"head": kind, **numbers, "gain_in_loss": gains["loss"], "gain_in_accuracy": gains["accuracy"]})
    counts = {split: len(table.split(split)) for split in ("train", "test")}
    return {"set": name, "classes": len(table.classes), **counts, "heads": heads}


def predicted(table: ImageTable, head: HeadKind, progress: Bars) -> Predictions:
    """Return what a head says of the test split."""
    pretrained = backbone(pooling=pooling_for(head), progress=progress)
    features = FeatureExtractor.of(pretrained, progress=progress).features(table)
    train, test = (readable(table, split, features) for split in ("train", "test"))
    fitted = fit_head(train, features, kind=head, progress=progress).head
    logits = fitted.logits(features.rows([digest or b"" for digest in test.digests]))
    return Predictions.from_logits(logits, test.classes, truth=test.targets, ids=test.uris)


def page(results: list[dict[str, Any]], made: str) -> str:
    """Return the page of docs/results."""
    rows = [
        [
            f"{one['set']} ({one['classes']} classes; {one['train']:,} train, {one['test']:,} test)" if first else "",
            value["head"],
            value["accuracy"],
            value["log_loss"],
            value["gain_in_accuracy"],
            value["gain_in_loss"],
        ]
        for one in results
        for first, value in ((head is one["heads"][0], head) for head in one["heads"])
    ]
    header = ["set", "head", "accuracy (95 %)", "log loss (95 %)", "accuracy gained", "log loss gained"]
    return (
        "# The four heads\n\n"
        "`--head` on a frozen EfficientNet-Lite0 at 224 px, plain views: `linear` on average-pooled features, solved; "
        "`concat-pool` (fastai's: maximum and average, 512 ReLUs), `gap-1024` (average, 1,024 ReLUs) and `flatten-64` "
        "(the whole map of 7 x 7 places, 64 ReLUs, dropout of .25), trained in one cycle of AdamW. The peak rate of "
        "the last two is the one of six with the lowest out-of-fold loss on the training images of hymenoptera_data "
        "and clothing_small: 2e-3 and 2e-4. Heads are as trained, before calibration. Test images were seen by no "
        "choice; where a set has none, half of its validation images or a tenth of all are put to test.\n\n"
        "Gained: how much better than `linear` on the same test images, with the 95 % interval of a paired bootstrap; "
        "an interval that holds 0 is a tie. Log loss in nats, lower is better. One seed: how much another one would "
        "change is not in the intervals.\n\n"
        f"{markdown_table(header, rows)}\n\n"
        f"Made by `python benchmarks/heads.py`; {made}.\n"
    )


if __name__ == "__main__":
    main()
