"""Folding BatchNorms: the same function, and the way back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from goldenrule.core.errors import OptionError
from goldenrule.models.backbone import Backbone, backbone, new_module
from goldenrule.models.graphs.folding import fold, unfolded_state
from goldenrule.models.heads import LayeredHead, linear_head
from goldenrule.models.trainable import GROUPS, BatchNormFrozen, Trainable, rates_of_groups, with_weights

FAMILIES = ("resnet18", "mobilenetv3_small_050", "efficientnet_lite0")


def timm_model(name: str) -> torch.nn.Module:
    import timm

    torch.manual_seed(0)
    model = timm.create_model("tf_efficientnet_lite0" if name == "efficientnet_lite0" else name, num_classes=0).eval()
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 2)
            module.weight.data.uniform_(0.5, 1.5)
            module.bias.data.normal_(0, 0.1)
    return model


@pytest.mark.parametrize("name", FAMILIES)
def test_a_folded_network_computes_the_same_with_fewer_modules(name: str) -> None:
    model, pixels = timm_model(name), torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        before = model(pixels)
        folded = fold(model)
        after = model(pixels)
    assert len(folded) > 10
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in model.modules())
    assert float((before - after).abs().max()) < 1e-4 * float(before.abs().max())


@pytest.mark.parametrize("name", FAMILIES)
def test_what_was_folded_comes_back_under_timms_names_and_folds_to_the_same_bits(name: str) -> None:
    model = timm_model(name)
    original = {key: value.clone() for key, value in model.state_dict().items()}
    folded = fold(model)
    state = unfolded_state(model, folded, original)
    assert list(state) == list(original)
    again = timm_model(name)
    again.load_state_dict(state)
    pixels = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        assert torch.allclose(again(pixels), model(pixels), rtol=1e-4, atol=1e-5)
    fold(again)
    for key, value in model.state_dict().items():
        assert torch.equal(again.state_dict()[key], value), key


def timm_state(pretrained: Backbone) -> dict[str, torch.Tensor]:
    return new_module(pretrained).get_submodule("model").state_dict()


def head_for(features: int, classes: int = 3) -> LayeredHead:
    draws = np.random.default_rng(0)
    return linear_head(draws.normal(size=(classes, features)).astype(np.float32) / 50, np.zeros(classes, np.float32))


@pytest.mark.parametrize("first_trained", range(3))
@pytest.mark.parametrize("bn_frozen", ["all", "early", "none"])
@pytest.mark.parametrize("name", [pytest.param("resnet18", marks=pytest.mark.exhaustive), "mobilenetv3_small_050"])
def test_frozen_is_frozen(
    name: str, bn_frozen: BatchNormFrozen, first_trained: int, random_weights: Callable[[str], Path], cache: Path
) -> None:
    pretrained = backbone(name, weights=random_weights(name), size=64)
    network = Trainable(
        pretrained, head_for(pretrained.spec.features), first_trained=first_trained, bn_frozen=bn_frozen
    )
    before = network.backbone_state()
    live = {key: value.clone() for key, value in network.backbone.get_submodule("model").named_buffers()}
    optimizer = torch.optim.SGD([p for p in network.parameters() if p.requires_grad], lr=0.1)
    network.train()
    loss = network(torch.randn(4, 3, 64, 64, generator=torch.Generator().manual_seed(0))).square().mean()
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    after = network.backbone_state()
    groups = pretrained.spec.groups

    def group_of(tensor: str) -> str:
        known = groups.get(tensor) or groups.get(f"{tensor.rpartition('.')[0]}.weight")
        assert known, tensor
        return known

    original = {key: value.numpy() for key, value in timm_state(pretrained).items()}
    frozen = [key for key in before if GROUPS.index(group_of(key)) < first_trained]
    assert all(np.array_equal(after[key], original[key]) for key in frozen)
    for key, value in network.backbone.get_submodule("model").named_buffers():  # as they are while it trains
        assert torch.equal(value, live[key]) or key not in frozen, key
    moved = {group_of(key) for key in before if not np.array_equal(before[key], after[key])}
    assert moved == set(GROUPS[first_trained:2])
    statistics = {group_of(k) for k in before if "running_" in k and not np.array_equal(before[k], after[k])}
    kept = {"all": 2, "early": 1, "none": 0}[bn_frozen]
    assert statistics == set(GROUPS[max(first_trained, kept) : 2])


def test_every_parameter_is_in_one_group(cache: Path) -> None:
    pretrained = backbone()
    network = Trainable(pretrained, head_for(pretrained.spec.features), first_trained=0, bn_frozen="all")
    grouped = [id(parameter) for group in network.groups() for parameter in group]
    assert sorted(grouped) == sorted(id(parameter) for parameter in network.parameters())
    assert all(network.groups())


def test_a_trained_body_is_a_backbone_of_its_own(cache: Path) -> None:
    pretrained = backbone()
    network = Trainable(pretrained, head_for(pretrained.spec.features), first_trained=0, bn_frozen="all")
    other = with_weights(pretrained, network.backbone_state())
    assert other.spec.weights != pretrained.spec.weights
    assert with_weights(pretrained, network.backbone_state()).spec == other.spec
    pixels = torch.randn(1, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        wanted, found = pretrained.module(pixels), other.module(pixels)
    assert torch.allclose(wanted, found, rtol=1e-3, atol=1e-4)


def test_rates_are_one_for_all_or_one_for_each_group() -> None:
    assert rates_of_groups(0.1) == (0.1, 0.1, 0.1)
    assert rates_of_groups([1e-4, 1e-3, 1e-2]) == (1e-4, 1e-3, 1e-2)
    assert rates_of_groups(1e-2, spread=10) == (1e-4, 1e-3, 1e-2)
    with pytest.raises(OptionError, match="early, late, head"):
        rates_of_groups([1e-3, 1e-2])
    with pytest.raises(OptionError, match="finite"):
        rates_of_groups(float("nan"))
    with pytest.raises(OptionError, match="spread"):
        rates_of_groups(1e-2, spread=0.5)
