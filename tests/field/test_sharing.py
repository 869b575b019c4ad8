"""What goes to others: no paths in a classifier and a report, and a copy without anything of its maker's."""

from __future__ import annotations

import getpass
import platform
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.numpy import load_file
from safetensors.torch import save_file

from goldenrule.core.errors import OptionError
from goldenrule.models.classifier import Classifier
from goldenrule.tasks.explaining import explain
from goldenrule.tasks.reopened import reopened
from goldenrule.tasks.sharing import share

Command = Callable[..., subprocess.CompletedProcess[str]]
HOME, ALBUM, PHOTO, CODE = "home-of-ada", "album-of-ada", "ada-at-the-sea", "code_of_ada"
MARKS = (HOME, ALBUM, PHOTO)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Make a folder with a user's photos, weights and augmentation, all of them with names that tell of her."""
    import timm

    root = tmp_path / HOME
    draws = np.random.default_rng(0)
    for number, label in enumerate(("blue", "red")):
        (root / ALBUM / label).mkdir(parents=True)
        for index in range(8):
            pixels = draws.integers(0, 90, size=(48, 64, 3))
            pixels[:, :, number] += 150
            Image.fromarray(pixels.astype(np.uint8)).save(root / ALBUM / label / f"{PHOTO}-{index}.png")
    torch.manual_seed(0)
    save_file(timm.create_model("test_efficientnet", num_classes=0).state_dict(), root / "weights.safetensors")
    (root / f"{CODE}.py").write_text("def same(picture, random):\n    return picture\n")
    return root


@pytest.fixture
def fit(command: Command, home: Path) -> Path:
    """Return a run whose options hold three paths of the user's."""
    words = ("fit", home / ALBUM, "--backbone", "test_efficientnet", "--weights", home / "weights.safetensors")
    augment = ("--augment", f"{home / CODE}.py:same", "--views", 1, "--size", 64, "--quick")
    done = command(*words, *augment, "--out", home / "run")
    assert done.returncode == 0, done.stderr
    return home / "run"


@pytest.fixture
def quick_fit(command: Command, home: Path) -> Path:
    """Return a run of the prepared network, with an augmentation of the user's."""
    words = ("fit", home / ALBUM, "--augment", f"{home / CODE}.py:same", "--views", 1, "--quick", "--out", home / "run")
    assert (done := command(*words)).returncode == 0, done.stderr
    return home / "run"


def holding(folder: Path, *marks: str) -> list[str]:
    """Return the files below a folder that hold one of these words, in whatever bytes, and names that do."""
    found = []
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        content, name = file.read_bytes(), file.relative_to(folder).as_posix()
        found += [f"{name}: {mark}" for mark in marks if mark.encode() in content or mark in name]
        found += [f"{name}: {mark} (UTF-16)" for mark in marks if mark.encode("utf-16-le") in content]
    return found


def test_no_path_of_its_maker_is_in_a_classifier_a_result_or_a_report(fit: Path, home: Path, command: Command) -> None:
    prepared_fit = command("fit", home / ALBUM, "--from", fit, "--quick", "--out", home / "second")
    assert prepared_fit.returncode == 0, prepared_fit.stderr
    for run in (fit, home / "second"):
        found = holding(run, HOME, str(home.parent))
        assert {one.split(":")[0] for one in found} <= {"run.json", "images.arrow", "manifest.json"}, found
    said = Classifier.load(home / "second").provenance
    assert said["options"]["start_from"] == "run"
    assert said["started_from"] == Classifier.load(fit).backbone.spec.weights
    assert Classifier.load(fit).provenance["options"]["weights"] == "weights.safetensors"


def test_an_explanation_names_no_path_of_the_run(quick_fit: Path, home: Path, tmp_path: Path) -> None:
    explain(quick_fit, home / ALBUM / "blue", out=tmp_path / "explained", heat=False)
    assert HOME not in (tmp_path / "explained" / "explained.json").read_text().replace(str(home / ALBUM), "")


