"""Several backbones side by side: their features one after another, and all that one backbone can do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from goldenrule.core.errors import BackboneError, FormatError, UnknownBackbone
from goldenrule.core.schema import as_json, from_json
from goldenrule.models.architectures import architecture
from goldenrule.models.backbone import BackboneSpec, backbone, from_files
from goldenrule.models.catalog import canonical_name, check_known
from goldenrule.models.classifier import Classifier
from goldenrule.models.pooling import AveragePooled
from goldenrule.pipelines.quick_fit import quick_fit
from goldenrule.runs.options import FitOptions

Pictures = Callable[..., Path]
SMALL = "test_efficientnet+test_resnet"


def pooled(name: str, seed: int) -> AveragePooled:
    return AveragePooled(architecture(name, seed=seed))


def normalised(pixels: torch.Tensor, name: str) -> torch.Tensor:
    config = architecture(name).pretrained_cfg
    mean, std = (torch.tensor(config[what]).reshape(1, 3, 1, 1) for what in ("mean", "std"))
    return (pixels - mean) / std


def test_features_are_those_of_each_one_after_another() -> None:
    pixels = torch.rand(2, 3, 96, 96, generator=torch.Generator().manual_seed(0))
    names = ("test_efficientnet", "tf_efficientnet_lite0", "resnet18")  # the last two are normalised otherwise
    together = pooled("+".join(names), seed=5)
    each = [pooled(name, seed=5 + number) for number, name in enumerate(names)]
    with torch.inference_mode():
        found = together(normalised(pixels, names[0]))
        wanted = torch.cat([one(normalised(pixels, name)) for one, name in zip(each, names, strict=True)], dim=1)
    assert len({architecture(name).pretrained_cfg["mean"] for name in names}) > 1
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)


def test_each_has_its_own_early_and_late_layers() -> None:
    found = backbone(SMALL, drawn=0, size=64)
    assert {name.split(".")[1] for name in found.spec.groups} == {"0", "1"}
    for number in "01":
        assert {group for name, group in found.spec.groups.items() if name.startswith(f"networks.{number}.")} == {
            "early",
            "late",
        }
    assert found.spec.parameters == sum(value.numel() for value in found.module.parameters())


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("lite0+", "a name is missing"),
        ("lite0+lite0", "twice"),
        ("lite0+tf_efficientnet_lite0", "twice"),
        ("lite0+original", "original stands alone"),
        ("lite0+resnet1", "no backbone 'resnet1'"),
        ("lite0+hf-hub:a/b", "is an address"),
    ],
)
def test_a_name_that_joins_none_says_why(name: str, why: str) -> None:
    with pytest.raises(UnknownBackbone, match=why):
        check_known(canonical_name(name))


def test_networks_without_maps_of_one_size_are_refused() -> None:
    with pytest.raises(BackboneError, match="can't stand side by side"):
        backbone("test_efficientnet+test_vit", drawn=0)


def test_a_classifier_may_not_name_an_address_among_them(tmp_path: Path) -> None:
    found = backbone(SMALL, drawn=0, size=64)
    spec = from_json(as_json(found.spec) | {"timm_name": "test_resnet+../x"}, BackboneSpec)
    with pytest.raises(FormatError, match="no network has such a name"):
        from_files(spec, tmp_path / "backbone.safetensors", digest=spec.weights)


def test_a_fit_on_embedded_ones_predicts_from_its_file(picture_folder: Pictures, tmp_path: Path) -> None:
    photos = picture_folder()
    found = quick_fit(
        photos, options=FitOptions(backbone="lite0+lite1", size=64, views=0), out=tmp_path / "run"
    ).classifier
    assert found.backbone.spec.name == "efficientnet_lite0+efficientnet_lite1"
    assert found.backbone.spec.features == 2 * 1280
    assert "lite0" in found.backbone.spec.source["from"]
    assert "lite1" in found.backbone.spec.source["from"]
    again = Classifier.load(tmp_path / "run")
    assert found.engine.name == "openvino", "its graph is converted as any other's"
    here, there = (one.predict(photos).probabilities for one in (found, again))
    np.testing.assert_array_equal(here, there)
