"""Linear heads evaluated on images that took no part in anything: five outer folds of a photo set, each tested once.

Within the four fifths that train, folds are drawn again: out-of-fold predictions choose the penalty, fit temperatures
and calibrate sets, as in a fit; the fifth that is held out evaluates. Equal files, near duplicates and series stay
together in both. So every image of a set is a test image once, and the intervals are of independent images.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import goldenrule as gr
from common import DATA
from goldenrule.data.grouping import with_alike
from goldenrule.data.sources.label_tables import from_source
from goldenrule.data.table import ImageTable
from goldenrule.features.extractor import Features
from goldenrule.features.similar_windows import near_duplicates
from goldenrule.models.heads import Head

SETS = (
    "dogscats",
    "cat_dog_horse",
    "flowers_128",
    "clothing_small",
    "dog_breed",
    "GTSRB",
    "GTSRB_native15",
    "hymenoptera_data",
    "surface_crack",
    "cifar10_cat_dog_horse",
)
OUTER = 5


@dataclass(frozen=True, kw_only=True, eq=False)
class Split:
    """One outer fold: `train` and its fitted head, and the images that are held out, all with features."""

    name: str
    number: int
    train: ImageTable
    held_out: ImageTable
    features: Features
    fitted: gr.FittedHead

    def says(self, head: Head) -> gr.Predictions:
        """Return what a head says of the held-out images."""
        return says(head, self.held_out, self.features)


def films(name: str) -> str:
    """Return what in the names of a set keeps its films together: those of the traffic signs are known."""
    return "gtsrb" if name.startswith("GTSRB") else "none"


def splits(name: str, *, seed: int = 0) -> Iterator[Split]:
    """Return the outer folds of a photo set; all its labelled images are dealt out, whatever splits they had."""
    table, features = gr.features_of(from_source(DATA / name, group_by=films(name)), gr.backbone())
    table = table.where(table.targets >= 0).with_splits([None] * int((table.targets >= 0).sum()))
    pairs = near_duplicates(table, features.caches[0], threads=2)
    table = with_alike(table, [(pair.first, pair.second) for pair in pairs])
    for number, images in enumerate(gr.k_fold(table, OUTER, seed=seed)):
        train = images.split("train")
        yield Split(
            name=name,
            number=number,
            train=train,
            held_out=images.split("valid"),
            features=features,
            fitted=gr.fit_head(train, features, seed=seed),
        )


def says(head: Head, images: ImageTable, features: Features) -> gr.Predictions:
    """Return what a head says of images that have features."""
    rows = features.rows([digest for digest in images.digests if digest is not None])
    return gr.Predictions.from_logits(
        head.logits(rows), images.classes, truth=images.targets, ids=images.uris, basis="held out"
    )
