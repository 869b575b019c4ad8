"""Numbers that a change of the code must not change: on drawn sets, and on real photos at two commits.

    python tools/frozen.py make                     write tests/frozen/ anew: only where numbers are meant to change
    python tools/frozen.py compare COMMIT [SET ...]  this tree and a commit give the same, to the bit, on this machine

What is committed in tests/frozen/ is compared by tests/tools/test_frozen.py within 1e-4, "given parts" within 2e-3:
OpenBLAS sums in another order on other processors, and the same head is found to 2e-5, there to 1.1e-3 (AVX2).
Features are computed by each processor in its own way, so the committed ones are put where the feature cache would
have them.
`compare` runs whole commands in fresh processes, training included, and needs no committed number.
"""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from drawn import SHAPES, draw_several, draw_shapes
from house import ROOT, source_at

FROZEN = ROOT / "tests" / "frozen"
DATA = Path(os.environ.get("GOLDENRULE_TEST_DATA", ROOT.parent / "shared" / "data"))
PHOTO_SETS = ("dogscats", "cat_dog_horse", "surface_crack", "flowers_128", "GTSRB_native15")
SPLITS = ("valid", "test", "out_of_fold")
QUANTITIES = ("n", "accuracy", "low", "high", "log_loss")
Numbers = dict[str, Any]
Run = Callable[..., object]


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """A drawn set and the commands that are run on it, in a folder that holds `images`."""

    name: str
    draw: Callable[[Path], object]
    commands: tuple[tuple[str, ...], ...]
    live: bool = False  # whether a network is trained: processors differ then
    within: float = 1e-4  # of the committed numbers; more where the minimum of the head is flat

    def run(self, run: Run, folder: Path) -> Numbers:
        """Draw, run the commands in the folder and return the numbers of what they wrote."""
        self.draw(folder / "images")
        for command in self.commands:
            run(*command)
        return numbers_in(folder)


def splits(folder: Path) -> None:
    """Draw a set with train, valid and test folders."""
    for seed, (split, each) in enumerate({"train": 12, "valid": 6, "test": 6}.items()):
        draw_shapes(folder / split, each=each, seed=seed)


def two_folders(folder: Path) -> None:
    """Draw a set, and another of the same classes beside it."""
    draw_shapes(folder, each=16)
    draw_shapes(folder.parent / "elsewhere", each=6, seed=9)


FIT = ("fit", "images", "--out", "run", "--quick", "--head", "linear")
SCENARIOS = (
    Scenario(name="one label", draw=two_folders, commands=((*FIT, "--views", "2"),)),
    Scenario(name="given parts", draw=splits, commands=((*FIT, "--views", "0", "--seed", "3"),), within=2e-3),
    Scenario(
        name="averaged folds",
        draw=lambda folder: draw_shapes(folder, classes=SHAPES[:4], each=10, seed=5),
        commands=((*FIT, "--views", "0", "--folds", "3"),),
    ),
    Scenario(
        name="several labels",
        draw=lambda folder: draw_several(folder, count=48),
        commands=(("fit", "images/images", "--csv", "images/labels.csv", "--out", "run", "--quick", "--views", "0"),),
    ),
)
COMPARED = (
    *SCENARIOS,
    Scenario(
        name="commands",
        draw=two_folders,
        commands=(
            (*FIT, "--views", "0"),
            ("predict", "run", "elsewhere", "-o", "predicted.csv"),
            ("evaluate", "run", "elsewhere", "--out", "evaluated"),
            ("split", "images", "parted"),
        ),
    ),
    Scenario(name="golden rule", draw=splits, commands=(("fit", "images", "--out", "run"),), live=True),
    Scenario(
        name="from scratch",
        draw=splits,
        commands=(
            ("train", "images", "-m", "original", "-t", "fromzero", "--epochs", "3", "--size", "64", "--out", "run"),
        ),
        live=True,
    ),
)


def numbers_in(folder: Path) -> Numbers:
    """Return the numbers of every result and every table below a folder, by file and name."""
    return dict(_numbers_in(folder))


