"""The same parts by hand: from a table to features in one call."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from goldenrule.core.errors import OptionError
from goldenrule.core.progress import Progress, Silent
from goldenrule.data.augmentation.augment import Augmentation, views
from goldenrule.data.pictures.levels import glanced
from goldenrule.data.table import ImageTable
from goldenrule.features.extractor import FeatureExtractor, Features
from goldenrule.models.backbone import Backbone, check_backbone
from goldenrule.models.backbone import backbone as load_backbone
from goldenrule.models.catalog import DEFAULT_BACKBONE
from goldenrule.training.plan import DEFAULT_VIEWS


def features_of(
    images: ImageTable,
    backbone: Backbone,
    *,
    augment: Augmentation | None = None,
    augmented_views: int | None = None,
    threads: int | None = None,
    progress: Progress | None = None,
) -> tuple[ImageTable, Features]:
    """Return the readable images, with digests, and their features from the cache.

    The plain view of every image and, where `augment` is given, `augmented_views` views (4 by default) of the
    training images.
    """
    if augmented_views and augment is None:
        raise OptionError(
            f"augmented_views={augmented_views} without augment: say how, such as augment=gr.data.side_on()."
        )
    count = DEFAULT_VIEWS if augmented_views is None else augmented_views
    table = images
    if None in images.digests:
        table, levels, said = glanced(images, progress=progress)
        if said and backbone.spec.preprocessing.levels is None:
            wanted = f" Give gr.backbone(..., levels={levels})." if levels is not None else ""
            (progress or Silent()).say(f"{said[0].sentence}.{wanted}")
    extractor = FeatureExtractor.of(backbone, threads=threads, progress=progress)
    features = extractor.features(table, views=views(augment, count), augmented=table.teaching)
    cache = features.caches[0]
    return table.where(np.array([d is not None and d in cache for d in table.digests], dtype=bool)), features


def feature_arrays(
    images: ImageTable,
    backbone: Backbone | str | None = None,
    *,
    threads: int | None = None,
    progress: Progress | None = None,
) -> tuple[npt.NDArray[np.float32], npt.NDArray[Any], list[str]]:
    """Return the plain features (n, d) of the readable images, what is true of them, and their files: `table.features`.

    Where `backbone` is no prepared one, black and white of pictures of more than 8 bits are found as a fit finds them.
    """
    if not isinstance(backbone, Backbone):
        check_backbone(backbone or DEFAULT_BACKBONE)
        images, levels, _ = glanced(images, progress=progress)
        backbone = load_backbone(backbone or DEFAULT_BACKBONE, levels=levels, progress=progress)
    table, found = features_of(images, backbone, threads=threads, progress=progress)
    digests = [digest for digest in table.digests if digest is not None]
    return found.rows(digests).astype(np.float32), table.truth, table.uris
