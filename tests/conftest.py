"""What all tests share: the real photo sets, a cache of their own, small folders of pictures."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parents[1]
DATA = Path(os.environ.get("GOLDENRULE_TEST_DATA", ROOT.parent / "shared" / "data"))


@pytest.fixture(scope="session")
def photos() -> Callable[[str], Path]:
    """Give the folder of a real photo set by name; skip where the sets are absent."""

    def folder(name: str) -> Path:
        path = DATA / name
        if not path.is_dir():
            pytest.skip(f"no photo set {name} in {DATA}: set GOLDENRULE_TEST_DATA to a folder that has it")
        return path

    return folder


@pytest.fixture(scope="session")
def prepared_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache folder with the default backbone prepared, made once per session."""
    folder = tmp_path_factory.mktemp("prepared")
    before = os.environ.get("GOLDENRULE_CACHE")
    os.environ["GOLDENRULE_CACHE"] = str(folder)
    try:
        from goldenrule.models.backbone import backbone
        from goldenrule.models.compiled import engine_kind

        engine_kind(backbone())
    finally:
        if before is None:
            del os.environ["GOLDENRULE_CACHE"]
        else:
            os.environ["GOLDENRULE_CACHE"] = before
    return folder


@pytest.fixture
def cache(prepared_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the test's own: the backbone is prepared, the bank is empty."""
    own = tmp_path / "cache"
    shutil.copytree(prepared_cache, own)
    monkeypatch.setenv("GOLDENRULE_CACHE", str(own))
    return own


@pytest.fixture
def picture_folder(tmp_path: Path) -> Callable[..., Path]:
    """Make CLASS/NN.png folders of small pictures: each class has its own hue, each picture its own noise."""

    def make(name: str = "pictures", classes: tuple[str, ...] = ("blue", "red"), each: int = 12, seed: int = 0) -> Path:
        draws = np.random.default_rng(seed)
        for number, label in enumerate(classes):
            folder = tmp_path / name / label
            folder.mkdir(parents=True, exist_ok=True)
            for index in range(each):
                pixels = draws.integers(0, 90, size=(48, 64, 3))
                pixels[:, :, number % 3] += 150
                Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{index:02d}.png")
        return tmp_path / name

    return make
