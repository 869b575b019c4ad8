"""Why a classifier says what it says of a picture that was sent: a heat map, and the nearest training images."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from goldenrule.analysis.class_activation import Activations, ClassActivation
from goldenrule.analysis.gradcam import HeatMap, HeatMaps
from goldenrule.analysis.nearest_images import Neighbour
from goldenrule.core.blas import one_blas_thread
from goldenrule.core.errors import BackboneError, GoldenRuleError, MissingExtra, UnreadableImage, is_installed
from goldenrule.data.pictures.decode import decoded
from goldenrule.deploy.web.batching import Served
from goldenrule.engines import Engine
from goldenrule.models.graphs.compiled import serving_engine, serving_kind
from goldenrule.report.figures.heat import laid_over
from goldenrule.report.thumbnails import small, thumbnail_from

if TYPE_CHECKING:
    from goldenrule.deploy.web.training_images import TrainingImages

SIDE_PX = 320
NOT_SHOWN = "This server does not show training images: goldenrule serve --training-images all lets it."
NOT_INSTALLED = "Nearest training images need the extra `fit` where the server runs: pip install 'goldenrule[fit]'."


class Explainer:
    """Explains pictures by one classifier, in one thread.

    `folder` is that of its run. Without `training` no training image is shown, nor named.
    """

    def __init__(self, served: Served, folder: Path, *, threads: int, training: bool) -> None:
        self.served, self.folder, self.threads, self.training = served, folder, threads, training

    def explain(self, name: str, content: bytes, *, of: str = "", k: int = 5) -> dict[str, Any]:
        """Return the explanation of a picture: for its most probable class, or the class `of`.

        Raises `UnreadableImage` where it can't be read.
        """
        classifier = self.served.classifier
        with one_blas_thread():
            predictions, reasons = classifier.predict_here([(name, content)], threads=self.threads)
            if reasons:
                raise UnreadableImage(reasons[0])
            probabilities = predictions.probabilities[0]
            best = classifier.classes[int(probabilities.argmax())]
            heat, near, notes = self._found(content, of or best, k)
            picture = small(content, SIDE_PX)
        return {
            "classifier": self.served.name,
            "path": name,
            "prediction": best,
            "probability": float(probabilities.max()),
            "picture": thumbnail_from(picture).uri,
            "heat_map": _as_json(heat, thumbnail_from(laid_over(picture, heat)).uri) if heat is not None else None,
            "nearest": near,
            "notes": notes,
        }

    def _found(self, content: bytes, label: str, k: int) -> tuple[HeatMap | None, list[dict[str, Any]], list[str]]:
        """Return the heat map, the nearest training images, and sentences on what is missing."""
        seen = self._seen(content)
        notes: list[str] = []
        heat: HeatMap | None = None
        near: list[dict[str, Any]] = []
        try:
            if self._activation is not None and seen is not None:
                heat = self._activation.heat(seen, label)
            else:
                (heat,) = self._gradients.of([lambda: content], [label])
        except (BackboneError, MissingExtra) as error:
            notes.append(str(error))
        training, missing = self._known
        if training is not None:
            features = seen.features if seen is not None else self._features(content)
            near = [_near(one, training) for one in training.nearest(features, content, k=k)]
        else:
            notes.append(missing)
        return heat, near, notes

    def _seen(self, content: bytes) -> Activations | None:
        try:
            return self._activation.of(content) if self._activation is not None else None
        except BackboneError:  # features are not what the graph promised
            return None

    @cached_property
    def _activation(self) -> ClassActivation | None:
        """What gives heat maps without PyTorch; None for a classifier that has none such."""
        try:
            return ClassActivation(self.served.classifier, threads=self.threads)
        except BackboneError:
            return None

    @cached_property
    def _gradients(self) -> HeatMaps:
        return HeatMaps(self.served.classifier)

    @cached_property
    def _known(self) -> tuple[TrainingImages | None, str]:
        """The training images, or why there are none to show."""
        if not self.training:
            return None, NOT_SHOWN
        if not is_installed("pyarrow"):
            return None, NOT_INSTALLED
        try:
            from goldenrule.deploy.web.training_images import TrainingImages

            return TrainingImages(self.folder, self.served.classifier), ""
        except GoldenRuleError as error:
            return None, str(error)

    @cached_property
    def _engine(self) -> Engine:
        classifier = self.served.classifier
        kind = serving_kind(classifier.backbone, classifier.engine)
        return serving_engine(classifier.backbone, kind, images=1, threads=self.threads)

    def _features(self, content: bytes) -> npt.NDArray[np.float32]:
        """Return the features (features,) of a picture in the plain view."""
        preprocessing = self.served.classifier.preprocessing
        batch = np.zeros((self._engine.batch_size, 3, preprocessing.size, preprocessing.size), np.float32)
        with decoded(content, least_side=preprocessing.least_side, levels=preprocessing.levels) as found:
            preprocessing.pixels(found.pixels, out=batch[0])
        [(_, features)] = self._engine.run([(None, batch)])
        return np.asarray(features[0], np.float32)


def _near(one: Neighbour, training: TrainingImages) -> dict[str, Any]:
    return {
        "path": one.id,
        "classes": list(one.labels),
        "similarity": one.similarity,
        "same_file": bool(one.copy),
        "picture": training.picture(one),
    }


def _as_json(heat: HeatMap, picture: str) -> dict[str, Any]:
    return {
        "of": heat.of,
        "values": [[float(f"{value:.4g}") for value in row] for row in heat.values.tolist()],
        "window": list(heat.window),
        "picture": picture,
    }
