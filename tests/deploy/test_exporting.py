"""An exported file says what Python says: a real network, the tiny one with every head, pictures of all sizes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import cache as kept
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

import goldenrule as gr
from goldenrule.core.errors import BackboneError, OptionError
from goldenrule.core.progress import Silent
from goldenrule.data.pictures.decode import decode
from goldenrule.data.pictures.preprocess import Preprocessing
from goldenrule.data.pictures.preprocess_onnx import OnnxGraph, onnx_model
from goldenrule.deploy import exporting
from goldenrule.deploy.classifier_graph import DISTANCE, FEATURES, LOGITS, PROBABILITIES, _rounded, exported_graph
from goldenrule.deploy.export_formats import FORMATS
from goldenrule.engines import EngineKind, openvino
from goldenrule.metrics import OODDetector
from goldenrule.models.backbone import backbone, pooling_for
from goldenrule.models.classifier import Classifier
from goldenrule.models.heads import fresh_head

Command = Callable[..., Any]
ROOT = Path(__file__).parents[2]
CLASSES = ("cat", "dog", "人")


def picture(height: int, width: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def made(head: str, task: str = "single") -> Classifier:
    """Return a classifier of the tiny network with a drawn head of a kind, and an OOD detector."""
    draws = np.random.default_rng(0)
    network = backbone(pooling=pooling_for(head))
    spec = network.spec
    known = draws.normal(size=(12, spec.features // spec.places)).astype(np.float16)
    return Classifier(
        CLASSES,
        network,
        fresh_head(head, features=spec.features, classes=len(CLASSES), draws=draws),
        EngineKind(name="openvino", precision="fp32", version="0"),
        task=task,  # type: ignore[arg-type]
        ood_detector=OODDetector.fit(known, range(12)),
    )


@kept
def session_of(preprocessing: Preprocessing) -> Any:
    return onnxruntime.InferenceSession(onnx_model(preprocessing).SerializeToString())


@settings(deadline=None, max_examples=25)
@given(st.integers(1, 3000), st.integers(1, 3000), st.sampled_from(["shorter", "squish"]), st.booleans())
@example(1, 1, "shorter", False)
@example(1, 3000, "shorter", False)
@example(3000, 1, "squish", True)
@example(3000, 2, "shorter", True)
def test_pixels_of_every_size_are_those_of_python(height: int, width: int, resize: Any, swapped: bool) -> None:
    width = min(width, max(1, 400_000 // height))
    height, width = (width, height) if swapped else (height, width)
    preprocessing, rgb = Preprocessing(size=64, resize=resize), picture(height, width)
    found = session_of(preprocessing).run(None, {"image": rgb})[0][0]
    np.testing.assert_allclose(found, preprocessing.pixels(rgb), atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    ("head", "task"),
    [
        ("concat-pool", "multi"),
        ("flatten-64", "single"),
        ("root", "single"),
        pytest.param("linear", "multi", marks=pytest.mark.exhaustive),
        pytest.param("gap-1024", "single", marks=pytest.mark.exhaustive),
    ],
)
def test_the_graph_gives_probabilities_logits_and_distance_of_every_kind_of_head(
    cache: Path, head: str, task: str
) -> None:
    classifier = made(head, task)
    model = exported_graph(classifier)
    assert {(one.domain, one.version) for one in model.opset_import} == {("", 18)}
    assert {node.domain for node in model.graph.node} == {""}
    session = onnxruntime.InferenceSession(model.SerializeToString())
    for shape in ((48, 64), (1, 1), (301, 17)):
        rgb = picture(*shape)
        names = [PROBABILITIES, LOGITS, DISTANCE]
        found = dict(zip(names, session.run(names, {"image": rgb}), strict=True))
        wanted = exporting.in_python(classifier, rgb)
        for name, most in ((PROBABILITIES, 1e-4), (DISTANCE, 1e-3)):
            np.testing.assert_allclose(found[name], wanted[name], atol=most, rtol=0)
        assert found[DISTANCE][0] > 0


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_features_are_rounded_to_float16_by_every_runtime(runtime: str) -> None:
    """OpenVINO leaves out a cast to float16 that is cast back."""
    graph, helper = OnnxGraph(), onnx.helper
    graph.add("Identity", _rounded(graph, "features"), output="rounded")
    sides = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [9000]) for name in ("features", "rounded")]
    whole = helper.make_graph(graph.nodes, "rounding", sides[:1], sides[1:], graph.initializers)
    model = helper.make_model(whole, opset_imports=[helper.make_opsetid("", 18)], ir_version=10).SerializeToString()
    draws = np.random.default_rng(0)
    values = (draws.normal(size=9000) * 10 ** draws.uniform(-2, 4, 9000)).astype(np.float32)
    if runtime == "openvino":
        core = openvino.imported().Core()
        options = {"INFERENCE_PRECISION_HINT": "f32"}
        found = core.compile_model(core.read_model(model, b""), "CPU", options)({"features": values})["rounded"]
    else:
        found = onnxruntime.InferenceSession(model).run(None, {"features": values})[0]
    normal = np.abs(values) >= np.finfo(np.float16).smallest_normal
    assert np.array_equal(found[normal], values[normal].astype(np.float16).astype(np.float32))
    np.testing.assert_allclose(found, values.astype(np.float16), atol=3.1e-8, rtol=0)


def test_a_file_that_gives_other_probabilities_is_refused(cache: Path) -> None:
    classifier = made("linear")
    other = replace(classifier, head=classifier.head.with_temperature(2.0))
    with pytest.raises(BackboneError, match=r"other probabilities than Python.*Nothing was written"):
        exporting._compared(classifier, lambda rgb: exporting.in_python(other, rgb), FORMATS["onnx"], None, Silent())


AGREE = {FEATURES: 2e-6, exporting.FROM_FEATURES: 8e-7, PROBABILITIES: 3.4e-4, DISTANCE: 1e-5}


def test_probabilities_that_differ_by_rounding_alone_are_told_and_kept() -> None:
    exporting._check_close(AGREE, FORMATS["onnx"], "fp32")
    (note,) = exporting._notes_of_rounding(AGREE, "fp32")
    assert note.startswith("Features agree to 2e-06 of the largest, and what the head makes of them to 8e-07.")
    assert exporting._notes_of_rounding({**AGREE, PROBABILITIES: 1e-5}, "fp32") == ()


@pytest.mark.parametrize(
    ("differs", "what"),
    [
        ({FEATURES: 2e-4}, "features"),
        ({exporting.FROM_FEATURES: 2e-4}, "probabilities"),
        ({PROBABILITIES: 0.02}, "probabilities"),
        ({DISTANCE: 0.002}, "ood_distance"),
    ],
)
def test_what_differs_by_more_than_rounding_is_refused(differs: dict[str, float], what: str) -> None:
    with pytest.raises(BackboneError, match=f"other {what} than Python.*Nothing was written"):
        exporting._check_close(AGREE | differs, FORMATS["onnx"], "fp32")
    with pytest.raises(BackboneError, match="other probabilities than Python"):  # nothing is known of its features
        exporting._check_close({PROBABILITIES: 3.4e-4}, FORMATS["torch"], "fp32")


def test_features_of_another_network_are_refused(cache: Path) -> None:
    classifier = made("linear")

    def run(rgb: Any) -> Any:
        features = exporting.in_python(classifier, rgb)[FEATURES] * np.float32(1.001)
        return {FEATURES: features, **exporting.said_of(classifier, features)}

    with pytest.raises(BackboneError, match=r"other features than Python: up to 1.0e-03 apart, wanted 0.0001"):
        exporting._compared(classifier, run, FORMATS["onnx"], None, Silent())


def test_without_the_images_of_a_run_sixteen_parts_of_photos_are_compared(cache: Path) -> None:
    classifier = made("linear")
    found = exporting._compared(
        classifier, lambda rgb: exporting.in_python(classifier, rgb), FORMATS["onnx"], None, Silent()
    )
    assert found.compared >= 16
    assert found.sizes >= 16
    assert found.quality is None
    assert any("accuracy not measured" in note for note in found.notes)


@pytest.fixture(scope="module")
def exported(really_fitted: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, exporting.Exported]:
    """The real network's file, and what was said of it."""
    out = tmp_path_factory.mktemp("exported") / "photos.onnx"
    return out, exporting.export(really_fitted.folder, out)


