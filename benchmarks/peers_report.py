"""The measurements of peers.py as a summary (JSON) and as tables (Markdown), with paired tests."""

from __future__ import annotations

import json
import os
import platform
import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from common import processor
from goldenrule.core.schema import as_json
from goldenrule.metrics.basic import SMALLEST_PROBABILITY, accuracy, hits, image_losses, log_loss
from goldenrule.metrics.estimate import render
from goldenrule.metrics.predictions import Predictions
from goldenrule.metrics.uncertainty.paired import mcnemar, paired_bootstrap
from measure import MEMORY_METHOD

NAMES = {
    "goldenrule-first": "goldenrule (first run on this machine)",
    "goldenrule": "goldenrule",
    "fastai-frozen": "fastai, one frozen epoch",
    "fastai-fine_tune3": "fastai, fine_tune(3)",
}
YARDSTICK = "fastai-fine_tune3"
GOLDEN, ALL_STEPS = "goldenrule-golden", "goldenrule, all seven steps"
PACKAGES = ("torch", "torchvision", "timm", "openvino", "numpy", "fastai")
IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp"}

Record = Mapping[str, Any]


def write(records: Sequence[Record], output: Path, train: Mapping[str, int]) -> None:
    """Write the summary to `output` and the tables beside it; `train` counts the training images of a set."""
    sets = [summary_of_set(name, train[name], records) for name in train]
    about = {
        "hardware": sorted({record["hardware"] for record in records}),
        "commit": sorted({record["commit"] for record in records}),
        "date": [min(record["date"] for record in records), max(record["date"] for record in records)],
        "others_cpu_share": spread(record["others_cpu_share"] for record in records),
        "versions": records[-1]["versions"],
        "memory": MEMORY_METHOD,
    }
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps({"about": about, "sets": sets}, indent=1) + "\n", encoding="utf-8")
    output.with_suffix(".md").write_text("\n".join(page(about, sets)) + "\n", encoding="utf-8")


def summary_of_set(name: str, train: int, records: Sequence[Record]) -> dict[str, Any]:
    """Return cost and scores of every method on a set, and what the paired tests say."""
    of_method = {
        method: [record for record in records if record["set"] == name and record["method"] == method]
        for method in NAMES
    }
    of_method = {method: repeats for method, repeats in of_method.items() if repeats}
    seconds = {method: spread(each["seconds"] for each in repeats) for method, repeats in of_method.items()}
    slow = seconds[YARDSTICK]["median"] if YARDSTICK in seconds else None
    methods = [
        {
            "method": method,
            "repeats": len(repeats),
            "seconds": seconds[method],
            "fine_tune3_takes_times": slow and slow / seconds[method]["median"],
            "peak_memory_mb": max(record["peak_memory_mb"] for record in repeats),
            "parts": {split: scores(repeats, split) for split in repeats[0]["parts"]},
        }
        for method, repeats in of_method.items()
    ]
    return {
        "set": name,
        "train": train,
        "classes": len(next(iter(of_method.values()))[0]["classes"]),
        "methods": methods,
        "paired": list(paired(of_method)),
        "golden": golden([record for record in records if record["set"] == name], slow),
    }


