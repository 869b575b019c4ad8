"""What happens with damaged files: mutants of every file of a run, its classifier and the cache.

A small run is made of drawn pictures with a network of timm's that is prepared in a second. Then one file at a time is
changed at random: bits flipped, bytes overwritten, cut, lengthened, emptied, blocks zeroed, removed, or another file's
content put in its place. Whoever reads it reads it again in a process of its own, and what comes out is compared with
what the whole files give: the same answer (as where something is made anew), or a `GoldenRuleError`. Anything else is a
failure.

*Of a stranger*: JSON files with single values changed and the manifest made to fit, as somebody else could send them.
There another answer is no failure: it is what that file says. A traceback is.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import json
import math
import multiprocessing
import os
import random
import shutil
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from common import RESULTS, made_with, markdown_table

SECONDS = 120.0
MUTANTS = {"predict": 700, "look": 400, "report": 400, "fit": 150, "classified": 120}
"""So many of each kind of file, by who reads it: the more, the faster that is."""
NETWORK = "test_efficientnet"
OUTCOMES = ("same answer", "clean error", "other answer", "silent", "traceback", "crash", "hang")
FAILURES = ("silent", "traceback", "crash", "hang")


@dataclass(frozen=True)
class Place:
    """The folders that a mutant may lie in, all below one root."""

    root: Path
    weights: Path  # of the network, drawn once

    @property
    def run(self) -> Path:
        """The folder of the run."""
        return self.root / "run"

    @property
    def cache(self) -> Path:
        """The cache."""
        return self.root / "cache"

    @property
    def pictures(self) -> Path:
        """The images."""
        return self.root / "photos"


def main() -> None:
    """Make mutants and write the page; exit code 1 where one failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--share", type=float, default=1.0, help="of the mutants of each kind of file")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="*", default=[""], help="kinds of file that begin so")
    parser.add_argument("-o", "--out", type=Path, default=RESULTS / "mutants.md")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder:
        place = made(Path(folder))
        rows, failures = measured(place, arguments.share, arguments.seed, tuple(arguments.only))
    for line in failures:
        print(line)
    kept = arguments.out.with_suffix(".json")
    found = json.loads(kept.read_text()) if kept.exists() else {}
    found = dict(sorted({**found, **{name: {**row, "made_with": made_with()} for name, row in rows.items()}}.items()))
    kept.write_text(json.dumps(found, indent=1) + "\n")
    arguments.out.write_text(page(found))
    print(table(rows))
    sys.exit(1 if failures else 0)


def made(root: Path) -> Place:
    """Draw pictures and fit them, quickly and with all steps."""
    place = Place(root, root / "weights.safetensors")
    draws = np.random.default_rng(0)
    for hue, label in enumerate(("blue", "green")):
        (place.pictures / label).mkdir(parents=True)
        for number in range(24):
            pixels = draws.integers(0, 120, size=(48, 48, 3))
            pixels[:, :, hue] += 90
            Image.fromarray(pixels.astype(np.uint8)).save(place.pictures / label / f"{number:02d}.png")
    from safetensors.torch import save_file
    from timm import create_model

    save_file(create_model(NETWORK, num_classes=0).state_dict(), place.weights)
    os.environ["GOLDENRULE_CACHE"] = str(place.cache)
    fitted(place)
    return place


def fitted(place: Place) -> Any:
    """Fit, or replay, the run."""
    from goldenrule.pipelines.quick_fit import quick_fit
    from goldenrule.runs.options import FitOptions

    options = FitOptions(backbone=NETWORK, weights=place.weights, size=64, views=0, seed=0, threads=1)
    return quick_fit(place.pictures, options=options, out=place.run)


# What reads the files. Each gives a value that is equal where the answer is.


def predict(place: Place) -> Any:
    """Predict some pictures with the classifier."""
    from goldenrule.models.classifier import Classifier

    files = [(path.name, path) for path in sorted((place.pictures / "blue").iterdir())[:3]]
    found = Classifier.load(place.run).predict_files(files, threads=1)
    return found.logits.tobytes(), found.classes, found.distance


