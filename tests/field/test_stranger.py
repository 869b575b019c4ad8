"""A run from a stranger, with all that a hostile one could think of, opened by every command."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from goldenrule.pipelines.quick_fit import quick_fit
from goldenrule.runs.options import FitOptions
from goldenrule.storage.manifest import seal, write_recorded

Command = Callable[..., subprocess.CompletedProcess[str]]
ESCAPE = "\x1b]0;pwned\x07"
COMMANDS: tuple[tuple[str, ...], ...] = (
    ("predict", "run", "photos/a", "-o", "predicted.csv"),
    ("evaluate", "run", "photos", "--out", "evaluated"),
    ("report", "run"),
    ("report", "run", "--lang", "ja", "-o", "page.html"),
    ("compare-runs", "run", "other"),
    ("labels", "run"),
    ("learning-curve", "run"),
    ("explain", "run", "photos/a/00.png", "-o", "explained"),
    ("submit", "run", "photos/a", "--sample-submission", "sample.csv", "-o", "submission.csv"),
    ("share", "run", "-o", "shared"),
    ("lr-find", "photos", "--from", "run", "-o", "curve.svg"),
    ("fit", "photos", "--quick", "--views", "0", "--from", "run", "--out", "second"),
    ("fit", "photos", "--quick", "--views", "0", "--out", "run"),
    ("split", "--verify", "run"),
)


@pytest.fixture(scope="module")
def whole(prepared_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the photos, the cache and the run of an honest fit."""
    folder = tmp_path_factory.mktemp("stranger")
    shutil.copytree(prepared_cache, folder / "cache")
    draws = np.random.default_rng(0)
    for hue, label in enumerate(("a", "b")):
        (folder / "photos" / label).mkdir(parents=True)
        for number in range(14):
            pixels = draws.integers(0, 120, size=(40, 40, 3))
            pixels[:, :, hue] += 90
            Image.fromarray(pixels.astype(np.uint8)).save(folder / "photos" / label / f"{number:02d}.png")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GOLDENRULE_CACHE", str(folder / "cache"))
        quick_fit(folder / "photos", out=folder / "run", options=FitOptions(views=0, threads=1, quick=True))
    return folder


@pytest.fixture
def place(whole: Path, command: Command, tmp_path: Path) -> Path:
    """A copy of it to be spoiled, with files beside it that are nobody's business."""
    for name, copy in (("run", "run"), ("run", "other"), ("photos", "photos")):
        shutil.copytree(whole / name, tmp_path / copy)
    (tmp_path / "victim.txt").write_text("mine")
    (tmp_path / "evil.py").write_text(
        "open('executed', 'w').close()\n\ndef change(picture, draws):\n    return picture\n"
    )
    (tmp_path / "sample.csv").write_text("id,label\n" + "".join(f"{number:02d}.png,a\n" for number in range(14)))
    return tmp_path


@pytest.fixture
def in_time() -> Iterator[None]:
    """Let what hangs be an error."""

    def late(*_: object) -> None:
        raise AssertionError("it hangs")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(120)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def opened_by_all(command: Command, place: Path) -> dict[str, int]:
    """Run every command; nothing but clean ends, no word that steers a terminal, and nothing of the user's touched."""
    codes = {}
    for words in COMMANDS:
        said = command(*words)
        codes[" ".join(words[:2])] = max(said.returncode, codes.get(" ".join(words[:2]), 0))
        text = said.stdout + said.stderr
        assert said.returncode in (0, 2), f"{words}: {said.returncode} {text}"
        assert "Traceback" not in text, f"{words}: {text}"
        assert "\x1b]" not in text, f"{words} steers the terminal"
        assert (place / "victim.txt").read_text() == "mine", f"{words} wrote into a file of the user's"
        assert not (place / "executed").exists(), f"{words} ran a stranger's code"
    return codes


def edited(path: Path, change: Callable[[Any], None]) -> None:
    """Change a JSON file, and make the manifest fit."""
    value = json.loads(path.read_text())
    change(value)
    text = json.dumps(value)
    if path.parent.name == "run":
        path.unlink()
        write_recorded(path.parent, path.name, text)
    else:
        path.write_text(text)
        seal(path.parent)


def classes_that_steer(place: Path) -> None:
    names = [f"=cmd|' /C calc'!A0 {ESCAPE}", "b"]
    edited(place / "run" / "classifier" / "classifier.json", lambda value: value.update(classes=names))


def a_network_at_an_address(place: Path) -> None:
    def change(value: Any) -> None:
        value["backbone"]["timm_name"] = "hf-hub:stranger/network"

    edited(place / "run" / "classifier" / "classifier.json", change)


