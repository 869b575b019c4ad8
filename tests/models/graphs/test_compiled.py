"""Which engine runs a backbone: checked against PyTorch once, chosen, said."""

import json

import pytest

from goldenrule.core.errors import OptionError, StorageError
from goldenrule.core.progress import Silent
from goldenrule.engines import EngineKind, openvino
from goldenrule.models.backbone import backbone
from goldenrule.models.graphs import compiled as module
from goldenrule.models.graphs.compiled import available_threads, check_device, compiled, engine_kind, serving_kind
from goldenrule.storage.manifest import seal


@pytest.fixture
def small(random_weights):
    """Return a small backbone at a small size; its cache is that of the test."""
    return lambda: backbone("mobilenetv3_small_050", weights=random_weights("mobilenetv3_small_050"), size=64)


def checks(cache):
    return sorted((cache / "engines").rglob("check.json"))


def test_the_comparison_with_pytorch_is_kept_and_not_made_again(cache, monkeypatch):
    (file,) = checks(cache)
    check = json.loads(file.read_text())
    assert check["cosine"]["fp32"] > 0.9999
    assert check["photos"] == openvino.BATCH_SIZE
    monkeypatch.setattr(module, "_export_and_compare", lambda *_: pytest.fail("compared again"))
    assert engine_kind(backbone()).precision == openvino.best_precision()


@pytest.mark.parametrize(
    ("cosine", "kind"),
    [
        ({"bf16": 0.99, "fp32": 1.0}, ("openvino", "bf16")),
        ({"bf16": 0.9, "fp32": 1.0}, ("openvino", "fp32")),
        ({"fp32": 1.0}, ("openvino", "fp32")),
        ({"bf16": 0.9, "fp32": 0.99}, ("torch", "fp32")),
        ({"bf16": float(0), "fp32": float(0)}, ("torch", "fp32")),
    ],
)
def test_the_fastest_engine_whose_features_agree_with_pytorch_is_chosen(cache, monkeypatch, cosine, kind):
    monkeypatch.setattr(openvino, "best_precision", lambda: "bf16" if "bf16" in cosine else "fp32")
    (file,) = checks(cache)
    file.write_text(json.dumps({"cosine": cosine, "alone": dict.fromkeys(cosine, True), "photos": 16}))
    seal(file.parent)
    found = engine_kind(backbone())
    assert (found.name, found.precision) == kind


@pytest.mark.parametrize(
    ("scored_with", "here"),
    [
        (("openvino", "fp32"), ("openvino", "fp32")),
        (("openvino", "bf16"), ("openvino", "bf16")),
        (("torch", "fp32"), ("torch", "fp32")),
    ],
)
def test_a_classifier_is_served_with_the_engine_it_was_scored_with(cache, monkeypatch, scored_with, here):
    monkeypatch.setattr(openvino, "best_precision", lambda: "bf16")
    (file,) = checks(cache)
    file.write_text(
        json.dumps({"cosine": {"bf16": 0.99, "fp32": 1.0}, "alone": {"bf16": True, "fp32": True}, "photos": 16})
    )
    seal(file.parent)
    name, precision = scored_with
    found = serving_kind(backbone(), EngineKind(name=name, precision=precision, version="old"))
    assert (found.name, found.precision) == here
    assert found.version != "old"


def test_where_that_engine_does_not_run_the_best_one_serves(cache, monkeypatch):
    monkeypatch.setattr(openvino, "best_precision", lambda: "fp32")
    (file,) = checks(cache)
    file.write_text(json.dumps({"cosine": {"fp32": 1.0}, "alone": {"fp32": True}, "photos": 16}))
    seal(file.parent)
    found = serving_kind(backbone(), EngineKind(name="openvino", precision="bf16", version="1"))
    assert (found.name, found.precision) == ("openvino", "fp32")


def test_another_size_or_other_weights_never_meet_an_old_engine(cache, small, monkeypatch):
    made = []

    def compare(backbone, folder, capable):
        made.append(folder)
        for name in ("backbone.xml", "backbone.bin", "drawn.safetensors"):
            (folder / name).write_text("a graph")
        return {"cosine": {"fp32": 1.0, capable: 1.0}, "alone": {}}

    monkeypatch.setattr(module, "_export_and_compare", compare)
    engine_kind(backbone())
    assert made == []
    engine_kind(backbone(size=192))
    engine_kind(small())
    engine_kind(small())
    assert len(made) == 2
    assert len(checks(cache)) == 3


def test_a_body_the_converter_cannot_take_runs_through_pytorch_and_that_is_said(cache, small, monkeypatch):
    class Heard(Silent):
        def say(self, sentence):
            said.append(sentence)

    def refuse(*_):
        raise RuntimeError("no such operation. Try another.")

    said = []
    monkeypatch.setattr(openvino, "export", refuse)
    found = small()
    kind = engine_kind(found, progress=Heard())
    assert f"OpenVINO can't run {found.spec.name} (RuntimeError: no such operation): PyTorch runs it" in said[-1]
    assert (kind.name, kind.precision) == ("torch", "fp32")
    assert compiled(found, kind, threads=available_threads()).kind == kind


def test_a_disk_that_fills_up_while_exporting_is_not_taken_for_a_fault_of_the_converter(
    tiny_disk, random_weights, monkeypatch
):
    """It was: from then on everything ran three times slower through PyTorch, and nothing said so."""
    file = random_weights("mobilenetv3_small_050")
    disk = tiny_disk(f"{int(file.stat().st_size * 1.6) // 1000}k")
    monkeypatch.setenv("GOLDENRULE_CACHE", str(disk))
    found = backbone("mobilenetv3_small_050", weights=file, size=64)
    with pytest.raises(StorageError, match="The disk is full"):
        engine_kind(found)
    assert checks(disk) == []


def test_an_engine_that_runs_at_another_precision_than_asked_is_refused(cache, monkeypatch):
    class Other:
        kind = EngineKind(name="openvino", precision="fp32", version="1")

    monkeypatch.setattr(openvino, "OpenVinoEngine", lambda *_, **__: Other())
    with pytest.raises(OptionError, match=r"runs openvino 1 fp32 here, wanted openvino 1 bf16"):
        compiled(backbone(), EngineKind(name="openvino", precision="bf16", version="1"))


def test_a_device_that_is_not_there_says_which_are():
    import torch

    assert check_device("cpu") == "cpu"
    with pytest.raises(OptionError, match="PyTorch finds no such device"):
        check_device("tpu")
    for name in ("cuda:99", "cuda:x", "cudax"):
        with pytest.raises(OptionError, match=f"{name}: PyTorch finds no such device"):
            check_device(name)
    if not torch.cuda.is_available():
        with pytest.raises(OptionError, match="--device gpu"):
            check_device("gpu")
