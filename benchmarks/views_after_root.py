"""What four augmented views of each training image still give the linear head on square roots, and what they cost.

Each photo set is fitted as `goldenrule fit SET --quick --views 4` fits it; the heads with and without views are
compared out-of-fold, image by image. A head that is the plain linear one there is told.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import goldenrule as gr
from common import DATA, RESULTS, made_with, markdown_table
from goldenrule.metrics import log_loss, paired_bootstrap, value_and_interval
from goldenrule.metrics.selection_rules import ROOM_ABOVE, domain_shift

SETS = (
    "hymenoptera_data",
    "cat_dog_horse",
    "dogscats",
    "surface_crack",
    "clothing_small",
    "cifar10_cat_dog_horse",
    "GTSRB_native15",
    "GTSRB",
    "flowers_128",
    "dog_breed",
)
VIEWS = 4
BESIDE = ("precompute views", "fit linear head with views", "fit root head with views")
"""Stages that views alone take."""


def main() -> None:
    """Measure, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sets", nargs="*", default=list(SETS))
    parser.add_argument("-o", "--out", type=Path, default=RESULTS / "views_after_root.md")
    arguments = parser.parse_args()
    found = []
    for name in arguments.sets:
        with tempfile.TemporaryDirectory() as folder:
            found.append(measured(name, Path(folder) / "run"))
        print(json.dumps(found[-1]), flush=True)
    arguments.out.with_suffix(".json").write_text(json.dumps(found, indent=1) + "\n")
    arguments.out.write_text(page(found))


def measured(name: str, out: Path) -> dict[str, Any]:
    """Return what views gave one set."""
    result = gr.fit(DATA / name, quick=True, views=VIEWS, out=out)
    *before, views = result.candidates
    taken = next((one for one in reversed(before) if one.verdict is not None and one.verdict.replaced), before[0])
    gain = paired_bootstrap(taken.evaluated_on, views.evaluated_on).gain
    stages = dict(result.stages)
    return {
        "set": name,
        "images": len(taken.evaluated_on),
        "classes": len(result.classifier.classes),
        "shift": domain_shift(before[0].evaluated_on),
        "head": taken.name,
        "accuracy": str(value_and_interval(result.quality(taken.evaluated_on))),
        "room": result.quality(taken.evaluated_on).value < ROOM_ABOVE,
        "loss": log_loss(taken.evaluated_on).value,
        "gain": [gain.value, gain.low, gain.high],
        "gained": value_and_interval(gain),
        "taken": views.verdict is not None and views.verdict.replaced,
        "seconds": round(sum(stages.get(stage, 0.0) for stage in BESIDE), 1),
        "of": round(sum(stages.values()), 1),
    }


def page(found: list[dict[str, Any]]) -> str:
    """Return the Markdown page."""
    rows = [
        [
            f"{one['set']} ({one['classes']} classes, n={one['images']:,})",
            one["head"],
            one["accuracy"],
            f"{one['loss']:.3f}",
            one["gained"],
            f"{100 * one['gain'][0] / one['loss']:.0f} %",
            "yes" if one["taken"] else "no",
            f"{one['seconds']:.0f} of {one['of']:.0f}",
        ]
        for one in found
    ]
    header = ["set", "head before", "accuracy (95 %)", "log loss", "gained (95 %)", "of it", "taken", "s, of the fit's"]
    rooted = [one for one in found if one["head"] != "linear head" and one["room"]]
    shares = [one["gain"][0] / one["loss"] for one in rooted]
    return TEXT.format(
        table=markdown_table(header, rows),
        sets=len(rooted),
        mean=f"{100 * sum(shares) / len(shares):.0f} %",
        taken=", ".join(one["set"] for one in rooted if one["taken"]) or "none",
        made=made_with(),
    )


TEXT = """# Augmented views after the head on square roots

`goldenrule fit SET --quick --views 4`: what four augmented views of each training image give the linear head that a \
fit has by then. Out-of-fold, the same images with and without; gained log loss with the 95 % interval of a paired \
bootstrap. Seconds are of views alone: to compute them, where they are not in the feature cache, and to fit on them.

{table}

Where the head on square roots was taken and leaves room ({sets} sets), views took away {mean} of the log loss on \
average, and were taken on: {taken}. So a quick fit does not try them there unless they are asked for \
([decision 62](../decisions/0062-no-views-in-a-quick-fit.md)).

Made by `python benchmarks/views_after_root.py`: {made}.
"""

if __name__ == "__main__":
    main()