def golden(records: Sequence[Record], slow: float | None) -> dict[str, Any] | None:
    """Return cost and scores of all seven steps beside fine_tune(3), on test images that no choice has looked at.

    Where a set has no labelled test split these are half of its validation images (`common.with_clean_test`);
    fine_tune(3) has chosen nothing by them.
    """
    of = {method: [record for record in records if record["method"] == method] for method in (GOLDEN, YARDSTICK)}
    if not all(of.values()):
        return None
    ours, theirs = typical(of[GOLDEN]), typical(of[YARDSTICK])
    said = without_part(predictions(ours, "test"))
    held_out = set(said.ids)
    others = [without_part(predictions(theirs, split)) for split in theirs["parts"]]
    (beside,) = [other for other in others if held_out & set(other.ids)]
    beside, said = (side.select([name in held_out & set(beside.ids) for name in side.ids]) for side in (beside, said))
    right, loss = mcnemar(beside, said), paired_bootstrap(beside, said)
    seconds = spread(record["seconds"] for record in of[GOLDEN])
    names = (NAMES[YARDSTICK], ALL_STEPS)
    return {
        "repeats": len(of[GOLDEN]),
        "seconds": seconds,
        "fine_tune3_takes_times": slow and slow / seconds["median"],
        "peak_memory_mb": max(record["peak_memory_mb"] for record in of[GOLDEN]),
        "chosen": [record["says_itself"]["chosen"] for record in of[GOLDEN]],
        "n": right.n,
        "accuracy": [render(accuracy(side)) for side in (said, beside)],
        "log_loss": [render(log_loss(side)) for side in (said, beside)],
        "log_loss_of_each": [record["parts"]["test"]["log_loss"] for record in of[GOLDEN]],
        "mcnemar_p": right.p_value,
        "log_loss_gain": as_json(loss.gain),
        "sentences": [right.sentence(*names), loss.sentence(*names)],
    }


def without_part(said: Predictions) -> Predictions:
    """Name the images CLASS/NAME: the split is not the same for both."""
    return replace(said, ids=tuple(name.split("/", 1)[1] for name in said.ids))


def spread(values: Iterable[float]) -> dict[str, float]:
    each = sorted(values)
    return {"median": statistics.median(each), "min": each[0], "max": each[-1]}


def scores(repeats: Sequence[Record], split: str) -> dict[str, Any]:
    """Return the scores of the typical repeat with their intervals, and the values of every repeat."""
    said = predictions(typical(repeats), split)
    return {
        "typical_repeat": typical(repeats)["repeat"],
        "accuracy": as_json(accuracy(said)) | {"text": render(accuracy(said))},
        "log_loss": as_json(log_loss(said)) | {"text": render(log_loss(said))},
        "accuracy_of_each": [record["parts"][split]["accuracy"] for record in repeats],
        "log_loss_of_each": [record["parts"][split]["log_loss"] for record in repeats],
    }


