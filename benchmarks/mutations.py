"""Would a test notice? One place of the metrics and schedules is changed at a time, and their tests are run.

    python benchmarks/mutations.py --sample 200

A mutation is what a slip of the hand makes: `<` for `<=`, `+` for `-`, a number and its neighbour, `min` for `max`,
`and` for `or`, a condition turned round, an axis, an argument left at None. Texts, types, raised errors and
`__all__` are left alone. The sample is drawn from all places alike. Each mutation is put into a copy of the source,
in a process of its own, and read by its own doctests and by those test files of tests/metrics and tests/training that
name the module or one of its public functions: that of the same name, and the five shortest others. A mutation
survives where all of them pass; tests of whole fits are not asked, so that a survivor may still be noticed there.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import copy
import doctest
import importlib
import json
import os
import random
import re
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common import RESULTS, ROOT, made_with, markdown_table

SOURCE = ROOT / "src" / "goldenrule"
FILES = [*sorted((SOURCE / "metrics").rglob("*.py")), SOURCE / "training" / "schedule.py"]
COMPARED = {ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq}
COMPUTED = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.Pow: ast.Mult}
COMPUTED |= {ast.FloorDiv: ast.Div, ast.Mod: ast.Mult, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd}
NAMES = {"min": "max", "max": "min", "any": "all", "all": "any", "minimum": "maximum", "maximum": "minimum"}
NAMES |= {"floor": "ceil", "ceil": "floor", "argmax": "argmin", "argmin": "argmax", "mean": "sum"}
SECONDS, MOST_FILES = 150, 5
"""Of processor time for a mutation, and test files beside that of the same name."""
KILLED, SURVIVED, LATE = "killed", "survived", "killed by time"


@dataclass(frozen=True)
class Mutation:
    """One change: the file, its line, what it was and became, and the whole new text."""

    file: Path
    line: int
    old: str
    new: str
    text: str

    @property
    def module(self) -> str:
        """The module's name."""
        return ".".join(self.file.relative_to(SOURCE.parent).with_suffix("").parts)

    @property
    def place(self) -> str:
        """Where it is, for people."""
        return f"{self.file.relative_to(SOURCE).as_posix()}:{self.line}"


def main() -> None:
    """Make mutations, run tests, write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sample", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=600, help="end the sample earlier; what was tried is reported")
    parser.add_argument("--only", default="", help="files whose path holds this")
    parser.add_argument("--again", type=Path, help="try the survivors of this JSON file again, and replace them there")
    parser.add_argument("--check", action="store_true", help="run the tests on the unchanged files first")
    parser.add_argument("-o", "--out", type=Path, default=RESULTS / "mutations.md")
    arguments = parser.parse_args()
    every = [one for file in FILES if arguments.only in str(file) for one in mutations(file)]
    kept: list[dict[str, Any]] = []
    if arguments.again:
        kept = json.loads(arguments.again.read_text())["tried"]
        lived = {(row["place"].partition(":")[0], row["old"], row["new"]) for row in kept if row["outcome"] == SURVIVED}
        drawn = [one for one in every if (one.place.partition(":")[0], one.old, one.new) in lived]
    else:
        drawn = random.Random(arguments.seed).sample(every, min(arguments.sample, len(every)))
    preload()
    if arguments.check:
        asked = [file for file in FILES if arguments.only in str(file)]
        unchanged = [tried(Mutation(file, 0, "", "", file.read_text("utf-8"))) for file in asked]
        if failing := [row["place"] for row in unchanged if row["outcome"] != SURVIVED]:
            sys.exit(f"The tests fail already where nothing is changed: {', '.join(failing)}")
        print(f"The tests of {len(asked)} unchanged files pass.", flush=True)
    until, rows = time.monotonic() + 60 * arguments.minutes, []
    for one in drawn:
        if time.monotonic() > until:
            break
        rows.append(tried(one))
        print(json.dumps(rows[-1]), flush=True)
    rows = merged(kept, rows)
    arguments.out.with_suffix(".json").write_text(json.dumps({"places": len(every), "tried": rows}, indent=1) + "\n")
    arguments.out.write_text(page(len(every), rows))


def merged(kept: Sequence[dict[str, Any]], rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return what was found before, with outcomes of those that were tried again."""
    new = {(row["place"].partition(":")[0], row["old"], row["new"]): row for row in rows}
    return [new.pop((row["place"].partition(":")[0], row["old"], row["new"]), row) for row in kept] + [*new.values()]


