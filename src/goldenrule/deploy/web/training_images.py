"""The training images of a run, as far as this machine still has them: which are nearest, and how they look."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from goldenrule.analysis.nearest_images import Neighbour, nearest_rows
from goldenrule.core.errors import SourceError, UnreadableImage
from goldenrule.data.augmentation.augment import PLAIN
from goldenrule.data.table import ImageTable
from goldenrule.engines import as_halves
from goldenrule.features.cache import FeatureCache
from goldenrule.features.extractor import bank_for
from goldenrule.models.classifier import Classifier
from goldenrule.report.thumbnails import thumbnail
from goldenrule.runs.finished import check_finished
from goldenrule.runs.verified_files import run_images
from goldenrule.storage.files import digest

SIDE_PX = 120


class TrainingImages:
    """The training images whose features are in the feature cache; nothing is computed.

    Raises `SourceError` where there are none, with a sentence for people.
    """

    def __init__(self, folder: Path, classifier: Classifier) -> None:
        try:
            check_finished(folder)
        except SourceError:
            raise SourceError("Only the folder of a run knows its training images: none is shown.") from None
        self.table: ImageTable = run_images(folder).split("train").only_labelled()
        self._name = classifier.name
        self._cache: FeatureCache = bank_for(classifier.backbone.spec, classifier.engine, PLAIN)
        rows = enumerate(self.table.digests)
        self._rows = {content: row for row, content in rows if content is not None and content in self._cache}
        self._digests = list(self._rows)
        self._uris, self._labels = self.table.uris, self.table.rows["labels"].to_pylist()
        if not self._digests:
            raise SourceError(
                "The features of the training images are not in the cache of this machine: goldenrule explain puts "
                "them there, as long as the images are where they were."
            )

    def nearest(self, features: npt.NDArray[np.float32], content: bytes, *, k: int) -> list[Neighbour]:
        """Return the `k` nearest training images of a picture with these features (features,), nearest first."""
        asked, same = as_halves(features[np.newaxis], self._name), digest(content)
        [(places, similarities)] = nearest_rows(
            lambda start, stop: asked[start:stop],
            1,
            lambda start, stop: self._cache.rows(self._digests[start:stop]),
            len(self._digests),
            k=k,
            features=self._cache.features,
        )
        found = [(self._digests[place], similarity) for place, similarity in zip(places, similarities, strict=True)]
        return [
            Neighbour(
                id=self._uris[self._rows[near]],
                labels=tuple(self.table.classes[label] for label in self._labels[self._rows[near]]),
                similarity=float(similarity),
                copy="same file" if near == same else "",
            )
            for near, similarity in found
        ]

    def picture(self, near: Neighbour) -> str | None:
        """Return a training image as a small JPEG, a data: URI; None where its file is gone, or has changed."""
        try:
            content = self.table.read(near.id)
            return thumbnail(content, side=SIDE_PX).uri if digest(content) in self._rows else None
        except (OSError, UnreadableImage):
            return None
