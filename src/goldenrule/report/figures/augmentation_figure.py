"""What an augmentation does to some images: a sheet of the very views that training sees."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from goldenrule.core.visible import visible
from goldenrule.data.augmentation.augment import Augmentation, Warp, views
from goldenrule.data.pictures.decode import decode
from goldenrule.data.pictures.preprocess import Preprocessing, centre

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CELL_INCHES = 1.55


def augmentation_figure(
    images: Sequence[tuple[str, bytes, bytes]],
    augmentation: Augmentation | None,
    preprocessing: Preprocessing,
    *,
    count: int,
) -> Figure:
    """Return a row per image (name, content, digest): the plain view and `count` augmented ones."""
    from matplotlib.figure import Figure

    columns = views(augmentation, count)
    figure = Figure(
        figsize=(CELL_INCHES * len(columns), (CELL_INCHES + 0.28) * len(images) + 0.1), dpi=120, layout="constrained"
    )
    axes = figure.subplots(len(images), len(columns), squeeze=False)
    size = preprocessing.size
    for row, (name, content, digest) in zip(axes, images, strict=True):
        canvas = preprocessing.canvas(decode(content, levels=preprocessing.levels))
        top, left = (centre(side, size) for side in canvas.shape[:2])
        for axis, view in zip(row, columns, strict=True):
            warp = view.warp(digest)
            if warp is None or augmentation is None:
                values = canvas[top : top + size, left : left + size]
                axis.set_title(visible(name[-28:]), fontsize=6, loc="left", parse_math=False)
            else:
                values = augmentation.apply(warp, canvas, size)
                axis.set_title(described(warp), fontsize=6, loc="left")
            axis.imshow(np.clip(values, 0, 255).astype(np.uint8))
            axis.set_axis_off()
    return figure


def described(warp: Warp) -> str:
    """Return the parameters of a view in a few words.

    >>> described(Warp(degrees=4.2, zoom=1.1, shift=(0, 0), brightness=0, contrast=1, turns=0, mirrored=True))
    'x1.10, 4°, mirrored'
    """
    words = [f"{100 * warp.window[0]:.0f} % at {warp.window[1]:.2f}:1"] if warp.window else [f"x{warp.zoom:.2f}"]
    if round(warp.degrees):
        words.append(f"{warp.degrees:.0f}°")
    if warp.shear:
        words.append(f"shear {warp.shear:+.2f}")
    if warp.turns:
        words.append(f"{90 * warp.turns}°")
    if warp.mirrored:
        words.append("mirrored")
    if warp.change != "identity":
        words.append(f"{warp.change} {warp.strength:+.1f}")
    return ", ".join(words)