def _numbers_in(folder: Path) -> Iterator[tuple[str, Any]]:
    for path in sorted(folder.rglob("result.json")):
        yield from _of_result(path.relative_to(folder).as_posix(), json.loads(path.read_text(encoding="utf-8")))
    for path in sorted(folder.rglob("*.csv")):
        if "images" not in path.relative_to(folder).parts[:1]:
            yield from _of_table(path.relative_to(folder).as_posix(), path)


def _of_result(name: str, result: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    yield f"{name} chosen", result.get("chosen")
    yield f"{name} findings", len(result.get("findings", ()))
    for split in SPLITS:
        found = result.get(split) or {}
        for quantity in QUANTITIES:
            if quantity in found:
                yield f"{name} {split} {quantity}", found[quantity]


def _of_table(name: str, path: Path) -> Iterator[tuple[str, Any]]:
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    for number, row in enumerate(rows):
        key = row.get("path", str(number))
        for column, cell in row.items():
            if column in ("prediction", "status", "split", "part") or column.startswith("p:"):
                yield f"{name} {key} {'split' if column == 'part' else column}", _number(cell)  # its name before 0.1


def _number(cell: str) -> float | str:
    try:
        return float(cell)
    except ValueError:
        return cell


def differences(old: Numbers, new: Numbers, *, within: float = 0.0) -> list[str]:
    """Return what differs by more than `within`, a line each.

    >>> differences({"a": 1.0, "b": "cat"}, {"a": 1.5, "b": "cat"})
    ['a: 1.0 -> 1.5']
    """
    names = sorted(old.keys() | new.keys())
    return [
        f"{name}: {old.get(name, 'absent')} -> {new.get(name, 'absent')}"
        for name in names
        if not _alike(old.get(name), new.get(name), within)
    ]


def _alike(old: Any, new: Any, within: float) -> bool:
    if isinstance(old, int | float) and isinstance(new, int | float):
        return abs(old - new) <= within * max(1.0, abs(old))
    return bool(old == new)


def process_runner(source: Path, folder: Path, cache: Path) -> Run:
    """Return what runs a command of the goldenrule in `source` in a process of its own, in `folder`."""
    environment = os.environ | {"PYTHONPATH": str(source), "GOLDENRULE_CACHE": str(cache)}

    def run(*words: str) -> None:
        command = [sys.executable, "-m", "goldenrule", *words]
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"{source}: goldenrule {' '.join(words)} ended with {done.returncode}:\n{done.stderr}")

    return run


def compare(commit: str, sets: tuple[str, ...]) -> int:
    """Run every scenario and quick fits of photo sets at a commit and here; return how many numbers differ."""
    differing = 0
    with tempfile.TemporaryDirectory() as place:
        sources = {"old": source_at(commit, Path(place) / "source"), "new": ROOT / "src"}
        photos = [
            Scenario(name=f"photos {name}", draw=_linked(name), commands=((*FIT, "--seed", "1"),)) for name in sets
        ]
        for number, scenario in enumerate((*COMPARED, *photos)):
            found = {}
            for age, source in sources.items():
                folder = Path(place) / age / str(number)
                folder.mkdir(parents=True)
                found[age] = scenario.run(process_runner(source, folder, Path(place) / age / "cache"), folder)
            lines = differences(found["old"], found["new"])
            differing += len(lines)
            print(f"{scenario.name}: {len(found['old'])} numbers, {len(lines)} differ", flush=True)
            print(*(f"  {line}" for line in lines[:8]), sep="\n" if lines else "", end="\n" if lines else "")
    return differing


def _linked(name: str) -> Callable[[Path], None]:
    def draw(folder: Path) -> None:
        folder.symlink_to(DATA / name)

    return draw


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["compare", commit, *sets]:
            sys.exit(min(compare(commit, tuple(sets) or PHOTO_SETS), 1))
        case ["make"]:
            tests = [sys.executable, "-m", "pytest", "-q", "tests/tools/test_frozen.py"]
            sys.exit(subprocess.call(tests, cwd=ROOT, env=os.environ | {"GOLDENRULE_FREEZE": "1"}))
        case _:
            sys.exit(__doc__)
