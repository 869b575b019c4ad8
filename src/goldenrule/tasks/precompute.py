"""From images to features in one call: arrays for Python, and a cache in which a later fit finds every row."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from goldenrule.core.errors import OptionError, system_errors
from goldenrule.core.findings import Finding
from goldenrule.core.progress import Progress, Silent
from goldenrule.data.augmentation.augment import Augmentation, views
from goldenrule.data.pictures.levels import glanced
from goldenrule.data.table import ImageTable
from goldenrule.features.cache import enforce_limit
from goldenrule.features.extractor import Elsewhere, FeatureExtractor, Features
from goldenrule.features.speed_record import remember_speed
from goldenrule.models.backbone import Backbone, check_backbone
from goldenrule.models.backbone import backbone as load_backbone
from goldenrule.models.catalog import DEFAULT_BACKBONE
from goldenrule.models.graphs.compiled import check_device
from goldenrule.pipelines.prepare import candidate_backbones, check_backbones, read_images
from goldenrule.runs.options import FitOptions
from goldenrule.training.plan import DEFAULT_VIEWS


@dataclass(frozen=True, slots=True, kw_only=True)
class Precomputed:
    """What the cache holds of these images now: rows are one a view of an image, of each backbone.

    `unreadable` images have no rows. `seconds` is how long the rows took that were computed now.
    """

    images: int
    computed: int
    reused: int
    unreadable: tuple[str, ...]
    seconds: float
    caches: tuple[str, ...]
    findings: tuple[Finding, ...] = ()

    @property
    def images_per_second(self) -> float | None:
        """How many rows a second were computed, None where none was."""
        return self.computed / self.seconds if self.computed and self.seconds else None


@system_errors()
def precompute(
    source: str | os.PathLike[str] | ImageTable,
    *,
    options: FitOptions | None = None,
    elsewhere: Elsewhere | None = None,
    progress: Progress | None = None,
) -> Precomputed:
    """Compute the rows that a fit of these images with these options asks for, but for those that the cache has.

    The plain view of every image, and `options.views` augmented ones of each that a fit may train on, through the
    backbone or each of the candidates. The same call goes on where a killed one stopped. With `elsewhere` other
    processes compute them.
    """
    options, progress = options or FitOptions(), progress or Silent()
    device = check_device(options.device)
    check_backbones(options)
    table, options = read_images(source, options, progress)
    wanted = views(options.augmentation, options.most_views or 0)
    found, seconds = [], 0.0
    for backbone in candidate_backbones(options, progress):
        extractor = FeatureExtractor.of(
            backbone, device=device, threads=options.threads, progress=progress, elsewhere=elsewhere
        )
        began = time.perf_counter()
        found.append(extractor.features(table, views=wanted, augmented=_may_train(table)))
        seconds += time.perf_counter() - began
        if elsewhere is None:
            remember_speed(backbone.spec, extractor.kind, sum(found[-1].computed), time.perf_counter() - began)
    caches = tuple(dict.fromkeys(cache.name for features in found for cache in features.caches))
    for removed in enforce_limit(keep=caches):
        progress.say(f"The feature cache {removed['name'][:8]} ({removed['rows']:,} rows) gave way to the limit.")
    unread = dict.fromkeys(uri for uri, digest in zip(table.uris, table.digests, strict=True) if digest is None)
    return Precomputed(
        images=len(table),
        computed=sum(sum(features.computed) for features in found),
        reused=sum(sum(features.reused) for features in found),
        unreadable=tuple(unread | dict.fromkeys(uri for features in found for uri in features.failures)),
        seconds=seconds,
        caches=caches,
        findings=table.findings,
    )


def _may_train(table: ImageTable) -> npt.NDArray[np.bool_]:
    """Return which images a fit may train on, whatever split it draws, (n,)."""
    return np.asarray(table.labelled & np.array([split in ("train", None) for split in table.splits], dtype=bool))


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
