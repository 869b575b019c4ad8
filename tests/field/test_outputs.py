"""Nothing of the user's is overwritten or deleted, and nothing is written but where it was named."""

from __future__ import annotations

import ast
import csv
import gzip
import io
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goldenrule.core.cells import BETWEEN, from_cell, joined, separated, to_cell
from goldenrule.core.errors import OptionError, RunError, StorageError
from goldenrule.deploy.submission import submit
from goldenrule.metrics import Predictions
from goldenrule.metrics.predictions_csv import from_csv, to_csv
from goldenrule.models.classifier import Classifier
from goldenrule.storage import cache_folder as caches
from goldenrule.storage import files, unfinished
from goldenrule.storage.outputs import written_into

Command = Callable[..., subprocess.CompletedProcess[str]]
SOURCE = Path(files.__file__).parents[1]


@pytest.fixture
def photo(run: Path) -> Path:
    return run.parent / "set" / "cats" / "00.png"


@pytest.fixture
def competition(run: Path, made_run: Callable[..., Path]) -> Callable[[str], tuple[Path, Path]]:
    """Return a run whose classes are 0 and 1, and a sample submission of two images, filled with given cells."""
    made = made_run("0", "1")

    def sample(*cells: str) -> tuple[Path, Path]:
        path = run.parent / "sample.csv"
        path.write_text("id,label\n" + "".join(f"0{number},{cell}\n" for number, cell in enumerate(cells)))
        return made / "run", path

    return sample


# --- what a user names


def test_what_is_no_regular_file_is_written_into(run: Path, photo: Path, process: Command, tmp_path: Path) -> None:
    assert written_into(Path("/dev/stdout")), "asked first: where that fails /dev/stdout is not tried"
    found = process("predict", run, photo, "-o", "/dev/stdout")
    assert found.returncode == 0, found.stderr
    assert found.stdout.splitlines()[0].startswith("path,status,prediction")
    assert len(found.stdout.splitlines()) == 2, "the CSV alone: what is for people goes to standard error"
    assert "Written: /dev/stdout" in found.stderr
    (tmp_path / "kept.csv").write_text("before\n")
    words = f"{sys.executable} -m goldenrule predict {run} {photo} -o /dev/stdout >> kept.csv"
    assert subprocess.run(["bash", "-c", words], cwd=tmp_path, capture_output=True, check=False).returncode == 0
    lines = (tmp_path / "kept.csv").read_text().splitlines()
    assert lines[0] == "before", "a file behind standard output is gone on with, not begun anew"
    assert len(lines) == 3


def test_a_device_and_a_pipe_stay_what_they_are(run: Path, photo: Path, command: Command, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()))
    reader.start()
    assert command("predict", run, photo, "-o", pipe).returncode == 0
    reader.join(10)
    assert read[0].startswith(b"path,status")
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    for device in (Path("/dev/null"), Path("/dev/full")):
        before = device.stat().st_mode
        assert written_into(device), "asked first: where that fails no device of this machine is tried"
        found = command("predict", run, photo, "-o", device)
        assert found.returncode == (0 if device.name == "null" else 2), found.stderr
        assert device.stat().st_mode == before
    (tmp_path / "null").symlink_to("/dev/null")
    assert written_into(tmp_path / "null")
    assert command("predict", run, photo, "-o", "null").returncode == 0
    assert (tmp_path / "null").is_symlink()


def test_a_command_behind_the_output_reads_it(run: Path, photo: Path) -> None:
    words = f"{sys.executable} -m goldenrule predict {run} {photo} -o >(gzip > packed.gz; touch done)"
    assert subprocess.run(["bash", "-c", words], cwd=run.parent, capture_output=True, check=False).returncode == 0
    for _ in range(100):
        if (run.parent / "done").exists():
            break
        time.sleep(0.05)
    assert gzip.decompress((run.parent / "packed.gz").read_bytes()).startswith(b"path,status")


