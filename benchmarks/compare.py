"""Networks and ways of training on two sets, by `goldenrule compare-models`, beside the project's first notes.

python benchmarks/compare.py                     cat_dog_horse and GTSRB: about 40 minutes on 2 cores
python benchmarks/compare.py --out runs/compare  the same; killed, it goes on from there
python benchmarks/compare.py --trial             one epoch on few images, nothing is written

Seconds are worth nothing while other programs run.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path
from typing import Any

import goldenrule as gr
from common import DATA, RESULTS, commit, made_with, markdown_table, with_clean_test
from goldenrule.core.memory import keep_freed_memory
from goldenrule.core.progress import Bars
from goldenrule.core.schema import as_json
from goldenrule.metrics.basic import hits
from goldenrule.pipelines.comparison.comparison_report import against
from goldenrule.report.sentences import duration
from goldenrule.storage.files import write_json

SETS: dict[str, tuple[tuple[str, ...], str]] = {
    "cat_dog_horse": (("original", "resnet@96", "efficientnet", "mobilenet@96"), "auto"),
    "GTSRB": (("original", "resnet18@64", "efficientnet@128"), "basic"),
}
"""By set the networks, and the augmentation: signs are another thing in the mirror."""
ABOUT = {
    "cat_dog_horse": " Test: every second validation image, and the nine photos of the notes.",
    "GTSRB": " The test split is the set's own; validation are other drives past other signs than those that train.",
}
NOTES = (
    ("Original", "from scratch", "83 %", "44 %", 100),
    ("ResNet", "from scratch", "82 %", "44 %", 100),
    ("ResNet", "fine-tuning", "70-90 %", "88 %", 50),
    ("ResNet", "transfer learning", "97 %", "77 %", 30),
    ("EfficientNet", "from scratch", "83 %", "77 %", 100),
    ("EfficientNet", "fine-tuning", "95 %", "77 %", 50),
    ("EfficientNet", "transfer learning", "99 %", "100 %", 30),
)
"""The table of the notes this project grew from, on their own photos of cats, dogs and horses; nine for test."""


def main() -> None:
    """Compare, print, write docs/results/compare.md and .json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trial", action="store_true", help="one epoch on few images, nothing is written")
    parser.add_argument("--out", type=Path, help="where the comparisons are kept, to go on after an interruption")
    parser.add_argument("--kept-from", nargs="*", default=[], help="commits by which rows in --out were made before")
    asked = parser.parse_args()
    keep_freed_memory()
    with tempfile.TemporaryDirectory() as folder:
        out = asked.out or Path(folder)
        found = {name: compared(name, out, trial=asked.trial) for name in SETS}
        made = made_with(*asked.kept_from, commit()) if asked.kept_from else made_with()
        text = page(found, made)
        print(text)
        if not asked.trial:
            (RESULTS / "compare.md").write_text(text, encoding="utf-8")
            rows = {name: {**as_json(one), "images": name} for name, one in found.items()}
            write_json(RESULTS / "compare.json", {"made_with": made, "sets": rows})


def compared(name: str, out: Path, *, trial: bool) -> gr.ComparedNetworks:
    """Return the comparison on one set."""
    networks, augment = SETS[name]
    how = {"augment": augment, "sample": 6 if trial else None}
    epochs = 1 if trial else None
    images = evaluated_images(name, out / "images")
    return gr.compare_models(images, networks, epochs=epochs, **how, out=out / name, progress=Bars())


def evaluated_images(name: str, folder: Path) -> Path:
    """Return the images with a clean test split; the notes' nine photos, named by what is on them, go to it too."""
    if (folder / name).exists():
        return folder / name
    images = with_clean_test(name, folder)
    for photo in nine() if name == "cat_dog_horse" else ():
        (images / "test" / photo.name.partition("_")[0] / photo.name).symlink_to(photo)
    return images


def nine() -> list[Path]:
    """Return the notes' nine test photos, such as dog_single.jpg."""
    return sorted((DATA / "cat_dog_horse" / "test").glob("*.jpg"))


def right_of_nine(said: gr.Predictions) -> str:
    """Say how many of the nine photos are right."""
    names = {photo.name for photo in nine()}
    ours = [right for uri, right in zip(said.scored.ids, hits(said.scored), strict=True) if Path(uri).name in names]
    return f"{sum(ours)} of {len(ours)}"


def page(found: dict[str, gr.ComparedNetworks], made: str) -> str:
    """Return the Markdown page."""
    lines = [
        "# Which network, trained which way",
        "",
        "`python benchmarks/compare.py`, which is `goldenrule compare-models FOLDER -m ... -t all` on two sets. One "
        "seed (0); intervals are of the images, not of other seeds. The choice looked at validation alone; the test "
        "split was opened afterwards. Seconds: from reading the images to the report, activations counted at the speed "
        "measured here. From scratch 30 epochs, fine-tuning 5, each one cycle; transfer learning solves the head.",
    ]
    for name, one in found.items():
        networks, augment = SETS[name]
        kind = "" if augment == "auto" else f" --augment {augment}"
        images = ", ".join(f"{sum(count.values()):,} {split}" for split, count in one.counts.items())
        header = ["network", "valid", "test", "log loss on test", "epochs", "time", "parameters", "by pairs, on test"]
        header += ["the nine"] if name == "cat_dog_horse" else []
        lines += [
            "",
            f"## {name}",
            "",
            f"`goldenrule compare-models {name} -m {' '.join(networks)} -t all{kind}`: {images} images.{ABOUT[name]}",
            "",
            markdown_table(header, [cells(one, row)[: len(header)] for row in one.ranked]),
            "",
            f"**{one.headline}.**",
            "",
            *(f"- {sentence}" for sentence in one.sentences),
        ]
    rows = [[network, how, valid, test, str(epochs)] for network, how, valid, test, epochs in NOTES]
    lines += [
        "",
        "## The table this project grew from",
        "",
        "Cats, dogs and horses, photos of their own, nine for test; ResNet-50 and EfficientNet-B4, read off after the "
        "last epoch, without intervals:",
        "",
        markdown_table(["network", "way of training", "valid", "test", "epochs"], rows),
        "",
        "Beside our cats, dogs and horses: the order is the same, a pretrained backbone is worth more than many epochs "
        "from scratch, and transfer learning is the quickest and as good as fine-tuning. Their nine test photos are in "
        "our test split; the last column says how many are right, and "
        "[nine prove nothing](../lessons/nine_images.md): 44 % and 77 % of nine are 4 and 7 photos, whose intervals "
        "overlap. Pretrained weights of ResNet and MobileNet could not be had where this was measured, so these rows "
        "are from scratch alone.",
        "",
        f"Made with: {made}, {os.environ.get('OMP_NUM_THREADS', 'all')} OpenMP threads.",
        "",
    ]
    return "\n".join(lines)


def cells(found: gr.ComparedNetworks, row: Any) -> list[str]:
    """Return a row of the table."""
    shares = [str(found.quality(value)) if value is not None else "" for value in (row.valid, row.test)]
    return [
        f"**{row.name}**" if row is found.chosen else row.name,
        *shares,
        str(gr.metrics.log_loss(row.test)) if row.test is not None else "",
        "solved" if row.epochs is None else str(row.epochs),
        duration(row.seconds),
        f"{row.parameters / 1e6:.2f} M",
        against(found, row) if row is not found.chosen else "",
        right_of_nine(row.test) if row.test is not None else "",
    ]


if __name__ == "__main__":
    main()
