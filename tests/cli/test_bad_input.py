"""What a user can do wrong: a message with what was found, wanted and to do; exit code 2; nothing lost."""

from __future__ import annotations

import ctypes
import json
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

import goldenrule as gr
from goldenrule.core.errors import SourceError
from goldenrule.storage.manifest import seal

Command = Callable[..., subprocess.CompletedProcess[str]]


def pictures(folder: Path, count: int, *, seed: int = 0) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    draws = np.random.default_rng(seed)
    for number in range(count):
        Image.fromarray(draws.integers(0, 255, size=(40, 50, 3), dtype=np.uint8)).save(folder / f"{number}.png")
    return folder


def good_folder(root: Path) -> Path:
    for number, label in enumerate(("blue", "red")):
        pictures(root / label, 6, seed=number)
    return root


def empty(root: Path) -> None:
    root.mkdir()


def one_class(root: Path) -> None:
    pictures(root / "cats", 5)


def one_image(root: Path) -> None:
    good_folder(root)
    pictures(root / "lonely", 1, seed=9)


def only_unreadable(root: Path) -> None:
    for label in ("cats", "dogs"):
        (root / label).mkdir(parents=True)
        for number in range(4):
            (root / label / f"{number}.jpg").write_text(f"{label} {number}")


def flat(root: Path) -> None:
    pictures(root, 5)


def no_train(root: Path) -> None:
    pictures(root / "valid" / "cats", 5)


def a_file(root: Path) -> None:
    root.write_text("file")


def good(root: Path) -> None:
    good_folder(root)


FOLDERS: dict[str, tuple[Callable[[Path], object], list[str], list[str]]] = {
    "missing folder": (str, [], ["photos does not exist", "Give a folder that has one sub-folder of images per class"]),
    "a file": (a_file, [], ["photos is a file", "Give a folder"]),
    "empty folder": (empty, [], ["it is empty", "photos/CLASS/image.jpg"]),
    "flat folder": (flat, [], ["5 images beside them", "photos/CLASS/image.jpg"]),
    "no train": (no_train, [], ["no train/", "train=NAME"]),
    "one class": (one_class, [], ["one class only ('cats')", "Add a folder"]),
    "one image in a class": (one_image, [], ["'lonely' has 1 image", "needs 3", "--min-per-class 1"]),
    "only unreadable files": (only_unreadable, [], ["8 files can't be read", "cats/0.jpg: not a picture", "Replace"]),
    "unknown backbone": (
        good,
        ["--backbone", "efficientnet_light0"],
        ["'efficientnet_light0'", "mean efficientnet_lite0"],
    ),
    "backbone like nothing": (
        good,
        ["--backbone", "qqqqqqqq"],
        ["'qqqqqqqq'", "Embedded, with weights: efficientnet_lite0"],
    ),
    "missing weights": (
        good,
        ["--weights", "no.safetensors"],
        ["no.safetensors", "no such file", "Wanted .safetensors"],
    ),
    "a pattern that is none": (good, ["--group-by", "("], ["no regular expression", "--group-by"]),
    "a pattern that fits nothing": (good, ["--group-by", "patient"], ["fits no name", "--group-by"]),
    "negative size": (good, ["--size", "-1"], ["-1 px", "32 to 2048"]),
    "head": (good, ["--head", "deep"], ["--head deep", "linear, root, concat-pool, gap-1024 or flatten-64"]),
    "augment": (good, ["--augment", "upside_down"], ["--augment upside_down", "none, basic, side_on, top_down"]),
    "views": (good, ["--views", "-1"], ["--views -1", "0 to 64"]),
    "sample": (good, ["--sample", "0"], ["--sample 0", "at least 1"]),
    "threads": (good, ["--threads", "0"], ["--threads 0", "at least 1"]),
    "device": (good, ["--device", "tpu"], ["--device tpu", "PyTorch finds no such device"]),
}


SLOW = ("a file", "flat folder", "no train", "backbone like nothing", "sample", "threads", "device")
"""Those that differ from others of the table only in their words."""


