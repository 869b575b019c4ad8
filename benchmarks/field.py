"""goldenrule beside what a user could run instead: the held-out log loss after so many seconds, and what it took.

    python benchmarks/field.py --dry                             # what would be measured
    python benchmarks/field.py --peers fastai --sets dogscats    # one peer on one set
    python benchmarks/field.py                                   # all of it: hours on two cores; let nothing else run

Every peer has the same photos, the same split into train, valid and test, and starts from the same pretrained
EfficientNet-Lite0. Each measurement is a fresh process, timed from the outside, imports and the scoring of valid and
test included. Peers run in environments of their own (`field_environments/`), made for them and removed at the end; no
peer is a dependency of goldenrule. Of a peer's ways, such as `fine_tune(1)` and `fine_tune(3)`, the shorter come first,
and a longer one is left out where the one before it took more than half of the longest budget asked for. What takes
less than two minutes is repeated three times; the repeat is the outermost loop and peers take turns, so that a slow
hour hits all. Each measurement is appended to docs/results/field.jsonl at once, and the same command goes on behind
it. After --minutes no further one begins.
"""

from __future__ import annotations

import argparse
import functools
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import field_report
import golden_runs
import peer_goldenrule
from common import DATA, RESULTS, ROOT, commit
from goldenrule.demo.textiles import write_textiles
from measure import CommandFailed, measured
from peers import append, finished
from peers_report import hardware

HERE = ROOT / "benchmarks"
SETS = (
    "hymenoptera_data",
    "cat_dog_horse",
    "clothing_small",
    "textiles",
    "GTSRB_native15",
    "surface_crack",
    "dogscats",
    "flowers_128",
)
REPEATS, REPEATED_BELOW_SECONDS = 3, 120.0
TEXTILES_EACH = 5
"""Of the 2,000 textiles every fifth is taken, so that all peers end within the budgets."""

Record = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """Somebody a user could ask: the script that does what its users write, and its ways, the shortest first."""

    name: str
    ways: tuple[str, ...]
    script: str = ""
    """None of goldenrule: its ways are options of the command."""


