"""What every benchmark needs: where the photo sets are, and with what a number was made."""

from __future__ import annotations

import datetime
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from goldenrule.runs.environment import environment

ROOT = Path(__file__).parents[1]
DATA = Path(os.environ.get("GOLDENRULE_TEST_DATA", ROOT.parent / "shared" / "data"))
RESULTS = ROOT / "docs" / "results"


def with_clean_test(name: str, folder: Path) -> Path:
    """Return the folder of a set whose classifier can be evaluated on images that no choice has looked at.

    A set with labelled test images is taken as it is, so are class folders alone (goldenrule splits a test split
    off). Of others `folder/name` is made, of links: every second validation image of each class is put to test.
    """
    source = DATA / name
    splits = {
        split.name for split in source.iterdir() if split.is_dir() and any(each.is_dir() for each in split.iterdir())
    }
    valid = splits & {"valid", "val", "validation"}
    if "test" in splits or not valid:
        return source
    shutil.copytree(source / "train", folder / name / "train", copy_function=os.symlink)
    for path, original in halves(source / valid.pop()):
        link = folder / name / path
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(original)
    return folder / name


def halves(valid: Path) -> Iterator[tuple[PurePosixPath, Path]]:
    """Return each validation image, as PART/CLASS/NAME with the split it is put to, and its path."""
    for label in sorted(each for each in valid.iterdir() if each.is_dir()):
        for number, file in enumerate(sorted(label.iterdir())):
            yield PurePosixPath("test" if number % 2 else "valid", label.name, file.name), file


def commit() -> str:
    """Return the commit that is measured, with a mark if src or benchmarks differ from it."""
    head = _git("rev-parse", "--short", "--verify", "HEAD")
    changed = _git("status", "--porcelain", "--", "src", "benchmarks", "pyproject.toml")
    return f"{head or 'none'}{' with changes' if changed else ''}"


def processor() -> str:
    """Return the processor, with what it has for products in bf16: "AMD EPYC with AVX512 bf16"."""
    cpuinfo = Path("/proc/cpuinfo")
    flags = cpuinfo.read_text().split() if cpuinfo.exists() else []
    found = [name for flag, name in (("amx_bf16", "AMX"), ("avx512_bf16", "AVX512 bf16")) if flag in flags]
    return environment()["processor"] + (f" with {found[0]}" if found else "")


def made_with(*commits: str) -> str:
    """Return one line: date, commit (the present one, or those of what was measured), processor, cores, versions."""
    facts = environment()
    return (
        f"{datetime.date.today().isoformat()}, commit {', '.join(dict.fromkeys(commits or (commit(),)))}, "
        f"{processor()}, "
        f"{facts['cores']} cores, {facts['memory']}, Python {facts['python']}, OpenVINO {facts['openvino']}, "
        f"numpy {facts['numpy']}"
    )


def markdown_table(header: list[str], rows: list[list[str]]) -> str:
    """Return a Markdown table."""
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip()
