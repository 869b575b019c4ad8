"""The measurements of field.py as a summary (JSON), a page (Markdown) and figures (SVG)."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from common import markdown_table
from goldenrule.metrics import Predictions, accuracy, log_loss, paired_bootstrap, value_and_interval
from goldenrule.metrics.basic import SMALLEST_PROBABILITY

BUDGETS = {"5 s": 5.0, "15 s": 15.0, "1 min": 60.0, "2 min": 120.0, "5 min": 300.0, "20 min": 1200.0}
NAMES = {
    "goldenrule": {"--quick": "fit --quick", "": "fit", "--all-steps": "fit --all-steps"},
    "fastai": {
        "frozen": "one frozen epoch",
        "fine_tune1": "fine_tune(1)",
        "fine_tune3": "fine_tune(3)",
        "fine_tune10": "fine_tune(10)",
    },
    "scikit-learn": {"logistic": "LogisticRegression", "logistic_cv": "LogisticRegressionCV"},
    "timm": {"1epoch": "1 epoch", "3epochs": "3 epochs", "10epochs": "10 epochs"},
    "keras": {
        "frozen3": "3 frozen epochs",
        "frozen3_fine1": "3 frozen epochs, 1 of all",
        "frozen3_fine5": "3 frozen epochs, 5 of all",
    },
    "autogluon": {f"{seconds}s": f"time_limit={seconds}" for seconds in (20, 60, 200, 1000)},
}
TITLES = {
    "goldenrule": "goldenrule",
    "fastai": "fastai",
    "scikit-learn": "scikit-learn on timm",
    "timm": "timm, as its train.py",
    "keras": "Keras on PyTorch",
    "autogluon": "AutoGluon",
}
COLOURS = {
    "goldenrule": "#cf5a2e",
    "fastai": "#2f6f94",
    "scikit-learn": "#a87400",
    "timm": "#3f7d4e",
    "keras": "#8a5fa8",
    "autogluon": "#6b7280",
}
EVEN = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5)
FEWEST_SETS = 2
"""So many sets a mean over sets is made of at least."""

Record = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a way of a peer gives on a set: median seconds, highest memory, and the repeat in the middle by valid."""

    peer: str
    way: str
    repeats: int
    seconds: float
    valid_loss: float
    test_loss: float
    memory_mb: float
    record: Record


Answers = Mapping[str, Sequence[Answer]]
"""Of each set."""


def write(records: Sequence[Record], output: Path, *, budget: float) -> None:
    """Write the summary to `output`, the page and its figures beside it; budgets up to `budget` seconds are shown."""
    whole = [record for record in records if "failed" not in record]
    if not whole:
        return
    budgets = {name: seconds for name, seconds in BUDGETS.items() if seconds <= budget}
    answers = {name: answers_of(whole, name) for name in dict.fromkeys(record["set"] for record in whole)}
    output.write_text(json.dumps(summary(whole, answers), indent=1) + "\n", encoding="utf-8")
    for name, those in answers.items():
        curves(name, those).savefig(output.with_name(f"field-{name}.svg"), metadata={"Date": None})
    if len(complete(answers)) >= FEWEST_SETS:
        ranks(answers, budgets).savefig(output.with_name("field-ranks.svg"), metadata={"Date": None})
    output.with_suffix(".md").write_text("\n".join(page(records, answers, budgets)) + "\n", encoding="utf-8")


def predictions(record: Record, split: str) -> Predictions:
    """Return what a record says of a split; the logits are the logarithms of the probabilities."""
    of, classes = record["splits"][split], record["classes"]
    logits = np.log(np.clip(np.array(of["probabilities"], float), SMALLEST_PROBABILITY, None))
    return Predictions.from_logits(
        logits, classes, truth=[classes.index(label) for label in of["truth"]], ids=of["paths"]
    )


def loss_of(record: Record, split: str) -> float:
    """Return the log loss of a split, in nats."""
    return log_loss(predictions(record, split)).value


