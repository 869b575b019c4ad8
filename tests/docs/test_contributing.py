"""CONTRIBUTING tells where things are: each answer is a path that is there."""

from __future__ import annotations

import re
from pathlib import Path

import goldenrule

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
DESIGN = (ROOT / "docs" / "design.md").read_text(encoding="utf-8")
SOURCE = Path(goldenrule.__file__).parent


def test_every_answer_to_where_would_i_change_is_a_path_that_is_there() -> None:
    answers = re.findall(r"^\| .* \| `(src/goldenrule/[\w/.]+)`", TEXT, re.MULTILINE)
    assert len(answers) >= 20
    assert [path for path in answers if not (ROOT / path).exists()] == []


def test_every_floor_is_in_both_tables() -> None:
    floors = {path.name for path in SOURCE.iterdir() if (path / "__init__.py").exists()}
    table = TEXT[TEXT.index("| floor |") : TEXT.index("### Where would I change")]
    assert floors <= set(re.findall(r"`(\w+)`", table))
    assert floors == set(
        re.findall(r"(?:^| )  ?(\w+)/ ", DESIGN[DESIGN.index("src/goldenrule/\n") :][:3000], re.MULTILINE)
    )


def test_every_file_that_the_design_names_is_there() -> None:
    start = DESIGN.index("src/goldenrule/\n")
    block = DESIGN[start : DESIGN.index("```", start)]
    named = {name.rpartition("/")[2] for name in re.findall(r"[\w/]+\.py", block)}
    there = {path.name for path in SOURCE.rglob("*.py")}
    assert named <= there, named - there


def test_every_package_says_in_which_order_to_read_it() -> None:
    for init in SOURCE.rglob("__init__.py"):
        if init.parent == SOURCE:
            continue
        order = re.search(r"Reading order: (.*?)\n\"\"\"", init.read_text(encoding="utf-8"), re.DOTALL)
        assert order, init
        said = set(re.findall(r"[a-z_]+", order[1]))
        files = {path.stem for path in init.parent.glob("*.py")} - {"__init__"}
        if init.parent.name != "cli":  # its files are named after the commands
            assert files <= said, f"{init}: {sorted(files - said)}"
