"""What runs the network, and the files it is read from: never another one than is said, damaged ones made anew."""

from __future__ import annotations

import functools
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from safetensors.torch import load_file, save_file

from goldenrule.core.errors import BackboneError, OptionError, UnknownBackbone
from goldenrule.core.schema import as_json
from goldenrule.data.augmentation.augment import PLAIN
from goldenrule.data.pictures.file_digests import with_digests
from goldenrule.data.sources.folders import from_folder
from goldenrule.deploy.bulk import predict_files
from goldenrule.engines import EngineKind
from goldenrule.features.cache import stored
from goldenrule.features.extractor import FeatureExtractor, bank_for
from goldenrule.features.speed_record import known_speed, remember_speed
from goldenrule.models.architectures import architecture
from goldenrule.models.backbone import backbone, resized
from goldenrule.models.classifier import Classifier
from goldenrule.models.cost import multiply_adds
from goldenrule.models.graphs import compiled as compiled_module
from goldenrule.models.graphs import prepared
from goldenrule.models.graphs.compiled import compiled, engine_kind
from goldenrule.models.input_sizes import resampled
from goldenrule.models.summary import summary
from goldenrule.models.trainable import Trainable, with_weights
from goldenrule.pipelines.quick_fit import quick_fit
from goldenrule.runs.options import FitOptions
from goldenrule.storage.manifest import MANIFEST
from goldenrule.tasks.reopened import reopened

Command = Callable[..., subprocess.CompletedProcess[str]]
Pictures = Callable[..., Path]


def torch_kind() -> EngineKind:
    return EngineKind(name="torch", precision="fp32", version=torch.__version__)


def test_no_feature_is_kept_under_the_key_of_another_engine(
    cache: Path, picture_folder: Pictures, monkeypatch: pytest.MonkeyPatch
) -> None:
    table, pretrained = with_digests(from_folder(picture_folder(each=2))), backbone()
    kind = engine_kind(pretrained)
    assert kind.name == "openvino"
    another = compiled(pretrained, torch_kind())
    monkeypatch.setattr("goldenrule.features.extractor.compiled", lambda *_, **__: another)
    with pytest.raises(BackboneError, match=r"runs torch .* kept under openvino"):
        FeatureExtractor.of(pretrained).features(table)
    assert len(bank_for(pretrained.spec, kind, PLAIN)) == 0


def test_an_engine_that_cannot_run_as_asked_is_refused(cache: Path) -> None:
    """Without a GPU PyTorch runs fp32, whatever the kind says."""
    wanted = EngineKind(name="torch", precision="bf16", version=torch.__version__)
    with pytest.raises(OptionError, match=r"wanted torch .* bf16"):
        compiled(backbone(), wanted)


