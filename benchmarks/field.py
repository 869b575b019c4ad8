"""goldenrule beside what a user could run instead: the held-out log loss after so many seconds, and what it took.

    python benchmarks/field.py --dry                             # what would be measured
    python benchmarks/field.py --peers fastai --sets dogscats    # one peer on one set
    python benchmarks/field.py                                   # all of it: hours on two cores; let nothing else run

Every peer has the same photos, the same split into train, valid and test, and starts from the same pretrained
EfficientNet-Lite0. Each measurement is a fresh process, timed from the outside, imports and the scoring of valid and
test included. Peers run in environments of their own (`field_environments/`), made for them and removed at the end; no
peer is a dependency of goldenrule. Of a peer's ways, such as `fine_tune(1)` and `fine_tune(3)`, the shorter come first,
and what would probably take longer than the longest budget asked for is left out. What takes less than two minutes is
repeated three times; the repeat is the outermost loop and peers take turns, so that a slow hour hits all. Each
measurement is appended to docs/results/field.jsonl at once, also one that failed, and the same command goes on behind
it; what was measured with another script or environment of a peer is measured again. After --minutes no further one
begins.
"""

from __future__ import annotations

import argparse
import functools
import hashlib
import json
import math
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from PIL import Image

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
REPEATS, REPEATED_BELOW_SECONDS, MOST_TIMES = 3, 120.0, 1.2
TEXTILES_EACH = 5
"""Of the 2,000 textiles every fifth is taken, so that all peers end within the budgets."""

Record = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """Somebody a user could ask: the script that does what its users write, what it imports, and its ways.

    The shortest first, each with about how many times as long as the first it takes. Without a script: goldenrule,
    whose ways are options of the command.
    """

    ways: dict[str, float]
    script: str = ""
    imports: str = ""


PEERS = {
    "goldenrule": Peer(
        ways={"--quick": 1, "": 6, "--all-steps": 10}, imports="goldenrule, openvino, pyarrow, torch, timm"
    ),
    "scikit-learn": Peer(
        ways={"logistic": 1, "logistic_cv": 1.3}, script="peer_scikit_learn.py", imports="sklearn, timm, torch"
    ),
    "fastai": Peer(
        ways={"frozen": 1, "fine_tune1": 2, "fine_tune3": 4, "fine_tune10": 12},
        script="peer_fastai.py",
        imports="fastai.vision.all, timm",
    ),
    "timm": Peer(ways={"1epoch": 1, "3epochs": 2.5, "10epochs": 8}, script="peer_timm.py", imports="timm, torch"),
    "keras": Peer(
        ways={"frozen3": 1, "frozen3_fine1": 1.5, "frozen3_fine5": 4},
        script="peer_keras.py",
        imports="keras, timm, torch",
    ),
    "autogluon": Peer(
        ways={"20s": 1, "60s": 2, "200s": 5, "1000s": 21}, script="peer_autogluon.py", imports="autogluon.multimodal"
    ),
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
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))  # so that the measured process ends too
    journal = asked.output.with_suffix(".jsonl")
    records = [record for record in finished(journal, resume=True) if record["made_of"] == made_of(record["peer"])]
    until = time.monotonic() + 60 * asked.minutes
    with tempfile.TemporaryDirectory(prefix="field-") as name:
        place = Path(name)
        if asked.environments:
            asked.environments.mkdir(parents=True, exist_ok=True)
            (place / "environments").symlink_to(asked.environments.absolute())
        for job in planned(asked.repeats, asked.sets, asked.peers):
            if time.monotonic() > until:
                print(f"{asked.minutes:g} minutes are over: the same command goes on with {job}.")
                break
            if job.key not in {key_of(record) for record in records} and worth_it(job, records, asked.budget):
                append(journal, record := measurement(job, place))
                records.append(record)
                print(field_report.line(record), flush=True)
    field_report.write(records, asked.output, budget=asked.budget)


def planned(repeats: int, sets: Sequence[str], peers: Sequence[str]) -> Iterator[Job]:
    """Return all measurements in their order: the first way of each peer, then the second; all take turns."""
    most = max(len(PEERS[peer].ways) for peer in peers)
    for repeat in range(repeats):
        for place, name in enumerate(sets):
            turn = (repeat + place) % len(peers)
            for number in range(most):
                for peer in (*peers[turn:], *peers[:turn]):
                    ways = [*PEERS[peer].ways]
                    if number < len(ways):
                        yield Job(repeat=repeat, set=name, peer=peer, way=ways[number])


def worth_it(job: Job, records: Sequence[Record], budget: float) -> bool:
    """Return whether a measurement can say more: what is long is not repeated, what would end too late not begun.

    How long a way takes is expected from the longest of its peer that was measured on the set.
    """
    before = [record for record in records if (record["set"], record["peer"]) == (job.set, job.peer)]
    taken = {record["way"]: record.get("seconds", math.inf) for record in before}
    if job.repeat > 0:
        return taken.get(job.way, math.inf) < REPEATED_BELOW_SECONDS
    ways = PEERS[job.peer].ways
    shorter = [way for way in ways if way in taken and ways[way] < ways[job.way]]
    return not shorter or taken[shorter[-1]] * ways[job.way] / ways[shorter[-1]] <= MOST_TIMES * budget


