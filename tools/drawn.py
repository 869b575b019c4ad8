"""Small sets of drawn pictures, the same bytes on every machine: what is measured on them can be compared."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

SIDE = 64
SHAPES = ("circle", "cross", "ring", "square", "triangle")
Pixels = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]


def draw_shapes(folder: Path, *, classes: Sequence[str] = SHAPES[:3], each: int = 20, seed: int = 0) -> Path:
    """Draw a folder of classes, `each` pictures of one shape in every one, and return the folder."""
    for number, name in enumerate(classes):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for count in range(each):
            pixels = picture([SHAPES[number % len(SHAPES)]], np.random.default_rng([seed, number, count]))
            write_ppm(folder / name / f"{number * each + count:03d}.ppm", pixels)
    return folder


def draw_several(folder: Path, *, shapes: Sequence[str] = SHAPES[:3], count: int = 60, seed: int = 0) -> Path:
    """Draw pictures with none to all of the shapes and a labels.csv that names them; return the folder."""
    (folder / "images").mkdir(parents=True)
    lines = ["image,tags"]
    for number in range(count):
        random = np.random.default_rng([seed, number])
        found = [shape for shape in shapes if random.random() < 0.5]
        write_ppm(folder / "images" / f"{number:03d}.ppm", picture(found, random))
        lines.append(f"{number:03d}.ppm,{' '.join(found)}")
    (folder / "labels.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def picture(shapes: Sequence[str], random: np.random.Generator) -> Pixels:
    """Draw shapes of any size, place and colour on a ground of coloured stripes and noise (SIDE, SIDE, 3)."""
    row, column = np.mgrid[:SIDE, :SIDE]
    wave = np.sin((row * random.uniform(-1, 1) + column * random.uniform(-1, 1)) * random.uniform(0.1, 0.9))
    pixels = random.uniform(40, 170, 3) + wave[..., None] * random.uniform(-50, 50, 3)
    for shape in shapes:
        pixels[mask_of(shape, random)] += random.choice([-1, 1]) * random.uniform(40, 90, 3)
    noisy = pixels + random.normal(0, 14, (SIDE, SIDE, 3))
    finished: Pixels = np.clip(noisy, 0, 255).astype(np.uint8)
    return finished


def mask_of(shape: str, random: np.random.Generator) -> Mask:
    """Return where a shape of any size and place lies (SIDE, SIDE)."""
    radius = int(random.integers(8, 20))
    top, left = (int(random.integers(radius, SIDE - radius)) for _ in range(2))
    row, column = np.mgrid[:SIDE, :SIDE]
    down, right = row - top, column - left
    distance = np.hypot(down, right)
    inside: Mask = {
        "circle": distance <= radius,
        "ring": (distance <= radius) & (distance >= radius - 4),
        "square": np.maximum(abs(down), abs(right)) <= radius * 0.8,
        "triangle": (abs(right) * 2 <= down + radius) & (down <= radius),
        "cross": (np.minimum(abs(down), abs(right)) <= 2) & (distance <= radius),
    }[shape]
    return inside


def write_ppm(path: Path, pixels: Pixels) -> None:
    """Write a picture as a PPM file, whose bytes no library decides."""
    height, width, _ = pixels.shape
    path.write_bytes(f"P6 {width} {height} 255\n".encode() + pixels.tobytes())
