import base64
import io
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from goldenrule.core.errors import UnreadableImage
from goldenrule.report.thumbnails import LARGEST_SIDE_PX, thumbnail, thumbnail_of

DATA = Path(os.environ.get("GOLDENRULE_TEST_DATA", Path(__file__).parents[2] / "../shared/data"))


def encoded(image, kind="PNG", **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def decoded(thumb):
    head, _, text = thumb.uri.partition(",")
    assert head == "data:image/jpeg;base64"
    return Image.open(io.BytesIO(base64.b64decode(text)))


@settings(deadline=None, max_examples=25)
@given(st.integers(1, 700), st.integers(1, 700))
def test_a_thumbnail_is_a_jpeg_of_at_most_200_px_in_the_same_proportion(width, height):
    thumb = thumbnail(encoded(Image.new("RGB", (width, height), "teal")))
    picture = decoded(thumb)
    assert picture.format == "JPEG"
    assert picture.size == (thumb.width, thumb.height)
    assert max(picture.size) == min(max(width, height), LARGEST_SIDE_PX)
    scale = max(picture.size) / max(width, height)
    assert thumb.width == pytest.approx(width * scale, abs=1)
    assert thumb.height == pytest.approx(height * scale, abs=1)


def test_a_thumbnail_stands_upright():
    pixels = np.zeros((60, 120, 3), np.uint8)
    pixels[:, :60] = (255, 0, 0)
    exif = Image.Exif()
    exif[0x0112] = 6
    picture = decoded(thumbnail(encoded(Image.fromarray(pixels), "JPEG", exif=exif.tobytes(), quality=95)))
    assert picture.size == (60, 120)
    red, _, _ = picture.getpixel((30, 10))
    assert red > 200  # the left half, turned clockwise, is at the top
    assert picture.getpixel((30, 110))[0] < 60
    assert not picture.getexif().get(0x0112)


def test_transparency_lies_over_white():
    picture = decoded(thumbnail(encoded(Image.new("RGBA", (20, 20), (0, 0, 0, 0)))))
    assert min(picture.getpixel((10, 10))) > 250


def test_equal_bytes_give_an_equal_thumbnail():
    content = encoded(Image.effect_noise((300, 200), 40))
    assert thumbnail(content) == thumbnail(content)


def test_what_is_no_picture_is_refused():
    with pytest.raises(UnreadableImage):
        thumbnail(b"no picture")


@pytest.mark.parametrize("content", [None, b"", b"no picture", b"\xff\xd8\xff\xe0 cut short"])
def test_what_is_gone_or_broken_has_no_thumbnail(content):
    assert thumbnail_of(lambda uri: content, "a.jpg") is None


def test_a_file_that_can_not_be_opened_has_no_thumbnail():
    def image(uri):
        raise FileNotFoundError(uri)

    assert thumbnail_of(image, "a.jpg") is None


@pytest.mark.skipif(not (DATA / "dogscats/valid").is_dir(), reason=f"no photos in {DATA}")
def test_real_photos_become_small_thumbnails():
    photos = sorted((DATA / "dogscats/valid").rglob("*.jpg"))[:12]
    for photo in photos:
        thumb = thumbnail(photo.read_bytes())
        assert max(decoded(thumb).size) <= LARGEST_SIDE_PX
        assert len(thumb.uri) < 40_000
