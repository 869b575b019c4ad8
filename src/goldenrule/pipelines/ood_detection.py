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


def fitted_ood_detector(context: FitContext, classifier: Classifier, features: Features) -> OODDetector | None:
    """Return what flags images unlike those of the training; None where these are too alike to tell (one group).

    A backbone that has learned from none of these images knows training and new ones alike: the distances are those of
    training images, each left out. A backbone that was trained on them, or by an earlier run on images that may be the
    same, knows them too well: the distances are those of the validation images, where there are any. Their features
    and those of the references, together 4,000 at most, go into the cache of that backbone.
    """
    train = readable(context.table, "train", features)
    labels = [label[0] if label else -1 for label in train.rows["labels"].to_pylist()]  # of several the first
    references = _some(train, drawn(_digests(train), labels))
    trained = classifier.backbone.spec.weights != context.backbone.spec.weights
    valid = readable(context.table, "valid", features)
    learned = (trained or context.options.start_from is not None) and len(valid) > 0
    others = valid if learned else train
    others = _some(others, drawn(_digests(others)))
    if trained:
        features = _through(classifier, context, references, others)
        references, others = (
            table.where(features.has(table.digests)) for table in (references, others)
        )  # files change
    units = dict(zip(context.table.uris, duplicate_units(context.table), strict=True))
    if len({units[uri] for uri in (*references.uris, *others.uris)}) < 2:
        return None
    averaged = classifier.backbone.spec.averaged
    with one_blas_thread():
        return OODDetector.fit(
            averaged(features.rows(_digests(references))),
            [units[uri] for uri in references.uris],
            others=averaged(features.rows(_digests(others))),
            other_units=[units[uri] for uri in others.uris],
            false_positive_rate=context.options.false_positive_rate,
            basis=Basis.USED_FOR_SELECTION if learned else Basis.HELD_OUT,
        )


def _through(classifier: Classifier, context: FitContext, *tables: ImageTable) -> Features:
    """Return the plain features of these images by a classifier's backbone, from its cache where they were computed."""
    wanted = {uri for table in tables for uri in table.uris}
    extractor = FeatureExtractor(
        backbone=classifier.backbone, kind=classifier.engine, threads=context.threads, progress=context.progress
    )
    found = extractor.features(context.table.where(np.array([uri in wanted for uri in context.table.uris])))
    context.state.computed += sum(found.computed)
    context.state.reused += sum(found.reused)
    return found


def _some(table: ImageTable, rows: npt.NDArray[np.int64]) -> ImageTable:
    mask = np.zeros(len(table), dtype=bool)
    mask[rows] = True
    return table.where(mask)


def _digests(table: ImageTable) -> list[bytes]:
    return [digest for digest in table.digests if digest is not None]
