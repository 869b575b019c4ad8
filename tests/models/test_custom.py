"""Functions of the user's own: known by their source, found again only where they were given."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from goldenrule.core.errors import BackboneError, FormatError, OptionError
from goldenrule.models import custom
from goldenrule.models.custom import Maker, find_again, maker_from_file
from goldenrule.models.custom_heads import CustomHead, custom_head, head_or_maker
from goldenrule.models.network import head_module

TYPED: dict[str, Any] = {"__name__": "typed", "nn": nn}
FILE = """
from torch import nn
import goldenrule as gr

def make(features, classes):
    return nn.Linear(features, classes)

NAMED = gr.models.custom_head(make, key="linear-v1")
"""


class Scaled(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.layer = nn.Linear(inputs, outputs)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return 2 * self.layer(features)


def normed(features: int, classes: int) -> nn.Module:
    layers = [nn.BatchNorm1d(features), nn.Dropout(0.5), nn.LazyLinear(16), nn.ReLU(), nn.Linear(16, classes)]
    return nn.Sequential(*layers)


def scaled(features: int, classes: int) -> nn.Module:
    return Scaled(features, classes)


def of_width(width: int) -> Callable[[int, int], nn.Module]:
    def make(features: int, classes: int) -> nn.Module:
        return nn.Sequential(nn.Linear(features, width), nn.Linear(width, classes))

    return make


def fresh(make: Any, *, key: str | None = None, seed: int = 0) -> CustomHead:
    return CustomHead.fresh(custom_head(make, key=key), features=6, classes=3, seed=seed)


@pytest.fixture(autouse=True)
def another_program(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget what was given before."""
    monkeypatch.setattr(custom, "_GIVEN", {})


def test_a_head_is_known_by_its_source_and_the_values_it_closes_over() -> None:
    assert fresh(of_width(4)).key == fresh(of_width(4)).key != fresh(of_width(5)).key
    assert fresh(normed).key != fresh(scaled).key
    assert fresh(functools.partial(normed)).key != fresh(normed).key
    assert fresh(normed, key="v1").key == "v1"


def test_a_change_in_a_class_that_the_function_uses_makes_another_key(monkeypatch: pytest.MonkeyPatch) -> None:
    before, as_class = fresh(scaled).key, fresh(Scaled).key
    monkeypatch.setattr(Scaled, "forward", lambda self, features: 3 * self.layer(features))
    assert fresh(scaled).key != before
    assert fresh(Scaled).key != as_class


def test_the_weights_are_those_of_the_seed_and_the_draws_of_others_stay() -> None:
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    one, same, other = fresh(normed, seed=1), fresh(normed, seed=1), fresh(normed, seed=2)
    assert torch.equal(torch.random.get_rng_state(), before)
    names = set(one.tensors)
    assert {"module.0.running_mean", "module.0.num_batches_tracked", "module.2.weight", "temperature"} <= names
    assert all(np.array_equal(one.tensors[name], same.tensors[name]) for name in names)
    assert not np.array_equal(one.tensors["module.2.weight"], other.tensors["module.2.weight"])


def test_the_module_has_the_logits_of_the_head_and_a_row_the_same_bits_in_any_company() -> None:
    head = fresh(normed)
    features = np.random.default_rng(0).normal(size=(50, 6)).astype(np.float16)
    together = head.logits(features)
    assert together.dtype == np.float32
    np.testing.assert_array_equal(together, np.concatenate([head.logits(features[n : n + 1]) for n in range(50)]))
    with torch.inference_mode():
        found = head_module(head)(torch.from_numpy(features.astype(np.float32))).numpy()
    np.testing.assert_allclose(found, together, atol=1e-5)
    np.testing.assert_allclose(head.with_temperature(2).with_temperature(2).logits(features) * 4, together, rtol=1e-6)


