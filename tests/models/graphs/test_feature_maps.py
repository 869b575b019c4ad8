"""The last feature maps of networks of many kinds: reached without changing what the network says."""

from __future__ import annotations

from typing import Any

import pytest
import timm
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from goldenrule.core.errors import BackboneError
from goldenrule.models.catalog import gives_class_token
from goldenrule.models.graphs.feature_maps import Layout, over_maps
from goldenrule.models.network import Network
from goldenrule.models.pooling import AveragePooled, ClassToken, MapsAveraged, MaxAveragePooled, Plain

FAMILIES = {
    "resnet18": (64, (2, 2)),
    "tf_efficientnet_lite0": (64, (2, 2)),
    "mobilenetv3_small_100": (64, (2, 2)),
    "convnext_atto": (64, (2, 2)),
    "vit_tiny_patch16_224": (224, (14, 14)),
    "deit_tiny_distilled_patch16_224": (224, (14, 14)),
    "swin_tiny_patch4_window7_224": (224, (7, 7)),
    "mixer_s32_224": (224, (7, 7)),
    "levit_128s": (224, (4, 4)),
    "test_vit": (64, (4, 4)),  # takes pictures of any size: built for 160 px
    "vit_small_patch16_dinov3": (96, (6, 6)),
}


def head(features: int) -> torch.nn.Linear:
    torch.manual_seed(1)
    return torch.nn.Linear(features, 3)


def explained(network: Network, size: int, name: str) -> Any:
    """Check that the logits stay what they are; give the Grad-CAM of two noisy pictures."""
    from captum.attr import LayerGradCam

    torch.manual_seed(2)
    pixels = torch.randn(2, 3, size, size)
    with torch.no_grad():
        before = network.eval()(pixels)
    module, layer = over_maps(network, size, name)
    with torch.no_grad():
        assert torch.equal(module(pixels), before)
    return LayerGradCam(module, layer).attribute(pixels.requires_grad_(), target=[0, 2]).detach()


@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_has_maps_with_places_and_says_what_it_said_before(name: str) -> None:
    size, grid = FAMILIES[name]
    torch.manual_seed(0)
    kind = ClassToken if gives_class_token(name) else AveragePooled
    backbone = kind(timm.create_model(name, pretrained=False, num_classes=0).eval().requires_grad_(False))
    with torch.no_grad():
        features = backbone(torch.zeros(1, 3, size, size)).shape[1]
    found = explained(Network(backbone, head(features)), size, name)
    assert found.shape == (2, 1, *grid)
    assert torch.isfinite(found).all()
    assert found.abs().amax(dim=(1, 2, 3)).min() > 0
    assert not torch.allclose(found[0], found[1])


def test_maximum_and_average_of_the_maps_have_a_map_too() -> None:
    backbone = MaxAveragePooled(timm.create_model("resnet18", pretrained=False, num_classes=0).eval())
    assert explained(Network(backbone, head(1024)), 64, "resnet18").shape == (2, 1, 2, 2)


def test_own_bodies_have_their_maps_found() -> None:
    layers = torch.nn.Conv2d(3, 8, 3, stride=4), torch.nn.ReLU(inplace=True)
    assert explained(Network(MapsAveraged(torch.nn.Sequential(*layers)), head(8)), 32, "own").shape == (2, 1, 8, 8)
    flat = torch.nn.Sequential(*layers, torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())
    assert explained(Network(Plain(flat), head(8)), 32, "own").shape == (2, 1, 8, 8)


def test_a_body_that_keeps_no_places_apart_is_a_clear_error() -> None:
    flat = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 32 * 32, 8))
    with pytest.raises(BackboneError, match="no feature maps"):
        over_maps(Network(Plain(flat), head(8)).eval(), 32, "flat")


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 5), st.integers(1, 5), st.integers(1, 4), st.integers(0, 2), st.integers(1, 3))
def test_features_become_maps_and_come_back_bit_for_bit(
    rows: int, columns: int, channels: int, prefix: int, batch: int
) -> None:
    first = torch.randn(batch, channels, rows, columns)
    last = torch.randn(batch, rows, columns, channels)
    tokens = torch.randn(batch, prefix + rows * columns, channels)
    for layout, features in (
        (Layout("first", rows, columns), first),
        (Layout("last", rows, columns), last),
        (Layout("tokens", rows, columns, prefix), tokens),
    ):
        maps = layout.maps(features)
        assert maps.shape == (batch, channels, rows, columns)
        assert torch.equal(layout.back(maps, features), features)
    assert torch.equal(
        Layout("tokens", rows, columns, prefix).maps(tokens)[:, :, 0, 0], tokens[:, prefix]
    )  # places run along the rows
