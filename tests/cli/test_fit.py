"""`goldenrule fit` as a process: its table, its plan, its lock, and Ctrl-C."""

from __future__ import annotations

import io
import json
import os
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from goldenrule.cli.fit import scores_table, show
from goldenrule.cli.fit_summary import summary
from goldenrule.data.sources.origin import origin_line
from goldenrule.metrics import log_loss, value_and_interval
from goldenrule.pipelines.result_files import next_steps, report_content
from goldenrule.runs.image_source import name_of

Command = Callable[..., subprocess.CompletedProcess[str]]
Start = Callable[..., subprocess.Popen[str]]


def everything_below(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def folders_below(folder: Path) -> list[str]:
    return sorted(str(path) for path in folder.rglob("*") if path.is_dir())


def test_a_fit_prints_its_numbers_and_what_to_do_next(command: Command, small_photos: Path, tmp_path: Path) -> None:
    found = command("fit", "--quick", small_photos)
    assert found.returncode == 0, found.stderr
    run = tmp_path / "runs" / "dogscats"
    result = json.loads((run / "result.json").read_text())
    for split, number in (("test", 12), ("validation", 16), ("cross-validated", 40)):
        (line,) = [line for line in found.stdout.splitlines() if line.startswith(f"  {split} ")]
        assert f" {number} images, " in line
        assert "[" in line  # never without its interval
        assert ("used for selection" if split == "cross-validated" else "held out") in line
    assert "  Report   runs/dogscats/report.html" in found.stdout
    assert "  Predict  goldenrule predict runs/dogscats NEW_PHOTOS" in found.stdout
    assert "  Better?  goldenrule fit " in found.stdout
    assert len(found.stdout.splitlines()) <= 12
    again = command("fit", "--quick", small_photos, "-v")
    assert f"{result['features']['computed']} reused" in again.stdout, "everything in words"
    assert "Prediction sets target 95 % coverage" in again.stdout
    assert (run / "report.html").is_file()
    assert not list(tmp_path.glob("runs/.*"))


def test_metrics_that_were_asked_for_are_printed_with_their_intervals(
    fitted: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = replace(fitted, options=replace(fitted.options, metrics=("roc_auc", "balanced_accuracy")))
    show(asked)
    printed = capsys.readouterr().out
    for name, of_split in asked.metrics.items():
        stated = f"test {value_and_interval(of_split['test'])}, validation {value_and_interval(of_split['valid'])}"
        assert f"  {name}: {stated}" in printed


@pytest.mark.slow
def test_long_paths_are_not_broken_where_they_could_not_be_copied(
    command: Command, small_photos: Path, tmp_path: Path
) -> None:
    deep = tmp_path / ("a folder of a long name " * 4).strip() / "run"
    found = command("fit", "--quick", small_photos, "--views", "0", "--out", deep, env={"COLUMNS": "60"})
    assert found.returncode == 0, found.stderr
    assert str(deep / "report.html") in found.stdout
    refused = command("fit", "--quick", small_photos, "--views", "1", "--out", deep, env={"COLUMNS": "60"})
    assert str(deep) in refused.stderr


def test_no_number_is_cut_off_in_a_narrow_terminal(fitted: Any) -> None:
    wide = Console(width=300).measure(scores_table(fitted)).maximum
    console = Console(width=wide - 1, record=True, file=io.StringIO())
    show(fitted, console, verbose=True)
    table, _, _ = console.export_text().partition("Prediction sets")
    assert "…" not in table
    for said in fitted.scored.values():
        for number in (fitted.quality(said), log_loss(said)):
            assert all(split in table for split in value_and_interval(number).replace(" [", "\n[").split("\n"))


def test_in_python_an_answer_is_one_line(fitted: Any) -> None:
    assert repr(fitted) == f"FitResult({fitted.folder}: {fitted.chosen}, test, {fitted.headline})"


def test_a_folder_with_a_space_can_be_copied_from_what_comes_next(fitted: Any) -> None:
    steps = next_steps(replace(fitted, folder=Path("runs/my photos")))
    assert {shlex.split(step)[2] for step in steps} == {"runs/my photos"}


def test_commands_name_the_run_where_it_lies_and_in_a_page_that_may_be_shared_without_the_path(fitted: Any) -> None:
    elsewhere = replace(fitted, folder=Path("/somewhere/my run"))
    assert {shlex.split(step)[2] for step in next_steps(elsewhere)} == {"/somewhere/my run"}
    assert {shlex.split(step)[2] for step in next_steps(elsewhere, shared=True)} == {"my run"}


def test_labels_may_stand_in_a_table(command: Command, small_photos: Path, tmp_path: Path) -> None:
    (tmp_path / "flat").mkdir()
    lines = ["number,animal", "nowhere,cats"]
    for number, file in enumerate(sorted(small_photos.glob("train/*/*.jpg"))):
        shutil.copy(file, tmp_path / "flat" / f"{number}.jpg")
        lines.append(f"{number},{file.parent.name}")
    (tmp_path / "table.csv").write_text("\n".join(lines))
    options = ("--quick", "--views", "0", "--csv", "table.csv", "--id", "number", "--label", "animal")
    found = command("fit", "flat", *options)
    assert found.returncode == 0, found.stderr
    result = json.loads((tmp_path / "runs/flat/result.json").read_text())
    assert "images-missing" in {finding["code"] for finding in result["findings"]}
    split = (tmp_path / "runs/flat/split.csv").read_text()
    assert split.count(",cats,") == split.count(",dogs,") == 20
    refused = command("fit", "flat", "--label", "animal")
    assert refused.returncode == 2
    assert "give --csv FILE too" in refused.stderr


def test_the_plan_writes_nothing(command: Command, small_photos: Path, tmp_path: Path) -> None:
    before, folders = everything_below(tmp_path), folders_below(tmp_path)
    found = command("fit", "--quick", small_photos, "--plan")
    assert found.returncode == 0, found.stderr
    assert "precompute 68 plain views" in found.stdout
    assert "if the plain head is taken and leaves room" in found.stdout
    assert everything_below(tmp_path) == before
    assert folders_below(tmp_path) == folders


@pytest.mark.parametrize(
    ("minutes", "said"), [("1e-9", "probably be no time to read 68 images"), ("999", "is probably time for all of it")]
)
def test_the_plan_says_what_the_minutes_are_too_short_for(
    command: Command, small_photos: Path, minutes: str, said: str
) -> None:
    found = command("fit", small_photos, "--plan", "--minutes", minutes)
    assert found.returncode == 0, found.stderr
    assert f"Within {float(minutes):g} minutes there {'would ' * ('no time' in said)}{said}" in found.stdout


def test_the_plan_refuses_the_folders_that_the_fit_refuses(
    command: Command, small_photos: Path, tmp_path: Path
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    planned = command("fit", small_photos, "--plan", "--out", "mine")
    fitted = command("fit", small_photos, "--quick", "--out", "mine")
    assert planned.returncode == fitted.returncode == 2
    assert "mine holds something else (thesis.txt)" in planned.stderr
    assert "mine holds something else (thesis.txt)" in fitted.stderr


def test_the_plan_says_what_a_run_has_of_it_already(command: Command, small_photos: Path) -> None:
    def plan(*options: str) -> str:
        found = command("fit", small_photos, "--views", "0", "--plan", *options)
        assert found.returncode == 0, found.stderr
        return found.stdout

    run = Path("runs") / small_photos.name
    assert str(run) not in plan()
    assert command("fit", small_photos, "--views", "0", "--quick").returncode == 0
    assert f"{run} has the linear head already" in plan()
    assert f"{run} has this fit: " in plan("--quick")
    assert str(run) not in plan("--seed", "5")
    assert "other has" not in plan("--out", "other")


def test_a_fit_counts_no_file_that_can_not_be_read(
    command: Command, picture_folder: Callable[..., Path], tmp_path: Path
) -> None:
    root = picture_folder(each=10)
    label = next(path for path in root.iterdir() if path.is_dir())
    (label / "empty.png").write_bytes(b"")
    (label / "broken.png").write_bytes(b"no picture")
    images = len(list(root.glob("*/*.png"))) - 2
    found = command("fit", "--quick", root, "--views", "0", "--json", "numbers.json")
    assert found.returncode == 0, found.stderr
    assert f"{root.name}   {images} images, " in found.stdout
    numbers = json.loads((tmp_path / "numbers.json").read_text())
    assert sum(sum(of_class.values()) for of_class in numbers["counts"].values()) == images
    assert command("runs", "--json", "list.json").returncode == 0
    assert json.loads((tmp_path / "list.json").read_text())["runs"][0]["images"] == images
    assert command("explain", f"runs/{root.name}", root, "--no-heat").returncode == 0
    train = sum(numbers["counts"]["train"].values())
    assert f"those of {train} training images" in (tmp_path / f"explained/{root.name}/explained.html").read_text()


def test_a_fit_that_was_done_before_says_how_long_it_took_now(fitted: Any) -> None:
    again, first = (str(next(iter(summary(replace(fitted, seconds=seconds))))) for seconds in (0.0, 3600.0))
    assert " the first time, " in again
    assert " the first time, " not in first


def test_images_with_nothing_but_the_root_in_common_are_called_images_everywhere(fitted: Any) -> None:
    scattered = replace(fitted, table=replace(fitted.table, root=Path("/")))
    assert str(next(iter(summary(scattered)))).startswith("images   ")
    assert report_content(scattered).title == "images"
    assert origin_line(scattered.table).startswith("images: ")
    assert name_of(Path("/")) == "images"


def test_a_second_process_is_told_who_writes_and_gets_exit_code_2(
    command: Command, start: Start, small_photos: Path, tmp_path: Path
) -> None:
    code = """
import sys
from pathlib import Path
from goldenrule.runs.store import opened
with opened(Path("runs/dogscats")):
    print("held", flush=True)
    sys.stdin.readline()
"""
    holder = start("-c", code, stdin=subprocess.PIPE)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    refused = command("fit", "--quick", small_photos, "--views", "0")
    assert refused.returncode == 2
    assert f"process {holder.pid}" in refused.stderr
    assert "--out" in refused.stderr


def test_ctrl_c_says_how_to_go_on_and_going_on_works(
    command: Command, start: Start, photos: Callable[[str], Path], cache: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "many"
    for label in ("cats", "dogs"):
        (folder / label).mkdir(parents=True)
        for file in sorted((photos("dogscats") / "train" / label).iterdir())[:150]:
            shutil.copy(file, folder / label)
    process = start("-m", "goldenrule", "fit", "--quick", folder, "--views", "0", start_new_session=True)
    end = time.monotonic() + 60
    while not (tmp_path / "runs" / "many" / "run.json").exists():
        assert time.monotonic() < end
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGINT)  # at once: on a quiet machine the rest takes a part of a second
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "same command again" in err
    assert "Traceback" not in out + err
    assert not (tmp_path / "runs" / "many" / "result.json").exists()
    kept = len(list((cache / "banks").glob("*/*.arrow")))
    again = command("fit", "--quick", folder, "--views", "0")
    assert again.returncode == 0, again.stderr
    rows = json.loads((tmp_path / "runs" / "many" / "result.json").read_text())["features"]
    assert rows["computed"] + rows["reused"] == 300
    assert (rows["reused"] > 0) == (kept > 0)


SAYS_WHEN_IT_BEGINS = """
from goldenrule.cli import main

def app(command=main.app, **options):
    print("begun", flush=True)
    command(**options)

main.app = app
main.run()
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    "delay", [0.0, 1.0, *(pytest.param(delay, marks=pytest.mark.exhaustive) for delay in (0.5, 2.0))]
)  # after the start of the command: earlier, Python itself may still be starting
def test_ctrl_c_at_any_moment_is_no_traceback(
    start: Start, cache: Path, photos: Callable[[str], Path], delay: float
) -> None:
    arguments = ("fit", "--quick", photos("dogscats"), "--views", "0")
    process = start("-c", SAYS_WHEN_IT_BEGINS, *arguments, start_new_session=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n"
    time.sleep(delay)
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in err
    assert "same command again" in err


def test_the_whole_golden_rule_tells_its_steps(command: Command, small_photos: Path, tmp_path: Path) -> None:
    found = command("fit", small_photos, "--sample", "4", "--out", "run", "--views", "0", "-v")
    assert found.returncode == 0, found.stderr
    assert "It is saved; Ctrl-C keeps it." in found.stdout
    for stage in ("head, precomputed", "head, live", "whole network"):
        assert stage in found.stderr
    assert "train loss" in found.stderr
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert [stage["name"] for stage in result["stages"]].count("train the whole network") == 1
    assert {"trained head", "whole network"} <= {candidate["name"] for candidate in result["candidates"]}
    for candidate in result["candidates"][1:]:
        assert candidate["comparison"].rstrip(".") in found.stdout.replace("\n", " ")
    again = command("fit", small_photos, "--sample", "4", "--out", "run", "--views", "0")
    assert again.returncode == 0, again.stderr
    assert "train loss" not in again.stderr, "a line for each stage, not for each epoch"
    stages = [line for line in again.stderr.splitlines() if line.startswith("  ") and " -> " in line]
    _, on_roots, *later = (one["name"] for one in result["candidates"])
    assert on_roots == "square-root head"
    assert [line.split(":")[0].strip() for line in stages] == later
    for line in stages:
        assert line.endswith(", selected") or " % of resamples where 90 % are needed" in line or "to matter" in line
    assert len(again.stdout.splitlines()) <= 13
    assert json.loads((tmp_path / "run" / "result.json").read_text())["live"] == result["live"]