def test_a_batch_of_one_leaves_the_statistics_alone_and_a_batch_of_two_does_not() -> None:
    module = head_module(fresh(normed)).train()
    before = module.state_dict()["module.0.running_mean"].clone()
    module(torch.randn(1, 6)).sum().backward()
    assert torch.equal(module.state_dict()["module.0.running_mean"], before)
    assert all(one.training for one in module.modules())
    module(torch.randn(2, 6))
    assert not torch.equal(module.state_dict()["module.0.running_mean"], before)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        ("small", "'small' was given as head; wanted a function make"),
        (nn.Linear(6, 3), "was given as head; wanted a function make"),
        (3, "3 was given as head"),
    ],
)
def test_what_is_no_function_is_refused(make: Any, said: str) -> None:
    with pytest.raises(OptionError, match=said):
        custom_head(make)
    if not isinstance(make, str):  # those are kinds of goldenrule's own
        with pytest.raises(OptionError, match=said):
            head_or_maker(make)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda features: nn.Linear(features, 3), r"<lambda>\(6, 3\) failed \(TypeError"),
        (lambda features, classes: None, r"gave NoneType"),
        (lambda features, classes: nn.Linear(features + 1, classes), r"fails on inputs of shape \(2, 6\)"),
        (lambda features, classes: nn.Linear(features, classes + 1), r"3 classes it gives logits of shape \(2, 4\)"),
        (lambda features, classes: nn.GRU(features, classes), "gives tuple, no tensor"),
        (lambda features, classes: nn.Linear(features, classes).bfloat16(), r"is torch\.bfloat16"),
        (lambda features, classes: nn.AdaptiveAvgPool1d(classes), "no parameters to train"),
    ],
)
def test_a_function_that_makes_no_head_is_named(make: Any, said: str) -> None:
    with pytest.raises(OptionError, match=said):
        fresh(make)


def test_without_source_a_key_is_needed() -> None:
    typed = eval("lambda features, classes: nn.Linear(features, classes)")
    with pytest.raises(OptionError, match='key="my-head-v1"'):
        custom_head(typed)
    assert fresh(typed, key="linear-v1").key == "linear-v1"
    exec("class Typed(nn.Linear):\n def forward(self, x): return super().forward(x)", TYPED)
    with pytest.raises(OptionError, match=r"Typed, without source here.*key="):
        fresh(lambda features, classes: TYPED["Typed"](features, classes), key=None)


def test_a_function_is_found_again_where_this_program_has_given_it() -> None:
    made_by = fresh(normed).made_by
    assert find_again("head", made_by, None, 6, 3).function is normed
    assert made_by["name"] == "test_custom.py:normed"


def test_nothing_is_run_that_was_not_given(monkeypatch: pytest.MonkeyPatch) -> None:
    made_by = fresh(normed).made_by
    monkeypatch.setattr(custom, "_GIVEN", {})
    for name in (made_by["name"], "os:system", "shutil.py:rmtree"):
        with pytest.raises(FormatError, match=r"no code is run that you have not named.*load\(folder, head=make\)"):
            find_again("head", {**made_by, "name": name}, None, 6, 3)
    assert find_again("head", made_by, custom_head(normed), 6, 3).function is normed


def test_another_function_is_refused_unless_its_key_says_that_it_is_the_same() -> None:
    made_by = fresh(normed).made_by
    with pytest.raises(
        FormatError, match=rf"{made_by['key']}.*test_custom.py:scaled was given.*custom_head\(..., key="
    ):
        find_again("head", made_by, custom_head(scaled), 6, 3)
    again = custom_head(lambda features, classes: normed(features, classes), key=made_by["key"])
    assert find_again("head", made_by, again, 6, 3) is again


def test_tensors_that_do_not_fit_the_function_are_a_format_error() -> None:
    head = fresh(normed, key="1")
    with pytest.raises(FormatError, match=r"do not fit what test_custom.py:normed makes"):
        head.with_tensors({"temperature": np.float32(1)}).module()


def test_the_command_line_names_a_function_or_a_maker_of_a_file(tmp_path: Any) -> None:
    file = tmp_path / "parts.py"
    file.write_text(FILE)
    plain, named = maker_from_file("head", f"{file}:make"), maker_from_file("head", f"{file}:NAMED")
    first, second = fresh(plain), fresh(named)
    assert first.made_by["name"] == second.made_by["name"] == "parts.py:make"
    assert second.key == "linear-v1"
    file.write_text(FILE.replace("classes)", "classes, bias=False)"))
    assert fresh(maker_from_file("head", f"{file}:make")).key != first.key


def test_a_backbone_s_mistakes_are_backbone_errors() -> None:
    with pytest.raises(BackboneError, match=r"gave NoneType.*Wanted a function \(\) giving a module from pictures"):
        Maker("backbone", lambda: None).module()