def test_a_real_run_is_compared_on_its_own_images_and_scored(exported: tuple[Path, exporting.Exported]) -> None:
    out, found = exported
    assert found.compared >= 16
    assert found.sizes >= 8
    assert found.difference[PROBABILITIES] < 1e-4
    assert (found.split, found.quality.n, found.same.value) == ("test", 12, 1.0)  # type: ignore[union-attr]
    assert b"dogscats" not in out.read_bytes(), "no path of an image"


def test_metadata_have_what_a_program_needs(exported: tuple[Path, exporting.Exported], really_fitted: Any) -> None:
    classifier = gr.Classifier.load(really_fitted.folder)
    about = json.loads({one.key: one.value for one in onnx.load(exported[0]).metadata_props}["goldenrule"])
    assert about["classes"] == [*classifier.classes]
    assert about["ood"]["threshold"] == classifier.ood_detector.threshold  # type: ignore[union-attr]
    assert about["prediction_sets"]["threshold"] == classifier.sets.threshold  # type: ignore[union-attr]
    assert about["preprocessing"]["size"] == 224
    assert {"temperature", "thresholds", "task", "views", "precision"} <= about.keys()


def test_the_client_of_the_examples_says_what_python_says(
    exported: tuple[Path, exporting.Exported], really_fitted: Any, small_photos: Path
) -> None:
    photos = sorted((small_photos / "test").rglob("*.jpg"))[::2]
    client = ROOT / "examples" / "onnx_client.py"
    done = subprocess.run(
        [sys.executable, client, exported[0], *photos], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    classifier = gr.Classifier.load(really_fitted.folder)
    for photo, line in zip(photos, done.stdout.splitlines(), strict=True):
        wanted = exporting.in_python(classifier, decode(photo.read_bytes()))[PROBABILITIES][0]
        path, label, probability, *_ = line.split("\t")
        assert (path, label) == (str(photo), classifier.classes[wanted.argmax()])
        assert abs(float(probability) - wanted.max()) < 1e-4
    assert sum(1 for row in client.read_text().splitlines() if row.strip()) < 22


@pytest.fixture
def run(command: Command, picture_folder: Callable[..., Path]) -> str:
    """A quick fit of the tiny network on few pictures."""
    assert command("fit", picture_folder(), "--quick", "--out", "run").returncode == 0
    return "run"


def test_openvino_and_pytorch_agree_too_and_the_same_command_works_twice(
    command: Command, run: str, tmp_path: Path
) -> None:
    for name in ("a.xml", "a.safetensors", "a.safetensors"):
        done = command("export", run, "-o", name)
        assert done.returncode == 0, done.stderr
        assert "Accuracy on" in done.stdout
    assert (tmp_path / "a.bin").is_file()


def test_nothing_of_the_users_is_overwritten(command: Command, run: str, tmp_path: Path) -> None:
    for name in ("a.onnx", "a.safetensors", "b.bin"):
        (tmp_path / name).write_bytes(b"mine")
    for name in ("a.onnx", "a.safetensors", "b.xml"):
        assert command("export", run, "-o", name).returncode == 2
    assert {(tmp_path / name).read_bytes() for name in ("a.onnx", "a.safetensors", "b.bin")} == {b"mine"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("-o", "a.pt"), "wanted one of .onnx (onnx), .xml (openvino), .safetensors (torch)"),
        (("--format", "torch", "-o", "a.onnx"), "a name that ends in .safetensors for --format torch"),
        (("--format", "tflite"), "--format tflite: wanted one of onnx, openvino, torch."),
    ],
    ids=["ending", "format and ending", "format"],
)
def test_a_wrong_format_is_told_before_the_work(command: Command, words: tuple[str, ...], said: str) -> None:
    done = command("export", "nowhere", *words)
    assert done.returncode == 2
    assert said in " ".join(done.stderr.split())


