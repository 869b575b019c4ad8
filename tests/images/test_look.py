"""What one reading tells of a file, and near duplicates found among real photos and their altered copies."""

from __future__ import annotations

import hashlib
import io
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from goldenrule.foundation.files import digest
from goldenrule.images.look import look, look_to_copy, looked, near_duplicates
from goldenrule.images.sources import from_folder


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
    assert look(b"").problem == "the file is empty"
    assert look(b"hello").problem == "not a picture in any known format"


def test_files_that_can_not_be_opened_do_not_stop_the_others(picture_folder: Callable[..., Path]) -> None:
    table = from_folder(picture_folder(each=3))
    (table.root / table.uris[1]).unlink()
    found = looked(table)
    assert found[1].problem == "No such file or directory"
    assert [own.problem for own in found].count(None) == 5


def test_copies_of_real_photos_are_found_and_different_photos_are_not(
    photos: Callable[[str], Path], tmp_path: Path
) -> None:
    wanted = set()
    for label in ("cats", "dogs"):
        (tmp_path / "set" / label).mkdir(parents=True)
        for number, file in enumerate(sorted((photos("dogscats") / "train" / label).iterdir())[:30]):
            shutil.copy(file, tmp_path / "set" / label / f"{number:02d}.jpg")
            if number % 3 == 0:
                image = Image.open(file).convert("RGB").transpose(Image.Transpose.FLIP_LEFT_RIGHT)
                left, top = image.width // 40, image.height // 40
                image.crop((left, top, image.width - left, image.height - top)).save(
                    tmp_path / "set" / label / f"{number:02d}-copy.jpg", quality=80
                )
                wanted.add((f"{label}/{number:02d}-copy.jpg", f"{label}/{number:02d}.jpg"))
        shutil.copy(tmp_path / "set" / label / "01.jpg", tmp_path / "set" / label / "equal.jpg")
    table = from_folder(tmp_path / "set", group_by="none")
    pairs = near_duplicates(table, looked(table))
    found = {(table.uris[pair.first], table.uris[pair.second]) for pair in pairs}
    assert found <= wanted, "equal files are no near duplicates, nor are different photos"
    assert len(found) >= 0.85 * len(wanted)
    assert all(pair.mirrored for pair in pairs)


def test_two_images_of_one_group_are_no_near_duplicates(photos: Callable[[str], Path], tmp_path: Path) -> None:
    for label in ("cats", "dogs"):
        (tmp_path / "set" / label).mkdir(parents=True)
        file = sorted((photos("dogscats") / "train" / label).iterdir())[0]
        shutil.copy(file, tmp_path / "set" / label / "a1.jpg")
        Image.open(file).save(tmp_path / "set" / label / "a2.jpg", quality=60)
    for grouping, count in (("none", 2), (r"^(.)", 0)):
        table = from_folder(tmp_path / "set", group_by=grouping)
        assert len(near_duplicates(table, looked(table))) == count
