"""Whole golden rules by command, each in a fresh process, measured and kept: peers, golden_rule and blend read them."""

from __future__ import annotations

import json
import os
import shutil
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from common import DATA, ROOT, commit, with_clean_test
from measure import Cost, measured

RUNS = ROOT / "runs" / "golden"
PREPARE = (sys.executable, "-m", "goldenrule", "doctor", "--prepare", "efficientnet_lite0")


@dataclass(frozen=True, slots=True, kw_only=True)
class GoldenRun:
    """A finished run: its photos (links, where a test split was made), its folder, what it cost, and when made."""

    set: str
    seed: int
    photos: Path
    run: Path
    cost: Cost
    commit: str

    @property
    def result(self) -> dict[str, Any]:
        """What result.json says."""
        stated: dict[str, Any] = json.loads((self.run / "result.json").read_text(encoding="utf-8"))
        return stated


def golden_run(name: str, seed: int = 0, *, runs: Path = RUNS, options: tuple[str, ...] = ()) -> GoldenRun:
    """Return `goldenrule fit` with default options and these on a set, run now unless it is kept from before.

    The bank is empty, the backbone prepared. What was cut short is begun anew.
    """
    folder = runs / "-".join([name, str(seed), *(option.strip("-") for option in options)])
    done = folder / "cost.json"
    if not done.exists():
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(prepared(runs), folder / "cache")
        fit = command(with_clean_test(name, folder / "photos"), folder / "run", seed, options)
        cost = measured(fit, environment=at(folder / "cache"), log=folder / "log.txt")
        shutil.rmtree(folder / "cache")
        kept = {"cost": asdict(cost), "commit": commit()}
        done.write_text(json.dumps(kept) + "\n", encoding="utf-8")
    kept = json.loads(done.read_text(encoding="utf-8"))
    made = folder / "photos" / name
    return GoldenRun(
        set=name,
        seed=seed,
        photos=made if made.exists() else DATA / name,
        run=folder / "run",
        cost=Cost(**kept["cost"]),
        commit=kept["commit"],
    )


def command(photos: Path, out: Path, seed: int, options: tuple[str, ...] = ()) -> tuple[str, ...]:
    """Return the command of a whole golden rule."""
    return (sys.executable, "-m", "goldenrule", "fit", str(photos), "--out", str(out), "--seed", str(seed), *options)


def prepared(runs: Path = RUNS) -> Path:
    """Return a cache folder that holds the backbone as this commit prepares it, and nothing else."""
    folder = runs / f"prepared-{commit().replace(' ', '-')}"
    if not folder.exists():
        making = runs / "preparing"
        shutil.rmtree(making, ignore_errors=True)
        making.mkdir(parents=True)
        measured(PREPARE, environment=at(making), log=runs / "prepare.txt")
        making.rename(folder)
    return folder


def at(cache: Path) -> dict[str, str]:
    """Return this process's environment, no hub, and goldenrule's folder for activations and engines."""
    return {**os.environ, "GOLDENRULE_CACHE": str(cache), "HF_HUB_OFFLINE": "1", "MPLBACKEND": "Agg"}
