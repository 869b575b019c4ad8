"""`goldenrule doctor` and `goldenrule demo` as processes."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from goldenrule.core.errors import MissingExtra, OptionError
from goldenrule.demo.digits import write_digits
from goldenrule.demo.textiles import are_textiles_here, write_textiles

Command = Callable[..., subprocess.CompletedProcess[str]]


def test_the_doctor_says_engine_precision_versions_and_speed(command: Command) -> None:
    found = command("doctor")
    assert found.returncode == 0, found.stderr
    assert re.search(r"engine\s.*(openvino|torch) \S+ (bf16|fp32) for efficientnet_lite0 at 64 px", found.stdout)
    for name in ("python", "numpy", "openvino", "torch", "processor", "cores", "memory", "cache"):
        assert re.search(rf"^[ │]*{name} +│? +\S", found.stdout, re.MULTILINE), name
    speed = found.stdout.split("Speed on")[1]
    rates = re.findall(r" ([\d,]+)[ │]*$", speed, re.MULTILINE)
    assert len(rates) == 3
    assert all(int(rate.replace(",", "")) > 1 for rate in rates)


def test_the_doctor_prepares_a_backbone(command: Command) -> None:
    found = command("doctor", "--no-speed", "--prepare", "efficientnet_lite0")
    assert found.returncode == 0, found.stderr
    assert re.search(r"efficientnet_lite0 is ready for this machine: (openvino|torch) \S+ (bf16|fp32)", found.stdout)


@pytest.mark.slow
def test_the_doctor_names_the_nearest_of_an_unknown_backbone(command: Command) -> None:
    found = command("doctor", "--backbone", "efficientnet_light0")
    assert found.returncode == 2
    assert "efficientnet_lite0" in found.stderr


def test_the_demo_writes_the_digits_and_fits_those_that_are_there(command: Command, tmp_path: Path) -> None:
    """The tiny network is fitted to the first 400: many images are many more of the same."""
    for path in write_digits(tmp_path / "demo" / "digits").glob("*/*.png"):
        if int(path.stem) >= 400:
            path.unlink()
    fit_the_digits(command, tmp_path, digits=400, better_than=0.5)


@pytest.mark.exhaustive
def test_the_demo_fits_the_digits_with_the_real_backbone(real_command: Command, tmp_path: Path) -> None:
    fit_the_digits(real_command, tmp_path, digits=1797, better_than=0.8)  # neighbours by name are kept together


@pytest.mark.exhaustive
def test_the_demo_fits_the_textiles_where_they_are_installed(command: Command, tmp_path: Path) -> None:
    """The tiny network is fitted to the first forty of each kind."""
    for path in write_textiles(tmp_path / "demo" / "textiles").glob("*/*.jpg"):
        if int(path.stem.removeprefix("textile_")) > 120:
            path.unlink()
    found = command("demo", "--folder", tmp_path / "demo")
    assert found.returncode == 0, found.stderr
    assert "2,000 simulated textile surfaces (Megahed et al. 2025, MIT)" in found.stdout
    result = json.loads((tmp_path / "demo" / "runs" / "textiles" / "result.json").read_text())
    assert result["classes"] == ["faultless", "global defect", "local defect"]
    assert (tmp_path / "demo" / "runs" / "textiles" / "report.html").is_file()


def test_the_textiles_are_copies_and_another_folder_is_refused(tmp_path: Path) -> None:
    textiles = write_textiles(tmp_path / "textiles")
    files = sorted(textiles.glob("*/*.jpg"))
    assert len(files) == 2000
    assert files[0].stat().st_nlink == 1, "what is changed there changes no package"
    assert write_textiles(textiles) == textiles
    (tmp_path / "other").mkdir()
    with pytest.raises(OptionError, match="holds something else"):
        write_textiles(tmp_path / "other")


def test_without_the_package_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("goldenrule.demo.textiles.PACKAGE", "no_such_package")
    assert not are_textiles_here()
    with pytest.raises(MissingExtra, match=r"goldenrule\[demo\].*--digits"):
        write_textiles(tmp_path / "textiles")


def fit_the_digits(command: Command, tmp_path: Path, *, digits: int, better_than: float) -> None:
    found = command("demo", "--digits", "--folder", tmp_path / "demo")
    assert found.returncode == 0, found.stderr
    assert len(list((tmp_path / "demo" / "digits").glob("*/*.png"))) == digits
    result = json.loads((tmp_path / "demo" / "runs" / "digits" / "result.json").read_text())
    assert result["test"]["accuracy"] > better_than
    assert result["options"]["augment"] == "basic"
    assert (tmp_path / "demo" / "runs" / "digits" / "report.html").is_file()
