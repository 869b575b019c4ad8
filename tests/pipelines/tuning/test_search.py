"""A search on real photos: it goes on where it was killed, tells ties as ties, and never opens the test split."""

from __future__ import annotations

import csv
import importlib
import json
import shlex
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from goldenrule.core.errors import FormatError, MissingExtra, OptionError, RunInUse, RunMismatch
from goldenrule.data.table import ImageTable
from goldenrule.metrics import log_loss
from goldenrule.pipelines.tuning import search_space
from goldenrule.pipelines.tuning.search import search
from goldenrule.pipelines.tuning.search_report import code, headline, next_steps, sentences
from goldenrule.pipelines.tuning.search_trials import Trials
from goldenrule.runs.options import FitOptions
from goldenrule.runs.store import opened
from goldenrule.runs.verified_files import known_split

TRIALS = 7
SMALL = {"HEADS": ("fitted", "linear"), "AUGMENTATIONS": ("none",), "EPOCHS": (4, 8)}
SEARCHES = f"""
from goldenrule.pipelines.tuning import search_space
for name, value in {SMALL!r}.items():
    setattr(search_space, name, value)
from goldenrule.cli.main import run
run()
"""


def rows_of(folder: Path) -> list[dict[str, str]]:
    with (folder / "tune.csv").open(newline="") as file:
        return [{name: value for name, value in row.items() if name != "seconds"} for row in csv.DictReader(file)]


@pytest.fixture(scope="module")
def small_space() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in SMALL.items():
            patch.setattr(search_space, name, value)
        yield


@pytest.fixture(scope="module")
def world(small_photos: Path, prepared_cache: Path, small_space: None, tmp_path_factory: Any) -> Iterator[Path]:
    """A folder with a cache of its own, which holds when a search was done in it."""
    folder = tmp_path_factory.mktemp("search")
    shutil.copytree(prepared_cache, folder / "cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GOLDENRULE_CACHE", str(folder / "cache"))
        yield folder


@pytest.fixture(scope="module")
def unbroken(small_photos: Path, world: Path) -> Any:
    """A search that nothing has interrupted; not a byte of the test split was read for it."""
    read: list[str] = []
    original = ImageTable.read
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ImageTable, "read", lambda table, uri: (read.append(uri), original(table, uri))[1])
        found = search(small_photos, trials=TRIALS, options=FitOptions(threads=1), out=world / "unbroken")
    assert {uri.split("/")[0] for uri in read} == {"train", "valid"}
    return found


def test_the_first_trial_is_the_default_head_and_all_are_written_down(unbroken: Any) -> None:
    rows = rows_of(unbroken.folder)
    assert len({int(row["trial"]) for row in rows}) == len(rows) == TRIALS
    assert len({tuple(row.items())[6:] for row in rows}) == TRIALS  # nothing is tried twice
    assert rows[0]["head"] == "fitted"
    assert float(rows[0]["log_loss"]) == pytest.approx(unbroken.default_log_loss.value, abs=1e-9)
    assert float(min(row["log_loss"] or "9" for row in rows)) == pytest.approx(unbroken.best_log_loss.value, abs=1e-9)
    written = json.loads((unbroken.folder / "tune.json").read_text())
    assert written["best"]["log_loss"]["n"] == 16
    assert written["best"]["log_loss"]["basis"] == "used for selection"
    for name in ("tune.html", "trials.svg", "tune.sqlite3"):
        assert (unbroken.folder / name).stat().st_size > 1000
    assert "://" not in (unbroken.folder / "tune.html").read_text().replace("http://www.w3.org", "")


def test_sixteen_easy_images_are_a_tie_and_told_as_one(unbroken: Any) -> None:
    assert not unbroken.replaced
    assert "tied with" in headline(unbroken) or "None of" in headline(unbroken)
    assert "Keep the default" in next_steps(unbroken)[0]
    assert "16 validation images" in sentences(unbroken)[0]


