"""A network in words: its layers add up, and nothing about it needs weights that can't be had."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from goldenrule.core.errors import OptionError, UnknownBackbone, WeightsUnavailable
from goldenrule.models.architectures import architecture
from goldenrule.models.backbone import backbone
from goldenrule.models.catalog import FAMILIES, canonical_name, check_known
from goldenrule.models.summary import NetworkSummary, origin_of, summary
from goldenrule.notebook import summary_html

SMALL = ["original", "resnet18"]


@pytest.fixture(scope="module")
def found(prepared_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., NetworkSummary]:
    """Describe networks in a cache of this module's own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GOLDENRULE_CACHE", str(tmp_path_factory.mktemp("summaries")))
        made = {name: summary(name, size=64, classes=5, depth=1) for name in SMALL}
    return made.__getitem__


@pytest.mark.parametrize("name", SMALL)
def test_layers_and_groups_both_add_up_to_all_parameters(found: Callable[..., NetworkSummary], name: str) -> None:
    network_summary = found(name)
    assert (
        sum(layer.parameters for layer in network_summary.layers)
        == network_summary.parameters
        == sum(network_summary.groups.values())
    )
    assert network_summary.trainable == {
        "fromzero": network_summary.parameters,
        "fine_tuning": network_summary.parameters,
        "transfer_learning": network_summary.groups["head"],
    }


def test_the_numbers_of_resnet18_are_the_known_ones(found: Callable[..., NetworkSummary]) -> None:
    """11,176,512 parameters without its classifier (He et al. 2016, table 1, as torchvision counts them)."""
    network_summary = found("resnet18")
    assert network_summary.parameters == 11_176_512 + 5 * 512 + 5
    assert {layer.name: layer.shape for layer in network_summary.layers}["layer4"] == (512, 2, 2)
    assert network_summary.multiply_adds == pytest.approx(1.82e9 * (64 / 224) ** 2, rel=0.03)
    assert "timm/resnet18" in network_summary.weights
    assert network_summary.licence == "apache-2.0"


def test_original_is_small_and_says_that_nobody_has_trained_it(found: Callable[..., NetworkSummary]) -> None:
    network_summary = found("original")
    assert network_summary.parameters < 2_000_000 + 2 * 257
    assert network_summary.weights.startswith("none")
    with pytest.raises(WeightsUnavailable, match=r"-t fromzero.*efficientnet_lite0"):
        backbone("original")


def test_learned_weights_that_are_not_on_the_hub_are_named_by_their_address() -> None:
    """timm keeps those of Xception, and of a few others, as releases on GitHub."""
    origin = origin_of("legacy_xception")
    assert origin["from"].startswith("https://")
    assert "xception-43020ad28.pth, or --weights FILE" in origin["from"]
    assert origin["licence"] == "apache-2.0"
    assert origin_of("vit_base_patch16_18x2_224")["from"] == "none: timm has no learned weights of it"


def test_every_family_name_stands_for_a_network_that_there_is() -> None:
    for name in (*FAMILIES, "original", "alexnet"):
        check_known(canonical_name(name))
    with pytest.raises(UnknownBackbone, match="original"):
        check_known("orignal")


def test_weights_from_scratch_are_those_of_their_seed_and_leave_other_draws_alone() -> None:
    torch.manual_seed(7)
    wanted = torch.rand(3)
    torch.manual_seed(7)
    one, same, other = (architecture("original", seed=seed).state_dict() for seed in (0, 0, 1))
    torch.testing.assert_close(torch.rand(3), wanted, rtol=0, atol=0)
    assert all(torch.equal(value, same[name]) for name, value in one.items())
    assert not torch.equal(one["stem.conv.weight"], other["stem.conv.weight"])


@pytest.mark.exhaustive
def test_alexnet_takes_the_weights_of_torchvision(cache: Path, tmp_path: Path) -> None:
    """A .pth with torchvision's names gives torchvision's features: all but its last layer."""
    import torchvision

    del cache
    torch.manual_seed(0)
    theirs = torchvision.models.alexnet().eval()
    torch.save(theirs.state_dict(), tmp_path / "alexnet.pth")
    pixels = torch.randn(1, 3, 224, 224)
    with torch.inference_mode():
        ours = backbone("alexnet", weights=tmp_path / "alexnet.pth").module(pixels)
        torch.testing.assert_close(theirs.classifier[6](ours), theirs(pixels))


@pytest.mark.parametrize("wrong", [{"classes": 1}, {"depth": 0}])
def test_mistakes_are_told(wrong: dict[str, int]) -> None:
    with pytest.raises(OptionError, match="wanted 2 to 1,000,000 classes, and a depth"):
        summary("original", **wrong)


def test_a_summary_is_a_line_in_python_and_a_table_in_a_notebook(found: Callable[..., NetworkSummary]) -> None:
    network_summary = found("original")
    assert repr(network_summary).startswith("NetworkSummary(original: ")
    assert f"{network_summary.parameters:,} parameters" in repr(network_summary)
    assert len(repr(network_summary)) < 120
    assert summary_html(network_summary).count("<tr>") == 1 + len(network_summary.layers)