@pytest.mark.parametrize(
    ("make", "arguments", "said"),
    [pytest.param(*row, id=name, marks=[pytest.mark.slow] * (name in SLOW)) for name, row in FOLDERS.items()],
)
def test_what_can_t_be_fitted_is_exit_code_2_with_a_message_and_nothing_judged(
    command: Command, tmp_path: Path, make: Callable[[Path], object], arguments: list[str], said: list[str]
) -> None:
    make(tmp_path / "photos")
    found = command("fit", "--quick", "photos", *arguments)
    assert found.returncode == 2, found.stdout + found.stderr
    message = found.stderr
    assert "error: " in message
    for words in said:
        assert words in message
    assert found.stdout == ""
    assert not list(tmp_path.glob("runs/*/result.json"))
    assert not list(tmp_path.glob("runs/*/classifier"))
    assert not (tmp_path / "runs").exists(), "not even where files are seen to be no pictures when the run has begun"


def test_files_that_are_no_pictures_among_good_ones_are_listed_and_left_out(command: Command, tmp_path: Path) -> None:
    root = good_folder(tmp_path / "photos")
    (root / "red" / "text [1].jpg").write_text("no picture")
    noise = np.random.default_rng(0).integers(0, 255, size=(90, 90, 3), dtype=np.uint8)
    Image.fromarray(noise).save(root / "blue" / "whole.jpg")
    content = (root / "blue" / "whole.jpg").read_bytes()
    (root / "blue" / "truncated.jpg").write_bytes(content[: len(content) // 2])
    (root / "blue" / "notes.txt").write_text("not an image by its name")
    found = command("fit", "--quick", root, "--views", "0", "-v")
    assert found.returncode == 0, found.stderr
    assert "2 files can't be read" in found.stdout
    assert "red/text [1].jpg" in found.stdout
    assert "blue/truncated.jpg" in found.stdout
    assert "1 .txt" in found.stdout
    result = json.loads((tmp_path / "runs" / "photos" / "result.json").read_text())
    counted = sum(sum(value.values()) for value in result["status"].values())
    read = sum(value["ok"] for value in result["status"].values())
    assert counted >= read == 13
    assert {finding["code"] for finding in result["findings"]} >= {"unreadable", "not-images"}


def without_privileges() -> None:
    """Give up the rights by which root reads and writes everywhere, before the program starts."""
    library = ctypes.CDLL(None, use_errno=True)
    for capability in (1, 2):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
        if library.prctl(24, capability, 0, 0, 0) != 0:  # PR_CAPBSET_DROP
            os._exit(99)


@pytest.fixture
def unprivileged(tmp_path: Path) -> dict[str, Any]:
    """How to start a process as a user who may not read everything."""
    if os.geteuid() != 0:
        return {}
    locked = tmp_path / "locked"
    locked.mkdir(mode=0)
    tried = subprocess.run(["ls", str(locked)], capture_output=True, preexec_fn=without_privileges)
    locked.rmdir()
    if tried.returncode in (0, 99):
        pytest.skip("root here can't give up the right to read everything")
    return {"preexec_fn": without_privileges}


@pytest.fixture
def locked(tmp_path: Path) -> Iterator[Callable[[Path, int], Path]]:
    """Take rights from files and folders until the test ends."""
    changed = []

    def lock(path: Path, mode: int) -> Path:
        changed.append((path, path.stat().st_mode))
        path.chmod(mode)
        return path

    yield lock
    for path, mode in changed:
        path.chmod(mode)


def test_a_folder_that_may_not_be_read_is_named(
    process: Command, unprivileged: dict[str, Any], locked: Any, tmp_path: Path
) -> None:
    root = good_folder(tmp_path / "photos")
    locked(root, 0)
    found = process("fit", "--quick", root, **unprivileged)
    assert found.returncode == 2
    assert "photos can't be read: Permission denied" in found.stderr
    assert "Ask its owner" in found.stderr


def test_a_class_folder_that_may_not_be_read_is_named(
    process: Command, unprivileged: dict[str, Any], locked: Any, tmp_path: Path
) -> None:
    root = good_folder(tmp_path / "photos")
    locked(root / "red", 0)
    found = process("fit", "--quick", root, **unprivileged)
    assert found.returncode == 2
    assert "red can't be read: Permission denied" in found.stderr


def test_a_file_that_may_not_be_read_is_listed_and_left_out(
    process: Command, unprivileged: dict[str, Any], locked: Any, tmp_path: Path
) -> None:
    root = good_folder(tmp_path / "photos")
    locked(root / "red" / "0.png", 0)
    found = process("fit", "--quick", root, "--views", "0", **unprivileged)
    assert found.returncode == 0, found.stderr
    assert "1 file can't be read (red/0.png: Permission denied)" in found.stdout


def test_a_place_that_may_not_be_written_is_named(
    process: Command, unprivileged: dict[str, Any], locked: Any, tmp_path: Path
) -> None:
    root = good_folder(tmp_path / "photos")
    (tmp_path / "closed").mkdir()
    locked(tmp_path / "closed", 0o500)
    found = process("fit", "--quick", root, "--views", "0", "--out", "closed/run", **unprivileged)
    assert found.returncode == 2
    assert "closed/run can't be written (Permission denied)" in found.stderr
    assert "--out" in found.stderr
    assert list((tmp_path / "closed").iterdir()) == []


def test_what_a_command_can_not_write_it_names_with_what_says_where(
    process: Command, unprivileged: dict[str, Any], locked: Any, tmp_path: Path
) -> None:
    root = good_folder(tmp_path / "photos")
    (tmp_path / "closed").mkdir()
    locked(tmp_path / "closed", 0o500)
    locked(tmp_path, 0o555)
    split = process("split", root, "closed/split", **unprivileged)
    audit = process("audit", root, **unprivileged)
    assert (split.returncode, audit.returncode) == (2, 2)
    said = " ".join(split.stderr.split())
    assert "error: closed/split can't be written: " in said
    assert "is not yours to write to. Give another new folder, as the second argument." in said
    said = " ".join(audit.stderr.split())
    assert "error: audits/photos/audit.html can't be written: " in said
    assert "Give another name with -o." in said
    assert "GOLDENRULE_CACHE" not in split.stderr + audit.stderr


@pytest.mark.slow
def test_a_cache_that_may_not_be_written_serves_what_it_has(
    command: Command, process: Command, unprivileged: dict[str, Any], locked: Any, tmp_path: Path, cache: Path
) -> None:
    root = good_folder(tmp_path / "photos")
    assert command("fit", "--quick", root, "--views", "0", "--out", "one").returncode == 0
    for folder in [cache, *(path for path in cache.rglob("*") if path.is_dir())]:
        locked(folder, 0o500)
    served = process("fit", "--quick", root, "--views", "0", "--out", "two", **unprivileged)
    assert served.returncode == 0, served.stderr
    refused = process("fit", "--quick", root, "--views", "1", "--out", "three", **unprivileged)
    assert refused.returncode == 2
    assert "GOLDENRULE_CACHE" in refused.stderr


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Callable[..., Path]]:
    """Mount a disk of some kB, empty or with as much as is said of it in use."""
    mounted: list[Path] = []

    def mount(kilobytes: int) -> Path:
        disk = tmp_path / "disk"
        disk.mkdir()
        tried = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", str(disk)], capture_output=True
        )
        if tried.returncode:
            pytest.skip("a tiny disk can be mounted by root only")
        mounted.append(disk)
        return disk

    if shutil.which("mount") is None:
        pytest.skip("there is no mount here")
    yield mount
    for disk in mounted:
        subprocess.run(["umount", "-l", str(disk)], check=True)


