"""Near duplicates found among real photos and their altered copies."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from PIL import Image

from goldenrule.data.duplicates.near_duplicates import near_duplicates
from goldenrule.data.scan import looked
from goldenrule.data.sources.folders import from_folder


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
