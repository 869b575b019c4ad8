"""Fits that are killed at random, from several processes on one cache, and run again to their end.

    python benchmarks/soak.py --fits 100

Small pictures are drawn, a few sets of them, and each set is fitted once unbroken with a cache of its own. Then fits
of all sets run side by side on one cache that begins with the prepared network alone. Each is killed by SIGKILL or
SIGTERM one to three times and then left to its end. Half of the moments are drawn from the length of a fit, half from
the files that it writes: it is killed as soon as so many are there, or a little later. Predictions, split, classifier
and numbers must be those of the unbroken one, to the byte; nothing unfinished may lie in its folder; and each row of
the shared cache must be that of the unbroken fit. Each fit is a process of its own, forked from one that has imported
everything, so that moments fall into the fit and not into its start; chunks of rows are written every 0.05 s.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from PIL import Image

from common import RESULTS, made_with, markdown_table

NETWORK, SETS, CLASSES, EACH = "test_efficientnet", 2, ("blue", "green"), 24
SIGNALS = (signal.SIGKILL, signal.SIGTERM)
OPTIONS = ("--quick", "--backbone", NETWORK, "--size", "64", "--views", "2", "--head", "linear", "--threads", "1")
TIMES = ("stages", "features", "environment", "seconds", "created", "tests")
MEMORY, CHUNK_SECONDS = Path("/dev/shm"), 0.05


@dataclass
class Soak:
    """The folder in which it happens, and what has happened so far."""

    root: Path
    seconds: float = 1.0  # of an unbroken fit
    files: int = 30  # that it writes into its folder
    done: int = 0
    killed: Counter[str] = field(default_factory=Counter)
    reached: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    def fit(self, pictures: int, run: Path, cache: Path) -> int:
        """Begin a fit in a process of its own; return its id."""
        log = run.with_suffix(".log")
        log.parent.mkdir(parents=True, exist_ok=True)
        log.touch()
        words = ["fit", f"set-{pictures}", *OPTIONS, "--weights", "weights.safetensors", "--out", str(run)]
        child = os.fork()
        if child == 0:
            os.chdir(self.root)
            os.environ["GOLDENRULE_CACHE"] = str(cache)
            live(words, log)
        return child

    def broken(self, number: int, seed: int) -> None:
        """Kill a fit, run it to its end, and compare."""
        draws = random.Random(f"{seed} {number}")
        run, cache = self.root / "broken" / f"run-{number}", self.root / "cache"
        for _ in range(draws.randint(1, 3)):
            child, by = self.fit(number % SETS, run, cache), draws.choice(SIGNALS)
            by_files = draws.random() < 0.5
            most = draws.randint(files_in(run) + 1, max(self.files, files_in(run) + 1)) if by_files else 10**9
            until = time.monotonic() + (60 if by_files else draws.uniform(0, 1.2 * self.seconds))
            code = ended_before(child, run, most, until)
            if code is None:
                time.sleep(draws.uniform(0, 0.02) * draws.choice((0, 1)))
                os.kill(child, by)
                code = exit_code(child)
            self.note(number, by, code, run)
        if code := exit_code(self.fit(number % SETS, run, cache)):
            self.wrong.append(f"fit {number} ended with {code}: {said(run)}")
            return
        ours, theirs = written(run), written(self.root / "unbroken" / f"run-{number % SETS}")
        differ = sorted(name for name in ours.keys() | theirs.keys() if ours.get(name) != theirs.get(name))
        self.wrong += [f"fit {number}: {name} differs" for name in differ]

    def note(self, number: int, by: signal.Signals, code: int, run: Path) -> None:
        """Count how a fit ended that was to be killed, and how far it had come."""
        if code not in (0, -by, 143 if by == signal.SIGTERM else -by):
            self.wrong.append(f"fit {number}: exit code {code} after {by.name}: {said(run)}")
        if "Traceback" in run.with_suffix(".log").read_text():
            self.wrong.append(f"fit {number}: a traceback after {by.name}: {said(run)}")
        self.killed["ended first" if code == 0 else by.name] += 1
        if code:
            self.reached[stage(run)] += 1


def live(words: list[str], log: Path) -> NoReturn:
    """Be the command."""
    from goldenrule.cli import main as command

    file = os.open(log, os.O_CREAT | os.O_TRUNC | os.O_WRONLY)
    os.dup2(file, 1)
    os.dup2(file, 2)
    sys.argv = ["goldenrule", *words]
    try:
        command.run()
    except SystemExit as end:
        os._exit(end.code if isinstance(end.code, int) else int(end.code is not None))
    except BaseException:  # noqa: BLE001 - what a user would see
        traceback.print_exc()
        sys.stderr.flush()
    os._exit(1)


def ended_before(child: int, run: Path, files: int, until: float) -> int | None:
    """Return the exit code of a fit that ended before it wrote so many files, and before a moment; else None."""
    while time.monotonic() < until and files_in(run) < files:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.002)
    return None


def exit_code(child: int) -> int:
    """Return the exit code of a process."""
    try:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    except ChildProcessError:
        return 0


def files_in(run: Path) -> int:
    """Return how many files a run has, unfinished ones too."""
    return sum(len(files) for _, _, files in os.walk(run))


def said(run: Path) -> str:
    """Return the end of what a fit has printed."""
    return run.with_suffix(".log").read_text().strip()[-300:]


def stage(run: Path) -> str:
    """Return how far a run has come."""
    if not (run / "run.json").exists():
        return "before run.json"
    if (run / "result.json").exists():
        return "after result.json"
    if (run / "choice.json").exists():
        return "after choice.json"
    return f"{len(list((run / 'steps').glob('*')))} steps stored"


def main() -> None:
    """Soak, and write the page; exit code 1 where something was wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fits", type=int, default=100)
    parser.add_argument("--processes", type=int, default=3, help="fits at a time")
    parser.add_argument("--minutes", type=float, default=600, help="begin no fit after so long; the page says how many")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("-o", "--out", type=Path, default=RESULTS / "soak.md")
    arguments = parser.parse_args()
    until = time.monotonic() + 60 * arguments.minutes
    imported()
    # a plain folder: one of TemporaryDirectory would go with the first forked process that ends by SIGTERM
    folder = tempfile.mkdtemp(prefix="goldenrule-soak-", dir=MEMORY if MEMORY.is_dir() else None)
    try:
        soak = Soak(Path(folder))
        aside = os.fork()  # PyTorch's threads are no good in forked processes
        if aside == 0:
            draw(soak.root)
            os._exit(0)
        assert exit_code(aside) == 0
        unbroken(soak)
        print(f"{SETS} unbroken fits, the last in {soak.seconds:.1f} s with {soak.files} files", flush=True)
        workers = [at_work(soak, arguments, number, until) for number in range(arguments.processes)]
        for number, worker in enumerate(workers):
            gathered(soak, worker, soak.root / f"worker-{number}.json")
        rows, alike, left, after = cache_found(soak)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if alike != rows:
        soak.wrong.append(f"{rows - alike} rows of the cache differ")
    text = page(soak, arguments, rows, left, after)
    arguments.out.write_text(text)
    print(text, *soak.wrong, sep="\n")
    sys.exit(1 if soak.wrong else 0)


