"""What a user can mend is said in words, with exit code 2; what files are called can't steer the terminal."""

from __future__ import annotations

import errno
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from goldenrule.core.errors import GoldenRuleError, InputError, OptionError, of_system
from goldenrule.core.visible import visible
from goldenrule.data.arrays import from_arrays
from goldenrule.data.sources.label_tables import from_dataframe
from goldenrule.deploy.bulk import predict_files
from goldenrule.models.classifier import Classifier

Command = Callable[..., subprocess.CompletedProcess[str]]
Make = Callable[[Path, tuple[str, ...]], Path]
STEERS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


# --- what the system says of a file

LONG = "x" * 300
PATHS = {
    "predict": ("predict", "{}", "set"),
    "images of predict": ("predict", "run", "{}"),
    "output of predict": ("predict", "run", "set", "-o", "{}"),
    "fit": ("fit", "{}", "--quick"),
    "output of fit": ("fit", "set", "--quick", "--out", "{}"),
    "weights": ("fit", "set", "--quick", "--weights", "{}"),
    "from": ("fit", "set", "--quick", "--from", "{}"),
    "csv": ("fit", "set", "--quick", "--csv", "{}"),
    "classes": ("fit", "set", "--quick", "--rename-file", "{}"),
    "function": ("fit", "set", "--quick", "--augment", "{}/f.py:make"),
    "audit": ("audit", "{}"),
    "output of audit": ("audit", "set", "-o", "{}"),
    "evaluate": ("evaluate", "{}", "set"),
    "images of evaluate": ("evaluate", "run", "{}"),
    "output of evaluate": ("evaluate", "run", "set", "-o", "{}"),
    "submit": ("submit", "run", "{}", "--sample-submission", "sample.csv"),
    "sample": ("submit", "run", "set", "--sample-submission", "{}"),
    "report": ("report", "{}"),
    "labels": ("labels", "{}"),
    "explain": ("explain", "run", "{}", "--no-heat"),
    "compare-runs": ("compare-runs", "run", "{}"),
    "split": ("split", "{}", "new"),
    "destination of split": ("split", "set", "{}"),
    "verify": ("split", "--verify", "{}"),
    "show-augment": ("show-augment", "{}"),
    "json": ("lesson", "--json", "{}"),
    "learning-curve": ("learning-curve", "{}"),
}


@pytest.mark.parametrize("words", PATHS.values(), ids=PATHS)
def test_a_path_that_can_not_be_is_an_error_in_words(
    words: tuple[str, ...], run: Path, command: Command, tmp_path: Path
) -> None:
    (tmp_path / "sample.csv").write_text("id,label\n00,0.5\n")
    (tmp_path / "loop").symlink_to("loop")
    for path in (LONG, f"{LONG}/deeper", "loop", "loop/deeper", "sample.csv/deeper"):
        if words[0] == "predict" and words[2] == "{}" and path.startswith(("loop", "sample")):
            continue  # an image that can't be read has its row
        found = command(*(word.replace("{}", path) for word in words))
        assert found.returncode == 2, (path, found.stdout)
        assert re.match(r"(set: [^\n]*\n)?(error|Usage): ", found.stderr), (
            found.stderr
        )  # after which images it would be


def test_everything_the_system_may_say_comes_with_what_to_do() -> None:
    for number in errno.errorcode:
        said = of_system(OSError(number, os.strerror(number), "a.jpg"))
        assert said.startswith("a.jpg can't be used: ")
        assert os.strerror(number) in said
        assert said.count(". ") >= 1, "an advice follows"


# --- numbers that can't be


@pytest.mark.parametrize(
    "words",
    [
        ("predict", "run", "set", "--threads", "-3"),
        ("predict", "run", "set", "--threads", "0"),
        ("predict", "run", "set", "--threads", "99999999999999999999"),
        ("predict", "run", "set", "--min-confidence", "nan"),
        ("evaluate", "run", "set", "--threads", "-3"),
        ("submit", "run", "set", "--sample-submission", "sample.csv", "--threads", "-3"),
        ("submit", "run", "set", "--sample-submission", "sample.csv", "--floor", "nan"),
        ("explain", "run", "set", "--no-heat", "--threads", "-3"),
        ("labels", "run", "--threads", "-3"),
        ("learning-curve", "run", "--threads", "-3"),
        ("demo", "--threads", "-3"),
        ("doctor", "--threads", "-3"),
        ("summary", "--classes", "99999999999999999999999"),
        ("lr-find", "set", "--steps", "99999999999999999999999"),
        ("lr-find", "set", "--highest", "1e308"),
    ],
    ids=" ".join,
)
def test_a_number_that_can_not_be_is_an_error_in_words(words: tuple[str, ...], run: Path, command: Command) -> None:
    (run.parent / "sample.csv").write_text("id,label\n00,0.5\n")
    found = command(*words)
    assert found.returncode == 2, found.stdout
    assert words[-2] in found.stderr or words[0] == "lr-find"


