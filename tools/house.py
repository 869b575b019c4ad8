"""Measure the house: sizes, names, circles and repetitions of the source, as one table.

    python tools/house.py                       the working tree
    python tools/house.py COMMIT [COMMIT ...]   a column for each commit, then the working tree

The bounds that must hold are tested in tests/tools/test_house.py.
"""

from __future__ import annotations

import ast
import io
import re
import subprocess
import sys
import tarfile
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

ROOT = Path(__file__).parents[1]
PACKAGE = "goldenrule"
LONG_FILE, LONG_FUNCTION, MANY_PARAMETERS, MANY_METHODS, MANY_FILES = 300, 60, 8, 15, 20
REPEATED_LINES = 6
Function = ast.FunctionDef | ast.AsyncFunctionDef

QUICK_FIT = """
import contextlib, io, os, sys
os.environ["GOLDENRULE_CACHE"] = sys.argv[2]
from goldenrule.cli import main
with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()):
    main.app(["fit", sys.argv[1], "--quick", "--out", sys.argv[3]])
print(sum(name.split(".")[0] == "goldenrule" for name in sys.modules))
"""


@dataclass(frozen=True)
class House:
    """The source files of a package, by module name, parsed."""

    sources: Mapping[str, str]

    @classmethod
    def at(cls, folder: Path) -> House:
        """Read the package in this `src` folder."""
        paths = sorted((folder / PACKAGE).rglob("*.py"))
        return cls({module_name(path.relative_to(folder)): path.read_text(encoding="utf-8") for path in paths})

    @cached_property
    def trees(self) -> dict[str, ast.Module]:
        """The syntax tree of each module."""
        return {name: ast.parse(text) for name, text in self.sources.items()}

    @cached_property
    def functions(self) -> dict[str, Function]:
        """Every function and method, under module:line:name."""
        return {
            f"{module}:{node.lineno}:{node.name}": node
            for module, tree in self.trees.items()
            for node in ast.walk(tree)
            if isinstance(node, Function)
        }

    @property
    def lines(self) -> int:
        """How many lines the source has."""
        return sum(text.count("\n") for text in self.sources.values())

    def long_files(self) -> list[str]:
        """Return the modules of `LONG_FILE` lines or more."""
        return [name for name, text in self.sources.items() if text.count("\n") >= LONG_FILE]

    def lengths(self) -> dict[str, int]:
        """Return the length of each function in lines, docstring included."""
        return {name: (node.end_lineno or 0) - node.lineno + 1 for name, node in self.functions.items()}

    def long_functions(self) -> list[str]:
        """Return the functions of more than `LONG_FUNCTION` lines."""
        return [name for name, length in self.lengths().items() if length > LONG_FUNCTION]

    def parameters(self) -> dict[str, list[ast.arg]]:
        """Return the parameters of each function without `self` and `cls`."""
        return {
            name: [
                parameter
                for parameter in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)
                if parameter.arg not in ("self", "cls")
            ]
            for name, node in self.functions.items()
        }

    def wide_functions(self) -> list[str]:
        """Return the functions with more than `MANY_PARAMETERS` parameters."""
        return [name for name, found in self.parameters().items() if len(found) > MANY_PARAMETERS]

    def wide_classes(self) -> dict[str, int]:
        """Return the classes with more than `MANY_METHODS` public methods, and how many they have."""
        found = {}
        for module, tree in self.trees.items():
            for node in ast.walk(tree):
                if isinstance(node, ast.ClassDef):
                    public = sum(isinstance(value, Function) and not value.name.startswith("_") for value in node.body)
                    if public > MANY_METHODS:
                        found[f"{module}:{node.name}"] = public
        return found

    def double_names(self) -> dict[str, list[str]]:
        """Return the file names that stand in several folders outside `cli`, and the modules."""
        homes: dict[str, list[str]] = defaultdict(list)
        for module in self.sources:
            if not module.startswith(f"{PACKAGE}.cli") and (name := module.rpartition(".")[2]) != "__init__":
                homes[name].append(module)
        return {name: found for name, found in homes.items() if len(found) > 1}

    def crowded_packages(self) -> dict[str, int]:
        """Return the packages with more than `MANY_FILES` files, and how many they have."""
        files = Counter(module.rpartition(".")[0] for module in self.sources if not module.endswith("__init__"))
        return {package: count for package, count in files.items() if count > MANY_FILES}

    def imports(self) -> dict[str, set[str]]:
        """Return the modules of the package that each module imports, those for types and inside functions too."""
        return {module: set(self._imported(tree)) - {module} for module, tree in self.trees.items()}

    def _imported(self, tree: ast.Module) -> Iterator[str]:
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    yield from self._module(alias.name)
            elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                for alias in node.names:
                    yield from self._module(f"{node.module}.{alias.name}") or self._module(node.module)

    def _module(self, name: str) -> list[str]:
        return [one for one in (name, f"{name}.__init__") if one in self.sources]

    def circles(self) -> list[list[str]]:
        """Return the groups of modules that import each other, directly or through others.

        A package's `__init__` only names what lives in it, and is left out.
        """
        modules = [name for name in self.sources if not name.endswith("__init__")]
        place = {name: number for number, name in enumerate(modules)}
        edges = [
            (place[module], place[other])
            for module, others in self.imports().items()
            if module in place
            for other in others
            if other in place
        ]
        rows, columns = zip(*edges, strict=True) if edges else ((), ())
        graph = csr_array((np.ones(len(edges)), (rows, columns)), shape=(len(modules),) * 2)
        _, component = connected_components(graph, connection="strong")
        members: dict[int, list[str]] = defaultdict(list)
        for name, number in zip(modules, component, strict=True):
            members[int(number)].append(name)
        return [names for names in members.values() if len(names) > 1]

    def options(self) -> Counter[str]:
        """Return the option slots of the command line: how often each option stands in a command's signature."""
        found: Counter[str] = Counter()
        shared = self._shared_options()
        for name in self.functions:
            if not name.startswith(f"{PACKAGE}.cli"):
                continue
            for parameter in self.parameters()[name]:
                written = ast.unparse(parameter.annotation) if parameter.annotation else ""
                found[parameter.arg] += "typer.Option" in written or "output(" in written or written in shared
        for tree in self.trees.values():
            found.update(_option_fields(tree))
        return +found

    def _shared_options(self) -> set[str]:
        return {
            target.id
            for module, tree in self.trees.items()
            if module.startswith(f"{PACKAGE}.cli")
            for node in tree.body
            if isinstance(node, ast.Assign) and re.search(r"typer\.Option|\b(of|output)\(", ast.unparse(node.value))
            for target in node.targets
            if isinstance(target, ast.Name)
        }

    def handed_on(self, name: str) -> tuple[int, int]:
        """Return how many functions have this parameter, and how many calls hand on a value of that name."""
        slots = sum(any(parameter.arg == name for parameter in found) for found in self.parameters().values())
        calls = sum(
            any(keyword.arg == name for keyword in node.keywords)
            or any(isinstance(argument, ast.Name) and argument.id == name for argument in node.args)
            for tree in self.trees.values()
            for node in ast.walk(tree)
            if isinstance(node, ast.Call)
        )
        return slots, calls

    def public_names(self) -> list[str]:
        """Return what the package offers at its top level."""
        for node in self.trees[f"{PACKAGE}.__init__"].body:
            if isinstance(node, ast.Assign) and any(
                isinstance(one, ast.Name) and one.id == "_HOMES" for one in node.targets
            ):
                assert isinstance(node.value, ast.Dict)
                return [str(key.value) for key in node.value.keys if isinstance(key, ast.Constant)]
        return []

    def words(self, pattern: str) -> tuple[int, int]:
        """Return how often this pattern stands in the source, and in how many files."""
        counts = [len(re.findall(pattern, text)) for text in self.sources.values()]
        return sum(counts), sum(count > 0 for count in counts)

    def docstrings_that_begin(self, word: str) -> int:
        """Return how many docstrings begin with this word."""
        nodes = (node for tree in self.trees.values() for node in ast.walk(tree))
        documented = (node for node in nodes if isinstance(node, Function | ast.ClassDef | ast.Module))
        return sum((ast.get_docstring(node) or "").startswith(f"{word} ") for node in documented)

    def methods_named(self, name: str) -> int:
        """Return how many functions have this name."""
        return sum(node.name == name for node in self.functions.values())

    def sentences_parsed(self) -> list[str]:
        """Return the places that compare or cut a sentence: a text with a blank given to a string method or to `in`.

        State is read back from English there, unless the text is a file's or another program's: see `FOREIGN`. The
        names of constants stand for their texts; the members of an enum are no sentences, whatever they are called.
        """
        found = []
        for module, tree in self.trees.items():
            for node in ast.walk(tree):
                if text := _parsed_text(node, self.constants):
                    place = f"{module}: {text}"
                    if place not in FOREIGN:
                        found.append(place)
        return found

    @cached_property
    def constants(self) -> dict[str, str]:
        """The texts that have a name in some module."""
        return {
            target.id: node.value.value
            for tree in self.trees.values()
            for node in tree.body
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
            for target in node.targets
            if isinstance(target, ast.Name) and isinstance(node.value.value, str)
        }

    def repeated(self) -> list[tuple[str, str]]:
        """Return the pairs of places where `REPEATED_LINES` or more lines stand twice, each pair once.

        Blank lines, docstrings, imports and lines without a letter do not count.
        """
        windows: dict[tuple[str, ...], list[tuple[str, int]]] = defaultdict(list)
        for module, tree in self.trees.items():
            lines = _lines_that_count(self.sources[module], tree)
            for start in range(len(lines) - REPEATED_LINES + 1):
                window = lines[start : start + REPEATED_LINES]
                windows[tuple(text for _, text in window)].append((module, start))
        pairs = set()
        for places in windows.values():
            for number, (module, start) in enumerate(places):
                for other, second in places[number + 1 :]:
                    pairs.add((module, other, second - start))
        return sorted((one, other) for one, other, _ in pairs)


