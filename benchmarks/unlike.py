"""How well images unlike those of the training are told: every photo set against all others, by several methods.

Each set is fitted (the linear head, plain views); its held-out images are the familiar ones, images of the other sets
the foreign ones. Then, harder: single classes are left out of the training and are the foreign ones.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import goldenrule as gr
from common import DATA, RESULTS, made_with
from goldenrule.core.progress import Bars
from goldenrule.core.schema import as_json
from goldenrule.data.sources.label_tables import from_source
from goldenrule.data.units import duplicate_units
from goldenrule.metrics import OODDetector
from goldenrule.metrics.rank_statistics import auc_and_influences
from goldenrule.metrics.score_intervals import effective_interval
from goldenrule.metrics.uncertainty.ood import drawn
from goldenrule.models.heads import Head
from goldenrule.tasks.reopened import reopened
from unlike_methods import (
    FOREIGN_ONLY,
    HOMES,
    LEFT_OUT,
    MOST_CLASSES,
    MOST_FAMILIAR,
    MOST_FOREIGN,
    RATES,
    methods,
    same_things,
)
from unlike_report import page

Rows = npt.NDArray[Any]


@dataclass(frozen=True, kw_only=True, eq=False)
class PhotoSet:
    """Activations of some images of a set, foreign to others; of a home also its images, all activations, its head."""

    name: str
    foreign: Rows
    train: gr.ImageTable | None = None
    held_out: gr.ImageTable | None = None
    features: gr.Features | None = None
    head: Head | None = None

    def rows(self, table: gr.ImageTable) -> Rows:
        """Return the activations of some of its images."""
        assert self.features is not None
        return self.features.rows([digest for digest in table.digests if digest is not None])


def main() -> None:
    """Measure and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--out", type=Path, default=RESULTS / "unlike.md")
    parser.add_argument("--again", action="store_true", help="write the page from the numbers that were kept")
    arguments = parser.parse_args()
    kept = arguments.out.with_suffix(".json")
    values = json.loads(kept.read_text()) if arguments.again else measured()
    if not arguments.again:
        kept.write_text(json.dumps(values, separators=(",", ":")).replace("},{", "},\n{") + "\n")
    text = page(values)
    arguments.out.write_text(text)
    print(text)


def measured() -> dict[str, Any]:
    """Return the numbers of the page."""
    with tempfile.TemporaryDirectory() as folder:
        sets = {name: opened(name, Path(folder)) for name in (*HOMES, *FOREIGN_ONLY)}
        pairs: list[dict[str, Any]] = []
        alarms: list[dict[str, Any]] = []
        classes: list[dict[str, Any]] = []
        for home in HOMES:
            pairs += against_others(sets[home], sets)
            alarms += false_positive_rate(sets[home], sets)
            classes += without_a_class(sets[home])
            print(f"{home}: measured", flush=True)
    return {"made_with": made_with(), "pairs": pairs, "false_positive_rate": alarms, "classes_left_out": classes}


def opened(name: str, folder: Path) -> PhotoSet:
    """Fit a set and give its activations; of one that can't be a home only those of some images."""
    if name in FOREIGN_ONLY:
        table, features = gr.features_of(from_source(DATA / name), gr.backbone(), progress=Bars())
        return PhotoSet(name=name, foreign=features.rows(some(table, MOST_FOREIGN).digests))
    gr.fit(DATA / name, quick=True, views=0, out=folder / name, progress=Bars())
    run = reopened(folder / name, progress=Bars())
    features, splits = run.features(), np.array(run.table.splits)
    known = np.array([digest is not None and digest in features.caches[0] for digest in run.table.digests])
    return PhotoSet(
        name=name,
        foreign=features.rows(some(run.table.where(known), MOST_FOREIGN).digests),
        train=run.table.where(known & (splits == "train")),
        held_out=some(run.table.where(known & (splits != "train")), MOST_FAMILIAR),
        features=features,
        head=run.classifier.head,
    )


def some(table: gr.ImageTable, most: int) -> gr.ImageTable:
    """Return at most so many images, drawn by the hash of their bytes."""
    mask = np.zeros(len(table), bool)
    mask[drawn(table.digests, most=most)] = True
    return table.where(mask)


