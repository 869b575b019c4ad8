import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from goldenrule.core.errors import FormatError
from goldenrule.models.heads import LayeredHead, fresh_head, head_from_tensors
from goldenrule.models.layers import HIDDEN, LAYERS, sides
from goldenrule.models.network import Network, head_module
from goldenrule.models.trainable import head_of


def drawn(kind, features=40, classes=5, hidden=None, seed=0):
    draws, lengths = np.random.default_rng(seed), {"features": features, "classes": classes}
    lengths["hidden"] = hidden or HIDDEN[kind]
    shapes = {name: tuple(lengths[side] for side in value) for name, value in sides(LAYERS[kind]).items()}
    return LayeredHead(kind, {name: draws.normal(size=shape).astype(np.float32) for name, shape in shapes.items()})


HEADS = [drawn("linear"), drawn("root"), drawn("concat-pool", hidden=16), drawn("gap-1024"), drawn("flatten-64")]


@pytest.mark.parametrize("head", HEADS, ids=lambda head: head.kind)
def test_the_module_has_the_logits_of_the_arrays(head):
    features = np.random.default_rng(1).normal(size=(7, 40)).astype(np.float32)
    module = head_module(head)
    with torch.inference_mode():
        found = module(torch.from_numpy(features)).numpy()
        whole = Network(torch.nn.Identity(), module)(torch.from_numpy(features)).numpy()
    np.testing.assert_allclose(found, head.logits(features), atol=1e-3, rtol=1e-4)
    np.testing.assert_array_equal(whole, found)


@pytest.mark.parametrize(("kind", "dropout"), [("gap-1024", 0.0), ("flatten-64", 0.25)])
def test_a_head_with_a_hidden_layer_has_the_layers_of_its_keras_model(kind, dropout):
    head = fresh_head(kind, features=40, classes=3, draws=np.random.default_rng(0))
    assert [type(layer).__name__ for layer in LAYERS[kind]] == ["Linear", "Relu", "Dropout", "Linear"]
    units = int(kind.partition("-")[2])
    assert head.tensors["weight_1"].shape == (units, 40)
    for name, bound in (("weight_1", 40**-0.5), ("weight_2", units**-0.5)):
        assert 0.9 * bound < np.abs(head.tensors[name]).max() <= bound
    torch.manual_seed(0)
    left_out = (head_module(head).train()(torch.ones(400, 40)).std(dim=0) > 0).any()
    assert (LAYERS[kind][2].share, bool(left_out)) == (dropout, dropout > 0)


def test_long_rows_are_brought_to_float64_some_at_a_time(monkeypatch):
    head, features = drawn("flatten-64"), np.random.default_rng(1).normal(size=(9, 40)).astype(np.float16)
    whole = head.logits(features)
    monkeypatch.setattr("goldenrule.models.heads._MOST_VALUES", 80)
    np.testing.assert_array_equal(head.logits(features), whole)


@pytest.mark.parametrize("head", HEADS, ids=lambda head: head.kind)
def test_a_cooled_head_has_its_logits_divided(head):
    features = np.random.default_rng(1).normal(size=(7, 40)).astype(np.float16)
    np.testing.assert_allclose(
        head.with_temperature(2.5).logits(features), head.logits(features) / 2.5, rtol=1e-4, atol=1e-4
    )


@pytest.mark.parametrize("head", HEADS, ids=lambda head: head.kind)
def test_training_the_module_leaves_the_arrays_as_they_were(head):
    before = {name: value.copy() for name, value in head.tensors.items()}
    with torch.no_grad():
        for parameter in head_module(head).parameters():
            parameter.add_(1)
    assert all(np.array_equal(value, before[name]) for name, value in head.tensors.items())


@pytest.mark.parametrize("head", HEADS, ids=lambda head: head.kind)
def test_the_arrays_of_a_trained_module_have_its_logits(head):
    module, features = head_module(head), np.random.default_rng(1).normal(size=(7, 40)).astype(np.float32)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.1)
        wanted = module(torch.from_numpy(features)).numpy()
    assert {name for name, _ in module.named_parameters()} == set(head.tensors), "each is kept"
    np.testing.assert_allclose(head_of(module, head).logits(features), wanted, atol=1e-2, rtol=1e-3)


@settings(max_examples=30)
@given(st.integers(1, 60), st.sampled_from(HEADS), st.integers(0, 9))
def test_the_logits_of_a_row_have_the_same_bits_whichever_rows_come_with_it(count, head, seed):
    features = np.random.default_rng(seed).normal(size=(count, 40)).astype(np.float16)
    together = head.logits(features)
    alone = np.concatenate([head.logits(features[row : row + 1]) for row in range(count)])
    assert together.dtype == np.float32
    np.testing.assert_array_equal(alone, together)


@pytest.mark.parametrize("head", HEADS, ids=lambda head: head.kind)
def test_tensors_give_the_same_head_back(head):
    again = head_from_tensors(head.kind, dict(head.tensors))
    assert type(again) is type(head)
    assert all(np.array_equal(again.tensors[name], value) for name, value in head.tensors.items())


def test_a_head_of_another_kind_or_with_other_tensors_is_a_format_error():
    with pytest.raises(FormatError, match=r"'attention'; this goldenrule knows linear, root, concat-pool"):
        head_from_tensors("attention", {})
    with pytest.raises(FormatError, match=r"bias is missing"):
        head_from_tensors("linear", {"weight": np.zeros((2, 3), np.float32)})
