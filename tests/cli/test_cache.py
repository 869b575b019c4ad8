"""`goldenrule cache` as a process: show, limit, clear."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from goldenrule.data.augmentation.augment import PLAIN, View
from goldenrule.data.augmentation.presets import side_on
from goldenrule.data.pictures.preprocess import Preprocessing
from goldenrule.engines import EngineKind
from goldenrule.features.extractor import bank_for
from goldenrule.models.backbone import BackboneSpec
from goldenrule.storage.files import digest

Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def two_banks(cache: Path) -> list[str]:
    """A plain bank and one of a view, 300 rows each; their names."""
    spec = BackboneSpec(
        name="tiny", timm_name="tiny", weights="a" * 64, features=1000, pooling="average", parameters=1,
        preprocessing=Preprocessing(size=224), groups={}, source={},
    )  # fmt: skip
    kind = EngineKind(name="openvino", precision="bf16", version="1")
    names = []
    for view in (PLAIN, View(augmentation=side_on(), index=2)):
        bank = bank_for(spec, kind, view)
        bank.add([digest(f"{number}".encode()) for number in range(300)], np.ones((300, 1000), np.float16))
        names.append(bank.name)
    return names


def test_an_empty_bank_is_shown(command: Command) -> None:
    found = command("cache")
    assert found.returncode == 0
    assert "0 B in all" in found.stdout


def test_the_banks_are_shown_with_what_they_hold(command: Command, two_banks: list[str]) -> None:
    found = command("cache")
    assert found.returncode == 0
    for name, view in zip(two_banks, ("plain", "side_on 2"), strict=True):
        (line,) = [line for line in found.stdout.splitlines() if name[:8] in line]
        for wanted in ("tiny 224", view, "bf16", "300", "kB"):
            assert wanted in line
    assert "1.2 MB in all" in found.stdout


def test_a_bank_of_early_layers_is_named_as_such(command: Command, cache: Path) -> None:
    spec = BackboneSpec(
        name="tiny", timm_name="tiny", weights="b" * 64, features=9, pooling="average", parameters=1, tap="boundary",
        preprocessing=Preprocessing(size=224), groups={}, source={},
    )  # fmt: skip
    bank = bank_for(spec, EngineKind(name="openvino", precision="bf16", version="1"), PLAIN)
    bank.add([digest(b"1")], np.ones((1, 9), np.float16))
    assert "tiny 224, early layers" in command("cache").stdout


def test_banks_are_cleared_by_name_or_all(command: Command, two_banks: list[str], cache: Path) -> None:
    assert "1 feature cache cleared" in command("cache", "clear", two_banks[0][:8]).stdout
    assert [path.name for path in (cache / "banks").iterdir()] == [two_banks[1]]
    assert command("cache", "clear", "--all").returncode == 0
    assert list((cache / "banks").iterdir()) == []


@pytest.mark.parametrize(
    "arguments",
    [
        ["clear"],
        ["clear", "zzz"],
        ["clear", "abc", "--all"],
        ["clear", ""],
        ["limit", "much"],
        ["limit", "5kB"],
        ["limit", "-1GB"],
    ],
)
def test_what_can_t_be_meant_is_refused_and_nothing_is_lost(
    command: Command, two_banks: list[str], cache: Path, arguments: list[str]
) -> None:
    found = command("cache", *arguments)
    assert found.returncode == 2
    assert found.stderr
    assert len(list((cache / "banks").iterdir())) == 2


def test_a_limit_removes_what_was_used_longest_ago_and_is_lifted_again(
    command: Command, two_banks: list[str], cache: Path
) -> None:
    found = command("cache", "limit", "1MB")
    assert "at most 1.0 MB" in command("cache").stdout
    assert "Removed for it: 1 feature cache." in found.stdout
    assert len(list((cache / "banks").iterdir())) == 1
    assert "what they need" in command("cache", "limit", "none").stdout
    assert "No limit is set" in command("cache").stdout