def test_a_copy_to_share_predicts_the_same_and_tells_nothing_of_its_maker(
    quick_fit: Path, home: Path, command: Command, tmp_path: Path
) -> None:
    done = command("share", quick_fit, "-o", "copy")
    assert done.returncode == 0, done.stderr
    assert "training images, so that images unlike" in " ".join(done.stdout.split())
    copy = tmp_path / "copy"
    user = [one for one in (platform.node(), getpass.getuser()) if len(one) > 4]
    assert not holding(copy, *MARKS, CODE, str(tmp_path), 'weights.safetensors"', *user)
    assert {"classifier.json", "backbone.safetensors", "head.safetensors"} <= {file.name for file in copy.iterdir()}
    before, after = Classifier.load(quick_fit), Classifier.load(copy)
    predictions, shared = before.predict(home / ALBUM), after.predict(home / ALBUM)
    np.testing.assert_array_equal(shared.logits, predictions.logits)
    assert (after.classes, after.sets, after.thresholds) == (before.classes, before.sets, before.thresholds)
    assert command("predict", "copy", home / ALBUM, "-o", "said.csv").returncode == 0


def test_a_copy_to_share_holds_no_features_of_single_images(quick_fit: Path, tmp_path: Path) -> None:
    before = Classifier.load(quick_fit)
    assert before.ood_detector is not None
    share(quick_fit, tmp_path / "copy")
    width = before.backbone.spec.features
    arrays = {name: load_file(tmp_path / "copy" / f"{name}.safetensors") for name in ("backbone", "head")}
    assert set(arrays["head"]) == set(before.head.tensors)
    assert set(arrays["backbone"]) == set(load_file(before.backbone.weights_file))
    rows = before.ood_detector.references.astype(np.float32)
    for kind in (np.float16, np.float32, np.float64):
        for file in (tmp_path / "copy").iterdir():
            content = file.read_bytes()
            assert not any(row.astype(kind).tobytes() in content for row in rows.reshape(-1, width)), file.name
    assert Classifier.load(tmp_path / "copy").ood_detector is None


def test_nothing_is_overwritten_by_a_copy(quick_fit: Path, command: Command, tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "diary.txt").write_text("mine")
    (tmp_path / "file").write_text("mine")
    for name in ("there", "file", quick_fit):
        assert (done := command("share", quick_fit, "-o", name)).returncode == 2
        assert "Nothing was changed" in " ".join(done.stderr.split())
    assert (tmp_path / "there" / "diary.txt").read_text() == (tmp_path / "file").read_text() == "mine"
    with pytest.raises(OptionError, match="is there already"):
        share(quick_fit, quick_fit)
    assert command("share", "no such run").returncode == 2


def test_no_code_is_run_that_a_strangers_run_names(quick_fit: Path, home: Path) -> None:
    trace = home / "was_here"
    (home / f"{CODE}.py").write_text(f"open({str(trace)!r}, 'w')\ndef same(picture, random):\n    return picture\n")
    assert reopened(quick_fit).table.root.name == ALBUM
    assert not trace.exists()


def test_no_command_writes_where_the_images_lie_into_what_is_shown_to_others(
    command: Command, cache: Path, home: Path, tmp_path: Path
) -> None:
    del cache
    (tmp_path / "photos").symlink_to(home / ALBUM)  # the album is given by a relative path, and lies elsewhere
    of_networks = ("-m", "efficientnet", "-t", "transfer_learning", "--augment", "none", "--json", "out/compared.json")
    for words in (
        ("fit", "photos", "--quick", "--augment", "none", "--out", "run"),
        ("audit", "photos", "--out", "out/audit"),
        ("evaluate", "run", "photos", "--out", "out/evaluation"),
        ("tune", "photos", "--trials", 1, "--out", "found"),
        ("compare-models", "photos", *of_networks, "--out", "compared"),
        ("split", "photos", "out/split"),
        ("predict", "run", "photos", "-o", "out/predictions.csv"),
        ("audit", home / ALBUM, "--out", "out/again"),
    ):
        done = command(*words)
        assert done.returncode == 0, done.stderr
    shown = [*(tmp_path / "out").rglob("*"), *(tmp_path / "run").glob("re*"), *(tmp_path / "found").glob("search.*")]
    shown += (tmp_path / "compared").glob("comparison.*")
    texts = [path for path in shown if path.suffix in (".json", ".csv", ".html")]
    assert len(texts) >= 12
    assert [path.name for path in texts if str(tmp_path) in path.read_text() or HOME in path.read_text()] == []


def test_a_split_is_known_again_where_both_folders_have_moved(command: Command, home: Path, tmp_path: Path) -> None:
    shutil.copytree(home / ALBUM, tmp_path / "photos")
    assert command("split", "photos", "splits").returncode == 0
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "photos").rename(tmp_path / "elsewhere" / "photos")
    (tmp_path / "splits").rename(tmp_path / "elsewhere" / "splits")
    done = command("split", "elsewhere/photos", "elsewhere/splits")
    assert (done.returncode, "were split before" in done.stdout) == (0, True), done.stderr