def against_others(home: PhotoSet, sets: dict[str, PhotoSet]) -> Iterator[dict[str, Any]]:
    """Return the AUROC of every method for each foreign set."""
    ways = methods(home.rows(home.train), home.train.targets, home.head)
    ood_detector = home.rows(home.held_out)
    found = {name: way(ood_detector) for name, way in ways.items()}
    for foreign in sets.values():
        if foreign is not home:
            yield {
                "home": home.name,
                "foreign": foreign.name,
                "same_things": same_things(home.name, foreign.name),
                "familiar_images": len(ood_detector),
                "foreign_images": len(foreign.foreign),
                "auroc": {name: auroc(found[name], way(foreign.foreign)) for name, way in ways.items()},
            }


def false_positive_rate(home: PhotoSet, sets: dict[str, PhotoSet]) -> Iterator[dict[str, Any]]:
    """Return the share of familiar and of foreign images that are flagged, for some promised rates."""
    train, units = home.rows(home.train), duplicate_units(home.train)
    others = [
        photo_set for photo_set in sets.values() if photo_set is not home and not same_things(home.name, photo_set.name)
    ]
    for rate in RATES:
        ood_detector = OODDetector.fit(train, units, false_positive_rate=rate)
        alarms = ood_detector.distances(home.rows(home.held_out)) > np.float32(ood_detector.threshold)
        found = {
            other.name: ood_detector.distances(other.foreign) > np.float32(ood_detector.threshold) for other in others
        }
        every = np.concatenate(list(found.values()))
        worst = min(found, key=lambda name: float(found[name].mean()))
        yield {
            "home": home.name,
            "asked": rate,
            "n": ood_detector.n,
            "units": len(set(units)),
            "promised": ood_detector.rate,
            "false_positive_rate": share(alarms),
            "detected": share(every),
            "worst": worst,
            "worst_detected": share(found[worst]),
        }


def without_a_class(home: PhotoSet) -> Iterator[dict[str, Any]]:
    """Return the AUROC for images of single classes that the training was left without."""
    train, held_out = home.train, home.held_out
    if len(train.classes) < 3:
        return
    counted = [label for label in range(len(train.classes)) if (train.targets == label).sum() >= 10]
    for label in np.array(counted)[drawn([train.classes[label].encode() for label in counted], most=MOST_CLASSES)]:
        rest = gr.with_classes(train, {train.classes[label]: None})
        head = gr.fit_head(rest, home.features).head
        rows = home.rows(rest)
        ways = methods(rows, rest.targets, head)
        new = np.concatenate([home.rows(table.where(table.targets == label)) for table in (train, held_out)])
        known = home.rows(held_out.where((held_out.targets != label) & (held_out.targets >= 0)))
        ood_detector = OODDetector.fit(rows, duplicate_units(rest))
        yield {
            "home": home.name,
            "left_out": train.classes[label],
            "familiar_images": len(known),
            "foreign_images": len(new),
            "auroc": {name: auroc(ways[name](known), ways[name](new)) for name in LEFT_OUT},
            "detected": share(ood_detector.distances(new) > np.float32(ood_detector.threshold)),
        }


def auroc(ood_detector: Rows, foreign: Rows) -> dict[str, Any]:
    """Return how often a foreign image has the higher number, with the interval that `gr.metrics.roc_auc` has."""
    marks = np.arange(len(ood_detector) + len(foreign)) >= len(ood_detector)
    value, influences = auc_and_influences(np.concatenate([ood_detector, foreign]).astype(np.float64), marks)
    fewer = min(len(ood_detector), len(foreign))
    value = min(value, 1.0)
    low, high = effective_interval(value, float(influences @ influences), fewer, imagined=0.25)
    return {"value": round(value, 5), "low": round(low, 5), "high": round(high, 5), "n": len(marks)}


def share(flagged: npt.NDArray[np.bool_]) -> dict[str, Any]:
    """Return the share of images that are flagged."""
    return as_json(gr.Estimate.of_share("flagged", int(flagged.sum()), len(flagged)))


if __name__ == "__main__":
    main()
