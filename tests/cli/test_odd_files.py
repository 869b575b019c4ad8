"""A folder with one of each odd kind of file trains, and the run names each file and what was done with it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from markupsafe import escape
from PIL import Image


@pytest.fixture
def odd_folder(photos: Callable[[str], Path], tmp_path: Path) -> Path:
    """Twenty cats and dogs each, and every kind of file that people have among them."""
    root = tmp_path / "odd"
    for label in ("Katzen und Kätzchen", "dogs"):
        (root / label / "nested" / "deep").mkdir(parents=True)
        files = sorted((photos("dogscats") / "train" / ("dogs" if label == "dogs" else "cats")).iterdir())
        for number, file in enumerate(files[:20]):
            shutil.copy(file, root / label / ("nested/deep" if number % 2 else ".") / f"{label[0]}{number}a.jpg")
    cats = root / "Katzen und Kätzchen"
    with Image.open(cats / "K0a.jpg") as opened:
        image = opened.convert("RGB")
    exif = Image.Exif()
    exif[0x0112] = 6
    image.rotate(90, expand=True).save(cats / "turned.jpg", exif=exif)
    image.save(cats / "really_a_png.jpg", "PNG")
    image.convert("RGBA").save(cats / "alpha.png")
    image.convert("P").save(cats / "palette.png")
    image.convert("CMYK").save(cats / "print.jpg")
    image.convert("L").save(cats / "gray.tiff")
    Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257).save(cats / "deep.png")
    image.save(cats / "moving.gif", save_all=True, append_images=[image.rotate(180)])
    image.save(cats / "CAPITALS.JPEG")
    image.save(cats / "modern.avif")
    image.save(cats / "web.webp")
    image.save(cats / "plain.ppm")
    image.save(cats / "bit.bmp")
    image.save(cats / "no_extension", "JPEG")
    image.resize((24, 18)).save(cats / "tiny.jpg")
    image.resize((900, 200)).save(cats / "long.jpg")
    image.save(cats / f"{'n' * 240}.jpg")
    image.save(cats / "猫 🐈.jpg")
    image.save(cats / ".hidden.jpg")
    (cats / "empty.jpg").touch()
    (cats / "text.jpg").write_text("not a picture")
    (cats / "half.jpg").write_bytes((cats / "K0a.jpg").read_bytes()[:4000])
    (cats / "to_dog.jpg").symlink_to(root / "dogs" / "d0a.jpg")
    (cats / "loop").symlink_to(root)
    (cats / "nowhere.jpg").symlink_to("gone.jpg")
    return root


def test_a_folder_with_one_of_each_odd_kind_trains_and_names_them_all(
    command: Callable[..., subprocess.CompletedProcess[str]], odd_folder: Path
) -> None:
    before = {path: path.lstat().st_mtime_ns for path in odd_folder.rglob("*")}
    done = command("fit", "--quick", odd_folder, "--out", "run", "--views", "0")
    assert done.returncode == 0, done.stderr
    result = json.loads((odd_folder.parent / "run" / "result.json").read_text())
    found = {finding["code"]: finding for finding in result["findings"]}

    def names(code: str) -> set[str]:
        these = {line.partition(": ")[0] for line in found[code]["evidence"]}
        return {os.path.basename(name) for name in these}  # noqa: PTH119

    assert names("unreadable") == {"empty.jpg", "text.jpg", "half.jpg"}
    assert names("turned") == {"turned.jpg"}
    assert names("wrong-extension") == {"really_a_png.jpg"}
    assert names("alpha") == {"alpha.png"}
    assert names("cmyk") == {"print.jpg"}
    assert names("16-bit") == {"deep.png"}
    assert names("animated") == {"moving.gif"}
    assert names("tiny") == {"tiny.jpg"}
    assert names("long") == {"long.jpg"}
    assert names("link-loop") == {"loop"}
    assert names("link-broken") == {"nowhere.jpg"}
    assert "to_dog.jpg = dogs/d0a.jpg" in found["two-labels"]["evidence"][0]
    kept = json.loads((odd_folder.parent / "run" / "report" / "content.json").read_text())
    others = {Path(name).name: labels for name, labels in kept["labels_of_copies"].items()}
    assert others == {"to_dog.jpg": ["dogs"], "d0a.jpg": ["Katzen und Kätzchen"]}
    assert all(finding["advice"] for finding in result["findings"])
    report = (odd_folder.parent / "run" / "report.html").read_text()
    assert [finding["code"] for finding in found.values() if str(escape(finding["sentence"])) not in report] == []
    with (odd_folder.parent / "run" / "split.csv").open(encoding="utf-8") as file:
        listed = file.read()
    for name in ("no_extension", "CAPITALS.JPEG", "modern.avif", "猫 🐈.jpg", "n" * 240, "nested/deep", "palette.png"):
        assert name in listed
    assert ".hidden.jpg" not in listed
    assert {path: path.lstat().st_mtime_ns for path in odd_folder.rglob("*")} == before