def test_a_full_disk_under_the_run_is_told_and_more_room_lets_it_go_on(
    command: Command, tiny_disk: Callable[..., Path], tmp_path: Path
) -> None:
    root = good_folder(tmp_path / "photos")
    disk = tiny_disk(400)  # the classifier takes megabytes
    found = command("fit", "--quick", root, "--views", "0", "--out", disk / "run")
    assert found.returncode == 2, found.stderr
    assert "The disk is full" in found.stderr
    assert "Free some space" in found.stderr
    assert (disk / "run" / "split.csv").exists()
    assert not (disk / "run" / "classifier").exists()
    assert not list(disk.rglob("*.tmp"))
    subprocess.run(["mount", "-o", "remount,size=60m", str(disk)], check=True)
    again = command("fit", "--quick", root, "--views", "0", "-v", "--out", disk / "run")
    assert again.returncode == 0, again.stderr
    assert "replayed" in again.stderr
    assert "0 computed" in again.stdout


def test_a_full_disk_under_the_cache_is_told_and_what_was_finished_is_kept(
    command: Command, tiny_disk: Callable[..., Path], cache: Path, tmp_path: Path
) -> None:
    root = good_folder(tmp_path / "photos")
    disk = tiny_disk(40_000)
    shutil.copytree(cache, disk / "cache")
    ours = {"env": {"GOLDENRULE_CACHE": str(disk / "cache")}}
    assert command("fit", "--quick", root, "--views", "0", **ours).returncode == 0
    used = sum(path.stat().st_blocks * 512 for path in disk.rglob("*") if path.is_file())
    subprocess.run(["mount", "-o", f"remount,size={used // 1024 + 8}k", str(disk)], check=True)
    for label in ("blue", "red"):
        pictures(root / label / "more", 20, seed=len(label))
    found = command("fit", "--quick", root, "--views", "0", **ours)
    assert found.returncode == 2, found.stderr
    assert "The disk is full" in found.stderr
    assert "goldenrule cache" in found.stderr
    subprocess.run(["mount", "-o", "remount,size=80m", str(disk)], check=True)
    again = command("fit", "--quick", root, "--views", "0", "-v", **ours)
    assert again.returncode == 0, again.stderr
    assert " 12 reused" in again.stdout
    assert "40 computed" in again.stdout


