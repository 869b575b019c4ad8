"""`goldenrule lr-find` as a process: a curve, a rate, a picture, and no trace."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Command = Callable[..., subprocess.CompletedProcess[str]]


def test_it_draws_the_curve_and_says_which_rate_to_take(command: Command, small_photos: Path, tmp_path: Path) -> None:
    found = command("lr-find", small_photos, "-o", "curve.png")
    assert found.returncode == 0, found.stderr
    assert "S: the suggestion, by" in found.stdout
    assert "M: the minimum" in found.stdout
    assert "⠀" in found.stdout  # the drawing, in braille
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")
    assert not (tmp_path / "runs").exists()


@pytest.mark.slow
def test_the_whole_network_of_an_earlier_run_is_at_a_minimum_already(
    command: Command, small_photos: Path, tmp_path: Path
) -> None:
    assert command("fit", "--quick", small_photos, "--out", "run", "--views", "0").returncode == 0
    found = command("lr-find", small_photos, "--unfrozen", "--from", "run", "--steps", "12")
    assert found.returncode == 0, found.stderr
    assert (tmp_path / "lr_find.svg").is_file()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-o", "curve.jpg"], ".svg, .png or .pdf"),
        (["--lowest", "1", "--highest", "0.1"], "lowest < highest"),
        (["--steps", "1"], "at least 2"),
        (["--from", "nowhere"], "no classifier"),
        (["--live", "--augment", "upside"], "--augment upside"),
    ],
)
def test_mistakes_are_told(
    command: Command, cache: Path, small_photos: Path, arguments: list[str], message: str
) -> None:
    found = command("lr-find", small_photos, *arguments)
    assert found.returncode == 2
    assert message in found.stderr
    assert not list(cache.glob("banks/*")), "told before anything is computed"
