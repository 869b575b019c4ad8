"""What the way between the weights before and after live training is worth: test log loss at every share of it.

`goldenrule fit` blends the two by the share that validates best. Here whole golden rules are run, on several
sets with several seeds, and every share is judged on test images that no choice has looked at.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from pathlib import Path
from typing import Any
from unittest.mock import patch

from common import RESULTS, made_with, markdown_table, with_clean_test
from goldenrule.learner import Learner
from goldenrule.models.network import Network, head_module
from goldenrule.recipes.golden_rule import golden_rule
from goldenrule.recipes.options import FitOptions
from goldenrule.training.examples import validate_pixels

SETS = ("dogscats", "cat_dog_horse", "clothing_small", "hymenoptera_data")
SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)


def main() -> None:
    """Measure and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sets", nargs="*", default=SETS)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--sample", type=int, default=60, help="images per class and part, so that it ends today")
    parser.add_argument("-o", "--out", type=Path, default=RESULTS / "blend.md")
    arguments = parser.parse_args()
    records: list[dict[str, Any]] = []
    blend = Learner.blend

    def judged(learn: Learner, shares: tuple[float, ...] = SHARES) -> float:
        before, losses = learn.state, {}
        test = learn.material.table.part("test")
        judge = validate_pixels(test, before.backbone.spec.preprocessing, threads=learn.material.threads)
        for share in SHARES:
            blend(learn, (share,))
            losses[share] = judge(Network(learn.state.backbone.module, head_module(learn.state.head)))[0]
            learn.state = before
        chosen = blend(learn, shares)
        records[-1] |= {"test_loss": losses, "n": len(test), "chosen": chosen}
        return chosen

    for name in arguments.sets:
        for seed in range(arguments.seeds):
            records.append({"set": name, "seed": seed})
            with tempfile.TemporaryDirectory() as folder:
                options = FitOptions(seed=seed, sample=arguments.sample)
                with patch.object(Learner, "blend", judged):
                    golden_rule(with_clean_test(name, Path(folder)), options=options, out=Path(folder) / "run")
            print(records[-1], flush=True)
            arguments.out.with_suffix(".json").write_text(json.dumps(records, indent=1) + "\n")
            arguments.out.write_text(page(records, arguments.sample))


def page(records: list[dict[str, Any]], sample: int) -> str:
    """Give the page of docs/results."""
    rows = []
    for record in records:
        losses, chosen = record["test_loss"], record["chosen"]
        best = min(losses, key=losses.__getitem__)
        cells = [f"{losses[share]:.3f}" for share in SHARES]
        rows.append([record["set"], str(record["seed"]), str(record["n"]), *cells, f"{chosen:g}", f"{best:g}"])
    gains = [record["test_loss"][1.0] - record["test_loss"][record["chosen"]] for record in records]
    better = sum(gain > 0 for gain in gains)
    worse = sum(gain < 0 for gain in gains)
    header = ["set", "seed", "n", *(f"share {share:g}" for share in SHARES), "chosen on validation", "best on test"]
    return (
        "# Between the start of live training and its end\n\n"
        f"Test log loss (nats) at shares of the way, 0 being the better head on the untouched body; at most {sample} "
        f"images per class and part.\n\n{markdown_table(header, rows)}\n\n"
        f"Against the trained network itself (share 1) the chosen share has a lower log loss in {better} of "
        f"{len(gains)} runs, a higher one in {worse}; by {statistics.mean(gains):.3f} on average "
        f"[{min(gains):.3f}, {max(gains):.3f}].\n\nMade by `python benchmarks/blend.py`: {made_with()}.\n"
    )


if __name__ == "__main__":
    main()