FOREIGN: frozenset[str] = frozenset(
    {
        f"{PACKAGE}.core.errors: null byte",  # Python's own ValueError
        f"{PACKAGE}.runs.environment: model name",  # /proc/cpuinfo
        f"{PACKAGE}.core.errors: Symlink loop",  # Python 3.11's own RuntimeError
        f"{PACKAGE}.core.errors: . ",  # an error is cut where room is short; nothing follows from it
        f"{PACKAGE}.core.schema:  - at ",  # msgspec's own ValidationError
        f"{PACKAGE}.cli.options:  | None",  # Python's own way to write a type
        f"{PACKAGE}.core.cells:  | ",  # what stands between the labels of a cell, in files
    }
)
"""Texts of other programs, whose sentences are all that they give, and what separates values in files."""


def _option_fields(tree: ast.Module) -> Iterator[str]:
    """Yield the names of fields of dataclasses that are options."""
    for node in ast.walk(tree):
        match node:
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.Call(func=ast.Name(id="option"))):
                yield name


def module_name(path: Path) -> str:
    """Return the dotted name of a source file.

    >>> module_name(Path("goldenrule/cli/fit.py"))
    'goldenrule.cli.fit'
    """
    return ".".join(path.with_suffix("").parts)


STRING_METHODS = (
    *("startswith", "endswith", "removeprefix", "removesuffix", "partition", "rpartition", "split", "rsplit"),
    *("find", "rfind", "index", "count"),
)