def test_weights_that_can_t_be_reached_offline_are_told_with_what_there_is(process: Command, tmp_path: Path) -> None:
    root = good_folder(tmp_path / "photos")
    offline = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "hub"), "TORCH_HOME": str(tmp_path / "torch")}
    found = process("fit", "--quick", root, "--backbone", "resnet18", env=offline)
    assert found.returncode == 2
    assert "The weights of resnet18 can't be had from the hub" in found.stderr
    assert "efficientnet_lite0, efficientnet_lite1, efficientnet_lite2 (embedded)" in found.stderr
    assert "--weights FILE" in found.stderr
    assert not (tmp_path / "runs").exists()


@pytest.mark.exhaustive
@pytest.mark.skipif(
    shutil.which("unshare") is None or os.geteuid() != 0, reason="a world without network needs root and unshare"
)
def test_weights_that_can_t_be_reached_without_a_network_are_told_too(cache: Path, tmp_path: Path) -> None:
    root = good_folder(tmp_path / "photos")
    arguments = [
        "unshare",
        "-n",
        sys.executable,
        "-m",
        "goldenrule",
        "fit",
        "--quick",
        str(root),
        "--backbone",
        "resnet18",
    ]
    environment = os.environ | {
        "HF_HOME": str(tmp_path / "hub"),
        "TORCH_HOME": str(tmp_path / "torch"),
        "COLUMNS": "300",
    }
    found = subprocess.run(arguments, capture_output=True, text=True, env=environment, cwd=tmp_path)
    if "unshare failed" in found.stderr:
        pytest.skip("this machine allows no network namespaces")
    assert found.returncode == 2, found.stderr
    assert "The weights of resnet18 can't be had from the hub" in found.stderr
    assert "Traceback" not in found.stderr