def test_threads_that_can_not_be_are_refused_in_python_too(run: Path) -> None:
    for threads in (-3, 0, 10**9):
        with pytest.raises(OptionError, match="--threads"):
            predict_files(Classifier.load(run), [run.parent / "set"], threads=threads)


def test_rates_that_are_all_too_high_are_drawn_or_said_to_be(run: Path, command: Command) -> None:
    found = command("lr-find", "set", "--lowest", "1.5")
    assert found.returncode == 0, found.stderr


# --- options that would have no effect


@pytest.mark.parametrize(
    "words",
    [
        ("explain", "run", "set", "--no-heat", "--class", "cats"),
        ("lesson", "--out", "figures"),
        ("lesson", "--no-code"),
        ("doctor", "--prepare", "efficientnet_lite0", "--threads", "2"),
        ("doctor", "--no-speed", "--threads", "2"),
        ("split", "--verify", "set", "--seed", "3"),
        ("split", "parted", "new", "--test", "0.3"),
        ("lr-find", "set", "--augment", "top_down"),
        ("lr-find", "set", "--from", "run", "--backbone", "efficientnet_lite0"),
        ("show-augment", "set", "--augment", "none", "--views", "3"),
        ("fit", "set", "--quick", "--augment", "none", "--views", "3"),
        ("compare-models", "set", "-m", "original", "-t", "transfer_learning", "--epochs", "3"),
    ],
    ids=" ".join,
)
def test_an_option_without_effect_is_an_error(words: tuple[str, ...], run: Path, command: Command) -> None:
    for split in ("train", "test"):
        shutil.copytree(run.parent / "set", run.parent / "parted" / split)
    found = command(*words)
    assert found.returncode == 2, found.stdout
    assert "no effect" in found.stderr


# --- what is given in Python


def test_whole_numbers_are_labels_of_arrays_and_what_is_no_label_is_an_error(tmp_path: Path) -> None:
    images = [np.full((8, 8, 3), 20 * number, np.uint8) for number in range(4)]
    table = from_arrays(images, [3, 10, 3, 10], folder=tmp_path / "numbers")
    assert table.classes == ("10", "3")
    assert from_arrays(images, np.array([0, 1, 0, 1]), folder=tmp_path / "array").classes == ("0", "1")
    assert from_arrays(images, [[0], [1, 2], [0, 1], [2]], folder=tmp_path / "lists").classes == ("0", "1", "2")
    for labels in ([None] * 4, [0.5] * 4, [b"cat"] * 4, [{"a": 1}] * 4, [True] * 4):
        with pytest.raises(InputError, match="label of image 0"):
            from_arrays(images, labels, folder=tmp_path / "wrong")


def test_an_empty_data_frame_is_an_error_in_words(tmp_path: Path) -> None:
    for frame in (pd.DataFrame(), pd.DataFrame({"path": [], "label": []}), pd.DataFrame(columns=["path"])):
        with pytest.raises(GoldenRuleError, match="no rows"):
            from_dataframe(frame, images=tmp_path)


# --- the terminal

SPELLED = {"ESC": "\x1b[31mred", "OSC 8": "\x1b]8;;http://x.org\x07x", "C1": "\x9b31m", "bidi": "a\u202egpj.x"}
NAMES = ("[red]x[/red]", "[/nope]", *SPELLED.values(), "two\nlines", "=cmd")


