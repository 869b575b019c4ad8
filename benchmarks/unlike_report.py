"""The page of docs/results on images unlike anything seen."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

import goldenrule as gr
from common import markdown_table
from goldenrule.core.schema import from_json
from goldenrule.metrics import bootstrap, value_and_interval
from unlike_methods import CHOSEN, HOMES, LEFT_OUT, MOST_CLASSES, MOST_FAMILIAR, MOST_FOREIGN, RATES, SAME_THINGS, SAYS

Record = dict[str, Any]
Floats = npt.NDArray[np.float64]
METHODS_HEADER = ["method", "mean AUROC", "lowest", "below .95", "gain of the built-in one", "same things"]
ALARMS_HEADER = [
    "home",
    "asked",
    "training images (groups)",
    "promised",
    "flagged of the familiar",
    "n",
    "flagged of the foreign",
    "n",
    "fewest in",
]


def page(values: dict[str, Any]) -> str:
    """Return the page of docs/results from the values of the JSON file."""
    pairs, alarms, classes = values["pairs"], values["false_positive_rate"], values["classes_left_out"]
    sections = (methods_section(pairs), alarms_section(alarms), pairs_section(pairs), classes_section(classes))
    return (
        "# Images unlike anything seen\n\n"
        "Each photo set is a home in turn: fitted with default options (the linear head, plain views; backbone "
        f"{gr.backbone().spec.name}). Familiar are its held-out images (validation and test, at most "
        f"{MOST_FAMILIAR:,}, labelled or not), foreign at most {MOST_FOREIGN} images of each other set; both drawn by "
        "the hash of their bytes. AUROC is how often a foreign image has the higher number than a familiar one: .5 by "
        "chance, 1 where all are told. Its interval is that of `gr.metrics.roc_auc` (95 %, from DeLong's variance).\n\n"
        "Pairs of sets that show the same things are left out, and listed apart: a foreign dog is not unlike the dogs "
        f"of a home. Such sets are {'; and '.join(', '.join(group) for group in SAME_THINGS)}. scenes_multilabel is "
        "foreign only: its images have several labels.\n\n"
        + "\n\n".join(sections)
        + f"\n\nMade by `python benchmarks/unlike.py`: {values['made_with']}.\n"
    )


def methods_section(pairs: list[Record]) -> str:
    """Compare the methods."""
    apart, same = ([row for row in pairs if row["same_things"] is value] for value in (False, True))
    listed = "\n".join(f"- {name}: {says}." for name, says in SAYS.items())
    return (
        "## Methods\n\n"
        f"Over the {len(apart)} pairs of different things; the intervals are of means over the {len(HOMES)} homes, by "
        "bootstrap of the homes. Gain: how much higher the built-in one is, paired by home; where the interval holds 0 "
        f"it is a tie. Last column: the mean over the {len(same)} pairs of the same things, where a number above .5 "
        "tells one source of pictures from another. The fifth neighbour, and the default rate of 2 %, were settled on "
        "these same sets: what is a tie here is a tie.\n\n"
        f"{markdown_table(METHODS_HEADER, [_method_row(name, apart, same) for name in SAYS])}\n\n{listed}"
    )


def alarms_section(alarms: list[Record]) -> str:
    """Compare promised and measured false alarms, and what is found at them."""
    above = [row for row in alarms if row["false_positive_rate"]["low"] > row["promised"]]
    names = ": " + ", ".join(f"{row['home']} at {100 * row['asked']:g} %" for row in above) if above else ""
    means = " ".join(
        f"At {100 * rate:g} %, mean over the homes: promised {_mean(alarms, rate, 'promised'):.2f} %, measured "
        f"{_mean(alarms, rate, 'false_alarms'):.2f} %, foreign flagged {_mean(alarms, rate, 'detected'):.1f} %."
        for rate in RATES
    )
    return (
        "## False alarms\n\n"
        "The built-in distance with its threshold: the promised rate (what was asked for, or the next lower one that "
        "the number of training images allows; 1 / (n + 1) where they are too few), the share of reference images that "
        "were flagged, and the share of foreign ones (all sets of other things together, and that of which the fewest "
        "were found). Where images come in groups, such as the series of one sign in GTSRB, n images are not n "
        "independent ones, and the interval of their share is too narrow.\n\n"
        f"{markdown_table(ALARMS_HEADER, [_alarm_row(row) for row in alarms])}\n\n"
        f"Of {len(alarms)} cells {len(above)} have clearly more false alarms than promised (the interval begins above "
        f"it){names}. {means}"
    )


def pairs_section(pairs: list[Record]) -> str:
    """List the pairs that are not told almost perfectly."""
    rows = [
        [row["home"], row["foreign"], printed(row["auroc"][CHOSEN]), "the same things" if row["same_things"] else ""]
        for row in pairs
        if row["same_things"] or row["auroc"][CHOSEN]["value"] < 0.995
    ]
    return (
        "## Pairs below 0.995, and pairs of the same things\n\n"
        f"The built-in distance; the other {len(pairs) - len(rows)} pairs have more.\n\n"
        f"{markdown_table(['home', 'foreign', 'AUROC', ''], rows)}"
    )


def classes_section(classes: list[Record]) -> str:
    """Tell how well a new kind of the same things is told."""
    rows = [
        [row["home"], row["left_out"], *(printed(row["auroc"][name]) for name in LEFT_OUT), shared(row["detected"])]
        for row in classes
    ]
    means = "; ".join(
        f"{name} {_short(float(np.mean([row['auroc'][name]['value'] for row in classes])))}" for name in LEFT_OUT
    )
    found = 100 * np.mean([row["detected"]["value"] for row in classes])
    return (
        "## A class left out\n\n"
        f"Harder: up to {MOST_CLASSES} classes of each home, drawn by hash, are left out of the training in turn, and "
        "their images are the foreign ones. The last column is the share of them that is flagged at 2 % false alarms. "
        f"Means over the {len(classes)} classes: {means}; flagged {found:.0f} %. A new kind of the same things is "
        "mostly not flagged, unless the kinds are as different as cats, dogs and horses: the flag is for pictures of "
        "something else.\n\n"
        f"{markdown_table(['home', 'left out', *LEFT_OUT, 'flagged'], rows)}"
    )


def printed(value: Record) -> str:
    """Return an AUROC with its interval."""
    return f"{_short(value['value'])} [{_short(value['low'])}, {_short(value['high'])}] n={value['n']:,}"


def shared(value: Record) -> str:
    """Return a share with its interval."""
    return value_and_interval(from_json(value, gr.Estimate))


def _method_row(name: str, apart: list[Record], same: list[Record]) -> list[str]:
    ours, every = _per_home(apart, name), [row["auroc"][name]["value"] for row in apart]
    low, high = bootstrap(ours)
    gain = ""
    if name != CHOSEN:
        gains = _per_home(apart, CHOSEN) - ours
        gain = f"{gains.mean():+.4f} [{', '.join(f'{end:+.4f}' for end in bootstrap(gains))}]"
    return [
        f"**{name}**" if name == CHOSEN else name,
        f"{ours.mean():.4f} [{low:.4f}, {high:.4f}]",
        _short(min(every)),
        f"{sum(value < 0.95 for value in every)} of {len(every)}",
        gain,
        _short(float(np.mean([row["auroc"][name]["value"] for row in same]))),
    ]


def _per_home(rows: list[Record], name: str) -> Floats:
    return np.array([np.mean([row["auroc"][name]["value"] for row in rows if row["home"] == home]) for home in HOMES])


def _mean(alarms: list[Record], rate: float, what: str) -> float:
    values = [row[what] for row in alarms if row["asked"] == rate]
    return 100 * float(np.mean([value["value"] if isinstance(value, dict) else value for value in values]))


def _alarm_row(row: Record) -> list[str]:
    return [
        row["home"],
        f"{100 * row['asked']:g} %",
        f"{row['n']:,} ({row['units']:,})",
        f"{100 * row['promised']:.2f} %",
        shared(row["false_positive_rate"]),
        f"{row['false_alarms']['n']:,}",
        shared(row["detected"]),
        f"{row['detected']['n']:,}",
        f"{row['worst']}: {shared(row['worst_detected'])}",
    ]


def _short(number: float) -> str:
    return f"{number:.3f}".removeprefix("0")