def look(place: Place) -> Any:
    """Read all that commands read of a finished run."""
    from goldenrule.runs.verified_files import known_split, run_choice, run_result
    from goldenrule.tasks.reopened import reopened
    from goldenrule.tasks.run_comparison import compare_runs
    from goldenrule.tasks.run_learning_curve import tried_by

    opened = reopened(place.run, threads=1)
    compared = compare_runs(place.run, place.run)
    return (
        opened.table.rows.to_pydict(),
        opened.options,
        str(compared.estimates),
        known_split(place.run),
        run_choice(place.run),
        run_result(place.run),
        tried_by(place.run),
    )


def report(place: Place) -> Any:
    """Make the report's page again."""
    from goldenrule.tasks.report_again import report_again

    page = place.root / "again.html"
    page.unlink(missing_ok=True)
    return report_again(place.run, out=page).read_text()


def fit(place: Place) -> Any:
    """Return the same `goldenrule fit` again: what is whole is replayed, the rest made anew."""
    found = fitted(place)
    return found.headline.to_json(), found.predictions["test"].logits.tobytes()


def classified(place: Place) -> Any:
    """Fit again from the cache alone, and predict."""
    shutil.rmtree(place.run)
    found = fitted(place)
    return found.headline.to_json(), predict(place)


Reader = Callable[[Place], Any]


def kinds(place: Place) -> Iterator[tuple[str, Path, tuple[Reader, ...]]]:
    """Return every file that is read: its kind, path and readers."""
    for path in sorted((place.run / "classifier").iterdir()):
        yield f"classifier/{path.name}", path, (predict,)
    for name in ("manifest.json", "run.json", "split.csv", "images.arrow", "choice.json", "result.json"):
        yield f"run/{name}", place.run / name, (look, report)
    for path in sorted((place.run / "predictions").iterdir()):
        yield "run/predictions/*.csv", path, (look,)
    for path in sorted((place.run / "report").iterdir()):
        yield f"run/report/{path.name}", path, (report,)
    for path in sorted((place.run / "steps").iterdir()):
        yield "run/steps/*", path, (fit,)
    for name in ("classifier/classifier.json", "choice.json", "result.json", "images.arrow", "split.csv", "run.json"):
        yield f"run/{name}, fit again", place.run / name, (fit,)
    for path in sorted(place.cache.rglob("*")):
        if path.is_file() and path.name != "lock":
            kind = path.relative_to(place.cache).parts[0]
            yield f"cache/{kind}/*{path.suffix}", path, (classified,)


def strangers(place: Place) -> Iterator[tuple[str, Path, tuple[Reader, ...]]]:
    """Return the JSON files that a stranger could write with a manifest that fits."""
    yield "of a stranger: classifier/classifier.json", place.run / "classifier" / "classifier.json", (predict,)
    for name in ("run.json", "choice.json", "result.json"):
        yield f"of a stranger: run/{name}", place.run / name, (look, report)
    yield "of a stranger: run/report/content.json", place.run / "report" / "content.json", (report,)


def mutant(content: bytes, draws: random.Random, others: list[bytes]) -> tuple[str, bytes | None]:
    """Return a name and the changed content; None: the file is removed."""
    at = draws.randrange(len(content)) if content else 0
    changed = bytearray(content)
    match draws.randrange(10):
        case 0 | 1 | 2 | 3 if content:
            changed[at] ^= 1 << draws.randrange(8)
            return f"bit at {at}", bytes(changed)
        case 4 | 5 if content:
            length = draws.randint(1, 16)
            changed[at : at + length] = draws.randbytes(length)
            return f"{length} bytes at {at}", bytes(changed)
        case 6:
            return f"cut at {at}", content[:at]
        case 7:
            return "lengthened", content + draws.randbytes(draws.randint(1, 64))
        case 8 if content:
            changed[at : at + 256] = bytes(len(changed[at : at + 256]))
            return f"zeros at {at}", bytes(changed)
        case _:
            return draws.choice([("removed", None), ("emptied", b""), ("another file", draws.choice(others))])