def test_no_name_of_a_file_or_class_steers_the_terminal(
    cache: Path, command: Command, tmp_path: Path, draw_classes: Callable[..., Path]
) -> None:
    draw_classes(tmp_path / "odd", NAMES, each=4)
    for label in NAMES:
        (tmp_path / "odd" / label / "00.png").rename(tmp_path / "odd" / label / f"{label.replace('/', '_')}.png")
    (tmp_path / "odd" / NAMES[0] / "broken\x1b[2J\n.png").write_bytes(b"no picture")
    shown = []
    for words in (
        ("fit", "odd", "--quick", "--out", "run"),
        ("predict", "run", "odd", "-o", "said\x1b[1m.csv"),
        ("audit", "odd"),
        ("evaluate", "run", "odd"),
        ("explain", "run", "odd", "--no-heat"),
        ("labels", "run"),
        ("split", "odd", "split\x1b[1m"),
        ("learning-curve", "run"),
        ("predict", "run", "odd"),
    ):
        found = command(*words)
        assert found.returncode in (0, 2), found.stderr
        assert not STEERS.search(found.stdout + found.stderr), (words, STEERS.search(found.stdout + found.stderr))
        shown.append(found.stdout)
    assert "[/nope]" in shown[-1]
    assert r"\x1b[31mred" in shown[-1]
    assert r"two\nlines" in shown[-1]
    for words in (("predict", "run", "not\x1b[31m"), ("fit", "not\x07there\u202e"), ("report", "x\x9b31m")):
        found = command(*words)
        assert found.returncode == 2
        assert not STEERS.search(found.stdout + found.stderr)
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert not STEERS.search(page)
    assert "[red]x" in page


@pytest.mark.parametrize(
    "surroundings",
    [{"PYTHONIOENCODING": "ascii"}, {"PYTHONIOENCODING": "latin-1", "LC_ALL": "C"}],
    ids=" ".join,
)
def test_a_console_that_lacks_the_letters_of_a_class_is_no_reason_to_stop(
    surroundings: dict[str, str], run: Path, process: Command, tmp_path: Path
) -> None:
    path = tmp_path / "set" / "cats" / "кошка 猫.png"
    shutil.copy(tmp_path / "set" / "cats" / "00.png", path)
    found = process("predict", run, tmp_path / "set", "-o", "said.csv", env=surroundings)
    assert found.returncode == 0, found.stderr
    assert r"\u043a\u043e\u0448\u043a\u0430" in found.stdout
    assert "кошка" in (tmp_path / "said.csv").read_text(encoding="utf-8")


def test_bytes_that_are_no_text_in_a_name_are_an_error_in_words(run: Path, process: Command, tmp_path: Path) -> None:
    odd = os.fsencode(tmp_path / "set" / "cats") + b"/\xff\xfe.png"
    shutil.copy(tmp_path / "set" / "cats" / "00.png", os.fsdecode(odd))
    for words in (("predict", run, "set"), ("predict", run, os.fsdecode(odd), "-o", "said.csv")):
        found = process(*words)
        assert found.returncode in (0, 2), found.stderr
        assert not STEERS.search(found.stdout + found.stderr)
        assert r"\xff\xfe.png" in found.stderr or r"\udcff\udcfe.png" in found.stdout + found.stderr


def test_to_be_stopped_is_no_error(start: Callable[..., subprocess.Popen[str]]) -> None:
    script = (
        "import os, signal, goldenrule.cli.main as main\nmain.app = lambda **_: os.kill(os.getpid(), {})\nmain.run()\n"
    )
    for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
        stopped = start("-c", script.format(int(number)))
        _, said = stopped.communicate(timeout=60)
        assert stopped.returncode == code
        assert said == "Stopped. Give the same command again: it goes on where it stopped.\n"


def test_to_be_stopped_inside_code_that_a_library_embeds_is_no_other_end(
    start: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    (tmp_path / "stopped.py").write_text(
        "import ctypes, goldenrule.cli.main as main\n"
        "embedded = ctypes.pythonapi.PyRun_String\n"
        "embedded.restype = ctypes.py_object\n"
        "embedded.argtypes = [ctypes.c_char_p, ctypes.c_int, ctypes.py_object, ctypes.py_object]\n"
        "main.app = lambda **_: embedded(b'raise KeyboardInterrupt', 257, {'__builtins__': __builtins__}, {})\n"
        "main.run()\n"
    )
    stopped = start("-m", "stopped")
    _, said = stopped.communicate(timeout=60)
    assert stopped.returncode == 130
    assert said == "Stopped. Give the same command again: it goes on where it stopped.\n"


def test_what_can_not_be_seen_is_spelled_out_and_all_else_stays() -> None:
    assert visible("\x1b\x07\x9b\u202e\u2028\udcff\n") == r"\x1b\x07\x9b\u202e\u2028\udcff\n"
    assert visible("Käse 猫 👩‍👩‍👧 שלום") == "Käse 猫 👩‍👩‍👧 שלום"
