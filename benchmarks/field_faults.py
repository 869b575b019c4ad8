"""What goldenrule and the field do with ten kinds of bad input and with kill -9, and how much their users write.

    python benchmarks/field_faults.py                        # all that is not kept yet
    python benchmarks/field_faults.py --peers keras timm

Each kind is planted once in a small set of real photos (two classes; 20 images of each train, 8 are validated, 8
tested), and the shortest way of each peer is run on it as `field.py` runs it: same scripts, same environments. What is
judged is what a user sees: whether there are answers at the end, and whether the output names the file or folder. Then
a longer way is killed with SIGKILL after 60 % of the seconds it takes, and the same command given again.
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

import field
import golden_runs
from common import DATA, RESULTS, made_with, markdown_table
from field_report import NAMES, TITLES

SET, EACH = "dogscats", {"train": 20, "valid": 8, "test": 8}
KILLED_WAY = {
    "goldenrule": "--all-steps",
    "scikit-learn": "logistic",
    "fastai": "fine_tune3",
    "timm": "3epochs",
    "keras": "frozen3_fine5",
    "autogluon": "60s",
}
KILLED_AFTER = 0.6
LONGEST_SECONDS = 900
WRITTEN = {
    "scikit-learn": ("main", "Photos", "features_of"),
    "fastai": ("learner",),
    "timm": ("main", "trained", "logits_of"),
    "keras": ("Photos", "Body", "pixels_of", "main"),
    "autogluon": ("main",),
}
"""The parts of a peer's script that its user would write as well."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One kind of bad input: `plant` puts it into a set and returns the name by which a message would name it."""

    what: str
    plant: Callable[[Path], str]


def main() -> None:
    """Run what is not kept yet, keep each result at once, and write the page."""
    asked = parsed_arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))  # so that the command that runs ends too
    kept: dict[str, Any] = json.loads(asked.output.read_text(encoding="utf-8")) if asked.output.exists() else {}
    with tempfile.TemporaryDirectory(prefix="faults-") as name:
        place = Path(name)
        if asked.environments:
            (place / "environments").symlink_to(asked.environments.absolute())
        for peer in asked.peers:
            found = kept.setdefault(peer, {})
            for fault in ("none", *FAULTS):
                if fault not in found:
                    found[fault] = outcome_of(peer, fault, place)
                    keep(kept, asked.output)
                    print(f"{peer}, {fault}: {told(found[fault])}, {found[fault]['seconds']:.0f} s", flush=True)
            if "kill -9" not in found:
                found["kill -9"] = killed(peer, place)
                keep(kept, asked.output)
                print(f"{peer}, kill -9: {found['kill -9']}", flush=True)
    kept["made"] = made_with()
    keep(kept, asked.output)
    asked.output.with_suffix(".md").write_text(page(kept), encoding="utf-8")


def keep(kept: dict[str, Any], output: Path) -> None:
    """Write what was found."""
    output.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")


def small_set(folder: Path) -> Path:
    """Return a new set of copies: files of the same names in each split of each class."""
    source = field.with_all_splits(field.splits_there(DATA / SET))
    for split, count in EACH.items():
        for label, files in source[split].items():
            (folder / split / label).mkdir(parents=True)
            for file in files[:count]:
                shutil.copyfile(file, folder / split / label / file.name)
    return folder


def photo(folder: Path) -> Image.Image:
    """Return a photo of the set."""
    return Image.open(sorted((folder / "train" / "cats").iterdir())[3])


def half_a_photo(folder: Path, split: str) -> str:
    file = sorted((folder / split / "cats").iterdir())[2]
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    return file.name


def file_of(folder: Path, name: str, content: bytes) -> str:
    (folder / "train" / "cats" / name).write_bytes(content)
    return name


def deep_png(folder: Path) -> str:
    """Plant a photo of 16 bits a pixel."""
    gray = photo(folder).convert("L")
    deep = Image.frombytes("I;16", gray.size, b"".join(struct.pack("<H", 257 * value) for value in gray.tobytes()))
    deep.save(folder / "train" / "cats" / "deep.png")
    return "deep.png"


def palette_png(folder: Path) -> str:
    """Plant a photo of 64 colours, one of which is transparent."""
    photo(folder).quantize(64).save(folder / "train" / "cats" / "palette.png", transparency=0)
    return "palette.png"


