"""The audit finds what is wrong with images, names the files, and is quiet where nothing is."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms

from goldenrule.analysis.audit import Audit, at_a_glance, audit
from goldenrule.data.duplicates.near_duplicates import near_duplicates
from goldenrule.data.pictures.header import Header
from goldenrule.data.scan import FileScan, look, looked
from goldenrule.data.sources.folders import from_folder
from goldenrule.data.table import ImageTable, image_table


def audited(root: Path) -> Audit:
    table = from_folder(root)
    looks = looked(table)
    return audit(table, looks, near_duplicates(table, looks))


def found(audit: Audit) -> dict[str, tuple[str, ...]]:
    return {finding.code: finding.evidence for finding in audit.findings}


@pytest.fixture
def photo_folder(photos: Callable[[str], Path], tmp_path: Path) -> Path:
    """Twelve cats and twelve dogs in class folders."""
    for label in ("cats", "dogs"):
        (tmp_path / "set" / label).mkdir(parents=True)
        for number, file in enumerate(sorted((photos("dogscats") / "train" / label).iterdir())[:12]):
            shutil.copy(file, tmp_path / "set" / label / f"{label[0]}{number}.jpg")
    return tmp_path / "set"


def test_of_plain_photos_there_is_nothing_to_warn(photo_folder: Path) -> None:
    audit = audited(photo_folder)
    assert [finding.severity for finding in audit.findings] == ["note"]
    assert list(found(audit)) == ["how-much"]
    facts = audit.facts()
    assert (facts["images"], facts["readable"], facts["classes"]) == (24, 24, 2)
    assert facts["formats"] == {"JPEG": 24}


ODD: dict[str, tuple[str, Callable[[Image.Image, Path], Any]]] = {
    "wrong-extension": ("odd.png", lambda image, path: image.save(path, "JPEG")),
    "turned": ("odd.jpg", lambda image, path: image.save(path, exif=_turned())),
    "16-bit": (
        "odd.tif",
        lambda image, path: Image.fromarray(np.asarray(image.convert("L")).astype("u2") * 257).save(path),
    ),
    "alpha": ("odd.png", lambda image, path: image.convert("RGBA").save(path)),
    "cmyk": ("odd.jpg", lambda image, path: image.convert("CMYK").save(path)),
    "profile": ("odd.jpg", lambda image, path: image.save(path, icc_profile=_other_colours())),
    "animated": ("odd.gif", lambda image, path: image.save(path, save_all=True, append_images=[image.rotate(90)])),
    "tiny": ("odd.jpg", lambda image, path: image.resize((20, 30)).save(path)),
    "huge": ("odd.jpg", lambda image, path: image.resize((6000, 4500)).save(path)),
    "long": ("odd.jpg", lambda image, path: image.resize((400, 100)).save(path)),
    "unreadable": ("odd.jpg", lambda image, path: path.write_bytes(b"nothing")),
    "flat": ("odd.jpg", lambda image, path: Image.new("RGB", (80, 60), "gray").save(path)),
}


def _turned() -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = 8
    return exif


def _other_colours() -> bytes:
    content = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    places = range(132, 132 + 12 * int.from_bytes(content[128:132], "big"), 12)
    tags = {bytes(content[at : at + 4]): at for at in places}
    content[tags[b"rXYZ"] : tags[b"rXYZ"] + 4], content[tags[b"bXYZ"] : tags[b"bXYZ"] + 4] = b"bXYZ", b"rXYZ"
    return bytes(content)


@pytest.mark.parametrize("code", ODD)
def test_each_kind_of_odd_file_is_named(photo_folder: Path, code: str) -> None:
    name, make = ODD[code]
    with Image.open(photo_folder / "cats" / "c0.jpg") as image:
        make(image.convert("RGB").rotate(180), photo_folder / "cats" / name)
    evidence = found(audited(photo_folder))[code]
    assert len(evidence) == 1
    assert evidence[0].startswith(f"cats/{name}")


def test_the_placeholder_of_hymenoptera_is_named(photos: Callable[[str], Path]) -> None:
    evidence = found(audited(photos("hymenoptera_data")))["rare-format"]
    assert evidence == ("train/ants/imageNotFound.gif: GIF, P, 300 x 300",)


def test_the_copies_in_surface_crack_are_found(photos: Callable[[str], Path]) -> None:
    ours = found(audited(photos("surface_crack")))
    assert len(ours["duplicate"]) == 6
    assert any("00019.jpg ~ " in line and "00020.jpg" in line for line in ours["near-duplicate"])


def test_copies_in_two_parts_and_under_two_labels_are_told_apart(photo_folder: Path) -> None:
    root = photo_folder.rename(photo_folder.with_name("train"))
    valid = root.with_name("valid")
    for label in ("cats", "dogs"):
        (valid / label).mkdir(parents=True)
    shutil.copy(root / "cats" / "c0.jpg", valid / "cats" / "same.jpg")
    shutil.copy(root / "cats" / "c1.jpg", root / "dogs" / "wrong.jpg")
    with Image.open(root / "dogs" / "d0.jpg") as image:
        image.resize((200, 150)).save(valid / "dogs" / "smaller.jpg")
    with Image.open(root / "dogs" / "d1.jpg") as image:
        image.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(root / "cats" / "turned.jpg")
    whole = audited(root.parent)
    ours = found(whole)
    assert ours["leak"] == ("train/cats/c0.jpg = valid/cats/same.jpg",)
    assert "1 group of copies has different labels" in [one.sentence for one in whole.findings]
    assert ours["two-labels"] == ("train/cats/c1.jpg = train/dogs/wrong.jpg",)
    assert ours["leak-near"] == ("train/dogs/d0.jpg ~ valid/dogs/smaller.jpg",)
    assert ours["two-labels-near"] == ("train/cats/turned.jpg ~ train/dogs/d1.jpg (mirrored)",)


def test_files_that_can_not_be_read_are_no_copies_of_an_image(photo_folder: Path) -> None:
    for label in ("cats", "dogs"):
        for name in ("empty.jpg", "empty too.jpg"):
            (photo_folder / label / name).write_bytes(b"")
    ours = found(audited(photo_folder))
    assert len(ours["unreadable"]) == 4
    assert not {"leak", "two-labels", "duplicate"} & ours.keys()


def table_of(rows: list[tuple[str, str, str]]) -> ImageTable:
    """Images from (split, class, name)."""
    classes = sorted({label for _, label, _ in rows})
    return image_table(
        Path("set"),
        classes,
        uris=[f"{split}/{label}/{name}" for split, label, name in rows],
        splits=[split for split, _, _ in rows],
        labels=[[classes.index(label)] for _, label, _ in rows],
    )


def header(kind: str = "JPEG", width: int = 400, height: int = 300) -> FileScan:
    ours = Header(format=kind, mode="RGB", width=width, height=height, orientation=1, animated=False, recoloured=False)
    return FileScan(size=1000, digest=b"d" * 32, header=ours)


def codes(table: ImageTable, looks: list[FileScan]) -> dict[str, tuple[str, ...]]:
    return {finding.code: finding.evidence for finding in at_a_glance(table, looks, numberings=True)}


def test_a_class_that_can_be_told_by_the_size_of_its_files_is_a_shortcut() -> None:
    table = table_of([("train", label, f"{number}.jpg") for label in ("ill", "well") for number in range(40)])
    looks = [header(width=512 if number % 10 else 640) for number in range(40)] + [header() for _ in range(40)]
    (line, *_) = codes(table, looks)["shortcut"]
    assert line == "400 x 300: well 40 of 40"
    mixed = [header(width=400 + 100 * (number % 3)) for number in range(80)]
    assert "shortcut" not in codes(table, mixed)


def test_random_sizes_are_no_shortcut_however_many_there_are() -> None:
    draws = np.random.default_rng(0)
    table = table_of([("train", "ab"[number % 2], f"{number}.jpg") for number in range(400)])
    looks = [header(width=int(draws.integers(300, 330))) for _ in range(400)]
    assert "shortcut" not in codes(table, looks)


def test_frames_of_one_film_in_two_parts_are_a_warning_and_two_films_of_one_name_are_none() -> None:
    rows = [
        ("train" if frame % 3 else "valid", label, f"film{film}_{frame:04d}.jpg")
        for label in ("car", "van")
        for film in range(3)
        for frame in range(12)
    ]
    found = codes(table_of(rows), [header()] * len(rows))
    assert found["series-in-two-splits"][0] == "car: film0_1... in train and valid"
    assert len(found["series-in-two-splits"]) == 6
    repeated = [
        (split, label, f"film{film}_{frame:04d}.jpg")
        for split in ("train", "valid")
        for label in ("car", "van")
        for film in range(3)
        for frame in range(12)
    ]
    assert "series-in-two-splits" not in codes(table_of(repeated), [header()] * len(repeated))


def test_small_and_uneven_classes_are_named() -> None:
    rows = [("train", "many", f"a{n}x.jpg") for n in range(60)] + [("train", "few", f"b{n}x.jpg") for n in range(5)]
    found = codes(table_of(rows), [header()] * len(rows))
    assert found["few-images"] == ("few: 5",)
    assert found["imbalance"] == ("many: 60", "few: 5")


def test_a_look_without_a_header_does_not_stop_the_audit() -> None:
    table = table_of([("train", label, f"{n}x.jpg") for label in "ab" for n in range(20)])
    ours = audit(table, [look(b"")] * 40, [])
    assert ours.facts()["readable"] == 0
    assert ours.facts()["width"] == []
    assert len(found(ours)["unreadable"]) == 40