def _parsed_text(node: ast.AST, constants: Mapping[str, str]) -> str | None:
    """Return the sentence that this expression looks for in a text, None if it looks for none."""
    candidates: list[ast.expr] = []
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in STRING_METHODS:
        if isinstance(node.func.value, ast.Name) and node.func.value.id == "re":
            return None
        for argument in node.args[:1]:
            candidates += argument.elts if isinstance(argument, ast.Tuple) else [argument]
    elif isinstance(node, ast.Compare):
        kinds = (ast.In, ast.NotIn, ast.Eq, ast.NotEq)
        operands = (node.left, *node.comparators)
        for operation, left, right in zip(node.ops, operands, operands[1:], strict=False):
            if isinstance(operation, kinds):
                candidates.append(left)
                if isinstance(operation, ast.Eq | ast.NotEq):
                    candidates.append(right)
                elif isinstance(right, ast.Tuple | ast.Set | ast.List):
                    candidates += right.elts
    for one in candidates:
        text = (
            one.value if isinstance(one, ast.Constant) else constants.get(one.id) if isinstance(one, ast.Name) else ""
        )
        if isinstance(text, str) and re.search(r"\S | \S", text):
            return text
    return None


def _lines_that_count(text: str, tree: ast.Module) -> list[tuple[int, str]]:
    """Return the numbered lines of a module that say what it does."""
    without: set[int] = set()
    for node in ast.walk(tree):
        is_text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and str(node.value.value)
        if isinstance(node, ast.Import | ast.ImportFrom) or (isinstance(node, ast.Expr) and is_text):
            without.update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    numbered = ((number, line.strip()) for number, line in enumerate(text.split("\n"), 1) if number not in without)
    return [(number, line) for number, line in numbered if re.search("[A-Za-z]", line) and not line.startswith("#")]


