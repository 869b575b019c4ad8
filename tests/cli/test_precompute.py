"""`goldenrule precompute`: every row that a later fit asks for, computed once, whatever stops it."""

from __future__ import annotations

import json
import re
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Command = Callable[..., subprocess.CompletedProcess[str]]
KILLED_AT_A_SYNC = """
import os, signal, sys
from goldenrule.features import cache
from goldenrule.storage import files

cache.CHUNK_ROWS = 4
last, calls, sync = int(sys.argv.pop(1)), [], files._sync

def killing(path):
    calls.append(path)
    if len(calls) == last:
        os.kill(os.getpid(), signal.SIGKILL)
    sync(path)

files._sync = killing
from goldenrule.__main__ import main
main()
"""


def counts(done: subprocess.CompletedProcess[str]) -> tuple[int, ...]:
    """Return images, rows computed, rows reused and unreadable images, as the last line says."""
    assert done.returncode == 0, done.stderr
    found = re.search(r"([\d,]+) images?: (\d+) rows? computed, (\d+) reused, (\d+) images? unreadable", done.stdout)
    assert found, done.stdout
    return tuple(int(number) for number in found.groups())


def rows_of(fitted: subprocess.CompletedProcess[str]) -> tuple[int, int]:
    """Return how many rows a fit computed, and how many it found."""
    assert fitted.returncode == 0, fitted.stderr
    found = re.search(r"Features: (\d+) computed, (\d+) reused", fitted.stdout)
    assert found, fitted.stdout
    return int(found[1]), int(found[2])


def test_a_fit_afterwards_computes_no_row(command: Command, picture_folder: Callable[..., Path]) -> None:
    assert counts(command("precompute", picture_folder())) == (24, 24, 0, 0)
    assert rows_of(command("fit", "pictures", "--quick", "--views", "0", "-v")) == (0, 24)


def test_with_views_a_fit_with_as_many_computes_no_row(command: Command, picture_folder: Callable[..., Path]) -> None:
    assert counts(command("precompute", picture_folder(), "--views", "2")) == (24, 72, 0, 0)
    computed, reused = rows_of(command("fit", "pictures", "--quick", "--views", "2", "-v"))
    assert computed == 0
    assert 24 < reused <= 72, "the views of those that train"


def test_the_second_call_reuses_all_and_a_new_image_is_one_row(
    command: Command, picture_folder: Callable[..., Path]
) -> None:
    folder = picture_folder(each=5)
    command("precompute", folder)
    assert counts(command("precompute", folder)) == (10, 0, 10, 0)
    (folder / "red" / "copy.png").write_bytes((folder / "red" / "00.png").read_bytes())
    (folder / "red" / "new.png").write_bytes((folder / "blue" / "00.png").read_bytes() + b"\0")
    assert counts(command("precompute", folder)) == (12, 1, 10, 0)


def test_what_can_t_be_read_is_counted_and_stops_nothing(
    command: Command, picture_folder: Callable[..., Path], tmp_path: Path
) -> None:
    folder = picture_folder(each=5)
    (folder / "red" / "text.png").write_text("no picture")
    whole = (folder / "red" / "00.png").read_bytes()
    (folder / "red" / "half.png").write_bytes(whole[: len(whole) // 2])
    done = command("precompute", folder, "--json", "numbers.json")
    assert counts(done) == (12, 10, 0, 2)
    assert sorted(json.loads((tmp_path / "numbers.json").read_text())["unreadable"]) == ["red/half.png", "red/text.png"]


@pytest.mark.parametrize("sync", [2, *(pytest.param(one, marks=pytest.mark.exhaustive) for one in (5, 12)), 9])
def test_killed_at_any_moment_it_goes_on_behind_the_chunks_that_are_whole(
    sync: int, start: Callable[..., subprocess.Popen[str]], command: Command, picture_folder: Callable[..., Path]
) -> None:
    folder = picture_folder()
    killed = start("-c", KILLED_AT_A_SYNC, sync, "precompute", folder)
    killed.communicate(timeout=120)
    assert killed.returncode == -signal.SIGKILL
    images, computed, reused, _ = counts(command("precompute", folder))
    assert (images, computed + reused) == (24, 24)
    assert computed > 0
    assert sync < 9 or reused > 0, "chunks of four rows were whole"
    assert counts(command("precompute", folder)) == (24, 0, 24, 0)


def test_options_without_an_effect_are_refused(command: Command, picture_folder: Callable[..., Path]) -> None:
    folder = picture_folder(each=3)
    for words in (["--augment", "top_down"], ["--views", "2", "--augment", "none"], ["--views", "65"]):
        done = command("precompute", folder, *words)
        assert done.returncode == 2, words
        assert words[-2] in done.stderr or words[0] in done.stderr
        assert "Traceback" not in done.stderr
