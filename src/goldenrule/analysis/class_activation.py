"""Class activation maps: what each place of a picture adds to the logit of a class, by the engine that predicts.

Zhou et al., "Learning deep features for discriminative localization", 2016. Where feature maps are averaged and a
linear head follows, this is what Grad-CAM gives (`gradcam`), and needs no gradients: no PyTorch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from goldenrule.analysis.gradcam import HeatMap, window
from goldenrule.core.errors import BackboneError
from goldenrule.data.pictures.decode import decoded
from goldenrule.models.graphs.compiled import available_threads, maps_engine, serving_kind
from goldenrule.models.layers import ROOT

if TYPE_CHECKING:
    from goldenrule.models.classifier import Classifier

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Activations:
    """One picture: its features (features,) and the maps (features, rows, columns) that they are the averages of.

    `window` is the part of the upright picture that the network sees, as shares: left, top, right, bottom.
    """

    features: Floats
    maps: Floats
    window: tuple[float, float, float, float]


class ClassActivation:
    """The class activation maps of one classifier, in its plain view. Several threads may ask.

    Raises `BackboneError` for a classifier whose logits are no sums over the places of a picture.
    """

    def __init__(self, classifier: Classifier, *, threads: int | None = None) -> None:
        if classifier.head.kind not in ("linear", "root") or classifier.backbone.spec.pooling != "average":
            raise BackboneError(f"a {classifier.head.kind} head does not add up what it sees at each place")
        self.classifier = classifier
        kind = serving_kind(classifier.backbone, classifier.engine)
        self._engine = maps_engine(classifier.backbone, kind, threads=threads or available_threads())

    def of(self, content: bytes) -> Activations:
        """Return what the network sees of a picture; raises `UnreadableImage` where it can't be read."""
        preprocessing = self.classifier.preprocessing
        with decoded(content, least_side=preprocessing.least_side, levels=preprocessing.levels) as found:
            pixels, seen = preprocessing.pixels(found.pixels), window(preprocessing, *found.pixels.shape[:2])
        features, maps = self._engine.run(pixels)
        return Activations(features=features, maps=maps, window=seen)

    def heat(self, seen: Activations, label: str) -> HeatMap:
        """Return what each place adds to the logit of a class: all places together give it, less the bias.

        On square roots each place adds its share of a feature, times what the root of that feature adds.
        """
        weights = self.classifier.head.tensors["weight"][self.classifier.classes.index(label)]
        if self.classifier.head.kind == "root":
            weights = weights / np.sqrt(np.abs(seen.features.ravel()) + ROOT.floor)
        values = np.tensordot(weights, seen.maps, axes=1) / seen.maps[0].size
        return HeatMap(of=label, values=np.asarray(values, np.float32), window=seen.window)
