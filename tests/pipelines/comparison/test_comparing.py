"""Networks compared on real photos: it goes on where it was killed, and opens the test split after the choice."""

from __future__ import annotations

import csv
import json
import shlex
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import save_file
from typer.testing import CliRunner

from goldenrule.cli.main import app
from goldenrule.core.errors import OptionError, RunMismatch, UnknownBackbone
from goldenrule.core.progress import Silent, Task
from goldenrule.data.sources.label_tables import from_source
from goldenrule.metrics import quality
from goldenrule.models.backbone import backbone
from goldenrule.models.classifier import Classifier
from goldenrule.models.original import Original
from goldenrule.pipelines.comparison.comparing import compare_networks
from goldenrule.pipelines.comparison.comparison_report import next_steps
from goldenrule.runs.options import FitOptions
from goldenrule.runs.training_options import EPOCHS
from goldenrule.runs.verified_files import known_split

MODELS, TYPES = ("original@32", "original@48"), ("fromzero",)
OPTIONS = FitOptions(threads=1, augment="none")


class Watched:
    """Progress that keeps what was said, and which files of the test split there were when evaluating began."""

    def __init__(self, folder: Path) -> None:
        self.lines: list[str] = []
        self.folder, self.picture, self.expect = folder, Silent().picture, Silent().expect
        self.evaluated_before: list[Path] | None = None
        self.chosen_before = False

    def say(self, message: str) -> None:
        self.lines.append(message)

    detail = say

    def task(self, name: str, total: int, unit: str) -> AbstractContextManager[Task]:
        if name == "evaluate":
            self.evaluated_before = list(self.folder.glob("*/predictions/test.csv"))
            self.chosen_before = (self.folder / "choice.json").exists()
        return Silent().task(name, total, unit)