# Making them


def mutations(file: Path) -> Iterator[Mutation]:
    """Yield every mutation of a file."""
    text = file.read_text(encoding="utf-8")
    tree = ast.parse(text)
    lines = text.splitlines(keepends=True)
    for node in interesting(tree):
        for changed in changes(node):
            start, end = (
                _offset(lines, node.lineno, node.col_offset),
                _offset(lines, node.end_lineno, node.end_col_offset),
            )
            was, becomes = text.encode()[start:end].decode(), f"({ast.unparse(changed)})"
            new = (text.encode()[:start] + becomes.encode() + text.encode()[end:]).decode()
            with contextlib.suppress(SyntaxError):
                if ast.dump(ast.parse(new)) != ast.dump(tree):
                    yield Mutation(file, node.lineno, " ".join(was.split()), ast.unparse(changed), new)


def _offset(lines: Sequence[str], line: int, column: int) -> int:
    return sum(len(one.encode()) for one in lines[: line - 1]) + column


SKIPPED = (ast.Raise, ast.Assert, ast.JoinedStr, ast.Import, ast.ImportFrom)


def interesting(node: ast.AST) -> Iterator[Any]:
    """Yield the expressions that are computed: no types, texts, decorators, errors, names of the module."""
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns", "decorator_list", "type_params", "bases"):
            continue
        for child in value if isinstance(value, list) else [value]:
            if not isinstance(child, ast.AST) or isinstance(child, SKIPPED):
                continue
            if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
                continue
            if isinstance(child, ast.Assign) and ("__all__" in ast.unparse(child) or _is_type(child.value)):
                continue
            if isinstance(child, ast.FunctionDef) and any("overload" in ast.unparse(d) for d in child.decorator_list):
                continue
            if isinstance(child, ast.expr):
                yield child
            yield from interesting(child)


def _is_type(value: ast.expr) -> bool:
    return isinstance(value, ast.Subscript) and "NDArray" in ast.unparse(value)


def changes(node: ast.expr) -> Iterator[ast.expr]:
    """Yield what an expression may become."""
    new = copy.deepcopy(node)
    match new:
        case ast.Compare(ops=[op]) if type(op) in COMPARED:
            new.ops = [COMPARED[type(op)]()]
            yield new
        case ast.BinOp(op=op) if type(op) in COMPUTED and not _is_type_union(new):
            new.op = COMPUTED[type(op)]()
            yield new
        case ast.BoolOp(op=op):
            new.op = ast.Or() if isinstance(op, ast.And) else ast.And()
            yield new
        case ast.UnaryOp(op=ast.Not() | ast.USub(), operand=operand) if not isinstance(operand, ast.Constant):
            yield operand
        case ast.IfExp(test=test):
            new.test = ast.UnaryOp(ast.Not(), test)
            yield new
        case ast.Constant(value=bool() as value):
            yield ast.Constant(not value)
        case ast.Constant(value=int() | float() as value):
            yield ast.Constant(value + 1 if isinstance(value, int) else value * 1.5)
        case ast.Call(func=ast.Name(id=name) as function) if name in NAMES:
            function.id = NAMES[name]
            yield new
        case ast.Call(func=ast.Attribute(attr=name) as function) if name in NAMES:
            function.attr = NAMES[name]
            yield new


def _is_type_union(node: ast.BinOp) -> bool:
    return isinstance(node.op, ast.BitOr) and "None" in ast.unparse(node)


# Running tests


def tests_of(file: Path) -> list[Path]:
    """Return the test files that name a module or one of its public functions, that of its own name first."""
    module = file.relative_to(SOURCE).with_suffix("").as_posix().replace("/", ".").removesuffix(".__init__")
    defined = [
        node.name
        for node in ast.parse(file.read_text("utf-8")).body
        if isinstance(node, ast.FunctionDef | ast.ClassDef)
    ]
    words = [rf"goldenrule\.{re.escape(module)}", *(re.escape(name) for name in defined if name[0] != "_")]
    named = re.compile(rf"\b({'|'.join(words)})\b")
    folders = [ROOT / "tests" / "metrics", *(ROOT / "tests" / "training").glob("test_schedule.py")]
    found = [
        path for folder in folders for path in (sorted(folder.rglob("test_*.py")) if folder.is_dir() else [folder])
    ]
    own = f"test_{file.stem}"
    found = [path for path in found if path.stem == own or named.search(path.read_text("utf-8"))]
    return sorted(found, key=lambda path: (path.stem != own, path.stat().st_size))[: MOST_FILES + 1]