def imported_by_a_quick_fit(source: Path) -> int:
    """Return how many modules of ours a quick fit of a drawn set imports, in a process of its own."""
    sys.path.insert(0, str(ROOT / "tools"))
    from drawn import draw_shapes

    with tempfile.TemporaryDirectory() as folder:
        images = draw_shapes(Path(folder) / "images", each=6)
        cache = Path(folder) / "cache"
        command = [sys.executable, "-c", QUICK_FIT, str(images), str(cache), str(Path(folder) / "run")]
        environment = {"PYTHONPATH": str(source), "PATH": "/usr/bin:/bin", "HOME": folder}
        for _ in range(2):  # the first prepares the backbone
            done = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, check=True)
    return int(done.stdout.split()[-1])


def figures(house: House) -> dict[str, str]:
    """Return the figures of the table, each with its name."""
    lengths = sorted(house.lengths().values())
    middle, many = np.percentile(lengths, (50, 90))
    wide = house.wide_functions()
    counts = sorted((len(house.parameters()[name]) for name in wide), reverse=True)
    options = house.options()
    pairs = house.repeated()
    sources = house.handed_on("source")
    custom = house.words(r"\bown\b")
    return {
        "lines in files": f"{house.lines:,} in {len(house.sources)}",
        "functions: median, p90, longest": f"{middle:.0f}, {many:.0f}, {lengths[-1]}",
        f"functions over {LONG_FUNCTION} lines": str(len(house.long_functions())),
        f"functions with more than {MANY_PARAMETERS} parameters": f"{len(wide)} ({', '.join(map(str, counts[:5]))})",
        f"classes with more than {MANY_METHODS} public methods": ", ".join(
            f"{name.rpartition(':')[2]} {count}" for name, count in house.wide_classes().items()
        )
        or "0",
        f"files of {LONG_FILE} lines or more": str(len(house.long_files())),
        f"packages with more than {MANY_FILES} files": ", ".join(
            f"{name.rpartition('.')[2]} {count}" for name, count in house.crowded_packages().items()
        )
        or "0",
        "file names in several folders (outside cli)": str(len(house.double_names())),
        "circles of files": str(len(house.circles())),
        f"pairs of places where {REPEATED_LINES} lines stand twice": str(len(pairs)),
        "option slots, options": f"{options.total()}, {len(options)}",
        "most slots of one option": ", ".join(f"{name} {count}" for name, count in options.most_common(1)),
        "`source`: functions that take it, calls that hand it on": f"{sources[0]}, {sources[1]}",
        "sentences parsed": str(len(house.sentences_parsed())),
        "`to_json`, `from_json`": f"{house.methods_named('to_json')}, {house.methods_named('from_json')}",
        "public names": str(len(house.public_names())),
        "`own` in files": f"{custom[0]} in {custom[1]}",
        'docstrings that begin with "Give"': str(house.docstrings_that_begin("Give")),
    }


def source_at(commit: str, folder: Path) -> Path:
    """Unpack the source of a commit into a folder and return its `src`."""
    packed = subprocess.run(["git", "archive", commit, "src"], cwd=ROOT, capture_output=True, check=True).stdout
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        archive.extractall(folder, filter="data")
    return folder / "src"


def main(commits: list[str]) -> None:
    """Print the table: a column for each commit, then the working tree."""
    with tempfile.TemporaryDirectory() as folder:
        sources = {commit: source_at(commit, Path(folder) / commit) for commit in commits} | {"now": ROOT / "src"}
        columns = {}
        for name, source in sources.items():
            found = figures(House.at(source))
            found["modules that `fit --quick` imports"] = str(imported_by_a_quick_fit(source))
            columns[name] = found
    print("| figure | " + " | ".join(columns) + " |")
    print("|---" * (len(columns) + 1) + "|")
    for figure in columns["now"]:
        print(f"| {figure} | " + " | ".join(found[figure] for found in columns.values()) + " |")


if __name__ == "__main__":
    main(sys.argv[1:])
