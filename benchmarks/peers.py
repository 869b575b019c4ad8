"""goldenrule's answer in seconds, and its seven steps, beside fastai on the same photos with the same backbone.

    python benchmarks/peers.py --dry       # what would be measured
    python benchmarks/peers.py             # an hour and more on two cores; let nothing else run
    python benchmarks/peers.py --resume    # go on after a kill; with nothing left, write the tables again

Every measurement is a fresh process, timed from the outside. The repeat is the outermost loop and the order
of the methods rotates, so that a slow hour hits all of them. Each finished measurement is appended to a
.jsonl file at once; at the end a .json with the summary and a .md with the tables stand beside it. The photo
sets lie in the folder GOLDENRULE_TEST_DATA (default: ../shared/data beside the project).
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import golden_runs
import peer_goldenrule
import peers_report
from common import commit
from measure import CommandFailed, measured

ROOT = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get("GOLDENRULE_TEST_DATA", ROOT / "../shared/data")).resolve()
SETS = ("cat_dog_horse", "clothing_small", "dogscats")
FASTAI = {"fastai-frozen": "frozen", "fastai-fine_tune3": "fine_tune3"}
METHODS = ("goldenrule-first", "goldenrule", peers_report.GOLDEN, *FASTAI)
WARM_UP = (sys.executable, "-c", "import fastai.vision.all, matplotlib.pyplot, openvino, pyarrow, sklearn")

Record = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodeJob:
    """One measurement: a method on a set, for the so-many-th time (which is also fastai's seed)."""

    repeat: int
    set: str
    method: str

    def command(self, folder: Path) -> tuple[str, ...]:
        """Return what is run; its results go to `folder`."""
        data = str(DATA / self.set)
        if self.method in FASTAI:
            script, output = str(ROOT / "benchmarks/peer_fastai.py"), str(folder / "result.json")
            how = ("--method", FASTAI[self.method], "--seed", str(self.repeat))
            return (sys.executable, script, data, *how, "-o", output)
        quick = ("--quick",) if self.method != peers_report.GOLDEN else ()
        return golden_runs.command(Path(data), folder / "run", seed=0 if quick else self.repeat, options=quick)


def main() -> None:
    arguments = parsed_arguments()
    plan = list(planned(arguments.repeats, arguments.sets, arguments.methods))
    if arguments.dry:
        for job in plan:
            with tempfile.TemporaryDirectory() as folder:
                print(f"repeat {job.repeat}, {job.method}: {shlex.join(job.command(Path(folder)))}")
        return
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))  # so that the measured process ends too
    journal = arguments.output.with_suffix(".jsonl")
    records = finished(journal, resume=arguments.resume)
    done = {(record["repeat"], record["set"], record["method"]) for record in records}
    todo = [job for job in plan if (job.repeat, job.set, job.method) not in done]
    try:
        for number, record in enumerate(measurements(todo), start=1):
            append(journal, record)
            records.append(record)
            print(f"[{number}/{len(todo)}] {peers_report.line(record)}", flush=True)
    except CommandFailed as error:
        sys.exit(f"{error}\nWhat was finished is kept in {journal.name}; --resume goes on after it.")
    sets = dict.fromkeys(record["set"] for record in records)
    train = {name: peers_report.images_in(DATA / name / "train") for name in sets}
    peers_report.write(records, arguments.output, train)


def planned(repeats: int, sets: Sequence[str], methods: Sequence[str]) -> Iterator[DecodeJob]:
    """Return all measurements in their order; the first method of a repeat is the last of the next."""
    for repeat in range(repeats):
        turn = repeat % len(methods)
        for name in sets:
            for method in (*methods[turn:], *methods[:turn]):
                yield DecodeJob(repeat=repeat, set=name, method=method)


def measurements(todo: Sequence[DecodeJob]) -> Iterator[Record]:
    """Run the jobs; goldenrule finds an empty cache folder, or a copy of one that holds the engine only."""
    with tempfile.TemporaryDirectory(prefix="peers-") as name:
        folder = Path(name)
        if todo:
            warm_up({job.set for job in todo}, folder / "log.txt")
        for job in todo:
            work = folder / "work"
            work.mkdir()
            if job.method == "goldenrule":
                shutil.copytree(golden_runs.prepared(), work / "cache")
            yield measurement(job, work)
            shutil.rmtree(work)


def measurement(job: DecodeJob, work: Path) -> Record:
    """Run one job and give its cost and its predictions."""
    made_at = commit()
    if job.method == peers_report.GOLDEN:
        whole = golden_runs.golden_run(job.set, job.repeat)
        cost, made_at, result = whole.cost, whole.commit, peer_goldenrule.result(whole.run)
    else:
        cost = measured(job.command(work), environment=golden_runs.at(work / "cache"), log=work / "log.txt")
        if job.method in FASTAI:
            result = json.loads((work / "result.json").read_text(encoding="utf-8"))
        else:
            result = peer_goldenrule.result(work / "run")
    record = {
        "set": job.set,
        "method": job.method,
        "repeat": job.repeat,
        **asdict(cost),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": made_at,
        "hardware": peers_report.hardware(),
        "versions": peers_report.versions(),
        "says_itself": {key: value for key, value in result.items() if key not in ("classes", "parts")},
        "classes": result["classes"],
        "parts": result["parts"],
    }
    for split in record["parts"]:
        peers_report.predictions(record, split)  # scores that contradict their images fail now, not in an hour
    return record


def warm_up(sets: set[str], log: Path) -> None:
    """Bring images and libraries into the page cache, so that the first measurement pays for no disk."""
    for file in (file for name in sets for file in (DATA / name).rglob("*") if file.is_file()):
        file.read_bytes()
    measured(WARM_UP, environment=os.environ, log=log)


def finished(journal: Path, *, resume: bool) -> list[Record]:
    """Return the measurements of an earlier run, without a last line that a kill has cut short."""
    if not journal.exists():
        return []
    if not resume:
        sys.exit(f"{journal.name} holds measurements: give --resume to go on, or move it away to start anew.")
    text = journal.read_text(encoding="utf-8")
    whole = text[: text.rfind("\n") + 1]
    if whole != text:
        journal.write_text(whole, encoding="utf-8")
    return [json.loads(line) for line in whole.splitlines()]


def append(journal: Path, record: Record) -> None:
    journal.parent.mkdir(parents=True, exist_ok=True)
    with journal.open("a", encoding="utf-8") as file:
        file.write(json.dumps(record) + "\n")
        file.flush()
        os.fsync(file.fileno())


def parsed_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="goldenrule beside fastai: seconds, memory and scores.")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--sets", nargs="+", default=SETS)
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=METHODS)
    parser.add_argument("-o", "--output", type=Path, default=ROOT / "docs/results/peers.json")
    parser.add_argument("--resume", action="store_true", help="go on after what was measured before")
    parser.add_argument("--dry", action="store_true", help="only print the commands, in their order")
    return parser.parse_args()


if __name__ == "__main__":
    main()