def imported() -> None:
    """Import what fits need, so that forked ones begin at once."""
    import pandas  # noqa: F401 - pyarrow looks for it
    import scipy.optimize
    import scipy.stats
    import timm

    from goldenrule.engines.openvino import imported as openvino
    from goldenrule.features import cache
    from goldenrule.pipelines import quick_fit  # noqa: F401

    assert scipy.optimize, scipy.stats
    assert timm
    openvino()
    cache.CHUNK_SECONDS = CHUNK_SECONDS


def at_work(soak: Soak, arguments: argparse.Namespace, first: int, until: float) -> int:
    """Begin a process that breaks every so-manieth fit."""
    worker = os.fork()
    if worker:
        return worker
    code = 1
    try:
        for number in range(first, arguments.fits, arguments.processes):
            if time.monotonic() > until:
                break
            soak.broken(number, arguments.seed)
            soak.done += 1
            print(f"fit {number}: {len(soak.wrong)} wrong", flush=True)
            found = {"killed": soak.killed, "reached": soak.reached, "wrong": soak.wrong, "done": soak.done}
            (soak.root / f"worker-{first}.json").write_text(json.dumps(found))
        code = 0
    except BaseException:  # noqa: BLE001 - told, and counted by who waits
        traceback.print_exc()
        sys.stderr.flush()
    finally:
        os._exit(code)


def gathered(soak: Soak, worker: int, file: Path) -> None:
    """Add what a worker found."""
    if exit_code(worker):
        soak.wrong.append(f"{file.stem} broke down")
    if not file.exists():
        return
    found = json.loads(file.read_text())
    soak.killed.update(found["killed"])
    soak.reached.update(found["reached"])
    soak.wrong += found["wrong"]
    soak.done += found["done"]


def draw(root: Path) -> None:
    """Draw the sets, and the weights of the network."""
    for number in range(SETS):
        draws = np.random.default_rng(number)
        for hue, label in enumerate(CLASSES):
            (root / f"set-{number}" / label).mkdir(parents=True)
            for index in range(EACH):
                pixels = draws.integers(0, 140, size=(48, 48, 3))
                pixels[:, :, hue] += 40
                Image.fromarray(pixels.astype(np.uint8)).save(root / f"set-{number}" / label / f"{index:02d}.png")
    import torch
    from safetensors.torch import save_file
    from timm import create_model

    torch.manual_seed(0)
    save_file(create_model(NETWORK, num_classes=0).state_dict(), root / "weights.safetensors")


