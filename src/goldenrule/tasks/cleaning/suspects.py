"""What of a finished run is to be looked at again: suspected labels, copies, mistakes, odd images, in a queue."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from goldenrule.analysis.review_queue import (
    ReviewCard,
    ReviewedImages,
    Suspicion,
    copy_suspicions,
    far_suspicions,
    label_suspicions,
    mistake_suspicions,
    review_queue,
)
from goldenrule.core.errors import OptionError
from goldenrule.core.progress import Progress, Silent
from goldenrule.data.table import LabelledTable
from goldenrule.features.extractor import Features
from goldenrule.metrics.uncertainty.ood import directions, distances_to_others, drawn
from goldenrule.runs.verified_files import kept_predictions
from goldenrule.tasks.label_check import copies_of
from goldenrule.tasks.reopened import Reopened, reopened
from goldenrule.tasks.run_label_issues import with_features, without_the_image

HELD_OUT = ("test", "valid")
AT_ONCE = 4096


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Suspects:
    """A run's labelled, readable images with their features, and the cards to look at, the most doubtful first."""

    folder: Path
    images: LabelledTable
    features: Features
    known: ReviewedImages
    cards: tuple[ReviewCard, ...]
    left_out: tuple[str, ...]
    seed: int

    def neighbours(self, row: int, among: npt.NDArray[np.int64], most: int) -> list[int]:
        """Return the rows of `among` that are most like a row, its copies left out."""
        unit, digests = self.known.units[row], self.known.same_file
        others = [int(other) for other in among if self.known.units[other] != unit]
        asked = _directions(self.features, [digests[row]])
        likeness = np.concatenate(
            [
                _directions(self.features, [digests[other] for other in others[start : start + AT_ONCE]]) @ asked[0]
                for start in range(0, len(others), AT_ONCE)
            ]
            or [np.empty(0)]
        )
        return [others[place] for place in np.argsort(-likeness, kind="stable")[:most]]


def find_suspects(run: str | Path, *, threads: int | None = None, progress: Progress | None = None) -> Suspects:
    """Look into a finished run; nothing of it is changed. Features that the cache lacks are computed.

    Raises `SourceError` where there is no finished run, `OptionError` where its images have several labels each.
    """
    opened = reopened(run, threads=threads, progress=progress or Silent())
    if opened.table.task == "multi":
        raise OptionError(
            f"{opened.folder} has several labels an image, and review decides about one. goldenrule labels "
            f"{opened.folder} lists the doubtful ones."
        )
    features = opened.features()
    images, left_out = with_features(opened.table, features)
    if not len(images):
        raise OptionError(f"No image of {opened.folder} has a label and can be read: wanted labelled images.")
    return suspects_of(opened, images, features, left_out=tuple(left_out))


def suspects_of(
    opened: Reopened, images: LabelledTable, features: Features, *, left_out: tuple[str, ...] = ()
) -> Suspects:
    """Return the cards of a run's labelled images, which have features."""
    seed = opened.options.seed
    known = reviewed_images(images, features, seed=seed, progress=opened.progress)
    suspicions = [*found_suspicions(known, features), *mistake_suspicions(known, dict(_said(opened.folder)))]
    return Suspects(
        folder=opened.folder,
        images=images,
        features=features,
        known=known,
        cards=tuple(review_queue(known, suspicions)),
        left_out=left_out,
        seed=seed,
    )


def found_suspicions(known: ReviewedImages, features: Features) -> list[Suspicion]:
    """Return what is suspect of images by themselves, without a classifier's mistakes."""
    return [*label_suspicions(known), *copy_suspicions(known), *far_suspicions(_distances(known, features))]


def reviewed_images(
    images: LabelledTable, features: Features, *, seed: int, progress: Progress | None = None
) -> ReviewedImages:
    """Return what is known of images before anybody looks: copies, and what heads say that have not seen them."""
    said = without_the_image(images, features, seed=seed, progress=progress)[0]
    place = {uri: number for number, uri in enumerate(said.ids)}
    chances = np.full((len(images), len(images.classes)), np.nan)
    for row, uri in enumerate(images.uris):
        if uri in place:
            chances[row] = said.probabilities[place[uri]]
    units = copies_of(images)
    return ReviewedImages(
        classes=images.classes,
        uris=images.uris,
        splits=images.splits,
        labels=images.targets,
        units=[units[uri] for uri in images.uris],
        same_file=images.digests,
        probabilities=chances,
    )


def _said(folder: Path) -> Iterator[tuple[str, tuple[str, float, float]]]:
    """Return what the run's classifier said of held-out images: the class, its probability, and that of the label."""
    for split in HELD_OUT:
        predictions = kept_predictions(folder, split, task="single")
        if predictions is None:
            continue
        scored = predictions.scored
        for row, uri in enumerate(scored.ids):
            chances = scored.probabilities[row]
            best = int(chances.argmax())
            yield uri, (scored.classes[best], float(chances[best]), float(chances[scored.truth[row]]))


def _distances(known: ReviewedImages, features: Features) -> npt.NDArray[np.float32]:
    """Return how far each image is from a sample of the others."""
    digests = [digest or b"" for digest in known.same_file]
    sample = drawn(digests, known.labels)
    references = features.rows([digests[row] for row in sample])
    units = [known.units[row] for row in sample]
    pieces = [
        distances_to_others(
            references,
            units,
            features.rows(digests[start : start + AT_ONCE]),
            known.units[start : start + AT_ONCE],
        )[0]
        for start in range(0, len(digests), AT_ONCE)
    ]
    return np.concatenate(pieces)


def _directions(features: Features, digests: list[bytes | None]) -> npt.NDArray[np.float64]:
    return directions(features.rows([digest for digest in digests if digest is not None]))
