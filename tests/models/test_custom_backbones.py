"""Backbones of the user's own: prepared, cut into groups, frozen, trained and compiled like any other."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from safetensors.torch import save_file
from torch import nn

from goldenrule.core.errors import BackboneError, FormatError, OptionError
from goldenrule.core.schema import as_json
from goldenrule.data.pictures.preprocess import Preprocessing
from goldenrule.models.backbone import backbone, resized
from goldenrule.models.classifier import Classifier
from goldenrule.models.custom_backbones import custom_backbone, custom_maker
from goldenrule.models.custom_heads import CustomHead, custom_head
from goldenrule.models.graphs.compiled import compiled, engine_kind
from goldenrule.models.layer_groups import custom_groups
from goldenrule.models.trainable import Trainable, with_weights

SEEN = Preprocessing(size=32, mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))


class Counting(nn.Module):
    """A layer with a buffer that its forward pass changes, and no weight."""

    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(8, 1, 1))
        self.register_buffer("seen", torch.zeros((), dtype=torch.int64))

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        if self.training:
            self.seen += len(maps)
        return maps * self.gain


class Standardized(nn.Conv2d):
    """A convolution that is not what its weight says."""

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        return nn.functional.conv2d(maps, self.weight - self.weight.mean(), None, self.stride, self.padding)


Standardized.__name__ = "Conv2dStandardized"


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8, affine=False), Counting())
        self.middle = nn.Sequential(nn.Conv2d(8, 16, 3, 2, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU())
        self.last = nn.Sequential(Standardized(16, 24, 3, 2, 1, bias=False), nn.BatchNorm2d(24), nn.ReLU())

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.last(self.middle(self.stem(pixels)))


class Branching(Net):
    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        maps = super().forward(pixels)
        return torch.cat([maps.mean((2, 3)), maps.amax((2, 3)) if maps.sum() > 0 else maps.amin((2, 3))], 1)


def linear(features: int, classes: int) -> nn.Module:
    return nn.Linear(features, classes)


def head(features: int) -> CustomHead:
    return CustomHead.fresh(custom_head(linear), features=features, classes=2, seed=0)


def pictures(count: int = 4) -> torch.Tensor:
    return torch.randn(count, 3, 32, 32, generator=torch.Generator().manual_seed(0))


@pytest.mark.usefixtures("cache")
def test_drawn_weights_are_drawn_once_and_the_same_again() -> None:
    first, second = custom_backbone(Net, preprocessing=SEEN), custom_backbone(Net, preprocessing=SEEN)
    assert first.spec == second.spec
    assert (first.spec.name, first.spec.features, first.spec.pooling) == ("Net", 24, "average")
    assert first.spec.source["made_by"]["name"] == "test_custom_backbones.py:Net"
    with torch.no_grad():
        maps = Net().eval().requires_grad_(False)
        maps.load_state_dict({name: torch.tensor(value) for name, value in load_file(first.weights_file).items()})
        torch.testing.assert_close(first.module(pictures()), maps(pictures()).mean((2, 3)))


@pytest.mark.usefixtures("cache")
def test_other_source_key_preprocessing_or_groups_are_another_backbone() -> None:
    made = [
        custom_backbone(Net, preprocessing=SEEN),
        custom_backbone(Branching, preprocessing=SEEN),
        custom_backbone(Net, preprocessing=SEEN, key="2"),
        custom_backbone(Net, preprocessing=Preprocessing(size=32)),
        custom_backbone(Net, preprocessing=SEEN, late=["middle"]),
    ]
    assert len({one.folder for one in made}) == 5
    assert len({one.spec.timm_name for one in made}) == 3


@pytest.mark.parametrize("kind", ["safetensors", "pth"])
def test_weights_come_from_a_file_with_the_module_s_own_names(cache: Path, tmp_path: Path, kind: str) -> None:
    torch.manual_seed(7)
    wanted = Net().state_dict() | {"fc.weight": torch.zeros(2, 24)}  # a head in the file is left out
    file = tmp_path / f"net.{kind}"
    save_file(wanted, file) if kind == "safetensors" else torch.save(wanted, file)
    found = load_file(custom_backbone(Net, preprocessing=SEEN, weights=file).weights_file)
    assert all(np.array_equal(value, wanted[name].numpy()) for name, value in found.items())
    with pytest.raises(BackboneError, match=r"missing.*the names of what test_custom_backbones.py:tiny makes"):
        custom_backbone(tiny, preprocessing=SEEN, weights=file)


def tiny() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.LazyLinear(5))


@pytest.mark.usefixtures("cache")
def test_features_are_taken_as_they_are_and_belong_to_their_size() -> None:
    pretrained = custom_backbone(tiny, preprocessing=SEEN)
    assert (pretrained.spec.features, pretrained.spec.pooling) == (5, "none")
    assert pretrained.module(pictures()).shape == (4, 5)
    with pytest.raises(OptionError, match="tiny does not take pictures of 48 x 48 px"):
        resized(pretrained, 48)
    flat = custom_backbone(nn.Flatten, preprocessing=SEEN, key="flat")
    with pytest.raises(OptionError, match="6912 features at 48 px, 3072 at 32 px"):
        resized(flat, 48)


def test_late_are_the_last_children_with_half_of_the_parameters_or_those_that_are_named() -> None:
    def late(groups: Mapping[str, str]) -> set[str]:
        return {name.split(".")[0] for name, group in groups.items() if group == "late"}

    assert late(custom_groups(Net())) == {"last"}
    assert late(custom_groups(nn.Sequential(nn.Linear(9, 99), nn.Linear(2, 2)))) == {"1"}
    assert late(custom_groups(nn.Sequential(nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))))) == {"0"}
    assert custom_groups(nn.Sequential(nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))))["0.0.weight"] == "early"
    assert set(custom_groups(nn.Linear(2, 2)).values()) == {"late"}
    assert late(custom_groups(Net(), ["middle", "last.0"])) == {"middle", "last"}
    assert custom_groups(Net(), ["last.0"])["last.1.running_mean"] == "early"
    assert late(custom_groups(Net(), "middle")) == {"middle"}
    with pytest.raises(OptionError, match="called 'las'; it has stem, middle, last"):
        custom_groups(Net(), ["las"])


@pytest.mark.usefixtures("cache")
@pytest.mark.parametrize("first_trained", [0, 1, 2])
@pytest.mark.parametrize("bn_frozen", ["all", "early", "none"])
@pytest.mark.parametrize("make", [Net, Branching])
def test_frozen_is_frozen(make: Callable[[], nn.Module], bn_frozen: Any, first_trained: int) -> None:
    """Law 5, with buffers that belong to no BatchNorm and a BatchNorm without parameters."""
    pretrained = custom_backbone(make, preprocessing=SEEN)
    network = Trainable(pretrained, head(pretrained.spec.features), first_trained=first_trained, bn_frozen=bn_frozen)
    trained = [one for one in network.parameters() if one.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=0.01)
    network.train()
    for _ in range(2):
        optimizer.zero_grad()
        network(pictures()).square().sum().backward()
        optimizer.step()
    before, after = load_file(pretrained.weights_file), network.backbone_state()
    changed = {name for name in before if not np.array_equal(before[name], after[name])}
    frozen = ("early", "late")[:first_trained]
    assert not {name for name in changed if pretrained.spec.groups[name] in frozen}
    assert ("last.0.weight" in changed) == (first_trained < 2)
    assert ("stem.0.weight" in changed) == (first_trained < 1)
    assert ("last.1.running_mean" in changed) == (first_trained < 2 and bn_frozen != "all")
    network.eval()
    again = Trainable(with_weights(pretrained, after), network.head_value(), first_trained=0, bn_frozen="none").eval()
    with torch.no_grad():
        torch.testing.assert_close(again(pictures()), network(pictures()), atol=1e-5, rtol=1e-4)


@pytest.mark.usefixtures("cache")
def test_only_what_is_known_to_be_an_affine_map_is_folded() -> None:
    network = Trainable(custom_backbone(Net, preprocessing=SEEN), head(24), first_trained=0, bn_frozen="all")
    assert [one.norm for one in network._folded] == ["middle.1"]
    with torch.no_grad():
        found = network.eval().backbone(pictures())
    torch.testing.assert_close(found, custom_backbone(Net, preprocessing=SEEN).module(pictures()), atol=1e-5, rtol=1e-4)


@pytest.mark.usefixtures("cache")
def test_openvino_runs_it_and_where_it_can_not_pytorch_does(monkeypatch: pytest.MonkeyPatch) -> None:
    pretrained = custom_backbone(Net, preprocessing=SEEN)
    kind = engine_kind(pretrained)
    assert kind.name == "openvino"
    batch = np.zeros((compiled(pretrained, kind).batch_size, 3, 32, 32), np.float32)
    ((_, features),) = compiled(pretrained, kind).run([(None, batch)])
    assert features.shape == (len(batch), 24)

    def refuses(*_: object) -> None:
        raise RuntimeError("no such operation")

    monkeypatch.setattr("goldenrule.models.graphs.compiled.ov.export", refuses)
    other = custom_backbone(Net, preprocessing=SEEN, key="other")
    assert engine_kind(other).name == "torch"
    ((_, features),) = compiled(other, engine_kind(other)).run([(None, batch)])
    assert features.shape == (len(batch), 24)


@pytest.mark.usefixtures("cache")
def test_cut_in_two_it_gives_the_same_features() -> None:
    pretrained = custom_backbone(Net, preprocessing=SEEN)
    prefix, suffix = pretrained.cut()
    with torch.no_grad():
        assert prefix(pictures()).shape == (4, 16, 8, 8)
        torch.testing.assert_close(suffix(prefix(pictures())), pretrained.module(pictures()))


@pytest.mark.usefixtures("cache")
@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda size: Net(), r"\(\) failed \(TypeError"),
        (lambda: "net", "gave str"),
        (lambda: nn.Linear(7, 7), r"fails on inputs of shape \(2, 3, 32, 32\)"),
        (lambda: nn.Flatten(2), r"gives shape \(2, 3, 1024\)"),
        (lambda: nn.Flatten(0), r"gives shape \(6144,\)"),
        (lambda: Net().double(), r"is torch\.float64; its tensors have to be float32"),
    ],
)
def test_a_function_that_makes_no_backbone_is_named(make: Any, said: str) -> None:
    with pytest.raises(BackboneError, match=said):
        custom_backbone(make, preprocessing=SEEN)


def test_other_mistakes_are_told(cache: Path) -> None:
    with pytest.raises(OptionError, match=r"wanted gr\.data\.Preprocessing"):
        custom_backbone(Net, preprocessing=32)
    with pytest.raises(OptionError, match="was given as backbone; wanted a function"):
        custom_backbone(Net(), preprocessing=SEEN)
    with pytest.raises(BackboneError, match="wanted the function that makes it"):
        custom_maker(backbone())


@pytest.mark.usefixtures("cache")
def test_a_saved_classifier_has_no_code_and_wants_both_functions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretrained = custom_backbone(Net, preprocessing=SEEN)
    made = Classifier(("a", "b"), pretrained, head(24), engine_kind(pretrained))
    folder = made.save(tmp_path / "saved")
    assert {file.suffix for file in folder.iterdir()} == {".json", ".safetensors"}
    assert as_json(Classifier.load(folder)) == as_json(made)
    monkeypatch.setattr("goldenrule.models.custom._GIVEN", {})
    with pytest.raises(FormatError, match=r"load\(folder, backbone=make\)"):
        Classifier.load(folder, head=linear)
    with pytest.raises(FormatError, match=r"load\(folder, head=make\)"):
        Classifier.load(folder, backbone=Net)
    with pytest.raises(FormatError, match="Branching was given"):
        Classifier.load(folder, backbone=Branching)
    monkeypatch.setattr("goldenrule.models.custom._GIVEN", {})
    loaded = Classifier.load(folder, head=linear, backbone=pretrained)
    features = np.random.default_rng(0).normal(size=(3, 24))
    np.testing.assert_array_equal(loaded.logits(features), made.logits(features))
    assert loaded.network()(pictures()).shape == (4, 2)