def unbroken(soak: Soak) -> None:
    """Fit every set unbroken; the shared cache begins with what the first prepared, and no rows."""
    cache = soak.root / "unbroken" / "cache"
    for number in range(SETS):
        run, began = soak.root / "unbroken" / f"run-{number}", time.monotonic()
        assert exit_code(soak.fit(number, run, cache)) == 0, said(run)
        soak.seconds, soak.files = time.monotonic() - began, files_in(run)
        if number == 0:
            shutil.copytree(cache, soak.root / "cache", ignore=shutil.ignore_patterns("banks"))


def written(run: Path) -> dict[str, bytes]:
    """Return what must not depend on interruptions: split, predictions, classifier, numbers; not how long it took."""
    found = {"split.csv": (run / "split.csv").read_bytes()}
    for path in sorted(run.rglob("*")):
        name = path.relative_to(run).as_posix()
        if ".goldenrule-" in name or name.endswith((".checkpoint", ".tmp")):
            found[f"unfinished {name}"] = b""
        elif name.startswith(("predictions/", "classifier/")):
            found[name] = path.read_bytes()
    numbers = json.loads((run / "result.json").read_text())
    found["result.json"] = json.dumps(timeless(numbers), sort_keys=True).replace(run.name, "RUN").encode()
    return found


def timeless(value: Any) -> Any:
    """Return a value of JSON without times and places."""
    if isinstance(value, dict):
        return {name: timeless(inner) for name, inner in value.items() if name not in TIMES}
    return [timeless(inner) for inner in value] if isinstance(value, list) else value


def cache_found(soak: Soak) -> tuple[int, int, int, int]:
    """Return the rows of the shared cache, those that equal the unbroken fits', and leftovers before and after."""
    from goldenrule.features import cache as feature_cache
    from goldenrule.storage.cache_folder import cache_leftovers, clear_leftovers

    found: dict[str, dict[bytes, bytes]] = {}
    damaged = 0
    for place in (soak.root / "cache", soak.root / "unbroken" / "cache"):
        os.environ["GOLDENRULE_CACHE"] = str(place)
        rows = found.setdefault(str(place), {})
        for folder in sorted(feature_cache.banks_folder().glob("*")):
            key = feature_cache.key_of(folder)
            one = feature_cache.FeatureCache(key, key["features"])
            digests = list(dict.fromkeys(feature_cache.digests_in(folder.name)))
            damaged += one.damaged + sum(digest not in one for digest in digests)
            rows |= {
                folder.name.encode() + digest: row.tobytes()
                for digest, row in zip(digests, one.rows(digests), strict=True)
            }
    if damaged:
        soak.wrong.append(f"{damaged} rows or chunks of the caches are damaged")
    shared, alone = found.values()
    os.environ["GOLDENRULE_CACHE"] = str(soak.root / "cache")
    left = len(cache_leftovers())
    clear_leftovers()
    alike = sum(alone.get(name) == row for name, row in shared.items())
    return len(shared), alike, left, len(cache_leftovers())


def page(soak: Soak, arguments: argparse.Namespace, rows: int, left: int, after: int) -> str:
    """Return the page of docs/results."""
    ends = markdown_table(
        ["how a fit ended that was to be killed", "times"], [[k, str(n)] for k, n in sorted(soak.killed.items())]
    )
    places = markdown_table(["killed", "times"], [[k, str(n)] for k, n in sorted(soak.reached.items())])
    listed = "".join(f"- {one}\n" for one in soak.wrong) + "\n" * bool(soak.wrong)
    return (
        f"# Fits that are killed\n\n{__doc__.strip() if __doc__ else ''}\n\n"
        f"{soak.done} fits of {SETS} sets of {len(CLASSES) * EACH} pictures, {arguments.processes} at a time "
        f"(`goldenrule fit {' '.join(OPTIONS)}`): **{len(soak.wrong)} wrong**.\n\n{ends}\n\n{places}\n\n"
        f"The shared cache had {rows:,} rows at the end, compared with those of the unbroken fits. {left} unfinished "
        f"files of killed processes lay in it, which the next writer beside them removes; "
        f"`goldenrule cache clear --leftovers` left {after}.\n\n{listed}"
        f"Made by `python benchmarks/soak.py --fits {arguments.fits} --processes {arguments.processes} "
        f"--minutes {arguments.minutes:g} "
        f"--seed {arguments.seed}`, beside other load: {made_with()}.\n"
    )


if __name__ == "__main__":
    main()
