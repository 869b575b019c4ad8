"""An export in int8 is calibrated on training images read again, measured, and says so."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from PIL import Image

from goldenrule.core.errors import SourceError
from goldenrule.core.progress import Silent
from goldenrule.deploy import quantizing
from goldenrule.deploy.export_formats import FORMATS
from goldenrule.deploy.exporting import export
from goldenrule.engines import openvino
from goldenrule.models.classifier import Classifier
from goldenrule.runs.verified_files import run_images

Command = Callable[..., Any]


@pytest.fixture
def run(command: Command, picture_folder: Callable[..., Path]) -> Path:
    """A quick fit of the tiny network on few pictures."""
    folder = picture_folder()
    assert command("fit", folder, "--quick", "--out", "run").returncode == 0
    return folder.parent / "run"


def train_images(run: Path) -> Any:
    table = run_images(run)
    return table.where(np.array([split == "train" for split in table.splits]))


def about_onnx(path: Path) -> Any:
    return json.loads({one.key: one.value for one in onnx.load(path).metadata_props}["goldenrule"])


def about_openvino(path: Path) -> Any:
    return json.loads(openvino.imported().Core().read_model(path).get_rt_info(["goldenrule"]).value)


@pytest.mark.parametrize(
    ("name", "about"), [("a.onnx", about_onnx), pytest.param("a.xml", about_openvino, marks=pytest.mark.exhaustive)]
)
def test_int8_says_on_how_many_images_it_was_calibrated_and_what_it_costs(
    command: Command, run: Path, tmp_path: Path, name: str, about: Callable[[Path], Any]
) -> None:
    done = command("export", run, "-o", name, "--precision", "int8", "--json", "-")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)  # NNCF's own bars are not on the screen
    count = len(train_images(run))
    assert (said["precision"], said["calibrated"]) == ("int8", count)
    assert said["cost"]["gains"]["accuracy"]["n"] == said["quality"]["n"] > 0
    assert any(f"Calibrated on {count} training images" in note for note in said["notes"])
    file = about(tmp_path / name)
    assert file["precision"] == "int8"
    assert file["int8"]["calibrated_on"] == count
    assert file["int8"]["cost"] == said["cost"]


@pytest.mark.exhaustive
def test_an_onnx_file_in_int8_has_standard_operators_and_sums_that_do_not_saturate(
    command: Command, run: Path, tmp_path: Path
) -> None:
    assert command("export", run, "-o", "a.onnx", "--precision", "int8").returncode == 0
    model = onnx.load(tmp_path / "a.onnx")
    assert {node.domain for node in model.graph.node} == {""}
    assert [(one.domain, one.version) for one in model.opset_import] == [("", 18)]
    arrays = {one.name: onnx.numpy_helper.to_array(one) for one in model.graph.initializer}
    weights = [
        arrays[node.input[0]]
        for node in model.graph.node
        if node.op_type == "DequantizeLinear" and arrays.get(node.input[0], np.zeros(0)).ndim == 4
    ]
    assert {one.dtype for one in weights} == {np.dtype(np.int8)}
    summed = [np.abs(one.astype(int)).max() for one in weights if one.shape[1] > 1]  # over channels
    assert len(summed) > 5
    assert max(summed) <= 64


@pytest.mark.exhaustive
def test_the_real_network_in_int8_agrees_with_fp32_on_photos(really_fitted: Any, tmp_path: Path) -> None:
    fp32 = tmp_path / "fp32.onnx"
    fp32.write_bytes(FORMATS["onnx"].make(Classifier.load(really_fitted.folder), None)[".onnx"])
    found = export(really_fitted.folder, tmp_path / "int8.onnx", precision="int8")
    assert found.calibrated == 40
    assert found.cost is not None
    assert found.cost.gains["log loss"].gain.n == 12
    assert found.same is not None
    assert found.same.value >= 11 / 12
    assert 1e-4 < found.difference["probabilities"] < 1
    assert (tmp_path / "int8.onnx").stat().st_size < 0.4 * fp32.stat().st_size


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--precision", "int4"), "--precision int4: wanted one of fp32, int8."),
        (("--precision", "int8", "-o", "a.safetensors"), "wanted --format onnx or openvino"),
    ],
    ids=["precision", "format"],
)
def test_a_wrong_precision_is_told_before_the_work(command: Command, words: tuple[str, ...], said: str) -> None:
    done = command("export", "nowhere", *words)
    assert done.returncode == 2
    assert said in " ".join(done.stderr.split())


def test_without_the_extra_the_error_names_it(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "nncf", None)
    done = command("export", "nowhere", "--precision", "int8")
    assert done.returncode == 2
    assert "pip install 'goldenrule[int8]'" in " ".join(done.stderr.split())


def test_without_training_images_nothing_is_written(command: Command, run: Path, tmp_path: Path) -> None:
    images = run_images(run).root
    (hidden := tmp_path / "hidden").mkdir()
    shutil.move(images, hidden)
    done = command("export", run, "-o", "a.onnx", "--precision", "int8")
    assert done.returncode == 2
    assert "calibrated on the run's training images, and they are gone" in " ".join(done.stderr.split())
    assert not (tmp_path / "a.onnx").exists()


def test_only_images_as_the_run_has_seen_them_calibrate(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []
    monkeypatch.setattr(quantizing, "backbone_graph", lambda backbone: None)
    monkeypatch.setattr(quantizing, "_by_nncf", lambda graph, source: seen.extend(source) or onnx.ModelProto())
    train = train_images(run)
    broken, changed, *_ = (train.root / uri for uri in train.uris)
    broken.write_bytes(b"no picture")
    Image.new("RGB", (64, 48), "green").save(changed)
    found = quantizing.quantized(Classifier.load(run), train, Silent())
    assert found.images == len(seen) == len(train) - 2
    assert seen[0]["pixels"].shape == (1, 3, 64, 64)
    for uri in train.uris:
        (train.root / uri).unlink()
    with pytest.raises(SourceError, match=r"none of \d+ in .* can be read or is as it was"):
        quantizing.quantized(Classifier.load(run), train, Silent())


@pytest.mark.exhaustive
def test_nncf_reports_nothing_whoever_has_imported_it_first(start: Callable[..., Any]) -> None:
    code = """
import openvino_telemetry, nncf
from nncf.telemetry import decorator, wrapper
print(type(decorator.telemetry) is wrapper.NNCFTelemetry)
from goldenrule.deploy.quantizing import imported
print(imported() is nncf, type(decorator.telemetry) is wrapper.NNCFTelemetry)
"""
    out, err = start("-c", code, env={"NNCF_CI": ""}).communicate(timeout=240)
    assert out.split() == ["True", "True", "False"], err
