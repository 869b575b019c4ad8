"""The same data, options and seed give the same numbers as when `tests/frozen` was made (tools/frozen.py)."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from frozen import FROZEN, SCENARIOS, Scenario, differences
from goldenrule.data.augmentation.augment import View
from goldenrule.data.augmentation.presets import by_name
from goldenrule.features.cache import ChunkWriter, FeatureCache
from goldenrule.features.extractor import bank_for
from goldenrule.models.backbone import backbone
from goldenrule.models.graphs.compiled import engine_kind
from goldenrule.storage.files import digest

FREEZE = os.environ.get("GOLDENRULE_FREEZE") == "1"
LOWEST_COSINE = 0.98  # of a processor that computes in bf16; in fp32 it is 1


def cache(view: int) -> FeatureCache:
    """Return the feature cache of the real backbone on this machine for one view."""
    views = [View(), *(View(augmentation=by_name("auto"), index=number) for number in (1, 2))]
    pretrained = backbone()
    return bank_for(pretrained.spec, engine_kind(pretrained), views[view])


def files_of(scenario: Scenario) -> tuple[Path, Path]:
    name = scenario.name.replace(" ", "-")
    return FROZEN / f"{name}.json", FROZEN / f"{name}.npz"


def put_rows(file: Path) -> None:
    """Put the committed features where this machine would have computed them."""
    with np.load(file) as arrays:
        for view in range(len(arrays) // 2):
            writer = ChunkWriter(cache(view))
            for name, row in zip(arrays[f"digest{view}"], arrays[f"rows{view}"], strict=True):
                writer.add(name.tobytes(), row)
            writer.flush()


def kept_rows(folder: Path) -> dict[str, npt.NDArray[np.generic]]:
    """Return the features of the pictures in a folder, per view, as they are committed."""
    names = sorted({digest(path.read_bytes()) for path in folder.rglob("*.ppm")})
    arrays: dict[str, npt.NDArray[np.generic]] = {}
    for view in range(3):
        found = [name for name in names if name in (feature_cache := cache(view))]
        if found:
            arrays[f"digest{view}"] = np.stack([np.frombuffer(name, np.uint8) for name in found])
            arrays[f"rows{view}"] = feature_cache.rows(found)
    return arrays


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda value: value.name)
def test_numbers_are_those_that_were_frozen(
    scenario: Scenario, real_command: Callable[..., object], tmp_path: Path
) -> None:
    numbers, rows = files_of(scenario)
    if not FREEZE:
        put_rows(rows)
    found = scenario.run(real_command, tmp_path)
    if FREEZE:
        np.savez_compressed(rows, **kept_rows(tmp_path / "images"))
        numbers.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    assert differences(json.loads(numbers.read_text(encoding="utf-8")), found, within=scenario.within) == []


def test_features_are_those_that_were_frozen(real_command: Callable[..., object], tmp_path: Path) -> None:
    scenario = SCENARIOS[0]
    scenario.run(real_command, tmp_path)
    with np.load(files_of(scenario)[1]) as frozen:
        found = kept_rows(tmp_path / "images")
        assert sorted(found) == sorted(frozen)
        for name in found:
            if name.startswith("digest"):
                assert np.array_equal(found[name], frozen[name])
                continue
            old, new = frozen[name].astype(np.float64), found[name].astype(np.float64)
            cosine = (old * new).sum(1) / np.linalg.norm(old, axis=1) / np.linalg.norm(new, axis=1)
            assert cosine.min() >= (0.9999 if engine_kind(backbone()).precision == "fp32" else LOWEST_COSINE)