@pytest.mark.slow
def test_weights_of_another_backbone_are_refused(command: Command, tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    root = good_folder(tmp_path / "photos")
    save_file({"something": np.zeros((2, 2), np.float32)}, tmp_path / "w.safetensors")
    found = command("fit", "--quick", root, "--weights", "w.safetensors")
    assert found.returncode == 2
    assert "does not fit the backbone" in found.stderr


@pytest.mark.slow
def test_a_file_that_holds_no_weights_is_refused(command: Command, tmp_path: Path) -> None:
    root = good_folder(tmp_path / "photos")
    (tmp_path / "w.pth").write_bytes(b"no weights at all")
    found = command("fit", "--quick", root, "--weights", "w.pth")
    assert found.returncode == 2
    assert "can't be read as weights" in found.stderr


def test_the_folder_of_another_story_is_refused_and_left_as_it_is(
    command: Command, fitted: Any, tmp_path: Path
) -> None:
    root = good_folder(tmp_path / "photos")
    run = Path(shutil.copytree(fitted.folder, tmp_path / "run"))
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    found = command("fit", "--quick", root, "--out", run, "--seed", "3")
    assert found.returncode == 2
    for words in (
        "was made with other options",
        "--seed 0 instead of --seed 3",
        "other images ",
        "Nothing was changed",
        "another --out",
    ):
        assert words in found.stderr
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before


@pytest.fixture
def run(fitted: Any, tmp_path: Path) -> Path:
    """A run of the test's own, to be damaged."""
    return Path(shutil.copytree(fitted.folder, tmp_path / "run"))


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-9] ^= 1
    path.write_bytes(content)


def newer(path: Path) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | {"schema_version": 99}))
    seal(path.parent)


@pytest.mark.parametrize(
    ("file", "damage", "said"),
    [
        ("head.safetensors", cut, "head.safetensors was changed or damaged"),
        ("head.safetensors", Path.unlink, "head.safetensors is missing: copy it again, whole"),
        ("head.safetensors", flip, "head.safetensors was changed or damaged"),
        ("backbone.safetensors", flip, "backbone.safetensors was changed or damaged"),
        ("backbone.safetensors", cut, "backbone.safetensors was changed or damaged"),
        ("backbone.safetensors", Path.unlink, "backbone.safetensors is missing"),
        ("classifier.json", cut, "classifier.json was changed or damaged"),
        ("classifier.json", newer, "Update goldenrule"),
        ("classifier.json", Path.unlink, "holds no classifier"),
    ],
)  # fmt: skip
def test_a_damaged_classifier_is_told(
    command: Command,
    run: Path,
    small_photos: Path,
    file: str,
    damage: Callable[[Path], None],
    said: str,
    tmp_path: Path,
) -> None:
    damage(run / "classifier" / file)
    found = command("predict", run, small_photos / "test", "-o", "out.csv")
    assert found.returncode == 2
    assert said in found.stderr
    assert not (tmp_path / "out.csv").exists()