def strange(content: bytes, draws: random.Random) -> tuple[str, bytes]:
    """Return a JSON file with one value changed, removed or added."""
    value = json.loads(content)
    holders = [(one, key) for one in _walk(value) for key in (list(one) if isinstance(one, dict) else range(len(one)))]
    holder, key = draws.choice(holders)
    odd: list[Any] = [None, -1, 0, 10**15, 1e300, "", "x" * 5000, "../../x", [], {}, True, [[[]]], {"a": 1}, 0.5]
    match draws.randrange(4):
        case 0:
            del holder[key]
        case 1 if isinstance(holder, dict):
            holder[f"{key} more"] = copy.deepcopy(holder[key])
        case _:
            holder[key] = draws.choice(odd)
    return f"value {key!r}", json.dumps(value).encode()


def _walk(value: Any) -> Iterator[Any]:
    if isinstance(value, dict | list):
        yield value
        for ours in value.values() if isinstance(value, dict) else value:
            yield from _walk(ours)


def measured(place: Place, share: float, seed: int, only: tuple[str, ...]) -> tuple[dict[str, Counter[str]], list[str]]:
    """Return the outcomes by kind of file, and a line per failure."""
    damaged = [one for one in kinds(place) if one[0].startswith(only)]
    foreign = [one for one in strangers(place) if one[0].startswith(only)]
    names = sorted({one[0] for one in (*damaged, *foreign)})
    whole = Path(shutil.copytree(place.root, place.root.with_name(f"{place.root.name}-whole")))
    draws, found, failures = random.Random(seed), defaultdict[str, Counter[str]](Counter), list[str]()
    worker = Worker(place)
    try:
        for name in names:
            mine = [one for one in (*damaged, *foreign) if one[0] == name]
            others = [path.read_bytes() for _, path, _ in damaged if path.suffix == mine[0][1].suffix][:20]
            for number in range(math.ceil(share * min(MUTANTS[reader.__name__] for reader in mine[0][2]))):
                _, path, readers = mine[number % len(mine)]
                content = (whole / path.relative_to(place.root)).read_bytes()
                if name.startswith("of a stranger"):
                    what, changed = strange(content, draws)
                else:
                    what, changed = mutant(content, draws, others)
                _put(path, changed)
                if name.startswith("of a stranger"):
                    _made_to_fit(path, place)
                outcome = max((worker.ask(reader) for reader in readers), key=lambda one: OUTCOMES.index(one[0]))
                kind = "other answer" if outcome[0] == "silent" and name.startswith("of a stranger") else outcome[0]
                found[name][kind] += 1
                if kind in FAILURES:
                    failures.append(f"{name} {path.name}: {what}: {kind} {outcome[1]}")
                _restored(whole, place.root)
            print(name, dict(found[name]), flush=True)
    finally:
        worker.end()
        shutil.rmtree(whole)
    return found, failures


def _made_to_fit(path: Path, place: Place) -> None:
    from goldenrule.storage.manifest import seal, write_recorded

    if path.parent == place.run:
        content = path.read_bytes()
        path.unlink()
        write_recorded(place.run, path.name, content)
    else:
        seal(path.parent)


def _put(path: Path, content: bytes | None) -> None:
    path.unlink()
    if content is not None:
        path.write_bytes(content)


def _restored(whole: Path, root: Path) -> None:
    """Make the folders as they were: what differs is copied again, what is new goes."""
    for folder in ("run", "cache"):
        wanted = {path.relative_to(whole) for path in (whole / folder).rglob("*") if path.is_file()}
        for path in list((root / folder).rglob("*")):
            if path.is_file() and path.relative_to(root) not in wanted:
                path.unlink()
        for name in wanted:
            file, original = root / name, whole / name
            if not file.is_file() or file.stat().st_mtime_ns != original.stat().st_mtime_ns:
                file.parent.mkdir(parents=True, exist_ok=True)
                with contextlib.suppress(FileNotFoundError):
                    file.unlink()
                shutil.copy2(original, file)