def preload() -> None:
    """Import once what every process needs beside goldenrule, which is read anew in each."""
    for name in ("numpy", "openvino", "pytest", "hypothesis.extra.numpy", "PIL.Image", "filelock", "msgspec"):
        importlib.import_module(name)


def tried(one: Mutation) -> dict[str, Any]:
    """Return what becomes of a mutation, read in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        copied = Path(folder) / "src"
        shutil.copytree(SOURCE, copied / "goldenrule", ignore=shutil.ignore_patterns("__pycache__"))
        (copied / "goldenrule" / one.file.relative_to(SOURCE)).write_text(one.text, encoding="utf-8")
        child = os.fork()
        if child == 0:
            read_in_child(one, Path(folder))
        outcome = waited(child)
    return {"place": one.place, "old": one.old, "new": one.new, "outcome": outcome}


def waited(child: int) -> str:
    """Return the outcome of a process, which the system ends where it takes too long."""
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) in (signal.SIGXCPU, signal.SIGKILL):
        return LATE
    return SURVIVED if status == 0 else KILLED


def read_in_child(one: Mutation, folder: Path) -> None:
    """Run doctests and tests on the copy; end with 0 where all pass."""
    import pytest

    for name in [name for name in sys.modules if name.partition(".")[0] == "goldenrule"]:
        del sys.modules[name]
    sys.path.insert(0, str(folder / "src"))
    sys.dont_write_bytecode = True
    os.environ.update(PYTHONPATH=str(folder / "src"), HYPOTHESIS_STORAGE_DIRECTORY=str(folder / "hypothesis"))
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 1)
    os.dup2(quiet, 2)
    code = 1
    with contextlib.suppress(BaseException):
        module = importlib.import_module(one.module)
        assert module.__file__ is not None
        assert Path(module.__file__).is_relative_to(folder)
        if not doctest.testmod(module).failed:
            options = [
                "-x",
                "-q",
                "-p",
                "no:cacheprovider",
                "-p",
                "xdist",
                "-n",
                "0",
                "-W",
                RELOADED,
                "-m",
                "not exhaustive",
                "--hypothesis-seed=0",
            ]
            files = [str(path) for path in tests_of(one.file)]
            code = int(pytest.main([*options, f"--basetemp={folder / 'tmp'}", *files])) if files else 0
    os._exit(code)


# The page


def page(places: int, rows: Sequence[dict[str, Any]]) -> str:
    """Return the page of docs/results."""
    by_file: dict[str, Counter[str]] = {}
    for row in rows:
        by_file.setdefault(row["place"].partition(":")[0], Counter())[row["outcome"]] += 1
    total = sum(by_file.values(), Counter[str]())
    noticed = total.total() - total[SURVIVED]
    lines = [
        [f"`{name}`", str(row.total()), str(row.total() - row[SURVIVED]), str(row[SURVIVED])]
        for name, row in sorted(by_file.items())
    ]
    lines.append(["**all**", f"**{total.total()}**", f"**{noticed}**", f"**{total[SURVIVED]}**"])
    lived = [
        [f"`{row['place']}`", f"`{row['old']}`".replace("|", "\\|"), f"`{row['new']}`".replace("|", "\\|")]
        for row in rows
        if row["outcome"] == SURVIVED
    ]
    from goldenrule.metrics.intervals import wilson

    low, high = wilson(noticed, total.total())
    return (
        f"# Would a test notice?\n\n{__doc__.strip() if __doc__ else ''}\n\n"
        f"A sample of {total.total()} of {places:,} mutations: {noticed} were noticed, "
        f"{noticed / max(total.total(), 1):.0%} ({low:.0%} to {high:.0%}, Wilson, 95 %), {total[LATE]} of them because "
        f"the tests took more than {SECONDS} s of processor time.\n\n"
        f"{markdown_table(['file', 'tried', 'noticed', 'survived'], lines)}\n\n"
        f"## What survived\n\n{markdown_table(['where', 'was', 'became'], lived)}\n\n{NOTES}"
        f"Made by `python benchmarks/mutations.py`: {made_with()}.\n"
    )


RELOADED = "ignore::pytest.PytestAssertRewriteWarning"
NOTES = ""

if __name__ == "__main__":
    main()
