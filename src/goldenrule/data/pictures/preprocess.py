"""`Preprocessing`: from RGB pixels to network input, a plain JSON value that travels with the classifier (law 1).

Canonical pixels are float32: resize (antialiased, neither rounded nor clipped), centre crop, normalise. The
resize is two matrix products with the kernel weights below, here in numpy over bands of the matrix that are
not zero, in `preprocess_onnx` as a graph. Weights: Keys, "Cubic convolution interpolation for digital image
processing", 1981, a = -1/2, widened by the scale where it shrinks, as Pillow and PyTorch do.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from goldenrule.core.errors import OptionError
from goldenrule.core.option import Decoding
from goldenrule.core.schema import IF_OTHERWISE
from goldenrule.data.pictures.deep_pixels import Levels, check_levels

Floats = npt.NDArray[np.float32]
BAND_ROWS, BAND_COLUMNS = 4, 16
"""So few rows, and columns filled up to whole sixteens: OpenBLAS then computes each number by the same steps wherever
it stands. With 16 rows, or a rest of columns, its kernels for AMD's processors do not."""
SMALLEST_SIZE, LARGEST_SIZE = 32, 2048


@dataclass(frozen=True, slots=True, kw_only=True)
class Preprocessing:
    """How a picture becomes a float32 array (3, size, size).

    The shorter side is resized to floor(size / crop_fraction), the longer in proportion ("shorter"), or both
    sides regardless of proportion ("squish"); then the centre is cropped and (x / 255 - mean) / std applied.

    >>> Preprocessing(size=224, crop_fraction=0.875).resized(375, 500)
    (256, 341)
    """

    size: int
    crop_fraction: float = 0.875
    interpolation: Literal["bicubic", "bilinear"] = "bicubic"
    resize: Literal["shorter", "squish"] = "shorter"
    mean: tuple[float, float, float] = (0.5, 0.5, 0.5)
    std: tuple[float, float, float] = (0.5, 0.5, 0.5)
    name: Decoding = "canonical"
    levels: Levels | None = field(
        default=None, metadata=IF_OTHERWISE
    )  # of pictures of more than 8 bits: the values that become black and white

    def __post_init__(self) -> None:
        if self.levels is not None:
            check_levels(self.levels)
        if not SMALLEST_SIZE <= self.size <= LARGEST_SIZE:
            raise OptionError(
                f"A size of {self.size} px can't be used: wanted the side of the network's input, "
                f"{SMALLEST_SIZE} to {LARGEST_SIZE} px (most backbones: 224)."
            )
        if not 0 < self.crop_fraction <= 1:
            raise OptionError(f"crop_fraction={self.crop_fraction}: wanted a share above 0, at most 1.")
        if not all(abs(value) <= 1e3 for value in self.mean):
            raise OptionError(f"mean={self.mean}: wanted a number per colour, where 0 is black and 1 is white.")
        if not all(1e-6 <= value <= 1e6 for value in self.std):
            raise OptionError(f"std={self.std}: wanted a number above 0 per colour.")

    @property
    def short_side(self) -> int:
        """The shorter side after resizing, before the crop, in px."""
        return math.floor(self.size / self.crop_fraction)

    @property
    def least_side(self) -> int | None:
        """The shorter side in px that `decode.decode` may shrink a JPEG to: for "scaled"; None for "canonical"."""
        return self.short_side if self.name == "scaled" else None

    def resized(self, height: int, width: int) -> tuple[int, int]:
        """Return (height, width) after resizing, before the crop."""
        short = self.short_side
        if self.resize == "squish":
            return short, short
        return (short, short * width // height) if height <= width else (short * height // width, short)

    def pixels(self, rgb: npt.NDArray[np.uint8], out: Floats | None = None) -> Floats:
        """Return the network's input (3, size, size) for a picture (height, width, 3)."""
        height, width = self.resized(*rgb.shape[:2])
        top, left = centre(height, self.size), centre(width, self.size)
        crop = resample(
            rgb,
            (height, width),
            (top, top + self.size),
            (left, left + self.size),
            interpolation=self.interpolation,
        )
        return self.normalised(crop, out)

    def canvas(self, rgb: npt.NDArray[np.uint8]) -> Floats:
        """Return the resized picture (height, width, 3), values 0-255: what augmentation starts from.

        Of a very long picture only the middle, so that no file can ask for gigabytes.
        """
        height, width = self.resized(*rgb.shape[:2])
        rows, columns = _middle(height, 4 * self.short_side), _middle(width, 4 * self.short_side)
        return resample(rgb, (height, width), rows, columns, interpolation=self.interpolation)

    def crop(self, canvas: Floats, out: Floats | None = None) -> Floats:
        """Return the plain view (3, size, size) from a canvas: the same as `pixels`."""
        top, left = centre(canvas.shape[0], self.size), centre(canvas.shape[1], self.size)
        return self.normalised(canvas[top : top + self.size, left : left + self.size], out)

    def normalised(self, picture: npt.NDArray[Any], out: Floats | None = None) -> Floats:
        """Return (x / 255 - mean) / std with channels first (3, height, width), for (height, width, 3)."""
        scale = np.float32(1 / 255) / np.array(self.std, np.float32)
        offset = np.array(self.mean, np.float32) / np.array(self.std, np.float32)
        if out is None:
            out = np.empty((3, *picture.shape[:2]), np.float32)
        for channel in range(3):
            np.multiply(picture[:, :, channel], scale[channel], out=out[channel])
            out[channel] -= offset[channel]
        return out


def centre(length: int, size: int) -> int:
    """Return the offset of a centred crop, rounded half to even as torchvision and timm do."""
    return round((length - size) / 2)


def _middle(length: int, most: int) -> tuple[int, int]:
    """Return the middle of 0..length, about `most` long; its centre crops are those of the whole."""
    if length <= most:
        return 0, length
    first = (length - most) // 4 * 2  # even, so that `centre` rounds alike
    return first, length - first


def resample(
    rgb: npt.NDArray[np.uint8],
    size: tuple[int, int],
    rows: tuple[int, int],
    columns: tuple[int, int],
    *,
    interpolation: str = "bicubic",
) -> Floats:
    """Resize a picture (h, w, 3) to `size` and give its window `rows` x `columns`, float32, unrounded.

    Only what the window needs is computed: about 1.2 ms for 500 x 375 px to 224 x 224 on one core.
    """
    row_starts, row_weights = bands(rgb.shape[0], size[0], *rows, interpolation=interpolation)
    starts, weights = bands(rgb.shape[1], size[1], *columns, interpolation=interpolation)
    top, left = int(row_starts[0]), int(starts[0])
    bottom, right = int(row_starts[-1]) + row_weights.shape[2], int(starts[-1]) + weights.shape[2]
    tall = _banded_product(row_starts - top, row_weights, rgb[top:bottom, left:right], rows)
    turned = tall.reshape(len(tall), right - left, 3).transpose(1, 0, 2).reshape(right - left, -1)
    wide = _banded_product(starts - left, weights, turned, columns)
    return wide.reshape(len(wide), len(tall), 3).transpose(1, 0, 2)


@functools.lru_cache(maxsize=32)
def bands(
    source: int, target: int, first: int, last: int, *, interpolation: str = "bicubic"
) -> tuple[npt.NDArray[np.int64], Floats]:
    """Return the bands of the (target, source) resize matrix that hold its rows first..last-1.

    A band holds `BAND_ROWS` rows from a multiple of that on, and the columns from its start on, all others being zero:
    starts (bands,), weights (bands, BAND_ROWS, width). A row is computed in the same band, in the same order of sums,
    whatever window is wanted: some processors would give it other last bits. Rows after `target` are meaningless.
    Kept for pictures of the same size; nobody writes into them.
    """
    scale = source / target
    stretch = max(scale, 1.0)
    reach = (2.0 if interpolation == "bicubic" else 1.0) * stretch
    begin = np.arange(first // BAND_ROWS * BAND_ROWS, last, BAND_ROWS)
    width = min(source, math.ceil((BAND_ROWS - 1) * scale + 2 * reach) + 2)
    starts = np.clip(np.floor((begin + 0.5) * scale - reach).astype(np.int64), 0, source - width)
    rows = begin[:, None, None] + np.arange(BAND_ROWS)[:, None]
    columns = starts[:, None, None] + np.arange(width)
    offsets = np.abs((2 * columns + 1) * target - (2 * rows + 1) * source)  # exact, in units of 1 / (2 target)
    weights = _kernel(offsets / (2 * max(source, target)), interpolation)
    total = weights.sum(axis=2, keepdims=True)
    kept = starts, (weights / np.where(total == 0, 1, total)).astype(np.float32)
    for array in kept:
        array.setflags(write=False)
    return kept


def _kernel(distance: npt.NDArray[np.float64], interpolation: str) -> npt.NDArray[np.float64]:
    if interpolation == "bilinear":
        return np.maximum(1 - distance, 0)
    near = (1.5 * distance - 2.5) * distance * distance + 1
    far = ((-0.5 * distance + 2.5) * distance - 4) * distance + 2
    return np.where(distance < 1, near, np.where(distance < 2, far, 0.0))


def _banded_product(
    starts: npt.NDArray[np.int64], weights: Floats, source: npt.NDArray[Any], window: tuple[int, int]
) -> Floats:
    """Return the rows of a window, (rows, columns), of the product of the bands with `source` (rows, ...)."""
    width, columns = weights.shape[2], math.prod(source.shape[1:])
    rows = np.zeros((width, -(-columns // BAND_COLUMNS) * BAND_COLUMNS), np.float32)
    result = np.empty((len(starts) * BAND_ROWS, rows.shape[1]), np.float32)
    for band, start in enumerate(starts.tolist()):
        rows[:, :columns] = source[start : start + width].reshape(width, -1)
        np.matmul(weights[band], rows, out=result[band * BAND_ROWS : (band + 1) * BAND_ROWS])
    skipped = window[0] % BAND_ROWS
    return result[skipped : skipped + window[1] - window[0], :columns]