def code_and_paths_in_options(place: Path) -> None:
    def change(value: Any) -> None:
        value["options"] |= {"augment": f"{place}/evil.py:change", "weights": "/etc/passwd", "device": "cuda:99"}

    edited(place / "run" / "run.json", change)


def options_of_other_types(place: Path) -> None:
    edited(place / "run" / "run.json", lambda value: value["options"].update(sample={"a": [1]}, seed="many"))


def links_out_of_the_run(place: Path) -> None:
    run = place / "run"
    for name in (".lock.pid", "report.html", "report.ja.html"):
        (run / name).unlink(missing_ok=True)
        (run / name).symlink_to(place / "victim.txt")
    (run / "labels").symlink_to(place / "photos")


def pipes_for_files(place: Path) -> None:
    for path in list((place / "run" / "steps").iterdir()):
        path.unlink()
        os.mkfifo(path)
    for name in ("predictions/test.csv", "classifier/ood_detector.safetensors", "report/predictions.arrow"):
        (place / "run" / name).unlink()
        os.mkfifo(place / "run" / name)


def images_elsewhere(place: Path) -> None:
    from dataclasses import replace

    from goldenrule.data.table_file import table_content
    from goldenrule.runs.verified_files import run_images

    table = replace(run_images(place / "run"), root=Path("/proc/self"))
    write_recorded(place / "run", "images.arrow", table_content(table))


def nested_and_endless_json(place: Path) -> None:
    for name in ("result.json", "choice.json"):
        (place / "run" / name).unlink()
        write_recorded(place / "run", name, '{"schema_version":' + "[" * 200_000)
    (place / "run" / "classifier" / "classifier.json").write_text('{"schema_version": ' + "9" * 6_000 + "}")
    seal(place / "run" / "classifier")


def tables_of_nonsense(place: Path) -> None:
    for name in ("test", "valid", "out-of-fold"):
        text = "path,status,prediction,probability,p:a,p:b\n=1+1,ok,b,2,nan,inf\n" + ESCAPE + ",ok,a,-1,x,0\n"
        write_recorded(place / "run", f"predictions/{name}.csv", text)
    write_recorded(place / "run", "split.csv", "path,part,class,digest\n../../x,train,a,zz\n")


def a_report_that_runs(place: Path) -> None:
    def change(value: Any) -> None:
        value.update(
            title="<script>alert(1)</script>", penalty_path=[[0, 0]], candidates=[{"name": 1, "estimates": {}}]
        )

    edited(place / "run" / "report" / "content.json", change)


def unfinished_files_of_the_users(place: Path) -> None:
    for name in (".thesis.tmp", "steps/.thesis.old", ".goldenrule-thesis.tmp"):
        (place / "run" / name).write_text("mine")


EVIL = (
    classes_that_steer,
    a_network_at_an_address,
    code_and_paths_in_options,
    options_of_other_types,
    links_out_of_the_run,
    pipes_for_files,
    images_elsewhere,
    tables_of_nonsense,
    a_report_that_runs,
    unfinished_files_of_the_users,
    nested_and_endless_json,
)


@pytest.mark.parametrize("spoil", EVIL, ids=lambda one: one.__name__)
@pytest.mark.usefixtures("in_time")
def test_every_command_ends_well(command: Command, place: Path, spoil: Callable[[Path], None]) -> None:
    spoil(place)
    opened_by_all(command, place)
    for name in (".thesis.tmp", "steps/.thesis.old", ".goldenrule-thesis.tmp"):
        if spoil is unfinished_files_of_the_users:
            assert (place / "run" / name).read_text() == "mine"
    if spoil is classes_that_steer:
        rows = (place / "predicted.csv").read_text()
        assert ESCAPE not in rows or not any(line.startswith("=") for line in rows.split(","))
    if spoil is a_report_that_runs and (place / "page.html").exists():
        assert "<script>alert(1)" not in (place / "page.html").read_text()


@pytest.mark.usefixtures("in_time")
def test_all_of_it_in_one_run(command: Command, place: Path) -> None:
    for spoil in EVIL:
        if spoil is not images_elsewhere:  # which needs the list of images that another has spoiled
            spoil(place)
    codes = opened_by_all(command, place)
    assert codes["predict run"] == 2


@pytest.mark.usefixtures("in_time")
def test_an_honest_run_is_opened_by_every_command(command: Command, place: Path) -> None:
    codes = opened_by_all(command, place)
    refused = [name for name, code in codes.items() if code]
    assert refused == ["split --verify"], refused  # no folder that a split has made
