"""Heat maps: where in a picture the network sees what speaks for a class.

Grad-CAM, by captum: the last feature maps, each weighted by how much the class's logit grows with it on average.
Selvaraju et al., "Grad-CAM: visual explanations from deep networks via gradient-based localization", 2017. Where the
maps are averaged and a linear head follows, these are the class activation maps of Zhou et al., "Learning deep
features for discriminative localization", 2016: what each place adds to the logit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from goldenrule.core.errors import MissingExtra, OptionError, nearest, system_errors
from goldenrule.core.progress import Progress, Silent
from goldenrule.data.pictures.decode import decode
from goldenrule.data.pictures.preprocess import Preprocessing, centre
from goldenrule.data.sources.picture_files import read_picture

if TYPE_CHECKING:
    from goldenrule.models.classifier import Classifier

Floats = npt.NDArray[np.float32]
BATCH = 8


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class HeatMap:
    """What speaks for a class, place by place: `values` (rows, columns), above 0 for it and below against it.

    `window` is the part of the upright picture that the network sees, as shares: left, top, right, bottom.
    """

    of: str
    values: Floats
    window: tuple[float, float, float, float]

    @property
    def heat(self) -> Floats:
        """What speaks for the class (rows, columns), from 0 to 1 at the hottest place; all 0 where nothing does."""
        positive = np.maximum(self.values, 0)
        highest = float(positive.max(initial=0))
        return np.asarray(positive / highest if highest > 0 else positive, np.float32)

    def over(self, height: int, width: int) -> Floats:
        """Return the heat over an upright picture of (height, width) px: nan where nothing was looked at."""
        from PIL import Image

        left, top, right, bottom = self.window
        rows, columns = _pixels(top, bottom, height), _pixels(left, right, width)
        size = (columns.stop - columns.start, rows.stop - rows.start)
        whole = np.full((height, width), np.nan, np.float32)
        whole[rows, columns] = np.asarray(Image.fromarray(self.heat).resize(size, Image.Resampling.BILINEAR))
        return whole


@system_errors()
def heatmap(classifier: Classifier, image: str | Path | bytes, *, of: str | None = None) -> HeatMap:
    """Return the heat map of an image, a file or its bytes, for a class (default: the one with the highest logit).

    Computed by PyTorch in float32 on the pixels that the classifier sees in its plain view. Needs captum: the extra
    `explain`. Raises `UnreadableImage`, `OptionError` for a class that the classifier does not have, and
    `BackboneError` where the backbone keeps no places apart.
    """
    content = image if isinstance(image, bytes) else read_picture(Path(image).expanduser())
    (found,) = HeatMaps(classifier).of([lambda: content], [of])
    return found


class HeatMaps:
    """The heat maps of one classifier: its network is loaded once."""

    def __init__(self, classifier: Classifier) -> None:
        self.classifier = classifier

    def of(
        self,
        readers: Sequence[Callable[[], bytes]],
        classes: Sequence[str | None],
        *,
        progress: Progress | None = None,
    ) -> list[HeatMap]:
        """Return the heat map of each image for its class (None: that with the highest logit); some are read at once.

        A reader gives a file's bytes.
        """
        labels = [self._label(name) for name in classes]
        found: list[HeatMap] = []
        with (progress or Silent()).task("heat maps", len(readers), "images") as task:
            for start in range(0, len(readers), BATCH):
                contents = [read() for read in readers[start : start + BATCH]]
                found += self._batch(contents, labels[start : start + BATCH])
                task.advance(len(contents))
        return found

    @cached_property
    def _gradcam(self) -> Any:
        try:
            from captum.attr import LayerGradCam
        except ImportError as error:
            raise MissingExtra('Heat maps need captum: pip install "goldenrule[explain]".') from error
        from goldenrule.models.backbone import new_module
        from goldenrule.models.graphs.feature_maps import over_maps
        from goldenrule.models.network import Network, head_module

        spec = self.classifier.backbone.spec
        network = Network(new_module(self.classifier.backbone), head_module(self.classifier.head)).eval()
        return LayerGradCam(*over_maps(network, spec.preprocessing.size, spec.name))

    def _batch(self, contents: Sequence[bytes], labels: Sequence[int | None]) -> list[HeatMap]:
        import torch

        preprocessing, gradcam = self.classifier.preprocessing, self._gradcam
        side, levels = preprocessing.least_side, preprocessing.levels
        pictures = [decode(content, least_side=side, levels=levels) for content in contents]
        pixels = torch.from_numpy(np.stack([preprocessing.pixels(picture) for picture in pictures])).requires_grad_()
        if None in labels:
            with torch.no_grad():
                highest = gradcam.forward_func(pixels).argmax(dim=1).tolist()
            labels = [best if label is None else label for label, best in zip(labels, highest, strict=True)]
        maps = gradcam.attribute(pixels, target=[int(label or 0) for label in labels])
        values = maps.detach().numpy()[:, 0].astype(np.float32)
        return [
            HeatMap(
                of=self.classifier.classes[int(label or 0)],
                values=value,
                window=window(preprocessing, *picture.shape[:2]),
            )
            for label, value, picture in zip(labels, values, pictures, strict=True)
        ]

    def _label(self, name: str | None) -> int | None:
        classes = self.classifier.classes
        if name is None or name in classes:
            return None if name is None else classes.index(name)
        close = nearest(name, classes) or list(classes[:5])
        raise OptionError(f"There is no class {name!r}: did you mean {', '.join(close)}? It has {len(classes):,}.")


def window(preprocessing: Preprocessing, height: int, width: int) -> tuple[float, float, float, float]:
    """Return the part of a picture that is looked at, as shares: left, top, right, bottom.

    >>> [round(share, 3) for share in window(Preprocessing(size=224), 375, 500)]
    [0.17, 0.062, 0.827, 0.938]
    """
    tall, wide = preprocessing.resized(height, width)
    top, left = centre(tall, preprocessing.size), centre(wide, preprocessing.size)
    return left / wide, top / tall, (left + preprocessing.size) / wide, (top + preprocessing.size) / tall


def _pixels(low: float, high: float, length: int) -> slice:
    """Return the pixels from one share of a length to another: at least one."""
    first = min(round(low * length), length - 1)
    return slice(first, max(round(high * length), first + 1))
