"""Registration: an altered copy lies on its original, another photo does not."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image, ImageDraw, ImageEnhance

from goldenrule.data.duplicates.registration import OVERLAP, Overlay, overlaps, overlay, wide_overlaps

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
    found = overlaps([overlay(gray(cat)) for cat in cats], [overlay(gray(ALTERED[kind](cat))) for cat in cats])
    assert np.mean(found >= OVERLAP) >= 0.9, found


def every_pair(cats: list[Image.Image]) -> tuple[list[Overlay], list[Overlay]]:
    ours = [overlay(gray(cat)) for cat in cats]
    pairs = [(one, other) for row, one in enumerate(ours) for other in ours[row + 1 :]]
    return [one for one, _ in pairs], [other for _, other in pairs]


def test_two_different_photos_do_not_lie_on_each_other(cats: list[Image.Image]) -> None:
    assert overlaps(*every_pair(cats)).max() < 0.95


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
    copies = [overlay(gray(FAR[kind](cat))) for cat in cats]
    found, flipped = wide_overlaps([overlay(gray(cat)) for cat in cats], copies)
    assert np.mean(found >= OVERLAP) >= 0.9, found
    assert (flipped == ("mirrored" in kind)).all()


def test_two_different_photos_do_not_even_widely_lie_on_each_other(cats: list[Image.Image]) -> None:
    assert wide_overlaps(*every_pair(cats))[0].max() < 0.95


def test_a_pair_is_registered_the_same_alone_and_among_others(cats: list[Image.Image]) -> None:
    ones, others = [overlay(gray(cat)) for cat in cats], [overlay(gray(FAR["a corner of 85 %"](cat))) for cat in cats]
    ones, others = [*ones, *ones], [*others, *others[::-1]]
    together, _ = wide_overlaps(ones, others)
    alone = [wide_overlaps([one], [other])[0][0] for one, other in zip(ones, others, strict=True)]
    np.testing.assert_allclose(together, alone, atol=1e-3)
    assert wide_overlaps([], [])[0].shape == overlaps([], []).shape == (0,)


def test_flat_pictures_do_not_lie_on_anything(cats: list[Image.Image]) -> None:
    flat, cat = overlay(np.full((60, 80), 200, np.uint8)), overlay(gray(cats[0]))
    assert wide_overlaps([flat, flat], [flat, cat])[0].max() < 0.5
    assert overlaps([flat, flat], [flat, cat]).max() < 0.5
