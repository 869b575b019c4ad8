import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from goldenrule.foundation.errors import FormatError
from goldenrule.models.head import ConcatPoolHead, LinearHead, head_from_tensors
from goldenrule.models.network import Network, head_module


def linear(features=40, classes=5, seed=0):
    draws = np.random.default_rng(seed)
    return LinearHead(
        draws.normal(size=(classes, features)).astype(np.float32), draws.normal(size=classes).astype(np.float32)
    )


def concat_pool(features=40, classes=5, hidden=16, seed=0):
    draws = np.random.default_rng(seed)
    shapes = [(features,), (features,), (hidden, features), (hidden,), (hidden,), (classes, hidden), (classes,)]
    return ConcatPoolHead(*(draws.normal(size=shape).astype(np.float32) for shape in shapes))


HEADS = [linear(), concat_pool()]


@pytest.mark.parametrize("head", HEADS, ids=lambda head: head.kind)
def test_the_module_has_the_logits_of_the_arrays(head):
    features = np.random.default_rng(1).normal(size=(7, 40)).astype(np.float32)
    module = head_module(head)
    with torch.inference_mode():
        found = module(torch.from_numpy(features)).numpy()
        whole = Network(torch.nn.Identity(), module)(torch.from_numpy(features)).numpy()
    np.testing.assert_allclose(found, head.logits(features), atol=1e-3, rtol=1e-4)
    np.testing.assert_array_equal(whole, found)


@pytest.mark.parametrize("head", HEADS, ids=lambda head: head.kind)
def test_training_the_module_leaves_the_arrays_as_they_were(head):
    before = {name: value.copy() for name, value in head.tensors.items()}
    with torch.no_grad():
        for parameter in head_module(head).parameters():
            parameter.add_(1)
    assert all(np.array_equal(value, before[name]) for name, value in head.tensors.items())


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
    with pytest.raises(FormatError, match=r"'attention'; this goldenrule knows linear, concat-pool"):
        head_from_tensors("attention", {})
    with pytest.raises(FormatError, match=r"has the tensors \['weight'\]"):
        head_from_tensors("linear", {"weight": np.zeros((2, 3), np.float32)})