@pytest.fixture(scope="module")
def world(prepared_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a cache of its own."""
    folder = tmp_path_factory.mktemp("compare")
    shutil.copytree(prepared_cache, folder / "cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GOLDENRULE_CACHE", str(folder / "cache"))
        patch.setitem(EPOCHS, "fromzero", 12)
        yield folder


@pytest.fixture(scope="module")
def unbroken(small_photos: Path, world: Path) -> Any:
    """Heads compared, then a network from scratch added; and what was watched each time."""
    out = world / "unbroken"
    watched, grown = Watched(out), Watched(out)
    models = ("original@32", "efficientnet")
    compare_networks(small_photos, models, ("transfer_learning",), options=OPTIONS, out=out, progress=watched)
    found = compare_networks(small_photos, models[:1], ("fromzero",), options=OPTIONS, out=out, progress=grown)
    return found, watched, grown


def numbers(folder: Path) -> list[dict[str, str]]:
    """What comparison.csv says but for seconds, which nobody can repeat, and the choice among equals by them."""
    timed = ("seconds", "activation_seconds", "chosen", "test_against_chosen", "p_value_holm")
    with (folder / "comparison.csv").open(newline="") as file:
        rows = [{key: value for key, value in row.items() if key not in timed} for row in csv.DictReader(file)]
    return sorted(rows, key=lambda row: (row["network"], row["type"]))


def test_each_row_is_an_ordinary_run_and_the_pretrained_head_is_taken(unbroken: Any) -> None:
    found, _, _ = unbroken
    assert [row.name for row in found.ranked] == ["efficientnet_lite0, transfer learning", "original@32, from scratch"]
    assert found.headline == "Take efficientnet_lite0, transfer learning"
    for row in found.rows:
        ours = json.loads((row.folder / "result.json").read_text())
        assert ours["test"]["n"] == len(row.test.scored) == 12
        assert ours["test"]["accuracy"] == quality(row.test).value
        assert ours["valid"]["accuracy"] == quality(row.valid).value
        assert (row.folder / "report.html").is_file()
        took = {stage["name"]: stage["seconds"] for stage in ours["stages"]}
        assert took.get("from scratch", row.seconds) > 0.2 * row.seconds, (
            "the seconds of the training, not of its replay"
        )
    sizes = {row.network: row.parameters for row in found.rows}
    assert sizes["original@32"] == 1_964_280 + 2 * 257
    for row in found.rows:
        assert Classifier.load(row.folder).backbone.spec.name == row.network.partition("@")[0]


def test_the_test_part_is_opened_once_when_the_choice_is_written(unbroken: Any) -> None:
    _, watched, grown = unbroken
    assert watched.evaluated_before == []
    assert watched.chosen_before
    assert [path.parts[-3] for path in grown.evaluated_before] == ["efficientnet_lite0-transfer_learning"]


def test_the_command_that_adds_another_network_is_of_this_comparison(
    unbroken: Any, small_photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With its options and its folder: else it would be another comparison, or be refused."""
    out = tmp_path / "my comparison"
    options = FitOptions(threads=1, augment="none", seed=2)
    how: dict[str, Any] = {"epochs": 3, "stop": ("converged:2",), "options": options, "out": out}
    found = compare_networks(small_photos, ("efficientnet",), ("transfer_learning",), **how)
    command = shlex.split(next_steps(found)[-1])
    assert command[:2] == ["goldenrule", "compare-models"]
    another = [word.replace("ANOTHER", "efficientnet_lite0@96") for word in command[1:]]
    monkeypatch.chdir(tmp_path)
    assert CliRunner().invoke(app, [*another, "-t", "transfer_learning", "--threads", "1"]).exit_code == 0
    assert len(numbers(out)) == 2
    assert shlex.split(next_steps(found)[0])[2] == str(found.chosen.folder)
    table = from_source(small_photos)
    again = compare_networks(table, ("efficientnet",), ("transfer_learning",), **how)
    assert not again.commands, "nobody can say how the table was made"


def test_what_was_trained_after_that_says_so(unbroken: Any) -> None:
    found, _, _ = unbroken
    late = [row.name for row in found.rows if row.after_test]
    assert late == ["original@32, from scratch"]
    assert any("had been opened for others" in sentence for sentence in found.sentences)


def test_a_network_that_nobody_trained_in_advance_is_left_out_and_named(unbroken: Any) -> None:
    found, watched, _ = unbroken
    assert any(line.endswith("original@32, transfer learning: left out") for line in watched.lines)
    assert not (found.folder / "entries" / "original@32-transfer_learning.json").exists()
    with pytest.raises(OptionError, match="Nothing could be trained"):  # one name stands for a list of one
        compare_networks(unbroken[0].images, "original", "fine_tuning", options=OPTIONS, out=unbroken[0].folder)


def test_every_row_has_the_same_parts(unbroken: Any) -> None:
    found, _, _ = unbroken
    splits = [(row.folder / "split.csv").read_text() for row in found.rows]
    assert len(set(splits)) == 1


def test_the_page_has_figures_and_loads_nothing(unbroken: Any) -> None:
    found, _, _ = unbroken
    page = found.page.read_text()
    assert page.count("<svg") == 2
    assert "://" not in page.replace("http://www.w3.org", "")
    assert (found.folder / "pareto.svg").is_file()
    written = json.loads((found.folder / "comparison.json").read_text())
    assert written["chosen"]["chosen"] == found.chosen.name
    assert written["rows"][1]["against_chosen"]["test"]["verdict"] in ("tie", "worse")


@pytest.mark.exhaustive
def test_a_comparison_killed_in_the_middle_ends_as_an_unbroken_one(
    unbroken: Any, start: Callable[..., subprocess.Popen[str]], small_photos: Path, world: Path
) -> None:
    out = world / "killed"
    command = ("-m", "goldenrule", "compare-models", small_photos, "-m", *MODELS, "-t", *TYPES)
    options = ("--epochs", 3, "--augment", "none", "--threads", 1, "--out", out)
    process = start(*command, *options)
    first = out / "entries" / "original@32-fromzero.json"
    while process.poll() is None and not (first.exists() and json.loads(first.read_text()).get("trained")):
        time.sleep(0.01)
    process.kill()
    process.communicate()
    assert not (out / "comparison.csv").exists(), "killed too late to tell"
    before = (out / "original@32-fromzero" / "predictions" / "valid.csv").read_bytes()
    watched = Watched(out)
    compare_networks(small_photos, MODELS, TYPES, epochs=3, options=OPTIONS, out=out, progress=watched)
    assert "1 of 2: original@32, from scratch: trained before" in watched.lines
    assert (out / "original@32-fromzero" / "predictions" / "valid.csv").read_bytes() == before
    compare_networks(small_photos, MODELS, TYPES, epochs=3, options=OPTIONS, out=world / "whole")
    assert numbers(out) == numbers(world / "whole")
    assert len(numbers(out)) == 2


def test_it_keeps_the_parts_of_the_fits_before_it(world: Path, small_photos: Path) -> None:
    from goldenrule.pipelines.prepare import prepared_fit

    photos = Path(shutil.copytree(small_photos / "train", world / "mine"))
    with prepared_fit(photos, options=FitOptions(threads=1, seed=3), runs=world / "runs"):
        pass
    found = compare_networks(photos, ("efficientnet",), ("transfer_learning",), options=OPTIONS, runs=world / "runs")
    assert found.folder == world / "runs" / "mine-compare"
    assert known_split(world / "runs" / "mine") == known_split(found.folder)
    assert found.chosen.test is not None


@pytest.mark.exhaustive
def test_weights_of_one_s_own_are_loaded_by_the_name_of_the_family(
    small_photos: Path, real_cache: Path, tmp_path: Path
) -> None:
    """Those of the embedded backbone, as a file, for two names of the same network."""
    file = Path(shutil.copy(backbone().weights_file, tmp_path / "mine.safetensors"))
    found = compare_networks(
        small_photos,
        ("efficientnet@96", "efficientnet_lite0@96"),
        ("transfer_learning",),
        weights={"efficientnet": file},
        options=OPTIONS,
        out=tmp_path / "own",
    )
    assert [row.name for row in found.rows] == ["efficientnet_lite0@96, transfer learning"]
    state = json.loads((found.rows[0].folder / "run.json").read_text())
    assert state["options"]["weights"] == str(file)


def test_weights_that_are_given_later_are_for_what_was_left_out(
    unbroken: Any, small_photos: Path, tmp_path: Path
) -> None:
    """As the comparison itself advises: what was trained from scratch has no use for them, and stays."""
    found, _, _ = unbroken
    out, file = Path(shutil.copytree(found.folder, tmp_path / "grown")), tmp_path / "mine.safetensors"
    save_file(Original().state_dict(), file)
    how: dict[str, Any] = {"options": OPTIONS, "out": out, "weights": {"original": file}}
    watched = Watched(out)
    types = ("fromzero", "transfer_learning")
    grown = compare_networks(small_photos, ("original@32",), types, progress=watched, **how)
    assert "1 of 2: original@32, from scratch: trained before" in watched.lines
    assert not grown.left_out
    assert sorted(row.name for row in grown.rows) == [
        "efficientnet_lite0, transfer learning",
        "original@32, from scratch",
        "original@32, transfer learning",
    ]
    save_file({name: tensor + 1 for name, tensor in Original().state_dict().items()}, file)
    with pytest.raises(RunMismatch, match=r"mine\.safetensors has changed since original@32-transfer_learning"):
        compare_networks(small_photos, ("original@32",), types, **how)


def test_what_cannot_be_is_said_before_anything_is_trained(unbroken: Any, small_photos: Path, tmp_path: Path) -> None:
    with pytest.raises(UnknownBackbone, match="efficientnet"):
        compare_networks(small_photos, ("efficentnet",), out=tmp_path / "none")
    with pytest.raises(OptionError, match="NAME@PX"):
        compare_networks(small_photos, ("original@big",), out=tmp_path / "none")
    with pytest.raises(OptionError, match="fine_tuning"):
        compare_networks(small_photos, ("original",), ("tuning",), out=tmp_path / "none")
    with pytest.raises(OptionError, match="no -m vit"):
        compare_networks(small_photos, ("original",), weights={"vit": Path("vit.pth")}, out=tmp_path / "none")
    with pytest.raises(OptionError, match="epochs=0"):
        compare_networks(small_photos, ("original",), epochs=0, out=tmp_path / "none")
    assert not (tmp_path / "none").exists()
    with pytest.raises(RunMismatch, match="seed=0 instead of seed=5"):
        compare_networks(small_photos, options=FitOptions(threads=1, augment="none", seed=5), out=unbroken[0].folder)
