"""Registration: an altered copy lies on its original, another photo does not."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image, ImageDraw, ImageEnhance

from goldenrule.images.registration import OVERLAP, overlap, overlay, wide_overlap

ALTERED: dict[str, Callable[[Image.Image], Image.Image]] = {
    "resized": lambda image: image.resize((image.width * 3 // 5, image.height * 3 // 5)),
    "encoded again": lambda image: Image.open(io.BytesIO(jpeg(image, 50))),
    "cropped": lambda image: image.crop(
        (image.width // 40, image.height // 40, image.width - image.width // 40, image.height - image.height // 40)
    ),
    "brightened": lambda image: ImageEnhance.Brightness(image).enhance(1.25),
}


def jpeg(image: Image.Image, quality: int) -> bytes:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return file.getvalue()


def gray(image: Image.Image) -> npt.NDArray[np.uint8]:
    return np.asarray(image.convert("L"))


@pytest.fixture(scope="module")
def cats(photos: Callable[[str], Path]) -> list[Image.Image]:
    files = sorted((photos("dogscats") / "train" / "cats").iterdir())[:12]
    return [Image.open(file).convert("RGB") for file in files]


@pytest.mark.parametrize("kind", ALTERED)
def test_an_altered_copy_lies_on_its_original(cats: list[Image.Image], kind: str) -> None:
    found = [overlap(overlay(gray(cat)), overlay(gray(ALTERED[kind](cat)))) for cat in cats]
    assert np.mean(np.array(found) >= OVERLAP) >= 0.9, found


def test_two_different_photos_do_not_lie_on_each_other(cats: list[Image.Image]) -> None:
    overlays = [overlay(gray(cat)) for cat in cats]
    found = [overlap(one, other) for row, one in enumerate(overlays) for other in overlays[row + 1 :]]
    assert max(found) < 0.95


FAR: dict[str, Callable[[Image.Image], Image.Image]] = {
    **ALTERED,
    "a corner of 85 %": lambda image: image.crop((0, 0, image.width * 17 // 20, image.height * 17 // 20)),
    "turned by 5 degrees": lambda image: image.rotate(5, Image.Resampling.BICUBIC),
    "written on": lambda image: written_on(image),
    "mirrored, brightened": lambda image: ImageEnhance.Brightness(
        image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    ).enhance(1.25),
}


def written_on(image: Image.Image) -> Image.Image:
    copy = image.copy()
    ImageDraw.Draw(copy).text((image.width * 0.05, image.height * 0.9), "(c) 2019", fill=(255, 255, 255))
    return copy


@pytest.mark.parametrize("kind", FAR)
def test_a_far_copy_lies_on_its_original_when_searched_widely(cats: list[Image.Image], kind: str) -> None:
    found = [wide_overlap(overlay(gray(cat)), overlay(gray(FAR[kind](cat)))) for cat in cats]
    assert np.mean([correlation >= OVERLAP for correlation, _ in found]) >= 0.9, found
    assert [flipped for _, flipped in found] == ["mirrored" in kind] * len(cats)


def test_two_different_photos_do_not_even_widely_lie_on_each_other(cats: list[Image.Image]) -> None:
    overlays = [overlay(gray(cat)) for cat in cats]
    found = [wide_overlap(one, other)[0] for row, one in enumerate(overlays) for other in overlays[row + 1 :]]
    assert max(found) < 0.95


def test_flat_pictures_do_not_lie_on_anything(cats: list[Image.Image]) -> None:
    flat = overlay(np.full((60, 80), 200, np.uint8))
    for other in (flat, overlay(gray(cats[0]))):
        assert wide_overlap(flat, other)[0] < 0.5
        assert overlap(flat, other) < 0.5