def bomb(folder: Path) -> str:
    """Plant a PNG that claims 60,000 x 60,000 px and holds nothing."""
    head = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(b"\0" * 100)), (b"IEND", b""))
    parts = (struct.pack(">I", len(of)) + kind + of + struct.pack(">I", zlib.crc32(kind + of)) for kind, of in chunks)
    return file_of(folder, "bomb.png", b"\x89PNG\r\n\x1a\n" + b"".join(parts))


def empty_class(folder: Path) -> str:
    (folder / "train" / "rabbits").mkdir()
    return "rabbits"


def unknown_class(folder: Path) -> str:
    """Let valid have a class that train has not."""
    (folder / "valid" / "rabbits").mkdir()
    photo(folder).save(folder / "valid" / "rabbits" / "one.jpg")
    return "rabbits"


FAULTS = {
    "truncated": Fault(what="half of a JPEG, in train", plant=lambda folder: half_a_photo(folder, "train")),
    "truncated test": Fault(what="half of a JPEG, in test", plant=lambda folder: half_a_photo(folder, "test")),
    "empty": Fault(what="an empty file called .jpg", plant=lambda folder: file_of(folder, "empty.jpg", b"")),
    "text": Fault(what="a text called .jpg", plant=lambda folder: file_of(folder, "notes.jpg", b"not found\n" * 40)),
    "apple": Fault(
        what="a Mac's `._cat.jpg` beside the photos",
        plant=lambda folder: file_of(folder, "._cat.jpg", b"\0\5\x16\7\0\2\0\0Mac OS X" + b"\0" * 66),
    ),
    "bomb": Fault(what="a PNG that claims 60,000 x 60,000 px", plant=bomb),
    "deep": Fault(what="a PNG of 16 bits", plant=deep_png),
    "palette": Fault(what="a PNG of a palette, one colour transparent", plant=palette_png),
    "empty class": Fault(what="a class folder without an image", plant=empty_class),
    "unknown class": Fault(what="a class that only valid has", plant=unknown_class),
}


def outcome_of(peer: str, fault: str, place: Path) -> dict[str, Any]:
    """Return how a peer's shortest way ends on a set with a fault: answers, exit code, and whether it is named."""
    data = small_set(Path(tempfile.mkdtemp(dir=place)) / "pets")
    name = FAULTS[fault].plant(data) if fault in FAULTS else ""
    with Started(peer, next(iter(field.PEERS[peer].ways)), data, place) as run:
        code = run.ended()
    said = run.log.read_text(encoding="utf-8", errors="replace")
    return {
        "answers": code == 0 and run.answered,
        "exit_code": code,
        "traceback": "Traceback (most recent call last)" in said,
        "named": bool(name) and name in said + run.report,
        "seconds": round(run.seconds, 1),
        "end": said.strip().splitlines()[-1][-300:] if said.strip() else "",
    }


def killed(peer: str, place: Path) -> dict[str, float]:
    """Return the seconds of an unbroken run, and of the same command after one that was killed."""
    data = small_set(Path(tempfile.mkdtemp(dir=place)) / "pets")
    with Started(peer, KILLED_WAY[peer], data, place) as run:
        run.ended()
    unbroken = run.seconds
    with Started(peer, KILLED_WAY[peer], data, place) as run:
        time.sleep(KILLED_AFTER * unbroken)
    with Started(peer, KILLED_WAY[peer], data, place, new=False) as run:
        code = run.ended()
    return {"unbroken": round(unbroken, 1), "again": round(run.seconds, 1), "exit_code": code}


