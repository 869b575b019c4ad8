"""The backbone up to its late layers: known by its early tensors alone, and the late layers go on from it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from goldenrule.models.backbone import Backbone, backbone
from goldenrule.models.graphs.boundary import boundary
from goldenrule.models.graphs.compiled import compiled, engine_kind
from goldenrule.models.heads import fresh_head
from goldenrule.models.trainable import BatchNormFrozen, Trainable, with_weights

FAST = ["efficientnet_lite0", "resnet18", "test_convnext"]
SLOW = ["vit_tiny_patch16_224", "convnext_atto", "regnetx_002", "densenet121", "efficientvit_b0"]
FAMILIES = [*FAST, *(pytest.param(name, marks=pytest.mark.exhaustive) for name in SLOW)]


@pytest.fixture
def prepared(cache: Path, random_weights: Callable[[str], Path]) -> Callable[[str], Backbone]:
    def of(name: str) -> Backbone:
        return backbone(name, weights=None if name == "efficientnet_lite0" else random_weights(name))

    return of


def network(pretrained: Backbone, *, bn_frozen: BatchNormFrozen, from_boundary: bool) -> Trainable:
    head = fresh_head("linear", features=pretrained.spec.features, classes=3, draws=np.random.default_rng(0))
    return Trainable(pretrained, head, first_trained=1, bn_frozen=bn_frozen, from_boundary=from_boundary)


def pictures(pretrained: Backbone, count: int = 4) -> torch.Tensor:
    side = pretrained.spec.preprocessing.size
    return torch.randn(count, 3, side, side, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("bn_frozen", [pytest.param("all", marks=pytest.mark.exhaustive), "early"])
@pytest.mark.parametrize("name", FAMILIES)
def test_late_layers_learn_the_same_from_the_boundary_as_from_pixels(
    prepared: Callable[[str], Backbone], name: str, bn_frozen: BatchNormFrozen
) -> None:
    pretrained = prepared(name)
    pixels, truth = pictures(pretrained), torch.tensor([0, 1, 2, 0])
    with torch.no_grad():
        rows = boundary(pretrained).module(pixels)
    gradients = []
    for inputs, from_boundary in ((pixels, False), (rows, True)):
        whole = network(pretrained, bn_frozen=bn_frozen, from_boundary=from_boundary).train()
        torch.nn.functional.cross_entropy(whole(inputs), truth).backward()
        trained = [value.grad for value in whole.parameters() if value.requires_grad]
        gradients.append(torch.cat([value.flatten() for value in trained if value is not None]))
    assert gradients[0].abs().max() > 0
    cosine = torch.nn.functional.cosine_similarity(*gradients, dim=0)
    assert cosine > 0.999, float(cosine)
    assert gradients[1].norm() / gradients[0].norm() == pytest.approx(1, abs=1e-2)


def test_it_is_known_by_the_early_tensors_alone(prepared: Callable[[str], Backbone]) -> None:
    pretrained = prepared("efficientnet_lite0")
    state = {
        name: value.numpy().copy() for name, value in pretrained.module.get_submodule("model").state_dict().items()
    }
    late = with_weights(pretrained, state | {"conv_head.weight": state["conv_head.weight"] + 1})
    early = with_weights(pretrained, state | {"conv_stem.weight": state["conv_stem.weight"] + 1})
    assert boundary(late).spec.weights == boundary(pretrained).spec.weights
    assert boundary(early).spec.weights != boundary(pretrained).spec.weights
    assert boundary(pretrained).spec.weights != pretrained.spec.weights
    assert (boundary(pretrained).spec.tap, pretrained.spec.tap) == ("boundary", "pooled")
    assert boundary(pretrained).spec.features == 14 * 14 * 112


def test_the_engine_gives_its_activations_and_none_depends_on_its_batch(prepared: Callable[[str], Backbone]) -> None:
    early = boundary(prepared("efficientnet_lite0"))
    engine = compiled(early, engine_kind(early))
    pixels = pictures(early, engine.batch_size).numpy()
    (_, rows), (_, turned) = engine.run([(0, pixels), (1, np.ascontiguousarray(pixels[::-1]))])
    assert rows.shape == (engine.batch_size, early.spec.features)
    assert np.array_equal(rows, turned[::-1])
    with torch.inference_mode():
        wanted = early.module(torch.from_numpy(pixels)).numpy()
    cosine = (rows * wanted).sum(1) / np.linalg.norm(rows, axis=1) / np.linalg.norm(wanted, axis=1)
    assert cosine.min() > (0.9999 if engine.kind.precision == "fp32" else 0.98)