def answers_of(records: Sequence[Record], name: str) -> list[Answer]:
    """Return every way that was measured on a set."""
    found = []
    for peer, ways in NAMES.items():
        for way in ways:
            those = [one for one in records if (one["set"], one["peer"], one["way"]) == (name, peer, way)]
            if those:
                by_valid = sorted(those, key=lambda record: loss_of(record, "valid"))
                middle = by_valid[(len(by_valid) - 1) // 2]
                found.append(
                    Answer(
                        peer=peer,
                        way=way,
                        repeats=len(those),
                        seconds=statistics.median(one["seconds"] for one in those),
                        valid_loss=loss_of(middle, "valid"),
                        test_loss=loss_of(middle, "test"),
                        memory_mb=max(one["peak_memory_mb"] for one in those),
                        record=middle,
                    )
                )
    return found


def at(answers: Sequence[Answer], peer: str, seconds: float) -> Answer | None:
    """Return what a peer's user has after so many seconds: of the ways that have ended, the best on valid."""
    there = [one for one in answers if one.peer == peer and one.seconds <= seconds]
    return min(there, key=lambda one: one.valid_loss, default=None)


def complete(answers: Answers) -> Answers:
    """Return the sets on which every peer that was measured anywhere has an answer."""
    peers = {one.peer for those in answers.values() for one in those}
    return {name: those for name, those in answers.items() if {one.peer for one in those} == peers}


def ranks_at(answers: Answers, seconds: float) -> dict[str, list[float]]:
    """Return each peer's rank by test log loss on each set, 1 the best; without an answer it shares the last ranks."""
    found: dict[str, list[float]] = {}
    for those in complete(answers).values():
        here = {peer: at(those, peer, seconds) for peer in dict.fromkeys(one.peer for one in those)}
        values = {peer: answer.test_loss if answer else np.inf for peer, answer in here.items()}
        for peer, value in values.items():
            below = sum(other < value for other in values.values())
            ties = sum(other == value for other in values.values())
            found.setdefault(peer, []).append(below + (ties + 1) / 2)
    return found


def curves(name: str, answers: Sequence[Answer]) -> Any:
    """Draw a set: the test log loss that a user of each peer has, over the seconds."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 3.6), layout="constrained")
    axes = figure.subplots()
    last = max(one.seconds for one in answers) * 1.3
    least, most = (side(one.test_loss for one in answers) for side in (min, max))
    for peer, colour in COLOURS.items():
        times = sorted(one.seconds for one in answers if one.peer == peer)
        losses = [at(answers, peer, seconds).test_loss for seconds in times]
        if times:
            axes.step([*times, last], [*losses, losses[-1]], where="post", color=colour, label=TITLES[peer])
            axes.plot(times, losses, "o", color=colour, markersize=4)
    axes.set(xscale="log", yscale="log", xlabel="seconds from the start of the process", ylabel="log loss on test")
    axes.set_xticks([seconds for seconds in BUDGETS.values() if seconds <= last], labels=None)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter("{x:g}")
        axis.set_minor_formatter("")
    axes.set_yticks([value for value in EVEN if least / 1.2 <= value <= most * 1.2], labels=None)
    axes.set_title(name)
    axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def ranks(answers: Answers, budgets: Mapping[str, float]) -> Any:
    """Draw the mean rank of each peer over the sets at each budget, with its 95 % interval."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 3.6), layout="constrained")
    axes = figure.subplots()
    places = np.arange(len(budgets))
    every = [ranks_at(answers, seconds) for seconds in budgets.values()]
    for number, (peer, colour) in enumerate(COLOURS.items()):
        if peer in every[0]:
            means = [float(np.mean(found[peer])) for found in every]
            halves = [half_width(found[peer]) for found in every]
            shifted = places + 0.05 * (number - (len(COLOURS) - 1) / 2)
            axes.errorbar(shifted, means, yerr=halves, fmt="o-", color=colour, capsize=3, label=TITLES[peer])
    axes.set_xticks(places, list(budgets))
    axes.set(xlabel="budget", ylabel="mean rank on test (1 is the best)")
    axes.invert_yaxis()
    axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def half_width(values: Sequence[float]) -> float:
    """Return half of the 95 % interval of a mean, by Student's t."""
    from scipy.stats import t

    if len(values) < FEWEST_SETS:
        return 0.0
    return float(t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / np.sqrt(len(values)))


def summary(records: Sequence[Record], answers: Answers) -> dict[str, Any]:
    """Return what the page rests on, without single images."""
    return {
        "hardware": sorted({record["hardware"] for record in records}),
        "commit": sorted({record["commit"] for record in records}),
        "date": [min(record["date"] for record in records), max(record["date"] for record in records)],
        "sets": {
            name: [
                {
                    "peer": one.peer,
                    "way": one.way,
                    "repeats": one.repeats,
                    "seconds": one.seconds,
                    "valid_loss": round(one.valid_loss, 4),
                    "test_loss": round(one.test_loss, 4),
                    "accuracy": value_and_interval(accuracy(predictions(one.record, "test"))),
                    "peak_memory_mb": one.memory_mb,
                }
                for one in those
            ]
            for name, those in answers.items()
        },
    }


def page(records: Sequence[Record], answers: Answers, budgets: Mapping[str, float]) -> Iterator[str]:
    """Return the lines of the page."""
    whole = [record for record in records if "failed" not in record]
    others = [record["others_cpu_share"] for record in whole]
    dates = sorted(record["date"][:10] for record in whole)
    yield "# Beside the field\n"
    yield (
        "What a user has after so many seconds on two cores without a GPU: the log loss on test images, lower is "
        "better. All have the same photos, the same split and the same pretrained EfficientNet-Lite0. goldenrule's "
        'whole fit may take Lite1 and Lite2 beside it, which it brings along ("side by side" below); the others keep '
        "to Lite0. A user takes what has the lowest log loss on valid of all that has ended by then; nobody looks at "
        "test. Seconds are those of the whole process, from Python's start to the last scored image, the median of the "
        "runs; goldenrule's backbone is prepared, which is done once on a machine. Losses are those of the run in the "
        "middle by valid.\n"
    )
    yield f"Measured so far: {', '.join(answers)}. The command on this page goes on with the sets that are left.\n"
    if len(complete(answers)) >= FEWEST_SETS:
        yield "![The mean rank of each peer over the sets at each budget](field-ranks.svg)\n"
    yield "## At each budget\n"
    yield (
        f"The mean log loss on test of the sets on which all were measured ({len(complete(answers))}); where a peer "
        "has no answer yet, that of guessing counts. In brackets: on how many it has one.\n"
    )
    yield means(answers, budgets)
    yield "\n## Beside the best of the others\n"
    yield (
        "By how much the log loss on test of goldenrule's answer is lower than that of the other one that is best on "
        "test, which nobody could know, at the same budget: image by image, with the paired 95 % interval. Below 0 the "
        "other is better; where the interval holds 0, neither is.\n"
    )
    yield beside(answers, budgets)
    for name, those in answers.items():
        record = those[0].record
        counts = [len(record["splits"][split]["paths"]) for split in ("valid", "test")]
        machines = {one["hardware"].partition(",")[0] for one in whole if one["set"] == name}
        yield (
            f"\n## {name}\n\n{len(record['classes'])} classes; {record['train']:,} images to train, {counts[0]:,} to "
            f"validate, {counts[1]:,} to test; on {' and '.join(sorted(machines))}.\n\n"
            f"![Log loss on test over the seconds: {name}](field-{name}.svg)\n"
        )
        yield ways(those)
    yield "\nBad input, kill -9, and how much a user writes: [of the same peers](field_faults.md)."
    yield "\n## How it was measured\n"
    yield f"- Made by `python benchmarks/field.py`; {dates[0]} to {dates[-1]}."
    yield f"- Hardware: {'; '.join(sorted({record['hardware'] for record in whole}))}."
    yield f"- Commit: {', '.join(sorted({record['commit'] for record in whole}))}."
    yield (
        f"- Other programs used {100 * statistics.median(others):.0f} % of the processor (median of the runs; "
        f"{100 * max(others):.0f} % in the most disturbed one)."
    )
    yield (
        "- Each peer does what its users write: the scripts are `benchmarks/peer_*.py`, with what is ours in their "
        "first lines. AutoGluon is told that it is judged by the log loss."
    )
    yield f"- Environments: {'; '.join(f'{peer}: {pins(peer)}' for peer in NAMES if peer != 'goldenrule')}."
    for record in records:
        if "failed" in record:
            last = record["failed"].strip().splitlines()[-1]
            way = NAMES[record["peer"]][record["way"]]
            yield f"- Failed: {TITLES[record['peer']]} {way} on {record['set']}: {last}"


def means(answers: Answers, budgets: Mapping[str, float]) -> str:
    """Return the means over the sets at each budget; guessing is the log loss of equal probabilities."""
    rows = []
    sets = complete(answers).values()
    for peer in NAMES:
        if any(one.peer == peer for those in sets for one in those):
            cells = []
            for seconds in budgets.values():
                found = [at(those, peer, seconds) for those in sets]
                guessed = [float(np.log(len(those[0].record["classes"]))) for those in sets]
                losses = [one.test_loss if one else guess for one, guess in zip(found, guessed, strict=True)]
                cells.append(f"{np.mean(losses):.3f} ({sum(one is not None for one in found)})")
            rows.append([TITLES[peer], *cells])
    return markdown_table(["", *budgets], rows)


def beside(answers: Answers, budgets: Mapping[str, float]) -> str:
    """Return goldenrule's gain over the best other answer at each budget."""
    rows = []
    for name, those in answers.items():
        cells = []
        for seconds in budgets.values():
            ours = at(those, "goldenrule", seconds)
            others = [one for peer in NAMES if peer != "goldenrule" and (one := at(those, peer, seconds))]
            best = min(others, key=lambda one: one.test_loss, default=None)
            if ours is None or best is None:
                cells.append("alone" if ours else "none yet")
                continue
            gain = paired_bootstrap(predictions(best.record, "test"), predictions(ours.record, "test")).gain
            cells.append(f"{value_and_interval(gain)} {TITLES[best.peer]}")
        rows.append([name, *cells])
    return markdown_table(["set", *budgets], rows)


def ways(answers: Sequence[Answer]) -> str:
    """Return every way of a set with its seconds and scores."""
    rows = []
    for one in sorted(answers, key=lambda one: one.seconds):
        test = predictions(one.record, "test")
        rows.append(
            [
                TITLES[one.peer],
                f"`{NAMES[one.peer][one.way]}`{', ' + one.record['chosen'] if one.record['chosen'] else ''}",
                f"{one.seconds:.1f}",
                str(one.repeats),
                f"{one.valid_loss:.3f}",
                value_and_interval(log_loss(test)),
                value_and_interval(accuracy(test)),
                f"{one.memory_mb:,.0f}",
            ]
        )
    header = ["", "way", "seconds", "runs", "log loss, valid", "log loss, test", "accuracy, test", "peak MB"]
    return markdown_table(header, rows)


def line(record: Record) -> str:
    """Return a measurement on one line."""
    if "failed" in record:
        return f"{record['set']}, {record['peer']} {record['way']}, repeat {record['repeat']}: {record['failed']}"
    return (
        f"{record['set']}, {record['peer']} {NAMES[record['peer']][record['way']]}, repeat {record['repeat']}: "
        f"{record['seconds']:.1f} s, {record['peak_memory_mb']:,} MB, valid {loss_of(record, 'valid'):.3f}, "
        f"test {loss_of(record, 'test'):.3f}, accuracy {accuracy(predictions(record, 'test')).value:.3f}"
    )


def pins(peer: str) -> str:
    """Return what a peer's environment is made of."""
    file = Path(__file__).parent / "field_environments" / f"{peer}.txt"
    return ", ".join(file.read_text(encoding="utf-8").split())