class Worker:
    """A process that reads, and is begun again where it was killed by what it read."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._begin()

    def ask(self, reader: Reader) -> tuple[str, str]:
        """Return the outcome of a reader, and what it said."""
        self._pipe.send(reader.__name__)
        if not self._pipe.poll(SECONDS):
            self.end()
            self._begin()
            return "hang", ""
        try:
            return self._pipe.recv()  # type: ignore[no-any-return]
        except (EOFError, ConnectionError):
            self._process.join()
            code = self._process.exitcode
            self._begin()
            return "crash", f"exit code {code}"

    def end(self) -> None:
        """Kill the process."""
        self._process.kill()
        self._process.join()

    def _begin(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, other = context.Pipe()
        self._process = context.Process(target=_serve, args=(other, self._place, _known()), daemon=True)
        self._process.start()
        other.close()


_ANSWERS: dict[str, Any] = {}


def _known() -> dict[str, Any]:
    return _ANSWERS


def _serve(pipe: Connection, place: Place, answers: dict[str, Any]) -> None:
    """Read on demand; the first time each reader's answer is that of the whole files."""
    from goldenrule.core.errors import GoldenRuleError

    os.environ["GOLDENRULE_CACHE"] = str(place.cache)
    with tempfile.TemporaryDirectory() as folder:
        sound = Place(Path(folder), place.weights)
        shutil.copytree(place.root.with_name(f"{place.root.name}-whole"), sound.root, dirs_exist_ok=True)
        os.environ["GOLDENRULE_CACHE"] = str(sound.cache)
        for reader in (predict, look, report, fit, classified):
            answers[reader.__name__] = _at(reader, sound).replace(str(place.root), "ROOT")
        os.environ["GOLDENRULE_CACHE"] = str(place.cache)
    while True:
        name = pipe.recv()
        try:
            found = _at(globals()[name], place)
        except GoldenRuleError as error:
            pipe.send(("clean error", str(error)[:200]))
        except BaseException as error:  # noqa: BLE001 - this is what is looked for
            pipe.send(("traceback", f"{type(error).__name__}: {error}"[:300]))
        else:
            same = repr(found) == repr(answers[name])
            pipe.send(("same answer", "") if same else ("silent", _first_difference(found, answers[name])))


def _at(reader: Reader, place: Place) -> Any:
    """Return a reader's answer without the folder's name."""
    return repr(reader(place)).replace(str(place.root), "ROOT")


def _first_difference(one: str, other: str) -> str:
    at = next((n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    return f"...{one[max(0, at - 40) : at + 60]}... instead of ...{other[max(0, at - 40) : at + 60]}..."


def table(rows: dict[str, Counter[str]]) -> str:
    """Return a line per kind of file, and one for all."""
    total = sum(rows.values(), Counter[str]())
    lines = [[name, f"{row.total():,}", *(f"{row[what]:,}" for what in OUTCOMES)] for name, row in rows.items()]
    lines.append(["**all**", f"**{total.total():,}**", *(f"**{total[what]:,}**" for what in OUTCOMES)])
    return markdown_table(["file", "mutants", *OUTCOMES], lines)


def page(found: dict[str, Any]) -> str:
    """Return the page of docs/results."""
    rows = {name: Counter({what: value.get(what, 0) for what in OUTCOMES}) for name, value in found.items()}
    made = "; ".join(dict.fromkeys(value["made_with"] for value in found.values()))
    return (
        "# Damaged and hostile files\n\n"
        f"{__doc__.strip() if __doc__ else ''}\n\n"
        f"{table(rows)}\n\n"
        "*Same answer*: also where a file is made anew, as those of the cache and of finished steps are, or where it "
        "is not needed. *Other answer*: only of a stranger's file, which says something else. A failure is *silent* "
        "(another answer of a damaged file), a *traceback*, a *crash* of the process or a *hang* (no answer in "
        f"{SECONDS:.0f} s).\n\n"
        f"Made by `python benchmarks/mutants.py`: {made}.\n"
    )


if __name__ == "__main__":
    main()
