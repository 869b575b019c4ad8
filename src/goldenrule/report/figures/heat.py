"""A heat map laid over its picture: as pixels, as a small JPEG for a page, and as a figure for a notebook."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from goldenrule.analysis.explanation import Explanation
from goldenrule.analysis.gradcam import HeatMap
from goldenrule.core.errors import UnreadableImage
from goldenrule.data.sources.picture_files import read_picture
from goldenrule.report.thumbnails import LARGEST_SIDE_PX, Thumbnail, small, thumbnail_from

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Pixels = npt.NDArray[np.uint8]
STOPS = ((0.0, (70, 18, 110)), (0.35, (183, 40, 100)), (0.7, (248, 130, 50)), (1.0, (255, 236, 140)))
"""Colours from no heat to the hottest place, brighter all the way, also for eyes that tell no red from green."""
MOST_OPAQUE, UNSEEN = 0.72, 0.35
"""How much of the picture the hottest place covers, and how much is left of what the network does not see."""


def laid_over(picture: Pixels, heat: HeatMap) -> Pixels:
    """Return a picture (height, width, 3) in gray with the heat on it; what the network does not see is pale."""
    over = heat.over(*picture.shape[:2])
    seen = ~np.isnan(over)
    share = np.nan_to_num(over)[:, :, None]
    gray = picture.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)
    gray = np.where(seen, gray, 255 - UNSEEN * (255 - gray))[:, :, None]
    places, colours = [place for place, _ in STOPS], np.array([colour for _, colour in STOPS], np.float32)
    colour = np.stack([np.interp(share[:, :, 0], places, colours[:, channel]) for channel in range(3)], axis=2)
    opaque = MOST_OPAQUE * share**0.75
    return np.asarray(np.clip(gray * (1 - opaque) + colour * opaque, 0, 255).round(), np.uint8)


def heat_thumbnail(
    image: Callable[[str], bytes | None], uri: str, heat: HeatMap, *, side: int = LARGEST_SIDE_PX
) -> Thumbnail | None:
    """Return a picture with its heat as a thumbnail; None where the file is gone or is no picture any more."""
    try:
        content = image(uri)
        return thumbnail_from(laid_over(small(content, side), heat)) if content else None
    except (OSError, UnreadableImage):
        return None


def explanation_figure(explanation: Explanation, image: Callable[[str], bytes | None] | None = None) -> Figure:
    """Return a picture, its heat map and its nearest training images in a row.

    `image` gives the bytes of a training image by its id (`explained.train.read`); without it they are named only.
    Raises `OSError` or `UnreadableImage` where the picture itself is gone.
    """
    from matplotlib.figure import Figure

    picture = small(read_picture(explanation.path), 2 * LARGEST_SIDE_PX)
    percent = f"{100 * explanation.probability:.1f} %"
    shown: list[tuple[Pixels | None, str]] = [(picture, f"{explanation.prediction}\n{percent}")]
    if explanation.heat is not None:
        shown.append((laid_over(picture, explanation.heat), f"speaks for\n{explanation.heat.of}"))
    for one in explanation.nearest:
        found = _picture(image, one.id)
        shown.append((found, f"{', '.join(one.labels)}\n{one.copy or f'{one.similarity:.2f} alike'}"))
    figure = Figure(figsize=(1.9 * len(shown), 2.5), layout="constrained")
    for axes, (pixels, title) in zip(figure.subplots(1, len(shown), squeeze=False)[0], shown, strict=True):
        axes.set_title(title, fontsize=9, parse_math=False)
        axes.axis("off")
        if pixels is not None:
            axes.imshow(pixels)
    return figure


def _picture(image: Callable[[str], bytes | None] | None, uri: str) -> Pixels | None:
    try:
        content = image(uri) if image else None
        return small(content, LARGEST_SIDE_PX) if content else None
    except (OSError, UnreadableImage):
        return None
