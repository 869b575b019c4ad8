"""Augmented views of a whole batch at once, on the device that trains.

The arithmetic of `Augmentation.apply_to` on tensors: the same parameters, and the same pixels within 2 of 255 levels
(Pillow rounds its coordinates otherwise). Decoding and resizing stay with the threads that read.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from goldenrule.data.augmentation.augment import Augmentation, Reflected, Warp, affine
from goldenrule.data.loader import Batch
from goldenrule.data.pictures.preprocess import Preprocessing

ALMOST = 1e-3
"""What a sum of float32 may lack to the whole value that it stands for."""


def can_batch(augmentation: Augmentation | None) -> bool:
    """Return whether tensors can do it all: changes from a list and own functions work on one picture each."""
    return augmentation is not None and augmentation.policy == "none" and augmentation.custom is None


def augmented_inputs(batch: Batch, preprocessing: Preprocessing, device: torch.device) -> torch.Tensor:
    """Return the network's input (n, 3, size, size) for a batch of unwarped pictures; a slot that failed is gray."""
    size = preprocessing.size
    inputs = torch.zeros((len(batch.slots), 3, size, size), device=device)
    places = sorted(batch.unwarped)
    if places:
        pictures, warps = zip(*(batch.unwarped[place] for place in places), strict=True)
        mean, std = (
            torch.tensor(value, device=device).view(3, 1, 1) for value in (preprocessing.mean, preprocessing.std)
        )
        inputs[places] = (augmented(pictures, warps, device) / 255 - mean) / std
    return inputs.contiguous(memory_format=torch.channels_last)


def augmented(pictures: Sequence[Reflected], warps: Sequence[Warp], device: torch.device) -> torch.Tensor:
    """Return the views (n, 3, size, size), values 0-255, of pictures of one view size."""
    size = pictures[0].size
    height, width = (max(sides) for sides in zip(*(picture.image.size[::-1] for picture in pictures), strict=True))
    stacked = np.zeros((len(pictures), height, width, 3), np.uint8)
    for room, picture in zip(stacked, pictures, strict=True):
        room[: picture.image.height, : picture.image.width] = np.asarray(picture.image)
    sources = torch.from_numpy(stacked).to(device).permute(0, 3, 1, 2).float()
    matrices = torch.tensor([_turned(affine(*pair), pair[0], size) for pair in zip(warps, pictures, strict=True)])
    sampled = torch.nn.functional.grid_sample(
        sources, _grid(matrices.to(device), size, height, width), mode="bilinear", align_corners=False
    )
    views = (sampled + ALMOST).floor_()  # whole values, as Pillow gives them
    means = views.mean((1, 2, 3), keepdim=True)
    contrast, brightness = (
        torch.tensor([getattr(warp, name) for warp in warps], device=device).view(-1, 1, 1, 1)
        for name in ("contrast", "brightness")
    )
    return ((views - means) * contrast + means + 255 * brightness).clamp_(0, 255)


def _turned(matrix: tuple[float, ...], warp: Warp, size: int) -> tuple[float, ...]:
    """Return the matrix of a view that is then turned by quarters and mirrored."""
    a, b, c, d, e, f = matrix
    for _ in range(warp.turns % 4):  # (x, y) of the turned view is (size - y, x) of the one before
        a, b, c, d, e, f = b, -a, c + a * size, e, -d, f + d * size
    if warp.mirrored:
        a, c, d, f = -a, c + a * size, -d, f + d * size
    return a, b, c, d, e, f


def _grid(matrices: torch.Tensor, size: int, height: int, width: int) -> torch.Tensor:
    """Return the places (n, size, size, 2) to sample, -1 to 1 from edge to edge of (height, width) pictures."""
    centres = torch.arange(size, device=matrices.device) + 0.5
    a, b, c, d, e, f = (column.view(-1, 1, 1) for column in matrices.T)
    across, down = centres.view(1, 1, -1), centres.view(1, -1, 1)
    x, y = a * across + b * down + c, d * across + e * down + f
    return torch.stack([2 * x / width - 1, 2 * y / height - 1], dim=-1)
