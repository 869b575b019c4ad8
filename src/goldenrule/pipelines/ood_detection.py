"""The images that a classifier is at home with: chosen when a fit ends, from its own backbone's features."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from goldenrule.core.blas import one_blas_thread
from goldenrule.data.table import ImageTable
from goldenrule.data.units import duplicate_units
from goldenrule.features.extractor import FeatureExtractor, Features
from goldenrule.metrics import OODDetector
from goldenrule.metrics.estimate import Basis
from goldenrule.metrics.uncertainty.ood import drawn
from goldenrule.models.classifier import Classifier
from goldenrule.pipelines.context import FitContext
from goldenrule.pipelines.probe import readable


def familiar_images(work: FitContext, classifier: Classifier, features: Features) -> OODDetector | None:
    """Return what flags images unlike those of the training; None where these are too alike to tell (one group).

    A backbone that has learned from none of these images knows training and new ones alike: the distances are those of
    training images, each left out. A backbone that was trained on them, or by an earlier run on images that may be the
    same, knows them too well: the distances are those of the validation images, where there are any. Their features
    and those of the references, together 4,000 at most, go into the cache of that backbone.
    """
    train = readable(work.table, "train", features)
    labels = [label[0] if label else -1 for label in train.rows["labels"].to_pylist()]  # of several the first
    references = _some(train, drawn(_digests(train), labels))
    trained = classifier.backbone.spec.weights != work.backbone.spec.weights
    valid = readable(work.table, "valid", features)
    learned = (trained or work.options.start_from is not None) and len(valid) > 0
    others = valid if learned else train
    others = _some(others, drawn(_digests(others)))
    if trained:
        features = _through(classifier, work, references, others)
        references, others = (
            table.where(features.has(table.digests)) for table in (references, others)
        )  # files change
    units = dict(zip(work.table.uris, duplicate_units(work.table), strict=True))
    if len({units[uri] for uri in (*references.uris, *others.uris)}) < 2:
        return None
    averaged = classifier.backbone.spec.averaged
    with one_blas_thread():
        return OODDetector.fit(
            averaged(features.rows(_digests(references))),
            [units[uri] for uri in references.uris],
            others=averaged(features.rows(_digests(others))),
            other_units=[units[uri] for uri in others.uris],
            false_alarms=work.options.false_alarms,
            basis=Basis.CHOSEN_ON if learned else Basis.CLEAN,
        )


def _through(classifier: Classifier, work: FitContext, *tables: ImageTable) -> Features:
    """Return the plain features of these images by a classifier's backbone, from its cache where they were computed."""
    wanted = {uri for table in tables for uri in table.uris}
    extractor = FeatureExtractor(
        backbone=classifier.backbone, kind=classifier.engine, threads=work.threads, progress=work.progress
    )
    found = extractor.features(work.table.where(np.array([uri in wanted for uri in work.table.uris])))
    work.story.computed += sum(found.computed)
    work.story.reused += sum(found.reused)
    return found


def _some(table: ImageTable, rows: npt.NDArray[np.int64]) -> ImageTable:
    mask = np.zeros(len(table), dtype=bool)
    mask[rows] = True
    return table.where(mask)


def _digests(table: ImageTable) -> list[bytes]:
    return [digest for digest in table.digests if digest is not None]