def test_what_can_t_be_predicted_is_told(command: Command, run: Path, small_photos: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    photos = small_photos / "test"
    for arguments, said in (
        ((tmp_path / "empty", photos), ["holds no classifier", "goldenrule fit writes one"]),
        ((tmp_path / "nothing", photos), ["holds no classifier"]),
        ((run, "missing.jpg"), ["missing.jpg does not exist", "wanted an image or a folder"]),
        ((run, tmp_path / "empty"), ["holds no images"]),
        ((run, photos, "-o", tmp_path / "empty"), ["is a folder", "predictions.csv"]),
        ((run, photos, "--min-confidence", "2"), ["--min-confidence 2", "from 0 to 1"]),
    ):
        found = command("predict", *arguments)
        assert found.returncode == 2, arguments
        for words in said:
            assert words in found.stderr
        assert found.stdout == ""
    assert list((tmp_path / "empty").iterdir()) == []


def test_arguments_in_the_wrong_place_are_told_with_the_command_line_that_is_right(
    command: Command, run: Path, small_photos: Path
) -> None:
    photos = small_photos / "test"
    for arguments, said in (
        (("predict", photos, run), f"the run comes first. Give: goldenrule predict {run} {photos}"),
        (("predict", photos, run, photos), f"goldenrule predict {run} {photos} {photos}"),
        (("evaluate", photos, run), f"the run comes first. Give: goldenrule evaluate {run} {photos}"),
        (("explain", photos, run), f"the run comes first. Give: goldenrule explain {run} {photos}"),
        (("report", photos), f"It is a folder of images, of which goldenrule fit {photos} makes a run."),
    ):
        found = command(*arguments)
        assert found.returncode == 2, arguments
        assert said in found.stderr, arguments


def test_a_run_in_the_place_of_images_is_told_with_where_its_images_lie(fitted: Any, command: Command) -> None:
    for name in ("fit", "audit"):
        found = command(name, fitted.folder)
        assert found.returncode == 2
        assert f"is a run, and no folder of images. Its images lie in {fitted.table.root.resolve()}" in found.stderr
    with pytest.raises(SourceError, match="is a run, and no folder of images"):
        gr.fit(fitted.folder, quick=True)


def test_a_prediction_that_could_not_begin_leaves_nothing_beside_its_output(
    command: Command, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: Any, **__: Any) -> Any:
        raise SourceError("no")

    (tmp_path / "one.jpg").write_bytes(b"")
    monkeypatch.setattr("goldenrule.models.classifier.Classifier.stream", refused)
    (tmp_path / "out").mkdir()
    assert command("predict", run, "one.jpg", "-o", "out/rows.csv").returncode == 2
    assert list((tmp_path / "out").iterdir()) == []


def test_a_photo_that_may_not_be_read_has_a_row_among_the_others(
    process: Command, run: Path, small_photos: Path, unprivileged: dict[str, Any], locked: Any, tmp_path: Path
) -> None:
    photos = Path(shutil.copytree(small_photos / "test" / "cats", tmp_path / "new"))
    files = sorted(photos.iterdir())
    locked(files[2], 0)
    found = process("predict", run, *files, "-o", "out.csv", **unprivileged)
    assert found.returncode == 0, found.stderr
    lines = (tmp_path / "out.csv").read_text().splitlines()
    assert [",unreadable," in line for line in lines[1:]] == [False, False, True, False, False, False]


def test_a_classifier_that_may_not_be_read_is_named(
    process: Command, run: Path, small_photos: Path, unprivileged: dict[str, Any], locked: Any
) -> None:
    locked(run / "classifier", 0)
    found = process("predict", run, small_photos / "test", **unprivileged)
    assert found.returncode == 2
    assert "classifier/classifier.json can't be used: Permission denied" in found.stderr


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("fit", "photos", "--json", "--quick"), "--json --quick: --json wants FILE, and --quick is another option."),
        (("predict", "run", "photos", "-o", "--top=3"), "-o --top=3: -o wants"),
        (("train", "photos", "--epochs", "--lr", "1e-3"), "--epochs --lr: --epochs wants"),
        (("runs", "--runs", "--json", "-"), "--runs --json"),
    ],
)
def test_an_option_is_no_value_of_another(command: Command, words: tuple[str, ...], why: str) -> None:
    found = command(*words)
    assert found.returncode == 2
    assert why in " ".join(found.stderr.split())


@pytest.mark.parametrize("place", [("--out", ""), ("--out=",), ("-o", ""), ("-o", "mine")])
@pytest.mark.parametrize("name", ["fit", "train", "tune", "compare-models", "audit"])
def test_nothing_is_written_among_the_files_that_a_user_has_there(
    command: Command, small_photos: Path, tmp_path: Path, name: str, place: tuple[str, ...]
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    before = sorted(tmp_path.rglob("*"))
    found = command(name, small_photos, *place)
    assert found.returncode == 2
    why = "holds something else" if "mine" in place else "names no place to write to"
    assert why in " ".join(found.stderr.split())
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("help",), "Give: goldenrule --help"),
        (("version",), "Give: goldenrule --version"),
        (("fit", "x", "--epoch", "3"), "Did you mean --epochs, an option of train"),
        (("fit", "x", "--zzzz"), "No such option: --zzzz │"),
        (("report", "x", "--lang", "de"), "'--lang': 'de' is not one of 'en', 'ja', 'zh'."),
    ],
)
def test_words_that_others_use_lead_to_ours(command: Command, words: tuple[str, ...], why: str) -> None:
    found = command(*words)
    assert found.returncode == 2
    assert why in " ".join(found.stderr.split())