def test_a_head_of_the_owners_own_is_refused_clearly(tmp_path: Path) -> None:
    (tmp_path / "classifier.json").write_text('{"head": "custom", "backbone": {"source": {}}}')
    with pytest.raises(OptionError, match=r"The head of this classifier is made by a function of its owner's"):
        exporting.export(tmp_path, tmp_path / "a.onnx")


def test_a_head_that_timm_does_not_have_is_refused_for_pytorch(cache: Path) -> None:
    with pytest.raises(OptionError, match=r"this classifier has the head gap-1024. Take --format onnx"):
        FORMATS["torch"].make(made("gap-1024"), None)


def test_networks_that_timm_does_not_have_are_refused_for_pytorch(cache: Path) -> None:
    several = replace(made("linear"), backbone=backbone("test_efficientnet+test_resnet", drawn=0, size=64))
    with pytest.raises(OptionError, match=r"has test_efficientnet\+test_resnet, which are several. Take --format onnx"):
        FORMATS["torch"].make(several, None)
    own = gr.models.custom_backbone(lambda: torch.nn.Conv2d(3, 8, 3), preprocessing=Preprocessing(size=64), key="own")
    with pytest.raises(OptionError, match="Take --format onnx"):
        FORMATS["torch"].make(replace(made("linear"), backbone=own), None)


def test_a_file_of_ours_is_known_by_its_content(cache: Path) -> None:
    assert FORMATS["onnx"].kind.ours(onnx_model(Preprocessing(size=64)).SerializeToString())
    assert not FORMATS["onnx"].kind.ours(onnx.ModelProto(producer_name="other").SerializeToString())
