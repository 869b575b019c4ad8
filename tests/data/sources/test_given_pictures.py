"""Pictures as a program has them are read to the same pixels as their files."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from goldenrule.core.errors import InputError, UnreadableImage
from goldenrule.data.pictures.decode import decode
from goldenrule.data.sources.given_pictures import readers_of

SHAPES = st.tuples(st.integers(1, 20), st.integers(1, 20))


@given(SHAPES.flatmap(lambda size: arrays(np.uint8, (*size, 3))))
def test_an_array_keeps_every_pixel(pixels: np.ndarray[Any, Any]) -> None:
    ((name, read),) = readers_of(pixels)
    assert name == "image 0"
    assert np.array_equal(np.asarray(decode(read())), pixels)


@given(SHAPES.flatmap(lambda size: arrays(np.uint8, size)))
def test_grey_is_the_same_in_all_three_colours(pixels: np.ndarray[Any, Any]) -> None:
    ((_, read),) = readers_of(pixels)
    assert np.array_equal(np.asarray(decode(read())), np.repeat(pixels[:, :, np.newaxis], 3, axis=2))


def test_a_file_its_bytes_and_pillow_give_the_same_pixels(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(np.arange(300, dtype=np.uint8).reshape(10, 10, 3)).save(path)
    content = path.read_bytes()
    with path.open("rb") as file:
        every = readers_of([path, str(path), content, file, io.BytesIO(content), Image.open(path)])
    shown = [np.asarray(decode(read())) for _, read in every]
    assert all(np.array_equal(shown[0], other) for other in shown)
    assert [name for name, _ in every][2:] == [f"image {number}" for number in range(2, 6)]


def test_a_pillow_image_that_is_stored_rotated_is_turned_upright() -> None:
    image = Image.new("RGB", (8, 4))
    image.getexif()[0x0112] = 6
    ((_, read),) = readers_of(image)
    assert decode(read()).shape == (8, 4, 3)


@pytest.mark.parametrize("mode", ["I", "F", "I;16", "CMYK"])
def test_a_deep_pillow_image_is_what_a_file_with_its_pixels_is(mode: str, tmp_path: Path) -> None:
    ramp = Image.fromarray(np.linspace(0, 60_000, 64).astype(np.int32).reshape(8, 8))
    image = Image.new(mode, (8, 8), (10, 200, 30, 40)) if mode == "CMYK" else ramp.convert(mode)
    image.save(tmp_path / "a.tif")
    outcomes = []
    for _, read in readers_of([image, tmp_path / "a.tif"]):
        try:
            outcomes.append(decode(read()).tolist())
        except UnreadableImage as error:
            outcomes.append(str(error))
    assert outcomes[0] == outcomes[1]


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF"])
def test_a_damaged_file_that_pillow_has_opened_is_unreadable_and_nothing_worse(kind: str) -> None:
    whole = io.BytesIO()
    Image.effect_noise((64, 64), 90).save(whole, kind)
    content = bytearray(whole.getvalue())
    damaged = content[: len(content) // 2] if kind != "PNG" else content[:60] + bytes(40) + content[100:]
    ((_, read),) = readers_of(Image.open(io.BytesIO(damaged)))
    with pytest.raises(UnreadableImage, match="Pillow can't decode it"):
        read()


def test_an_array_of_four_dimensions_is_a_list_of_pictures() -> None:
    assert [name for name, _ in readers_of(np.zeros((3, 5, 5, 3), np.uint8))] == ["image 0", "image 1", "image 2"]


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (np.zeros((4, 4, 3)), "array of float64 .*multiplied by 255"),
        (np.zeros((3, 4, 4), np.uint8), "channels come last"),
        (np.zeros((0, 4, 3), np.uint8), "wanted uint8"),
        (3.5, "type float. Wanted a path, bytes"),
        ([b"", None], "image 1 is of type NoneType"),
        (io.StringIO("pixels"), "opened as text: wanted bytes"),
        (
            pd.DataFrame({"path": ["a.jpg"], "label": ["cat"]}),
            r"data frame with the columns path, label: .*frame\['path'\]",
        ),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, io.StringIO) else str(value),
)
def test_anything_else_is_a_clear_error(wrong: Any, says: str) -> None:
    with pytest.raises(InputError, match=says):
        readers_of(wrong)