def measurement(job: Job, place: Path) -> Record:
    """Run one job and return its cost and what it says of each image of valid and test, or how it failed."""
    data, output = split_of(job.set, place / "sets"), place / "result.json"
    warm_up(job, data, place)
    work = place / "work"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    if job.peer == "goldenrule":
        shutil.copytree(golden_runs.prepared(), work / "cache")
        command = golden_runs.command(data, work / "run", job.repeat, (job.way,) if job.way else ())
    else:
        script, python = HERE / PEERS[job.peer].script, environment_of(job.peer, place)
        command = (str(python), str(script), str(data), "--method", job.way, "--seed", str(job.repeat))
        command += ("-o", str(output))
    about = {
        "set": job.set,
        "peer": job.peer,
        "way": job.way,
        "repeat": job.repeat,
        "train": sum(1 for _ in (data / "train").glob("*/*")),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit(),
        "hardware": hardware(),
        "made_of": made_of(job.peer),
    }
    try:
        cost = measured(command, environment=golden_runs.at(work / "cache"), log=work / "log.txt")
        ours = job.peer == "goldenrule"
        result = peer_goldenrule.result(work / "run") if ours else json.loads(output.read_text(encoding="utf-8"))
        splits = {split: scores(result, data, split) for split in ("valid", "test")}
    except (CommandFailed, ValueError) as error:
        return about | {"failed": str(error)[-2000:]}
    return about | {
        "seconds": round(cost.seconds, 2),
        "peak_memory_mb": round(cost.peak_memory_mb),
        "others_cpu_share": round(cost.others_cpu_share, 3),
        "chosen": result.get("chosen", ""),
        "classes": result["classes"],
        "splits": splits,
    }


def made_of(peer: str) -> str:
    """Return a digest of a peer's script and environment: what was measured with another is measured again.

    goldenrule's measurements stay, each with its commit.
    """
    if peer == "goldenrule":
        return ""
    files = (HERE / PEERS[peer].script, HERE / "peer_common.py", HERE / "field_environments" / f"{peer}.txt")
    return hashlib.blake2b(b"".join(file.read_bytes() for file in files), digest_size=8).hexdigest()


def warm_up(job: Job, data: Path, place: Path) -> None:
    """Bring a set and a peer's libraries into the page cache: nobody's first measurement pays for the disk."""
    python = Path(sys.executable) if job.peer == "goldenrule" else environment_of(job.peer, place)
    import_once(python, PEERS[job.peer].imports)
    for file in data.glob("*/*/*"):
        file.read_bytes()


@functools.cache
def import_once(python: Path, names: str) -> None:
    """Import what a peer imports."""
    with_torch = {**os.environ, "KERAS_BACKEND": "torch"}
    subprocess.run([str(python), "-c", f"import {names}"], check=True, capture_output=True, env=with_torch)


def scores(result: Record, data: Path, split: str) -> dict[str, Any]:
    """Return the images of a split in the order of their paths: path, class and probabilities of each.

    Raises `ValueError` unless there is an answer for each image of the split, of probabilities that add up to 1.
    """
    images = sorted(result["parts"][split]["images"], key=lambda image: image["path"])
    wanted = sorted(file.relative_to(data).as_posix() for file in (data / split).glob("*/*"))
    if [image["path"] for image in images] != wanted:
        raise ValueError(f"{split}: there are answers for {len(images)} images of {len(wanted)}, or of other names")
    if any(image["truth"] != Path(image["path"]).parent.name for image in images):
        raise ValueError(f"{split}: there are images of other classes than their folders'")
    rows = [image["probabilities"] for image in images]
    if not all(abs(sum(row) - 1) < 1e-3 for row in rows):
        raise ValueError(f"{split}: there are rows that do not add up to 1")
    return {
        "paths": wanted,
        "truth": [image["truth"] for image in images],
        "probabilities": [[float(f"{value:.4g}") for value in row] for row in rows],
    }


def split_of(name: str, folder: Path) -> Path:
    """Return a folder of links, train/valid/test, made once: what a set does not have is taken from what it has.

    Test from valid, every second image of a class; where there are class folders alone, every fifth is test and the
    next valid; valid from train, every fifth. PPM files, which not all peers look for, are written as PNG.
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
                    target = made / split / label / file.name
                    if file.suffix == ".ppm":
                        Image.open(file).save(target.with_suffix(".png"))
                    else:
                        target.symlink_to(file.resolve())
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


def environment_of(peer: str, place: Path) -> Path:
    """Return the Python of a peer's environment, made where it is not there."""
    folder = place / "environments" / peer
    if (folder / "ready").exists():
        return folder / "bin" / "python"
    shutil.rmtree(folder, ignore_errors=True)
    print(f"{peer}: its environment is made ...", flush=True)
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    python = folder / "bin" / "python"
    wanted = HERE / "field_environments" / f"{peer}.txt"
    install = (str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", str(wanted))
    subprocess.run(install, check=True)
    subprocess.run([str(python), "-m", "compileall", "-q", str(folder / "lib")], check=False, stdout=subprocess.DEVNULL)
    (folder / "ready").touch()
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