def typical(repeats: Sequence[Record]) -> Record:
    """Return the repeat with the median log loss on valid (the lower of two); its predictions are compared."""
    ordered = sorted(repeats, key=lambda record: record["parts"]["valid"]["log_loss"])
    return ordered[(len(ordered) - 1) // 2]


def paired(of_method: Mapping[str, Sequence[Record]]) -> Iterator[dict[str, Any]]:
    """Compare goldenrule with fine_tune(3), typical repeats, on the images that both have scored."""
    if not {"goldenrule", YARDSTICK} <= set(of_method):
        return
    fastai, ours = typical(of_method[YARDSTICK]), typical(of_method["goldenrule"])
    for split in (split for split in ours["parts"] if split in fastai["parts"]):
        both = predictions(fastai, split), predictions(ours, split)
        common = set(both[0].ids) & set(both[1].ids)
        a, b = (side.select([name in common for name in side.ids]) for side in both)
        names = (NAMES[YARDSTICK], NAMES["goldenrule"])
        right, loss = mcnemar(a, b), paired_bootstrap(a, b)
        yield {
            "part": split,
            "n": right.n,
            "only_in_one": sum(len(side) - len(common) for side in both),
            "mcnemar_p": right.p_value,
            "accuracy": right.sentence(*names),
            "log_loss_gain": as_json(loss.gain),
            "probability_better": loss.probability_better,
            "log_loss": loss.sentence(*names),
        }


def predictions(record: Record, split: str) -> Predictions:
    """Return what goldenrule's metrics start from; the logits are the logarithms of the probabilities.

    Raises `ValueError` where the record states other scores than its images give.
    """
    stated, classes = record["parts"][split], record["classes"]
    images = stated["images"]
    said = Predictions.from_logits(
        np.log(np.clip([image["probabilities"] for image in images], SMALLEST_PROBABILITY, None)),
        classes,
        truth=[classes.index(image["truth"]) for image in images],
        ids=[image["path"] for image in images],
        basis=stated.get("basis", "held out"),
    )
    found = {"n": len(said), "accuracy": hits(said).mean(), "log_loss": image_losses(said).mean()}
    for name, value in found.items():
        if abs(value - stated[name]) > 1e-3:
            raise ValueError(
                f"{record['method']} on {record['set']}, {split}: it states {name} = {stated[name]}, "
                f"but the probabilities of its images give {value}"
            )
    return said


def page(about: Mapping[str, Any], sets: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Return the lines of the Markdown page."""
    yield "# goldenrule beside fastai\n"
    yield (
        "Made by `python benchmarks/peers.py`. Both start from the same pretrained EfficientNet-Lite0 and "
        "the same train and valid folders. Seconds are those of the whole process, imports included, median "
        "[min, max] of the repeats; peak memory is the highest of them. Accuracy (with its Wilson interval) "
        "and log loss (with its bootstrap interval) are those of the repeat with the median log loss on "
        "valid. The first run on a machine also prepares the engine. fastai runs its usual recipe with its "
        "defaults: Resize(224), aug_transforms(), vision_learner, batches of 64, two learning rates, "
        "trainable BatchNorm in the frozen backbone; the number of the repeat is its seed.\n"
    )
    yield f"- Hardware: {'; '.join(about['hardware'])}"
    yield f"- Commit: {', '.join(about['commit'])}; measured {' to '.join(about['date'])}"
    others = about["others_cpu_share"]
    yield (
        f"- Other programs used {100 * others['median']:.0f} % of the processor during a measurement "
        f"(median; {100 * others['max']:.0f} % during the most disturbed one)"
    )
    yield f"- Versions: {', '.join(f'{name} {number}' for name, number in about['versions'].items())}"
    yield f"- Memory: {about['memory']}"
    yield from overview(sets)
    yield from golden_section([summary for summary in sets if summary["golden"]])
    for summary in sets:
        yield from set_section(summary)


def overview(sets: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Return one row per set: goldenrule's answer in seconds beside the yardstick, on valid."""
    yield "\n## Overview\n"
    yield "| set | goldenrule | accuracy, valid | fine_tune(3) | accuracy, valid | times faster | log loss, paired |"
    yield "| --- | --- | --- | --- | --- | --- | --- |"
    for summary in sets:
        of = {method["method"]: method for method in summary["methods"]}
        if not {"goldenrule", YARDSTICK} <= set(of):
            continue
        ours, slow = of["goldenrule"], of[YARDSTICK]
        (gain,) = [pair["log_loss_gain"] for pair in summary["paired"] if pair["part"] == "valid"]
        lower = f"lower by {gain['value']:.3f} [{gain['low']:.3f}, {gain['high']:.3f}]"
        cells = [summary["set"]]
        for method in (ours, slow):
            cells += [f"{method['seconds']['median']:.1f} s", method["parts"]["valid"]["accuracy"]["text"]]
        yield f"| {' | '.join([*cells, format(ours['fine_tune3_takes_times'], '.0f'), lower])} |"


def golden_section(sets: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Return one row per set: all seven steps beside the yardstick, on clean images."""
    if not sets:
        return
    yield "\n## All seven steps beside fine_tune(3)\n"
    yield (
        "`goldenrule fit` with default options, the number of the repeat as its seed. On test images that neither "
        "has chosen anything by: where a set has no labelled test split, half of its validation images.\n"
    )
    yield "| set | goldenrule | accuracy | log loss | memory | fine_tune(3) | accuracy | log loss | times faster |"
    yield f"|{' --- |' * 9}"
    for summary in sets:
        ours = summary["golden"]
        (slow,) = [one["seconds"] for one in summary["methods"] if one["method"] == YARDSTICK]
        cells = [summary["set"]]
        for side, seconds in enumerate((ours["seconds"], slow)):
            cells.append(f"{seconds['median']:.0f} s [{seconds['min']:.0f}, {seconds['max']:.0f}]")
            cells += [ours["accuracy"][side], ours["log_loss"][side]]
            cells += [f"{ours['peak_memory_mb']:,.0f} MB"] if side == 0 else []
        yield f"| {' | '.join([*cells, format(ours['fine_tune3_takes_times'], '.1f')])} |"
    yield ""
    for summary in sets:
        ours = summary["golden"]
        chosen = ", ".join(f"{ours['chosen'].count(name)} x {name}" for name in dict.fromkeys(ours["chosen"]))
        yield f"- {summary['set']}: {'; '.join(ours['sentences'])}. Chosen: {chosen}."


def set_section(summary: Mapping[str, Any]) -> Iterator[str]:
    splits = list(dict.fromkeys(split for method in summary["methods"] for split in method["parts"]))
    yield f"\n## {summary['set']}: {summary['train']} training images, {summary['classes']} classes\n"
    heads = ["method", "repeats", "seconds", "fine_tune(3) takes"]
    heads += [f"{score}, {split}" for split in splits for score in ("accuracy", "log loss")] + ["peak memory"]
    yield f"| {' | '.join(heads)} |"
    yield f"|{' --- |' * len(heads)}"
    for method in summary["methods"]:
        seconds, times = method["seconds"], method["fine_tune3_takes_times"]
        cells = [
            NAMES[method["method"]],
            str(method["repeats"]),
            f"{seconds['median']:.1f} [{seconds['min']:.1f}, {seconds['max']:.1f}]",
            "-" if times is None else f"{times:.3g} times as long",
        ]
        for split in splits:
            cells += score_cells(method["parts"].get(split))
        cells.append(f"{method['peak_memory_mb']:,.0f} MB")
        yield f"| {' | '.join(cells)} |"
    for pair in summary["paired"]:
        left_out = f", {pair['only_in_one']} left out that only one scored" if pair["only_in_one"] else ""
        yield f"\nOn the same {pair['n']} images of {pair['part']}{left_out}:\n"
        yield f"- Accuracy, exact McNemar test: {pair['accuracy']}."
        yield f"- Log loss, paired bootstrap: {pair['log_loss']}."


def score_cells(scored: Mapping[str, Any] | None) -> tuple[str, str]:
    """Return accuracy and log loss; where the repeats differ, with their range."""
    if scored is None:
        return "-", "-"
    each, losses = scored["accuracy_of_each"], scored["log_loss_of_each"]
    share, loss = scored["accuracy"]["text"], scored["log_loss"]["text"]
    if min(each) < max(each):
        share += f"; repeats {100 * min(each):.1f} to {100 * max(each):.1f}"
    if max(losses) - min(losses) > 5e-4:
        loss += f"; repeats {min(losses):.3f} to {max(losses):.3f}"
    return share, loss


def line(record: Record) -> str:
    """Return a measurement on one line."""
    valid, name = record["parts"]["valid"], NAMES.get(record["method"], ALL_STEPS)
    return (
        f"{record['set']}, {name}, repeat {record['repeat']}: {record['seconds']:.1f} s, "
        f"{record['peak_memory_mb']:,.0f} MB, accuracy {valid['accuracy']:.3f}, "
        f"log loss {valid['log_loss']:.3f} (n={valid['n']})"
    )


def images_in(folder: Path) -> int:
    return sum(file.suffix.lower() in IMAGE_SUFFIXES for file in folder.rglob("*"))


def hardware() -> str:
    """Return the processor, the cores this process may use and the memory."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{processor()}, {cores} cores, {psutil.virtual_memory().total / 1e9:.0f} GB, no GPU used"


def versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found
