"""Lessons: found by what they say of themselves, run cell by cell, and right in what they print."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from goldenrule.core.errors import FormatError, OptionError
from goldenrule.demo.lessons import chosen_lesson, description, find_lessons, run_lesson

EXPECTED = {
    "regression": r"by descent: y = (1\.98|2\.0)\d+ x \+ (1\.0|0\.9)\d+\nby formula: y = 2\.0000 x \+ 1\.0000",
    "xor": r"one layer: loss 0\.693(?s:.*)with 4 hidden units: loss 0\.0\d\d(?s:.*)without ReLU: loss 0\.693",
    "activation": r"sigmoid: from  0\.00 to 1\.00, largest slope 0\.25(?s:.*)16 ReLUs: mean squared error 0\.000",
    "convolution": r"largest difference from torch: \d\.\de-1\d(?s:.*)pool: 36 x 36 pixels\nmeasured: 36 x 36 pixels",
    "rate": r"rate   0\.5: last loss +\S+, right on 9\d(?s:.*)rate    0\.5: last loss +\S+, right on (9|1\d)\.\d %",
    "sgdr": r"hollows between -9 and 9: 9; (?s:.*)difference -0\.\d",
}
ONE = '''"""A title.

Seconds: 7
Order: 3
"""

# %% [markdown]
# Words.

# %%
from pathlib import Path

print(Path.cwd().name)
'''


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Lessons multiply tiny matrices: two threads that wait for each other take many times as long."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.exhaustive] if name == "xor" else []) for name in EXPECTED]
)
def test_a_lesson_runs_draws_and_prints_what_is_right(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = []
    drawn = run_lesson(chosen_lesson(name, find_lessons()), tmp_path, lambda kind, text: shown.append((kind, text)))
    assert re.search(EXPECTED[name], capsys.readouterr().out)
    assert drawn
    for figure in drawn:
        assert description(figure) != figure.stem.replace("-", " "), "wanted words for those who can't see it"
    assert sum(text.count("## Exercise") for kind, text in shown if kind == "text") == 1


def test_lessons_are_found_by_what_they_say_of_themselves(tmp_path: Path) -> None:
    (tmp_path / "later.py").write_text('"""Another."""\n', encoding="utf-8")
    (tmp_path / "sooner.py").write_text(ONE, encoding="utf-8")
    found = find_lessons(tmp_path)
    assert [(lesson.name, lesson.title, lesson.seconds) for lesson in found] == [
        ("sooner", "A title", 7),
        ("later", "Another", None),
    ]
    assert chosen_lesson("2", found) is chosen_lesson("later", found) is found[1]
    with pytest.raises(OptionError, match="wanted a number from 1 to 2, or one of sooner, later"):
        chosen_lesson("latest", found)


def test_a_script_that_says_nothing_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mute.py").write_text("x = 1\n", encoding="utf-8")
    with pytest.raises(FormatError, match="docstring"):
        find_lessons(tmp_path)


def test_each_lesson_in_the_checkout_has_a_title_and_seconds() -> None:
    for lesson in find_lessons():
        assert lesson.title
        if lesson.name in EXPECTED:
            assert lesson.seconds is not None
            assert lesson.seconds <= 60


def test_a_lesson_runs_in_its_folder_and_the_current_one_stays(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "one.py").write_text(ONE, encoding="utf-8")
    before = Path.cwd()
    run_lesson(find_lessons(tmp_path)[0], tmp_path / "elsewhere", lambda *_: None)
    assert capsys.readouterr().out == "elsewhere\n"
    assert Path.cwd() == before
