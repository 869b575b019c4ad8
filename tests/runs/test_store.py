"""The folder of a run: its lock, its split, what it replays and what it refuses (laws 7 and 11)."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from goldenrule.core.errors import FormatError, RunError, RunInUse, RunMismatch
from goldenrule.data.pictures.file_digests import with_digests
from goldenrule.data.sources.folders import from_folder
from goldenrule.data.splits.splitting import with_split
from goldenrule.data.table import ImageTable
from goldenrule.runs.store import Outcome, Run, about_images, check_same, differences, opened
from goldenrule.runs.verified_files import drew_split, known_split

KEY = {"step": "fit head", "seed": 0}
OPTIONS = {"seed": 0, "backbone": "efficientnet_lite0", "min_per_class": None}


def outcome(value: float = 1.5) -> Outcome:
    tensors = {"weight": np.full((2, 3), value, np.float32), "fold": np.arange(4)}
    return Outcome(tensors, {"l2": 0.1, "path": [[0.1, 0.5]]})


def same(one: Outcome, other: Outcome) -> bool:
    return one.facts == other.facts and all(
        one.tensors[name].dtype == value.dtype and one.tensors[name].tobytes() == value.tobytes()
        for name, value in other.tensors.items()
    )


def not_again() -> Outcome:
    raise AssertionError("computed a second time")


def test_a_finished_step_is_replayed_to_the_last_bit(tmp_path: Path) -> None:
    first, replayed = Run(tmp_path).step(KEY, outcome)
    assert not replayed
    again, replayed = Run(tmp_path).step(dict(reversed(KEY.items())), not_again)
    assert replayed
    assert same(again, first)


def test_another_key_is_another_step(tmp_path: Path) -> None:
    Run(tmp_path).step(KEY, outcome)
    other, replayed = Run(tmp_path).step(KEY | {"seed": 1}, lambda: outcome(2.5))
    assert not replayed
    assert other.tensors["weight"][0, 0] == 2.5
    assert Run(tmp_path).step(KEY, not_again)[0].tensors["weight"][0, 0] == 1.5


@pytest.mark.parametrize("damage", ["truncated", "empty", "text", "no facts", "flipped length", "flipped bit"])
def test_a_damaged_story_file_is_computed_again(tmp_path: Path, damage: str) -> None:
    from safetensors.numpy import save

    Run(tmp_path).step(KEY, outcome)
    (file,) = (tmp_path / "steps").iterdir()
    content = file.read_bytes()
    file.write_bytes(
        {
            "truncated": content[:-5],
            "empty": b"",
            "text": b"something else",
            "no facts": save(outcome().tensors),
            "flipped bit": content[:-3] + bytes([content[-3] ^ 8]) + content[-2:],
            "flipped length": bytes([content[0] ^ 0xFF]) + content[1:],
        }[damage]
    )
    again, replayed = Run(tmp_path).step(KEY, outcome)
    assert not replayed
    assert same(again, outcome())
    assert Run(tmp_path).step(KEY, not_again)[1]


def test_the_outcome_of_another_step_is_not_taken_for_it(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.step(KEY, outcome)
    run.step(KEY | {"seed": 1}, lambda: outcome(2.5))
    one, other = (tmp_path / "steps").iterdir()
    content = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(content)
    assert not run.step(KEY, outcome)[1]


def test_a_run_is_not_scattered_among_other_files(tmp_path: Path) -> None:
    for name in ("notes.txt", "steps", "report.html"):
        folder = tmp_path / name.partition(".")[0]
        (folder / name).parent.mkdir()
        (folder / name).write_text("mine")
        with pytest.raises(RunError, match="holds something else"), opened(folder):
            pass
        assert [path.name for path in folder.iterdir()] == [name]


def test_a_folder_that_is_empty_but_for_what_is_hidden_becomes_a_run(tmp_path: Path) -> None:
    (tmp_path / ".DS_Store").write_text("of a file manager")
    with opened(tmp_path) as run:
        run.step(KEY, outcome)
    with opened(tmp_path) as run:  # killed before it had written run.json
        assert run.step(KEY, not_again)[1]


def test_a_step_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    def failing() -> Outcome:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Run(tmp_path).step(KEY, failing)
    assert not list(tmp_path.rglob("*.*"))


HOLD = """
import sys
from pathlib import Path
from goldenrule.runs.store import opened
with opened(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.readline()
"""


def test_a_second_process_is_told_the_pid_of_the_first(start: Callable[..., Any], tmp_path: Path) -> None:
    holder = start("-c", HOLD, tmp_path / "run", stdin=subprocess.PIPE)
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(RunInUse, match=rf"process {holder.pid}\b.*another --out"), opened(tmp_path / "run"):
        pass
    holder.communicate("\n", timeout=30)
    with opened(tmp_path / "run") as run:
        assert run.folder == tmp_path / "run"


def test_what_a_writer_left_that_was_killed_before_run_json_goes(tmp_path: Path) -> None:
    (run := tmp_path / "run").mkdir()
    left = run / ".goldenrule-c727459a1af9d52e.tmp"
    left.write_bytes(b"half a tab")
    with opened(run):
        assert not left.exists()


def test_a_killed_process_leaves_no_lock_behind(start: Callable[..., Any], tmp_path: Path) -> None:
    holder = start("-c", HOLD, tmp_path / "run", stdin=subprocess.PIPE)
    assert holder.stdout.readline() == "held\n"
    holder.kill()
    holder.wait()
    with opened(tmp_path / "run"):
        pass


def test_the_lock_is_given_back_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="mine"), opened(tmp_path):
        raise ValueError("mine")
    with opened(tmp_path):
        pass


@pytest.fixture
def folder(picture_folder: Callable[..., Path]) -> Path:
    return picture_folder(each=10)


def read(folder: Path) -> ImageTable:
    return with_split(with_digests(from_folder(folder)))


def about(table: ImageTable, **options: object) -> dict[str, Any]:
    return {
        "images": about_images(with_digests(from_folder(table.root))),
        "options": OPTIONS | options,
        "split": "drawn",
        "quick": False,
    }


@pytest.fixture
def begun_run(folder: Path, tmp_path: Path) -> Path:
    table = read(folder)
    run = tmp_path / "run"
    Run(run).begin(about(table), table)
    return run


def test_the_same_story_has_no_differences(begun_run: Path, folder: Path) -> None:
    table = read(folder)
    assert differences(begun_run, about(table), table) == ""
    check_same(begun_run, about(table), table)


def test_a_free_folder_has_no_differences(folder: Path, tmp_path: Path) -> None:
    table = read(folder)
    assert differences(tmp_path / "free", about(table), table) == ""


def test_changed_options_are_named_as_the_command_line_names_them(begun_run: Path, folder: Path) -> None:
    table = read(folder)
    with pytest.raises(RunMismatch, match="another --out") as error:
        check_same(begun_run, about(table, seed=3, min_per_class=1), table)
    assert "--seed 0 instead of --seed 3" in str(error.value)
    assert "no --min-per-class instead of --min-per-class 1" in str(error.value)
    assert "backbone" not in str(error.value)


def test_added_removed_and_changed_images_are_counted(begun_run: Path, folder: Path) -> None:
    (folder / "blue" / "00.png").rename(folder / "blue" / "new.png")
    (folder / "red" / "01.png").unlink()
    (folder / "red" / "02.png").write_bytes((folder / "red" / "02.png").read_bytes() + b"\0")
    table = read(folder)
    sentence = differences(begun_run, about(table), table)
    assert sentence == "other images (1 added, 2 removed, 1 changed)"


def test_an_image_in_another_class_is_a_difference(begun_run: Path, folder: Path) -> None:
    (folder / "blue" / "00.png").rename(folder / "red" / "blue 00.png")
    table = read(folder)
    assert differences(begun_run, about(table), table) == "other images (1 added, 1 removed)"


def test_another_folder_is_named(begun_run: Path, picture_folder: Callable[..., Path]) -> None:
    other = picture_folder("others", each=4, seed=1)
    table = read(other)
    sentence = differences(begun_run, about(table), table)
    assert "pictures, 20, instead of " in sentence
    assert sentence.endswith("others, 8)")


def test_a_story_of_a_newer_version_is_refused(begun_run: Path, folder: Path) -> None:
    value = json.loads((begun_run / "run.json").read_text())
    Run(begun_run).write_json("run.json", value | {"schema_version": 99})
    table = read(folder)
    with pytest.raises(FormatError, match=r"99.*Update goldenrule"):
        check_same(begun_run, about(table), table)


def test_the_split_is_read_back_by_the_content_of_the_images(begun_run: Path, folder: Path) -> None:
    table = read(folder)
    wanted = dict(zip(table.digests, table.splits, strict=True))
    assert known_split(begun_run) == wanted
    assert known_split(begun_run.parent / "nothing") == {}


def test_parts_that_were_given_are_those_of_their_story_alone(begun_run: Path, folder: Path) -> None:
    table = read(folder)
    given = begun_run.with_name("given")
    Run(given).begin(about(table) | {"split": "given"}, table)
    assert known_split(given) == {}
    assert not drew_split(given)
    assert not drew_split(begun_run.parent / "nothing")
    assert drew_split(begun_run)


def test_begin_never_changes_what_was_written_down(begun_run: Path, folder: Path) -> None:
    before = {path.name: path.read_bytes() for path in begun_run.iterdir()}
    (folder / "blue" / "00.png").unlink()
    table = read(folder)
    Run(begun_run).begin(about(table, seed=9), table)
    assert {path.name: path.read_bytes() for path in begun_run.iterdir()} == before


@pytest.mark.parametrize("added", [1, 7, 40])
def test_images_keep_their_parts_when_others_are_added(
    begun_run: Path, folder: Path, picture_folder: Callable[..., Path], added: int
) -> None:
    before = known_split(begun_run)
    more = picture_folder("more", each=added, seed=5)
    for label in ("blue", "red"):
        for file in (more / label).iterdir():
            file.rename(folder / label / f"added {file.name}")
    table = with_split(with_digests(from_folder(folder)), before=before)
    after = dict(zip(table.digests, table.splits, strict=True))
    assert {digest: after[digest] for digest in before} == before
    assert {"train", "valid", "test"} == set(after.values())
