"""The backbone through PyTorch, where OpenVINO can't run it: the same promises."""

import numpy as np
import pytest
import torch

from goldenrule.core.schema import as_json
from goldenrule.engines.pytorch import TorchEngine


@pytest.fixture(scope="module")
def engine():
    torch.manual_seed(0)
    backbone = torch.nn.Sequential(
        torch.nn.Conv2d(3, 16, 5, stride=2),
        torch.nn.BatchNorm2d(16),
        torch.nn.ReLU(),
        torch.nn.Dropout(0.5),
        torch.nn.AdaptiveAvgPool2d(1),
        torch.nn.Flatten(),
    )
    return TorchEngine(backbone)


@pytest.fixture(scope="module")
def pixels():
    return np.random.default_rng(0).normal(size=(32, 3, 48, 48)).astype(np.float32)


def test_batches_come_back_in_order_as_float32_with_their_tags(engine, pixels):
    found = list(engine.run((tag, pixels * (place + 1)) for place, tag in enumerate("abc")))
    assert [tag for tag, _ in found] == ["a", "b", "c"]
    assert all(values.shape == (32, 16) and values.dtype == np.float32 for _, values in found)


def test_the_body_is_frozen_in_eval_mode_and_stays_as_it_was(engine, pixels):
    before = {name: value.clone() for name, value in engine._backbone.state_dict().items()}
    first, second = (values for _, values in engine.run([(0, pixels), (1, pixels)]))
    np.testing.assert_array_equal(first, second)  # no dropout
    assert all(torch.equal(value, before[name]) for name, value in engine._backbone.state_dict().items())
    assert not any(parameter.requires_grad for parameter in engine._backbone.parameters())


def test_a_row_does_not_depend_on_its_batch(engine, pixels):
    ((_, together),) = engine.run([(0, pixels)])
    other = np.zeros_like(pixels)
    other[3] = pixels[20]
    ((_, alone),) = engine.run([(0, other)])
    np.testing.assert_allclose(alone[3], together[20], atol=1e-6)


def test_the_kind_is_said(engine):
    assert as_json(engine.kind) == {"name": "torch", "precision": "fp32", "version": torch.__version__}
