"""`goldenrule show-augment` draws what training sees."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from goldenrule.data.augmentation.augment import View
from goldenrule.data.augmentation.presets import by_name
from goldenrule.data.pictures.decode import decode
from goldenrule.data.pictures.preprocess import Preprocessing
from goldenrule.report.figures.augmentation_figure import augmentation_figure
from goldenrule.storage.files import digest

Command = Callable[..., subprocess.CompletedProcess[str]]


def test_a_sheet_is_drawn_with_a_row_per_image(command: Command, picture_folder: Callable[..., Path]) -> None:
    root = picture_folder(each=3)
    (root / "red" / "00.png").write_bytes(b"no picture")
    found = command(
        "show-augment", root, "--augment", "trivial", "--views", "3", "--num-images", "5", "-o", "sheet.png"
    )
    assert found.returncode == 0, found.stderr
    assert "Look: sheet.png" in found.stdout
    assert "red/00.png" not in found.stdout
    with Image.open(root.parent / "sheet.png") as sheet:
        assert sheet.height > sheet.width, "five rows, four columns"


def test_the_pixels_of_the_sheet_are_those_of_the_views(picture_folder: Callable[..., Path]) -> None:
    content = (picture_folder(each=1) / "red" / "00.png").read_bytes()
    kind = by_name("side_on")
    figure = augmentation_figure([("$odd_name$.png", content, digest(content))], kind, Preprocessing(size=64), count=2)
    shown = [np.asarray(axis.get_images()[0].get_array()) for axis in figure.axes]
    canvas = Preprocessing(size=64).canvas(decode(content))
    for index in (1, 2):
        warp = View(augmentation=kind, index=index).warp(digest(content))
        wanted = kind.apply(warp, canvas, 64)
        np.testing.assert_array_equal(shown[index], np.clip(wanted, 0, 255).astype(np.uint8))


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--augment", "sideways"], "wanted one of auto, none"),
        (["--views", "0"], "--views 0: wanted 1 to 16"),
        (["--num-images", "99"], "--num-images 99: wanted 1 to 40"),
        (["--size", "5"], "A size of 5 px can't be used"),
        (["-o", "sheet.txt"], "ends in .png, .svg or .pdf"),
    ],
)
def test_what_can_not_be_drawn_ends_with_what_to_do(
    command: Command, picture_folder: Callable[..., Path], arguments: list[str], says: str
) -> None:
    found = command("show-augment", picture_folder(each=1), *arguments)
    assert found.returncode == 2
    assert says in found.stderr