PEERS = {
    peer.name: peer
    for peer in (
        Peer(name="goldenrule", ways=("--quick", "", "--all-steps")),
        Peer(name="scikit-learn", ways=("logistic", "logistic_cv"), script="peer_scikit_learn.py"),
        Peer(name="fastai", ways=("frozen", "fine_tune1", "fine_tune3", "fine_tune10"), script="peer_fastai.py"),
        Peer(name="timm", ways=("1epoch", "3epochs", "10epochs"), script="peer_timm.py"),
        Peer(name="autogluon", ways=("30s", "60s", "240s", "1100s"), script="peer_autogluon.py"),
    )
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One measurement: a way of a peer on a set, for the so-many-th time, which is also its seed."""

    repeat: int
    set: str
    peer: str
    way: str

    @property
    def key(self) -> tuple[int, str, str, str]:
        """What tells it from all others."""
        return self.repeat, self.set, self.peer, self.way


def main() -> None:
    """Measure what is missing until the time is over, and write the page."""
    asked = parsed_arguments()
    if asked.dry:
        for job in planned(asked.repeats, asked.sets, asked.peers):
            print(f"repeat {job.repeat}, {job.set}: {job.peer} {job.way}")
        return
    journal = asked.output.with_suffix(".jsonl")
    records = finished(journal, resume=True)
    until = time.monotonic() + 60 * asked.minutes
    with tempfile.TemporaryDirectory(prefix="field-") as name:
        if asked.environments:
            (Path(name) / "environments").symlink_to(asked.environments.absolute())
        for job in planned(asked.repeats, asked.sets, asked.peers):
            if time.monotonic() > until:
                print(f"{asked.minutes:g} minutes are over: the same command goes on with {job}.")
                break
            if job.key not in {key_of(record) for record in records} and worth_it(job, records, asked.budget):
                append(journal, record := measurement(job, Path(name)))
                records.append(record)
                print(field_report.line(record), flush=True)
    field_report.write(records, asked.output)


def planned(repeats: int, sets: Sequence[str], peers: Sequence[str]) -> Iterator[Job]:
    """Return all measurements in their order: the first way of each peer, then the second, and so on."""
    most = max(len(PEERS[peer].ways) for peer in peers)
    for repeat in range(repeats):
        for name in sets:
            for number in range(most):
                for peer in peers:
                    if number < len(PEERS[peer].ways):
                        yield Job(repeat=repeat, set=name, peer=peer, way=PEERS[peer].ways[number])


def worth_it(job: Job, records: Sequence[Record], budget: float) -> bool:
    """Return whether a measurement can say more: what is long is not repeated, and what is too long not begun."""
    before = [record for record in records if (record["set"], record["peer"]) == (job.set, job.peer)]
    same = [record["seconds"] for record in before if record["way"] == job.way]
    if job.repeat > 0:
        return bool(same) and max(same) < REPEATED_BELOW_SECONDS
    shorter = PEERS[job.peer].ways[: PEERS[job.peer].ways.index(job.way)]
    taken = [record["seconds"] for record in before if record["way"] in shorter]
    return job.peer == "goldenrule" or max(taken, default=0.0) <= budget / 2


def measurement(job: Job, place: Path) -> Record:
    """Run one job and return its cost and what it says of each image of valid and test."""
    data, output = split_of(job.set, place / "sets"), place / "result.json"
    work = place / "work"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    if job.peer == "goldenrule":
        shutil.copytree(golden_runs.prepared(), work / "cache")
        way = (job.way,) if job.way else ()
        command = golden_runs.command(data, work / "run", job.repeat, way)
    else:
        script, python = HERE / PEERS[job.peer].script, environment_of(job.peer, place)
        command = (str(python), str(script), str(data), "--method", job.way, "--seed", str(job.repeat))
        command += ("-o", str(output))
    try:
        cost = measured(command, environment=golden_runs.at(work / "cache"), log=work / "log.txt")
    except CommandFailed as error:
        sys.exit(f"{error}\nWhat was finished is kept; the same command goes on behind it.")
    result = (
        peer_goldenrule.result(work / "run")
        if job.peer == "goldenrule"
        else json.loads(output.read_text(encoding="utf-8"))
    )
    return {
        "set": job.set,
        "peer": job.peer,
        "way": job.way,
        "repeat": job.repeat,
        "seconds": round(cost.seconds, 2),
        "peak_memory_mb": round(cost.peak_memory_mb),
        "others_cpu_share": round(cost.others_cpu_share, 3),
        "chosen": result.get("chosen", ""),
        "train": sum(1 for _ in (data / "train").glob("*/*")),
        "classes": result["classes"],
        "splits": {split: scores(result, split) for split in ("valid", "test")},
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit(),
        "hardware": hardware(),
    }


def scores(result: Record, split: str) -> dict[str, Any]:
    """Return the images of a split in the order of their paths: path, class and probabilities of each."""
    images = sorted(result["parts"][split]["images"], key=lambda image: image["path"])
    return {
        "paths": [image["path"] for image in images],
        "truth": [image["truth"] for image in images],
        "probabilities": [[float(f"{value:.4g}") for value in image["probabilities"]] for image in images],
    }


def split_of(name: str, folder: Path) -> Path:
    """Return a folder of links, train/valid/test, made once: what a set does not have is taken from what it has.

    Test from valid, every second image of a class; where there are class folders alone, every fifth is test and the
    next valid; valid from train, every fifth.
    """
    made = folder / name
    if not made.exists():
        there = splits_there(DATA / name if name != "textiles" else write_textiles(folder.parent / "textiles"))
        if name == "textiles":
            there = {
                split: {label: files[::TEXTILES_EACH] for label, files in of.items()} for split, of in there.items()
            }
        for split, of in with_all_splits(there).items():
            for label, files in of.items():
                (made / split / label).mkdir(parents=True)
                for file in files:
                    (made / split / label / file.name).symlink_to(file.resolve())
    return made


Files = dict[str, list[Path]]


def splits_there(source: Path) -> dict[str, Files]:
    """Return the files of each class of each split that a set has; class folders alone are its train split."""
    names = {"train": ("train",), "valid": ("valid", "validation", "val"), "test": ("test",)}
    found = {}
    for split, spellings in names.items():
        for folder in (source / spelling for spelling in spellings):
            labels = sorted(each for each in folder.iterdir() if each.is_dir()) if folder.is_dir() else []
            if labels:
                found[split] = {label.name: sorted(label.iterdir()) for label in labels}
    return found or {"train": {each.name: sorted(each.iterdir()) for each in sorted(source.iterdir()) if each.is_dir()}}


def with_all_splits(there: dict[str, Files]) -> dict[str, Files]:
    """Return train, valid and test.

    >>> whole = with_all_splits({"train": {"a": [Path(str(number)) for number in range(10)]}})
    >>> {split: [file.name for file in of["a"]] for split, of in whole.items()}
    {'train': ['2', '3', '4', '7', '8', '9'], 'valid': ['1', '6'], 'test': ['0', '5']}
    """
    whole = dict(there)

    def moved(source: str, target: str, every: int, first: int) -> None:
        files = whole[source]
        whole[target] = {label: those[first::every] for label, those in files.items()}
        whole[source] = {
            label: [file for number, file in enumerate(those) if number % every != first]
            for label, those in files.items()
        }

    if "test" not in whole:
        moved("valid", "test", 2, 1) if "valid" in whole else moved("train", "test", 5, 0)
    if "valid" not in whole:
        every, first = (5, 0) if "test" in there else (4, 0)
        moved("train", "valid", every, first)
    return {split: whole[split] for split in ("train", "valid", "test")}


@functools.cache
def environment_of(peer: str, place: Path) -> Path:
    """Return the Python of a peer's environment, made where it is not there."""
    folder = place / "environments" / peer
    if (folder / "bin" / "python").exists():
        return folder / "bin" / "python"
    print(f"{peer}: its environment is made ...", flush=True)
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    python = folder / "bin" / "python"
    wanted = HERE / "field_environments" / f"{peer}.txt"
    install = (str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", str(wanted))
    subprocess.run(install, check=True)
    subprocess.run([str(python), "-m", "compileall", "-q", str(folder / "lib")], check=False, stdout=subprocess.DEVNULL)
    return python


def key_of(record: Record) -> tuple[int, str, str, str]:
    """Return which job a record is of."""
    return record["repeat"], record["set"], record["peer"], record["way"]


def parsed_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="goldenrule beside the field at every time budget.")
    parser.add_argument("--repeats", type=int, default=REPEATS)
    parser.add_argument("--sets", nargs="+", choices=SETS, default=SETS)
    parser.add_argument("--peers", nargs="+", choices=tuple(PEERS), default=tuple(PEERS))
    parser.add_argument("--budget", type=float, default=300.0, help="the longest budget, in seconds")
    parser.add_argument("--minutes", type=float, default=150.0, help="begin no further measurement after so many")
    parser.add_argument("--environments", type=Path, help="a folder where those of the peers are kept")
    parser.add_argument("-o", "--output", type=Path, default=RESULTS / "field.json")
    parser.add_argument("--dry", action="store_true", help="only print what would be measured, in its order")
    return parser.parse_args()


if __name__ == "__main__":
    main()