def test_the_command_that_goes_on_is_the_one_of_this_search(
    small_photos: Path, world: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With its seed and its folder: else it would begin anew elsewhere, or be refused."""
    from goldenrule.cli.main import app

    options = FitOptions(threads=1, seed=3, sample=10)
    found = search(small_photos, trials=1, options=options, out=world / "my search")
    command = shlex.split(next_steps(found)[-1].rpartition(": ")[2])
    assert command[:2] == ["goldenrule", "tune"]
    monkeypatch.chdir(world)
    assert CliRunner().invoke(app, [*command[1:], "--threads", "1"]).exit_code == 0
    assert len(rows_of(found.folder)) == 2
    assert not (world / "runs" / f"{small_photos.name}-tune").exists()


@pytest.mark.exhaustive
def test_a_search_killed_in_the_middle_ends_with_the_trials_of_an_unbroken_one(
    unbroken: Any, start: Callable[..., subprocess.Popen[str]], small_photos: Path, world: Path
) -> None:
    run = world / "killed"
    process = start("-c", SEARCHES, "tune", small_photos, "--trials", TRIALS, "--threads", 1, "--out", run)
    while process.poll() is None and finished_trials(run / "tune.sqlite3") < 2:
        time.sleep(0.01)
    process.kill()
    process.communicate()
    before = finished_trials(run / "tune.sqlite3")
    assert 2 <= before < TRIALS, "killed too late to tell"
    said = Said()
    search(small_photos, trials=TRIALS, options=FitOptions(threads=1), out=run, progress=said)
    assert f"{before} trials (cache) were done before: {TRIALS - before} are left." in said.lines
    assert rows_of(run) == rows_of(unbroken.folder)
    again = search(small_photos, trials=TRIALS, options=FitOptions(threads=1), out=run)
    assert rows_of(run) == rows_of(unbroken.folder)
    assert again.best.drawn == unbroken.best.drawn


def finished_trials(file: Path) -> int:
    try:
        connection = sqlite3.connect(f"file:{file}?mode=ro", uri=True)
    except sqlite3.OperationalError:
        return 0
    try:
        (count,) = connection.execute("select count(*) from trials where state in ('COMPLETE', 'PRUNED')").fetchone()
        return int(count)
    except sqlite3.OperationalError:  # not yet made
        return 0
    finally:
        connection.close()


class Said:
    """Progress that keeps what was said."""

    def __init__(self) -> None:
        from goldenrule.core.progress import Silent

        self.lines: list[str] = []
        self.task, self.picture, self.expect = Silent().task, Silent().picture, Silent().expect

    def say(self, message: str) -> None:
        self.lines.append(message)

    detail = say


def test_another_story_in_the_folder_and_a_second_writer_are_refused(unbroken: Any, small_photos: Path) -> None:
    with pytest.raises(RunMismatch, match="--seed 0 instead of --seed 1"):
        search(small_photos, options=FitOptions(seed=1, threads=1), out=unbroken.folder)
    with opened(unbroken.folder), pytest.raises(RunInUse, match="process"):
        search(small_photos, options=FitOptions(threads=1), out=unbroken.folder)
    with pytest.raises(OptionError, match="at least 1"):
        search(small_photos, trials=0)


def test_the_code_it_gives_trains_the_very_head_of_the_trial(unbroken: Any, world: Path) -> None:
    trained = [one for one in unbroken.trials["cache"] if one.drawn["head"] == "linear" and one.log_loss is not None]
    given = code(replace(unbroken, best=trained[-1])).replace("'my-classifier'", repr(str(world / "made")))
    names: dict[str, Any] = {}
    exec(given, names)
    assert log_loss(names["learn"].evaluate()).value == pytest.approx(trained[-1].log_loss, rel=0.02, abs=1e-4)


def test_the_parts_are_those_that_a_fit_draws_and_no_trial_sees_the_test_part(
    world: Path, small_photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from goldenrule.pipelines.prepare import prepared_fit

    photos = Path(shutil.copytree(small_photos / "train", world / "mine"))
    seen: list[set[str | None]] = []
    original = Trials.evaluated

    def watched(bench: Trials, *rest: Any) -> Any:
        seen.append({*bench.context.table.splits})
        return original(bench, *rest)

    monkeypatch.setattr(Trials, "evaluated", watched)
    found = search(photos, trials=1, options=FitOptions(threads=1), runs=world / "runs")
    assert found.folder == world / "runs" / "mine-tune"
    assert seen
    assert all(splits == {"train", "valid"} for splits in seen)
    with prepared_fit(photos, options=FitOptions(threads=1), runs=world / "runs"):
        pass
    assert known_split(world / "runs" / "mine") == known_split(found.folder)


def test_a_file_that_is_no_search_is_named(world: Path, unbroken: Any, small_photos: Path) -> None:
    folder = Path(shutil.copytree(unbroken.folder, world / "damaged"))
    (folder / "tune.sqlite3").write_bytes(b"no database" * 100)
    with pytest.raises(FormatError, match=r"tune\.sqlite3 can't be read"):
        search(small_photos, trials=TRIALS, options=FitOptions(threads=1), out=folder)


def test_without_optuna_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    monkeypatch.delitem(sys.modules, "goldenrule.pipelines.tuning.search_study")
    with pytest.raises(MissingExtra, match=r"goldenrule\[tune\]"):
        importlib.import_module("goldenrule.pipelines.tuning.search_study")


@pytest.mark.slow
def test_live_trials_are_added_to_a_search_and_begin_with_the_default_head(
    world: Path, small_photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search_space, "AUGMENTATIONS", ("none", "side_on"))
    found = search(small_photos, trials=1, live=True, options=FitOptions(threads=1), out=world / "live")
    (trial,) = found.trials["live"]
    assert trial.drawn == search_space.FIRST_LIVE
    assert trial.log_loss is not None
    assert "learn.load" in code(replace(found, best=trial))
    names: dict[str, Any] = {}
    exec(code(replace(found, best=trial)).replace("'my-classifier'", repr(str(world / "made live"))), names)
    assert log_loss(names["learn"].evaluate()).value == pytest.approx(trial.log_loss, rel=1e-3, abs=1e-5)