OUTPUTS = {
    "predict": ("predict", "run", "set/cats/00.png", "-o", "{}"),
    "submit": ("submit", "run", "set/cats", "--sample-submission", "sample.csv", "-o", "{}"),
    "report": ("report", "run", "-o", "{}"),
    "lr-find": ("lr-find", "set", "-o", "{}"),
    "show-augment": ("show-augment", "set", "--views", "1", "--num-images", "1", "-o", "{}"),
    "compare-runs": ("compare-runs", "run", "run2", "--json", "{}"),
    "summary": ("summary", "-m", "original", "--json", "{}"),
    "lesson": ("lesson", "--json", "{}"),
}
ENDS = {"report": "html", "lr-find": "svg", "show-augment": "png", "compare-runs": "json", "summary": "json"}


@pytest.fixture
def outputs(run: Path, command: Command, tmp_path: Path) -> Callable[[str, object], subprocess.CompletedProcess[str]]:
    """Run the command of a name with an output path."""
    (tmp_path / "sample.csv").write_text("id,label\n" + "".join(f"0{number},0.5\n" for number in range(8)))

    def given(name: str, path: object) -> subprocess.CompletedProcess[str]:
        if name == "compare-runs" and not (tmp_path / "run2").exists():
            shutil.copytree(run, tmp_path / "run2")
        return command(*(str(path) if word == "{}" else word for word in OUTPUTS[name]))

    return given