def test_a_run_is_looked_into_by_the_engine_that_its_features_are_kept_under(
    cache: Path, picture_folder: Pictures, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`cpu:0` stands for a device that is not the default one."""
    with monkeypatch.context() as patch:
        for module in ("models.graphs.compiled", "pipelines.prepare", "tasks.reopened"):
            patch.setattr(f"goldenrule.{module}.check_device", lambda device: device, raising=False)
        quick_fit(picture_folder(), options=FitOptions(device="cpu:0", views=0), out=tmp_path / "run")
        keys = [bank["key"]["engine"] for bank in stored()]
        assert [(key["name"], key["precision"]) for key in keys] == [("torch", "fp32")]
        found = reopened(tmp_path / "run")
        assert sum(found.features().computed) == 0
        other = backbone(size=32)
        key = found.features(other).caches[0].key["engine"]
        assert (key["name"], key["precision"], as_json(compiled(other, EngineKind(**key)).kind)) == (
            "torch",
            "fp32",
            key,
        )
    elsewhere = reopened(tmp_path / "run")  # on a machine that has no such device
    assert (elsewhere.device, elsewhere.kind.name) == ("cpu", "openvino")


def test_a_classifier_predicts_on_the_device_it_is_loaded_for(
    cache: Path, picture_folder: Pictures, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`cpu:0` stands for a device that is not the default one: PyTorch runs it, and says the same within rounding."""
    photos = picture_folder()
    quick_fit(photos, options=FitOptions(views=0), out=tmp_path / "run")
    usual = Classifier.load(tmp_path / "run")
    with pytest.raises(OptionError, match="device=cuda:99"):
        Classifier.load(tmp_path / "run", device="cuda:99")
    for module in ("models.graphs.compiled", "models.classifier"):
        monkeypatch.setattr(f"goldenrule.{module}.check_device", lambda device: device)
    other = Classifier.load(tmp_path / "run", device="cpu:0")
    assert "predicting with torch" not in usual.engine_note()
    assert "predicting with torch" in other.engine_note()
    found = [predict_files(one, [photos], out=tmp_path / "rows.csv") for one in (usual, other)]
    assert found[1].went_on == 0  # rows of another device are not gone on from
    assert found[0].counts == found[1].counts
    here, there = (one.predict(photos).probabilities for one in (usual, other))
    np.testing.assert_allclose(here, there, atol=1e-2)


BUILT_FOR_A_SIZE = (
    "beit_base_patch16_224",
    "cait_xxs24_224",
    "coat_tiny",
    "convit_tiny",
    "deit_tiny_patch16_224",
    "efficientformerv2_s0",
    "gcvit_xxtiny",
    "hiera_tiny_224",
    "levit_128s",
    "nest_tiny",
    "pit_ti_224",
    "swin_tiny_patch4_window7_224",
    "swinv2_tiny_window8_256",
    "swinv2_cr_tiny_224",
    "tnt_s_legacy_patch16_224",
    "visformer_tiny",
    "vit_tiny_r_s16_p8_224",
    "test_vit_relpos",
    "vitamin_small_224",
    "volo_d1_224",
    "eva02_tiny_patch14_224",
    "maxvit_rmlp_pico_rw_256",
    "vit_small_patch14_reg4_dinov2",
)
"""Of each family that takes one size of pictures, and another one where it is built for it, a small network."""
FAMILIES = ["test_coatnet", *(pytest.param(name, marks=pytest.mark.exhaustive) for name in BUILT_FOR_A_SIZE)]


def random_weights(name: str, folder: Path) -> Path:
    import timm

    torch.manual_seed(0)
    path = folder / f"{name}.safetensors"
    save_file({key: value.clone() for key, value in timm.create_model(name, num_classes=0).state_dict().items()}, path)
    return path


@pytest.mark.parametrize("name", FAMILIES)
def test_a_family_that_is_built_for_a_size_is_built_for_every_size(
    command: Command, tmp_path: Path, picture_folder: Pictures, name: str
) -> None:
    weights, folder = random_weights(name, tmp_path), picture_folder(each=6)
    size = 112 if "patch14" in name else 128 if "coatnet" not in name else 64
    fit = ("fit", folder, "--backbone", name, "--weights", weights, "--size", size, "--quick", "--views", 0)
    assert (done := command(*fit, "--out", "run")).returncode == 0, done.stderr
    assert command("predict", "run", folder, "-o", "said.csv").returncode == 0
    found = Classifier.load(tmp_path / "run")
    assert found.preprocessing.size == size
    assert summary(name, weights=weights, size=size).input == (3, size, size)
    pretrained = found.backbone
    trainable = Trainable(pretrained, found.head, first_trained=0, bn_frozen="all")
    trainable.train()
    trainable(torch.zeros(2, 3, size, size)).sum().backward()
    assert set(with_weights(pretrained, trainable.backbone_state()).spec.groups) == set(pretrained.spec.groups)
    again = resized(pretrained, 2 * size)
    with torch.no_grad():
        assert again.module(torch.zeros(1, 3, 2 * size, 2 * size)).shape == (1, pretrained.spec.features)
    assert again.spec.preprocessing.size == 2 * size


def test_position_embeddings_are_resampled_as_timm_does() -> None:
    import sys

    native, other = (architecture("vit_tiny_patch16_224", seed=0, size=size) for size in (64, 96))
    state = native.state_dict()
    wanted = sys.modules[type(native).__module__].checkpoint_filter_fn(dict(state), other)
    found = resampled(state, other)
    assert found["pos_embed"].shape != state["pos_embed"].shape
    assert found.keys() == other.state_dict().keys()
    for name, value in found.items():
        torch.testing.assert_close(value, wanted[name], msg=name)
        assert name == "pos_embed" or torch.equal(value, state[name])


def test_a_family_that_takes_one_size_says_so_with_the_sizes_it_takes(
    command: Command, tmp_path: Path, picture_folder: Pictures
) -> None:
    weights, folder = random_weights("test_coatnet", tmp_path), picture_folder(each=4)
    fit = command("fit", folder, "--backbone", "test_coatnet", "--weights", weights, "--size", 40, "--quick")
    assert fit.returncode == 2
    assert "does not take pictures of 40 x 40 px" in " ".join(fit.stderr.split())
    assert "It takes 160" in " ".join(fit.stderr.split())


def said_of(folder: Path) -> npt.NDArray[np.float32]:
    """Return the probabilities of a saved classifier for two photos, as a new process would."""
    prepared._WHOLE.clear()
    return np.asarray(Classifier.load(folder / "run").predict(folder / "pictures").probabilities)


def flipped(content: bytes, at: float) -> bytes:
    place = min(int(at * len(content)), len(content) - 1)
    return content[:place] + bytes([content[place] ^ 0x10]) + content[place + 1 :]


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    **{f"a bit at {at}": functools.partial(flipped, at=at) for at in (0.0, 0.003, 0.4, 0.999)},
    "empty": lambda _: b"",
    "half": lambda content: content[: len(content) // 2],
    "garbage": lambda content: b"\x8f{" * (len(content) // 2),
    "more": lambda content: content + b"\0",
}


@pytest.fixture
def fitted_tiny(command: Command, picture_folder: Pictures, tmp_path: Path) -> Path:
    assert command("fit", picture_folder(each=6), "--quick", "--views", 0, "--out", "run").returncode == 0
    return tmp_path


def replaced(file: Path, content: bytes) -> None:
    """Write into a file of this test alone: large ones are shared with the caches of other tests."""
    file.unlink()
    file.write_bytes(content)


def put_folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


def test_an_engine_in_the_cache_that_is_damaged_is_made_anew(cache: Path, fitted_tiny: Path) -> None:
    wanted = said_of(fitted_tiny)
    engine = compiled_module._folder(Classifier.load(fitted_tiny / "run").backbone)
    damaged = [
        lambda: replaced(engine / "backbone.bin", scattered((engine / "backbone.bin").read_bytes())),
        lambda: replaced(engine / "backbone.xml", DAMAGES["half"]((engine / "backbone.xml").read_bytes())),
        lambda: replaced(engine / "check.json", b'{"cosine": {"fp32": 0.0}}'),
        lambda: put_folder(engine / "backbone.bin"),
        lambda: (engine / "backbone.xml").unlink(),
        lambda: (shutil.rmtree(engine), engine.write_bytes(b"a file")),
    ]
    for number, damage in enumerate(damaged):
        damage()
        np.testing.assert_array_equal(said_of(fitted_tiny), wanted, err_msg=str(number))
        assert engine_kind(Classifier.load(fitted_tiny / "run").backbone).name == "openvino"


def scattered(content: bytes) -> bytes:
    """Return a content with 200 flipped bits."""
    changed = bytearray(content)
    for place in np.random.default_rng(0).integers(0, len(content), 200):
        changed[place] ^= 0x40
    return bytes(changed)


def test_no_damage_to_what_is_prepared_passes_for_whole(cache: Path) -> None:
    for folder in (backbone().folder, compiled_module._folder(backbone())):
        names = {file.name: file.read_bytes() for file in folder.iterdir()}
        assert prepared.is_whole(folder, [name for name in names if name != MANIFEST])
        for name, whole in names.items():
            for damage, change in DAMAGES.items():
                replaced(folder / name, change(whole))
                assert not prepared.is_whole(folder, ()), f"{name}: {damage}"
            replaced(folder / name, whole)
        assert prepared.is_whole(folder, ())


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_is_measured_once_and_kept_in_the_cache_is_measured_again_where_it_is_damaged(
    cache: Path, damage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted, kind = multiply_adds(backbone()), engine_kind(backbone())
    remember_speed(backbone().spec, kind, 1000, 4.0)
    (cost,) = (cache / "costs").iterdir()
    for file in (cost, cache / "speed.json"):
        replaced(file, DAMAGES[damage](file.read_bytes()))
    assert multiply_adds(backbone()) == wanted
    assert known_speed(backbone().spec, kind) in (None, 250.0)


def test_a_damaged_key_of_kept_features_is_shown_and_mended(
    command: Command, cache: Path, fitted_tiny: Path, picture_folder: Pictures
) -> None:
    (key,) = (cache / "banks").glob("*/key.json")
    whole = key.read_bytes()
    for change in DAMAGES.values():
        key.write_bytes(change(whole))
        assert (shown := command("cache")).returncode == 0, shown.stderr
        assert "its key is damaged" in shown.stdout or change(whole).strip() == whole.strip()
    assert command("fit", picture_folder("more", each=7, seed=1), "--quick", "--views", 0).returncode == 0
    assert key.read_bytes() == whole


def test_a_damaged_limit_is_an_error_that_says_how_to_set_it_again(command: Command, cache: Path) -> None:
    (cache / "limits.json").write_text('{"banks_bytes": "20"}')
    assert (shown := command("cache")).returncode == 2
    assert "Set the limit again" in " ".join(shown.stderr.split())


def weights_with(folder: Path, change: Callable[[dict[str, torch.Tensor]], None]) -> Path:
    state = dict(load_file(random_weights("test_coatnet", folder)))
    change(state)
    path = folder / "changed.safetensors"
    save_file(state, path)
    return path


STEM = "stem.conv1.weight"


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (
            lambda old: torch.where(torch.arange(old.numel()).reshape(old.shape) < 2, torch.nan, old),
            "2 of .* NaN or inf",
        ),
        (lambda old: torch.full_like(old, torch.inf), "values that are NaN or infinite"),
        (lambda old: torch.full(old.shape, 1e300, dtype=torch.float64), "values that are NaN or infinite"),
        (lambda old: torch.ones(old.shape, dtype=torch.int64), "is of torch.int64"),
        (lambda old: old.to(torch.complex64), "is of torch.complex64"),
        (lambda old: old[:1].contiguous(), "instead of"),
        (lambda old: torch.zeros(0), "instead of"),
    ],
)
def test_weights_that_are_no_numbers_are_refused_by_the_name_of_the_tensor(
    command: Command, tmp_path: Path, picture_folder: Pictures, value: Callable[[Any], Any], said: str
) -> None:
    path = weights_with(tmp_path, lambda state: state.update({STEM: value(state[STEM])}))
    done = command("fit", picture_folder(each=4), "--backbone", "test_coatnet", "--weights", path, "--quick")
    text = " ".join(done.stderr.split())
    assert done.returncode == 2
    assert STEM in text
    assert path.name in text.replace(" ", "")
    assert re.search(said, text)
    assert "unreadable" not in text


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_weights_of_any_float_type_are_taken(cache: Path, tmp_path: Path, dtype: torch.dtype) -> None:
    path = weights_with(tmp_path, lambda state: state.update({STEM: state[STEM].to(dtype)}))
    assert backbone("test_coatnet", weights=path).module.state_dict()[f"model.{STEM}"].dtype is torch.float32


@pytest.mark.parametrize(
    "content",
    [b"", b"\0" * 8, b"\xff" * 64, b"\x00\x00\x00\x00\x00\x00\x00\x10" + b"{" * 100, b"\x02\0\0\0\0\0\0\0{}"],
)
@pytest.mark.parametrize("suffix", ["safetensors", "pth"])
def test_files_that_hold_no_weights_are_refused(cache: Path, tmp_path: Path, content: bytes, suffix: str) -> None:
    path = tmp_path / f"weights.{suffix}"
    path.write_bytes(content)
    with pytest.raises(BackboneError, match=re.escape(str(path))):
        backbone("test_coatnet", weights=path)
    path.unlink()
    path.mkdir()
    with pytest.raises(BackboneError, match="no regular file"):
        backbone("test_coatnet", weights=path)


@pytest.mark.parametrize(("scale", "said"), [(3e38, "NaN or infinite"), (1e7, "beyond 65,504")])
def test_a_network_whose_features_are_no_numbers_is_named_and_no_picture_blamed(
    command: Command, tmp_path: Path, picture_folder: Pictures, scale: float, said: str
) -> None:
    def change(state: dict[str, torch.Tensor]) -> None:
        for name in ("norm.weight", "norm.bias"):
            state[name] = torch.full_like(state[name], scale)

    path = weights_with(tmp_path, change)
    done = command("fit", picture_folder(each=4), "--backbone", "test_coatnet", "--weights", path, "--quick")
    text = " ".join(done.stderr.split())
    assert done.returncode == 2, done.stdout
    assert f"test_coatnet gives features {'' if 'beyond' in said else 'that are '}{said}" in text
    assert "unreadable" not in text


@pytest.mark.parametrize("where", ["head", "backbone"])
def test_a_classifier_whose_weights_are_no_numbers_says_so(
    command: Command, cache: Path, fitted_tiny: Path, tmp_path: Path, where: str
) -> None:
    found = Classifier.load(fitted_tiny / "run")
    if where == "head":
        bad = found.head.tensors["weight"].copy()
        bad[0, 0] = np.nan
        found = replace(found, head=found.head.with_tensors({**found.head.tensors, "weight": bad}))
    else:
        state = Trainable(found.backbone, found.head, first_trained=0, bn_frozen="all").backbone_state()
        found = replace(
            found,
            backbone=with_weights(found.backbone, {**state, "conv_stem.weight": np.inf * state["conv_stem.weight"]}),
        )
    found.save(tmp_path / "bad")
    done = command("predict", tmp_path / "bad", fitted_tiny / "pictures", "-o", "said.csv")
    text = " ".join(done.stderr.split())
    assert done.returncode == 2
    assert "NaN or infinite" in text
    assert ("weight" if where == "head" else "conv_stem.weight") in text
    assert not (tmp_path / "said.csv").exists()


@pytest.mark.parametrize(
    "name",
    ["hf-hub:timm/resnet18.a1_in1k", "local-dir:/etc", "timm:resnet18", "../resnet18", "timm/resnet18", "no_such"],
)
def test_a_strangers_classifier_names_registered_networks_only(
    command: Command, cache: Path, fitted_tiny: Path, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr("socket.create_connection", refuse)
    monkeypatch.setattr("socket.getaddrinfo", refuse)
    found = Classifier.load(fitted_tiny / "run")
    spec = replace(found.backbone.spec, timm_name=name)
    replace(found, backbone=replace(found.backbone, spec=spec)).save(tmp_path / "strange")
    done = command("predict", tmp_path / "strange", fitted_tiny / "pictures", "-o", "said.csv")
    assert done.returncode == 2
    assert name in done.stderr.replace("\n", "").replace("│", "")


@pytest.mark.parametrize("name", ["hf-hub:timm/resnet18.a1_in1k", "local-dir:/tmp/x", "resnet18.no_such_weights"])
def test_an_address_or_an_unknown_tag_is_no_backbone(
    command: Command, picture_folder: Pictures, name: str, tmp_path: Path
) -> None:
    weights = random_weights("test_coatnet", tmp_path)
    for words in (("fit", picture_folder(each=4), "--backbone", name, "--weights", weights), ("summary", "-m", name)):
        done = command(*words)
        assert done.returncode == 2
        assert ("is an address" if ":" in name else "no weights of it") in " ".join(done.stderr.split())


@pytest.mark.parametrize("name", ["no_such", "lite0+no_such", "auto:lite0,no_such", "resnet18.no_such_weights"])
def test_a_backbone_that_there_is_not_is_told_before_the_images_are_read(
    command: Command, picture_folder: Pictures, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(*_: object, **__: object) -> None:
        raise AssertionError("an image was read")

    folder = picture_folder(each=4)
    for place in ("pipelines.prepare.looked", "tasks.precompute.glanced"):
        monkeypatch.setattr(f"goldenrule.{place}", read)
    done = command("fit", folder, "--backbone", name)
    assert done.returncode == 2
    assert "no_such" in done.stderr
    if not name.startswith("auto"):
        with pytest.raises(UnknownBackbone, match="no_such"):
            from_folder(folder).features(name)


def test_a_run_is_not_looked_into_by_other_weights_than_it_began_with(
    command: Command, tmp_path: Path, picture_folder: Pictures
) -> None:
    weights = random_weights("test_coatnet", tmp_path)
    fit = ("fit", picture_folder(each=6), "--backbone", "test_coatnet", "--weights", weights, "--size", 64)
    assert command(*fit, "--quick", "--views", 0, "--out", "run").returncode == 0
    assert command("labels", "run").returncode == 0
    weights_with(tmp_path, lambda state: state.update({STEM: 2 * state[STEM]})).rename(weights)
    done = command("labels", "run")
    assert done.returncode == 2
    assert "holds other weights than when the run began" in " ".join(done.stderr.split())