class Started:
    """A command of a peer in a process group of its own, which is killed where it has not ended with the block.

    `new`: in a new folder, with a cache that holds the prepared backbone alone.
    """

    def __init__(self, peer: str, way: str, data: Path, place: Path, *, new: bool = True) -> None:
        work, self.log, self.output = place / "work", place / "log.txt", place / "result.json"
        self.run = work / "run" if peer == "goldenrule" else None
        self.output.unlink(missing_ok=True)
        if new:
            shutil.rmtree(work, ignore_errors=True)
            work.mkdir()
            if self.run:
                shutil.copytree(golden_runs.prepared(), work / "cache")
        if self.run:
            self.command = golden_runs.command(data, self.run, 0, (way,) if way else ())
        else:
            script, python = field.HERE / field.PEERS[peer].script, field.environment_of(peer, place)
            self.command = (str(python), str(script), str(data), "--method", way, "-o", str(self.output))
        self.environment = golden_runs.at(work / "cache")

    def __enter__(self) -> Started:
        self.began = time.perf_counter()
        with self.log.open("wb") as output:
            self.process = subprocess.Popen(
                self.command, env=self.environment, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
            )
        return self

    def ended(self) -> int:
        """Wait for the end, and return the exit code; -1 where it takes too long."""
        try:
            code = self.process.wait(LONGEST_SECONDS)
        except subprocess.TimeoutExpired:
            code = -1
        self.seconds = time.perf_counter() - self.began
        return code

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    @property
    def report(self) -> str:
        """What a user can read beside the output."""
        page = self.run / "report.html" if self.run else None
        return page.read_text(encoding="utf-8") if page and page.exists() else ""

    @property
    def answered(self) -> bool:
        """Whether there are answers for test images."""
        if self.run:
            return (self.run / "predictions" / "test.csv").exists()
        return self.output.exists() and bool(json.loads(self.output.read_text(encoding="utf-8"))["parts"]["test"])


def told(outcome: dict[str, Any]) -> str:
    """Return an outcome in words."""
    named = "names it" if outcome["named"] else "does not name it"
    if outcome["answers"]:
        return f"answers, {named}"
    if outcome["exit_code"] == -1:
        return "no end"
    return f"**no answer**, {named}"


def statements(peer: str) -> int:
    """Return how many statements a peer's user writes: those of the named parts of its script, and imports."""
    if not field.PEERS[peer].script:
        return 1
    tree = ast.parse((field.HERE / field.PEERS[peer].script).read_text(encoding="utf-8"))
    parts = [one for one in tree.body if getattr(one, "name", "") in WRITTEN[peer]]
    parts += [one for one in tree.body if isinstance(one, ast.Import | ast.ImportFrom)]
    nodes = [node for part in parts for node in ast.walk(part) if isinstance(node, ast.stmt)]
    return sum(not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)) for node in nodes)


def page(kept: dict[str, Any]) -> str:
    """Return the page."""
    peers = [peer for peer in field.PEERS if peer in kept]
    rows = [[fault.what, *(told(kept[peer][key]) for peer in peers)] for key, fault in FAULTS.items()]
    broken = [
        [
            TITLES[peer],
            f"`{NAMES[peer][KILLED_WAY[peer]]}`",
            f"{kept[peer]['kill -9']['unbroken']:.1f}",
            f"{kept[peer]['kill -9']['again']:.1f}",
            str(statements(peer)),
        ]
        for peer in peers
    ]
    few = ", ".join(f"{count} {split}" for split, count in EACH.items())
    return (
        "# Beside the field: bad input, kill -9\n\n"
        f"The same scripts and environments as [beside the field](field.md), on photos of two classes ({few} each) "
        "with one thing wrong, planted in train unless it says otherwise. *Answers*: there are probabilities for test "
        "images at the end. *Names it*: the output, or goldenrule's report, has the name of the file or folder. What "
        "is read without a word may be right, or a white square, as 16 bits cut off at 8 are. One run each.\n\n"
        f"{markdown_table(['', *(TITLES[peer] for peer in peers)], rows)}\n\n"
        "## kill -9, and what a user writes\n\n"
        f"Killed after {100 * KILLED_AFTER:.0f} % of the seconds that it takes unbroken, then the same command again. "
        "Where both take as long, nothing was kept. Statements: those of the script that its user would write too; of "
        "goldenrule it is the command. Several of the peers can go on from checkpoints, if their user writes that.\n\n"
        f"{markdown_table(['', 'way', 'unbroken, s', 'again after kill -9, s', 'statements'], broken)}\n\n"
        f"Made by `python benchmarks/field_faults.py`: {kept.get('made', '')}.\n"
    )


def parsed_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Ten kinds of bad input and kill -9, beside the field.")
    parser.add_argument("--peers", nargs="+", choices=tuple(field.PEERS), default=tuple(field.PEERS))
    parser.add_argument("--environments", type=Path, help="a folder where those of the peers are kept")
    parser.add_argument("-o", "--output", type=Path, default=RESULTS / "field_faults.json")
    return parser.parse_args()


if __name__ == "__main__":
    main()
