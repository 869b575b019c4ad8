"""What one reading tells of a file."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from goldenrule.core.reason import Reason
from goldenrule.data.scan import look, look_to_copy, looked
from goldenrule.data.sources.folders import from_folder
from goldenrule.storage.files import digest


def test_a_look_tells_the_header_the_digests_and_what_the_picture_is_like() -> None:
    file = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 256, (50, 70, 3)).astype(np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(pixels).save(file, "JPEG", exif=exif)
    found = look(file.getvalue())
    assert found.header is not None
    assert (found.header.format, found.header.mode, found.header.orientation) == ("JPEG", "RGB", 6)
    assert (found.header.width, found.header.height, found.header.animated) == (70, 50, False)
    assert found.digest == digest(file.getvalue())
    assert found.sha256 is None
    assert look_to_copy(file.getvalue()).sha256 == hashlib.sha256(file.getvalue()).hexdigest()
    assert found.likeness is not None
    assert found.problem is None


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_a_file_that_ends_too_early_has_a_header_and_a_problem(kind: str) -> None:
    file = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 256, (200, 200, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(file, kind)
    found = look(file.getvalue()[: len(file.getvalue()) // 2])
    assert found.header is not None
    assert found.header.width == 200
    assert found.problem is not None
    assert found.likeness is None


def test_what_is_no_picture_says_why() -> None:
    assert look(b"").problem == Reason("the file is empty")
    assert str(look(b"hello").problem).startswith("not a picture in any known format; wanted AVIF")


def test_files_that_can_not_be_opened_do_not_stop_the_others(picture_folder: Callable[..., Path]) -> None:
    table = from_folder(picture_folder(each=3))
    (table.root / table.uris[1]).unlink()
    found = looked(table)
    assert found[1].problem == Reason("No such file or directory")
    assert [scan.problem for scan in found].count(None) == 5
