"""What all tests share: the real photo sets, a cache of their own, small folders of pictures."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parents[1]
DATA = Path(os.environ.get("GOLDENRULE_TEST_DATA", ROOT.parent / "shared" / "data"))


LONGEST = (
    "recipes/test_golden_rule_killed.py",
    "recipes/test_full_disk.py",
    "recipes/test_golden_rule.py",
    "training/test_lr_find_leaves_no_trace.py",
    "docs/test_snippets.py",
    "models/test_every_family.py",
    "recipes/test_listings.py",
    "test_learner.py",
    "cli/test_fit.py",
    "recipes/test_laws.py",
    "training/test_depth.py",
    "training/test_how_to_train.py",
)
"""Files that take minutes: `make test` deals out whole files to two processes, and these first."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest files first, so that no process is left alone with one at the end."""
    place = {ROOT / "tests" / name: number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: place.get(item.path, len(place)))


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


@pytest.fixture(scope="session")
def small_photos(photos: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Real cats and dogs: 20 of each to train, 8 to validate, 6 to test; read only."""
    root = tmp_path_factory.mktemp("photos") / "dogscats"
    for label in ("cats", "dogs"):
        names = {part: sorted((photos("dogscats") / part / label).iterdir()) for part in ("train", "valid")}
        chosen = {"train": names["train"][:20], "valid": names["valid"][:8], "test": names["train"][20:26]}
        for part, files in chosen.items():
            (root / part / label).mkdir(parents=True)
            for file in files:
                shutil.copy(file, root / part / label)
    return root


@pytest.fixture(scope="session")
def fitted(small_photos: Path, prepared_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The `Answer` of a default fit on `small_photos`; read only."""
    from goldenrule.recipes.answer import answer

    folder = tmp_path_factory.mktemp("fitted")
    shutil.copytree(prepared_cache, folder / "cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GOLDENRULE_CACHE", str(folder / "cache"))
        return answer(small_photos, out=folder / "run")


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start a Python process in tmp_path: `start("-m", "goldenrule", "fit", ...)`; killed when the test ends."""
    started = []

    def run(*arguments: object, **options: Any) -> subprocess.Popen[str]:
        environment = os.environ | {"COLUMNS": "300", "PYTHONWARNINGS": "ignore"} | options.pop("env", {})
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "cwd": tmp_path}
        started.append(subprocess.Popen([sys.executable, *map(str, arguments)], env=environment, **(pipes | options)))
        return started[-1]

    yield run
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.fixture
def command(
    start: Callable[..., subprocess.Popen[str]], cache: Path
) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run `goldenrule ARGUMENTS` to its end with a cache of the test's own; it never shows a traceback."""

    def run(*arguments: object, **options: Any) -> subprocess.CompletedProcess[str]:
        process = start("-m", "goldenrule", *arguments, **options)
        out, err = process.communicate(timeout=240)
        assert "Traceback" not in out + err, out + err
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    return run


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Mount a file system of a given size ("64k"); skip where this user may not."""
    mounted = []

    def mount(size: str) -> Path:
        folder = tmp_path / f"disk{len(mounted)}"
        folder.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
        if os.name == "nt" or subprocess.run(command, capture_output=True, check=False).returncode:
            pytest.skip("a full disk is tested on a file system of its own, and only root may mount one")
        mounted.append(folder)
        return folder

    yield mount
    for folder in mounted:
        subprocess.run(["umount", "-l", str(folder)], check=True)
