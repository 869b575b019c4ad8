"""Folders of pictures as people have them, drawn by the tests: each class has its own hue."""

from __future__ import annotations

import shutil
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

HUES = {"cats": 0, "dogs": 1, "horses": 2, "cat": 0, "dog": 1, "horse": 2, "ill": 0, "well": 1}
Draw = Callable[..., Path]


def classes_drawn(root: Path, classes: Iterable[str] = ("cats", "dogs"), each: int = 8) -> Path:
    """Draw `root/CLASS/NN.png`: each class has its own hue, by its place."""
    for place, label in enumerate(classes):
        (root / label).mkdir(parents=True)
        for number in range(each):
            draws = np.random.default_rng(zlib.crc32(f"{place} {number}".encode()))
            pixels = draws.integers(0, 90, size=(40, 48, 3))
            pixels[:, :, place % 3] += 150
            Image.fromarray(pixels.astype(np.uint8)).save(root / label / f"{number:02d}.png")
    return root


@pytest.fixture
def draw_classes() -> Draw:
    """Draw class folders: `draw_classes(folder, classes, each=8)`."""
    return classes_drawn


@pytest.fixture(scope="session")
def made_run(made_once: Callable[..., Path], prepared_cache: Path) -> Callable[..., Path]:
    """Return a folder with `set`, pictures of these classes, and `run`, a quick fit of them: made once, then copied."""

    def made(*classes: str) -> Path:
        def fill(folder: Path) -> None:
            from goldenrule.pipelines.quick_fit import quick_fit
            from goldenrule.runs.options import FitOptions

            with pytest.MonkeyPatch.context() as patch:
                patch.setenv("GOLDENRULE_CACHE", str(shutil.copytree(prepared_cache, folder / "cache")))
                quick_fit(classes_drawn(folder / "set", classes), options=FitOptions(quick=True), out=folder / "run")
            shutil.rmtree(folder / "cache")

        return made_once(f"run_of_{'_'.join(classes)}", fill)

    return made


@pytest.fixture
def run(made_run: Callable[..., Path], cache: Path, tmp_path: Path) -> Path:
    """A finished run of the test's own; the pictures that it was made of lie beside it in `set`."""
    del cache
    made = made_run("cats", "dogs")
    shutil.copytree(made / "set", tmp_path / "set")
    return Path(shutil.copytree(made / "run", tmp_path / "run"))


@pytest.fixture
def draw(tmp_path: Path) -> Draw:
    """Draw `folder/NAME` for each name; the hue is that of the class, by default the name of the picture's folder."""

    def drawn(names: Iterable[str] | dict[str, str], folder: str = "set") -> Path:
        root = tmp_path / folder
        classes = names if isinstance(names, dict) else {name: Path(name).parent.name for name in names}
        for name, label in classes.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            draws = np.random.default_rng(zlib.crc32(name.encode()))
            pixels = draws.integers(0, 90, size=(40, 48, 3))
            pixels[:, :, HUES.get(label, zlib.crc32(label.encode()) % 3)] += 150
            Image.fromarray(pixels.astype(np.uint8)).save(path)
        return root

    return drawn


@pytest.fixture(scope="session")
def spoilt(made_once: Callable[..., Path], prepared_cache: Path) -> Path:
    """A folder with a quick fit `run` and its `cache`, of the pictures in `spoilt_set` beside it: 60 cards to review.

    Two labels are wrong, a picture is in two classes, one in train and test, and 56 lie there twice.
    """

    def pictures(folder: Path) -> None:
        drawn = classes_drawn(folder / "drawn", each=46)
        for place, label in enumerate(("cats", "dogs")):
            names = sorted((drawn / label).iterdir())
            other = ("dogs", "cats")[place]
            for split, some in (("train", names[:31]), ("valid", names[32:40]), ("test", names[40:])):
                for path in some:
                    copied(path, folder / split / label / path.name)
            copied(names[31], folder / "train" / other / f"wrong_{label}.png")
            for path in names[:28]:
                copied(path, folder / "train" / label / f"copy_{path.name}")
        copied(drawn / "cats/29.png", folder / "train/dogs/both.png")
        copied(drawn / "dogs/30.png", folder / "test/dogs/leaked.png")
        shutil.rmtree(drawn)

    images = made_once("spoilt_set", pictures)

    def fit(folder: Path) -> None:
        from goldenrule.pipelines.quick_fit import quick_fit
        from goldenrule.runs.options import FitOptions

        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("GOLDENRULE_CACHE", str(shutil.copytree(prepared_cache, folder / "cache")))
            quick_fit(images, options=FitOptions(quick=True, views=0), out=folder / "run")

    return made_once("spoilt", fit)


def copied(source: Path, target: Path) -> None:
    """Copy a file into a folder that is made for it."""
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(source, target)