@pytest.mark.parametrize("name", OUTPUTS)
def test_what_goldenrule_did_not_write_stays_and_the_same_command_twice_works(
    name: str, outputs: Callable[[str, object], subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    end = ENDS.get(name, "json" if name == "lesson" else "csv")
    mine, image = tmp_path / f"mine.{end}", tmp_path / "set" / "cats" / "00.png"
    mine.write_text("a,b\n1,2\n")
    before = image.read_bytes()
    for path, content in ((mine, mine.read_bytes()), (image, before)):
        found = outputs(name, path)
        assert found.returncode == 2, found.stdout
        assert "Traceback" not in found.stderr
        assert path.name in found.stderr
        assert path.read_bytes() == content
    for _ in range(2):
        found = outputs(name, tmp_path / f"new.{end}")
        assert found.returncode == 0, found.stderr
    for link, target in (("dangling", "nowhere"), ("leads", "mine")):
        path = tmp_path / f"{link}.{end}"
        path.symlink_to(f"{target}.{end}")
        found = outputs(name, path)
        assert found.returncode == 2, found.stdout
        assert path.is_symlink()
    assert mine.read_text() == "a,b\n1,2\n"
    (tmp_path / "folder").mkdir()
    assert outputs(name, "folder").returncode == 2
    assert not list(tmp_path.glob(".goldenrule-*"))


def test_a_link_to_a_file_of_ours_stays_a_link_and_the_file_is_written(
    outputs: Callable[[str, object], subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "kept.csv").write_text("path,status,prediction,probability\n")
    (tmp_path / "link.csv").symlink_to("below/kept.csv")
    assert outputs("predict", "link.csv").returncode == 0
    assert (tmp_path / "link.csv").is_symlink()
    assert "00.png" in (tmp_path / "below" / "kept.csv").read_text()


def test_a_pattern_behind_the_output_takes_no_photo(run: Path, command: Command, tmp_path: Path) -> None:
    photos = sorted((tmp_path / "set" / "cats").glob("*.png"))
    before = [path.read_bytes() for path in photos]
    found = command("predict", run, "-o", *photos)
    assert found.returncode == 2
    assert "has the name of an image" in found.stderr
    assert [path.read_bytes() for path in photos] == before


def test_a_folder_that_is_named_keeps_what_lies_there(run: Path, command: Command, tmp_path: Path) -> None:
    for words, name in (
        (("audit", "set", "-o"), "audit.html"),
        (("evaluate", "run", "set", "-o"), "predictions.csv"),
        (("explain", "run", "set/cats/00.png", "--no-heat", "-o"), "explained.json"),
        (("fit", "set", "--quick", "--out"), "split.csv"),
        (("fit", "set", "--quick", "--out"), "report"),
        (("fit", "set", "--quick", "--out"), "classifier"),
        (("tune", "set", "--trials", "1", "--out"), "tune.html"),
        (("demo", "--digits", "--folder"), "digits"),
        (("demo", "--folder"), "textiles"),
        (("lesson", "regression", "--out"), "regression/mine.svg"),
    ):
        folder = tmp_path / f"mine-{name.replace('/', '-')}"
        if "." in name:
            (folder / name).parent.mkdir(parents=True)
            (folder / name).write_text("mine")
        else:
            (folder / name).mkdir(parents=True)
            (folder / name / "thesis.tex").write_text("mine")
        found = command(*words, folder)
        assert found.returncode == 2, (words, found.stdout)
        assert [path.read_text() for path in folder.rglob("*") if path.is_file() and path.name != ".lock"] == ["mine"]


def test_a_classifier_is_saved_over_a_classifier_alone(run: Path, tmp_path: Path) -> None:
    classifier = Classifier.load(run)
    with pytest.raises(StorageError, match="would be replaced"):
        classifier.save(tmp_path / "set")
    assert len(list((tmp_path / "set").rglob("*.png"))) == 16
    for _ in range(2):
        classifier.save(tmp_path / "saved")
    assert Classifier.load(tmp_path / "saved").classes == classifier.classes


# --- submissions


def test_the_file_beside_a_submission_takes_no_place(
    outputs: Callable[[str, object], subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    (tmp_path / "mine.json").write_text('{"my": "notes"}')
    found = outputs("submit", "mine.csv")
    assert found.returncode == 2
    assert "mine.json" in found.stderr
    assert (tmp_path / "mine.json").read_text() == '{"my": "notes"}'
    assert not (tmp_path / "mine.csv").exists()
    found = outputs("submit", "sub.json")
    assert found.returncode == 2
    assert "sub.csv" in found.stderr
    assert not (tmp_path / "sub.json").exists()
    assert outputs("submit", "sample.csv").returncode == 2
    assert (tmp_path / "sample.csv").read_text().startswith("id,label\n00,0.5")


def labels_in(path: Path) -> list[str]:
    return [row["label"] for row in csv.DictReader(io.StringIO(path.read_text()))]


def test_a_sample_of_zeros_asks_for_a_probability_where_the_classes_are_0_and_1(
    competition: Callable[..., tuple[Path, Path]], tmp_path: Path
) -> None:
    run, sample = competition("0", "0")
    images = tmp_path / "set" / "cats"
    done = submit(run, images, sample, out=tmp_path / "a.csv", floor=0.01)
    assert done.layout.kind == "probability"
    told = [float(cell) for cell in labels_in(tmp_path / "a.csv")]
    assert all(0 < value < 1 for value in told)
    other = submit(run, images, sample, out=tmp_path / "b.csv", floor=0.01, positive="0")
    assert [float(cell) for cell in labels_in(other.path)] == pytest.approx([1 - value for value in told])
    named = submit(run, images, sample, out=tmp_path / "c.csv", fill="class")
    assert set(labels_in(named.path)) <= {"0", "1"}
    run, sample = competition("0", "1")
    assert submit(run, images, sample, out=tmp_path / "d.csv").layout.kind == "class", "both classes are shown"


def test_an_option_without_effect_on_a_submission_is_an_error(
    competition: Callable[..., tuple[Path, Path]], tmp_path: Path
) -> None:
    run, sample = competition("0", "1")
    images, out = tmp_path / "set" / "cats", tmp_path / "a.csv"
    with pytest.raises(OptionError, match=r"--floor 0.01 has no effect: .* the name of a class"):
        submit(run, images, sample, out=out, floor=0.01)
    with pytest.raises(OptionError, match="--positive 1 has no effect"):
        submit(run, images, sample, out=out, positive="1", fill="class")
    assert not out.exists()


# --- what is deleted


def test_a_fit_deletes_nothing_that_it_did_not_make(run: Path, command: Command, tmp_path: Path) -> None:
    mine = tmp_path / "work"
    for name in (".notes.tmp", ".thesis.old/chapter", ".x.json.abcd.tmp", ".goldenrule-notes.tmp"):
        (mine / name).parent.mkdir(parents=True, exist_ok=True)
        (mine / name).write_text("mine")
    for folder in (mine, run):
        if folder is run:
            shutil.copytree(mine, run, dirs_exist_ok=True, ignore=shutil.ignore_patterns("steps", "run.json"))
        assert command("fit", "set", "--quick", "--out", mine).returncode == 0
        assert (mine / ".thesis.old" / "chapter").read_text() == "mine"
        assert {path.name for path in mine.glob(".*.tmp")} == {
            ".notes.tmp",
            ".x.json.abcd.tmp",
            ".goldenrule-notes.tmp",
        }


def test_what_a_killed_writer_left_goes_and_what_a_living_one_writes_stays(tmp_path: Path) -> None:
    left = tmp_path / f".goldenrule-{'0' * 16}.tmp"
    left.write_text("half")
    (tmp_path / f".goldenrule-{'1' * 16}.tmp" / "deep").mkdir(parents=True)
    (tmp_path / f".goldenrule-{'2' * 16}.tmp").symlink_to(tmp_path)
    with unfinished.unfinished_file(tmp_path) as file, unfinished.unfinished_folder(tmp_path) as folder:
        assert len(unfinished.leftovers(tmp_path)) == 2
        unfinished.remove_leftovers(tmp_path)
        assert file.exists()
        assert folder.is_dir()
    assert [path.name for path in tmp_path.iterdir()] == [f".goldenrule-{'2' * 16}.tmp"], "a link is none of ours"


def test_an_unfinished_split_of_somebody_else_is_not_cleared(run: Path, command: Command, tmp_path: Path) -> None:
    theirs = tmp_path / ".copy.unfinished"
    theirs.mkdir()
    (theirs / "thesis.tex").write_text("mine")
    found = command("split", "set", "copy")
    assert found.returncode == 2, found.stdout
    assert (theirs / "thesis.tex").read_text() == "mine"


def test_a_folder_among_the_banks_that_is_no_bank_is_not_cleared(cache: Path, command: Command) -> None:
    folder = cache / "banks" / "thesis"
    folder.mkdir(parents=True)
    (folder / "key.json").write_text("{}")
    (folder / "thesis.tex").write_text("mine")
    assert command("cache", "clear", "--all").returncode == 0
    assert (folder / "thesis.tex").read_text() == "mine"


# --- links


def test_no_write_of_a_run_follows_a_link_out_of_it(run: Path, command: Command, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "test.csv").write_text("mine")
    (run / ".lock.pid").unlink(missing_ok=True)
    (run / ".lock.pid").symlink_to(precious / "test.csv")
    for name in ("report.html", "result.json", "choice.json"):
        (run / name).unlink(missing_ok=True)
        (run / name).symlink_to(precious / "test.csv")
    command("fit", "set", "--quick", "--out", run)
    assert (precious / "test.csv").read_text() == "mine"
    for name, words in {
        "steps": ("fit", "set", "--quick", "--out", "run"),
        "predictions": ("fit", "set", "--quick", "--out", "run"),
        "evaluations": ("evaluate", "run", "set"),
        "labels": ("labels", "run"),
    }.items():
        if (run / name).is_dir():
            shutil.rmtree(run / name)
        (run / name).symlink_to(precious)
        found = command(*words)
        assert found.returncode == 2, (name, found.stdout)
        assert "symbolic link" in found.stderr, found.stderr
        (run / name).unlink()
    assert [path.name for path in precious.iterdir()] == ["test.csv"]
    assert (precious / "test.csv").read_text() == "mine"


def test_a_lock_that_is_a_link_touches_nothing(tmp_path: Path) -> None:
    from goldenrule.storage.lock import only_writer

    (tmp_path / "mine").write_text("mine")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / ".lock").symlink_to(tmp_path / "mine")
    with pytest.raises(RunError, match="symbolic link"), only_writer(tmp_path / "run"):
        pass
    assert (tmp_path / "mine").read_text() == "mine"


WRITES = {"write_text", "write_bytes", "OSFile", "savez", "copyfile", "copy2", "symlink_to", "touch"}
ALLOWED = {
    "storage/files.py": "write_atomic itself",
    "storage/outputs.py": "into pipes and devices",
    "storage/unfinished.py": "makes the unfinished file",
    "data/splits/copy_out.py": "copies into a new folder, under a lock",
    "models/backbone.py": "into an unfinished folder",
    "models/trainable.py": "into an unfinished folder",
    "models/classifier.py": "into an unfinished folder",
    "report/content_files.py": "into an unfinished folder",
    "demo/digits.py": "into an unfinished folder",
    "demo/textiles.py": "into an unfinished folder",
    "features/cache.py": "into an unfinished file",
    "deploy/bulk.py": "into an unfinished file, of the parts",
    "models/graphs/compiled.py": "into an unfinished folder",
    "models/graphs/carried.py": "into an unfinished folder",
    "tasks/pretrained.py": "into an unfinished folder",
    "tasks/image_classifier.py": "into a temporary folder",
    "deploy/exporting.py": "into a temporary folder",
    "deploy/export_formats.py": "into a temporary folder",
    "runs/review_journal.py": "appends to its own journal, under a lock",
    "deploy/class_folders.py": "into an unfinished file",
    "training/processes/launch.py": "into an unfinished folder of this user",
    "training/processes/follower.py": "into the same",
}


def test_every_file_is_opened_for_writing_in_a_known_place() -> None:
    found = set()
    for path in sorted(SOURCE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                name = getattr(node.func, "attr", getattr(node.func, "id", ""))
                modes = [
                    value.value for value in [*node.args, *(word.value for word in node.keywords)] if is_mode(value)
                ]
                if name in WRITES or (name in ("open", "fdopen") and modes):
                    found.add(path.relative_to(SOURCE).as_posix())
    assert found <= set(ALLOWED), "write by write_atomic, write_output or into an unfinished folder"
    assert {"storage/files.py", "storage/outputs.py", "data/splits/copy_out.py"} <= found, (
        "the search finds what is there"
    )


def is_mode(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and node.value[:1] in ("w", "a", "x")
        and len(node.value) < 4
    )


# --- killed


def test_what_a_killed_command_left_beside_an_output_goes_at_the_next(
    run: Path, photo: Path, start: Callable[..., subprocess.Popen[str]], command: Command, tmp_path: Path
) -> None:
    """The process stops itself between the temporary file and its name, and is killed there."""
    script = (
        "import os, signal; from pathlib import Path\n"
        "Path.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
        f"from goldenrule.deploy.bulk import predict_files; from goldenrule.models.classifier import Classifier\n"
        f"predict_files(Classifier.load({str(run)!r}), [{str(photo)!r}], out=Path('out.csv'))\n"
    )
    killed = start("-c", script)
    killed.communicate(timeout=60)
    assert killed.returncode == -signal.SIGKILL
    assert len(list(tmp_path.rglob(".goldenrule-*"))) == 1
    assert command("predict", run, photo, "-o", "out.csv").returncode == 0
    assert not list(tmp_path.rglob(".goldenrule-*"))
    assert not (tmp_path / ".out.csv.parts").exists()


def test_what_was_left_in_the_cache_is_shown_and_removed(cache: Path, command: Command) -> None:
    def leave() -> Path:
        folder = cache / "engines" / f".goldenrule-{'a' * 16}.tmp"
        folder.mkdir(exist_ok=True)
        (folder / "backbone.bin").write_bytes(bytes(13_000_000))
        return folder

    left = leave()
    with unfinished.unfinished_folder(cache / "engines") as living:
        shown = command("cache")
        assert "1 unfinished" in shown.stdout
        assert "13.0 MB" in shown.stdout
        assert "13.0 MB" in command("doctor", "--no-speed").stdout
        cleared = command("cache", "clear", "--leftovers")
        assert cleared.returncode == 0, cleared.stderr
        assert "13.0 MB" in cleared.stdout
        assert not left.exists()
        leave()
        with caches.made_in_cache(cache / "engines" / "other") as folder:
            (folder / "check.json").write_text("{}")
        assert not left.exists()
        assert living.is_dir(), "another process is making it"


# --- cells


NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1, max_size=8)


@given(NAMES)
@settings(deadline=None)
def test_a_name_comes_back_from_its_cell_and_is_no_formula(name: str) -> None:
    cell = to_cell(name)
    assert from_cell(cell) == name
    try:
        float(cell)
    except ValueError:
        assert cell[0] not in "=+-@\t\r"


@settings(deadline=None)
@given(st.lists(st.one_of(NAMES, st.text(" |\\ab", min_size=1, max_size=6)), max_size=4))
def test_several_names_come_back_from_one_cell(names: list[str]) -> None:
    assert separated(joined(names, BETWEEN), BETWEEN) == names


def test_predictions_with_odd_names_are_read_back_and_run_nothing() -> None:
    classes = ["=1+1", "a | b", "a", "b", "-5", "@eaDir", "\tx", "'tis", "line\nbreak"]
    ids = [f"{label}/x.jpg" for label in classes]
    said = Predictions.from_logits(np.eye(len(classes)) * 9, classes, ids=ids, truth=range(len(classes)))
    text = to_csv(said)
    for row in csv.reader(io.StringIO(text)):
        assert all(cell[:1] not in tuple("=+@\t\r") for cell in row)
    back = from_csv(text)
    assert (back.ids, back.classes) == (said.ids, said.classes)
    assert back.truth.tolist() == list(range(len(classes)))
    assert [row["prediction"] for row in csv.DictReader(io.StringIO(text))][4] == "-5", "a number is a number"


def test_a_class_with_a_bar_is_told_from_two_classes_in_a_set() -> None:
    from goldenrule.metrics import PredictionSets
    from goldenrule.metrics.predictions_csv import classes_in, rows_of

    classes = ["a | b", "a", "b"]
    draws = np.random.default_rng(0)
    seen = Predictions.from_logits(draws.normal(size=(60, 3)), classes, truth=draws.integers(0, 3, 60))
    sets = PredictionSets.fit(seen, coverage=0.9, method="lac")
    inside = sets.sets(seen)
    cells = [row["set"] for row in rows_of(seen, sets=sets)]
    for cell, ours in zip(cells, inside, strict=True):
        assert sorted(classes_in(cell)) == sorted(np.array(classes)[ours].tolist())
    assert len(set(cells)) == len({tuple(classes_in(cell)) for cell in cells})


def test_a_submission_has_its_ids_exactly_as_the_sample(run: Path, tmp_path: Path) -> None:
    folder = tmp_path / "competition"
    folder.mkdir()
    for name in ("=1", "-2", "@3"):
        shutil.copy(tmp_path / "set" / "cats" / "00.png", folder / f"{name}.png")
    (tmp_path / "wanted.csv").write_text("id,label\n=1,0.5\n-2,0.5\n@3,0.5\n")
    submit(run, folder, tmp_path / "wanted.csv", out=tmp_path / "sub.csv")
    assert [line.split(",")[0] for line in (tmp_path / "sub.csv").read_text().splitlines()] == ["id", "=1", "-2", "@3"]
    assert json.loads((tmp_path / "sub.json").read_text())["rows"] == 3
