"""A head of the user's own: any module from pooled features to logits, with its buffers."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch

from goldenrule.core.errors import FormatError
from goldenrule.core.option import HeadKind
from goldenrule.models.custom import Maker, find_again
from goldenrule.models.heads import Floats, Head, check_finite
from goldenrule.storage.files import digest, json_digest

MakeHead = Callable[[int, int], torch.nn.Module]
"""Takes how many features and how many classes there are; gives (batch, features) -> logits (batch, classes)."""

AnyHead = HeadKind | Head | MakeHead | Maker


def custom_head(make: MakeHead | Maker, *, key: str | None = None) -> Maker:
    """Make the head with a function of your own: `make(features, classes)` gives a torch.nn.Module.

    What was learned is kept under its source and that of the module's classes, or under `key`; change the key where
    something changes that it takes from elsewhere. Raises `OptionError` for a function without source or key.
    """
    return make if isinstance(make, Maker) else Maker("head", make, key)


def head_or_maker(head: AnyHead) -> str | Head | Maker:
    """Return a kind of head, a head, or what makes one; `OptionError` where it is none of these."""
    if isinstance(head, str | Maker):
        return head
    return cast(Head, head) if hasattr(head, "tensors") else custom_head(head)


class Tempered(torch.nn.Module):
    """The user's module, its logits divided by a temperature. A batch of one tells BatchNorm nothing: it is spared."""

    def __init__(self, module: torch.nn.Module) -> None:
        super().__init__()
        self.module = module
        self.temperature: torch.Tensor
        self.register_buffer("temperature", torch.ones(()))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Return the logits (batch, classes)."""
        with _as_at_inference(self.module) if self.training and len(features) == 1 else contextlib.nullcontext():
            logits: torch.Tensor = self.module(features)
        return logits / self.temperature


@dataclass(frozen=True, eq=False)
class CustomHead:
    """The tensors of a module that `maker` makes for so many features and classes; `key` is what it is known by."""

    maker: Maker
    key: str
    features: int
    classes: int
    tensors: Mapping[str, npt.NDArray[Any]]
    kind: str = "custom"

    @classmethod
    def fresh(cls, maker: Maker, *, features: int, classes: int, seed: int) -> CustomHead:
        """Return the head with the weights that the function draws under a seed."""
        custom, logits = maker.module(features, classes, probe=torch.zeros(2, features), seed=seed)
        if logits.shape != (2, classes):
            raise maker.wrong(f"for 2 images and {classes} classes it gives logits of shape {tuple(logits.shape)}")
        if not any(parameter.requires_grad for parameter in custom.parameters()):
            raise maker.wrong("it has no parameters to train")
        head = cls(maker, maker.known_as(custom), features, classes, arrays_of(Tempered(custom)))
        try:
            head.logits(np.zeros((1, features), np.float16))
        except RuntimeError as error:
            raise maker.wrong(f"it does not compute in float64, which is how logits are summed ({error})") from error
        return head

    @classmethod
    def saved(
        cls,
        made_by: Mapping[str, str],
        tensors: Mapping[str, npt.NDArray[Any]],
        given: Maker | None,
        *,
        features: int,
        classes: int,
    ) -> CustomHead:
        """Return the head that a classifier's files hold; `FormatError` without the function that makes it."""
        check_finite(tensors)
        maker = find_again("head", made_by, given, features, classes)
        return cls(maker, str(made_by["key"]), features, classes, tensors)

    @property
    def made_by(self) -> dict[str, str]:
        """What a classifier says of the function: name and key."""
        return self.maker.made_by(self.key)

    def module(self) -> Tempered:
        """Return a new module with these tensors, in eval mode."""
        custom, _ = self.maker.module(self.features, self.classes, probe=torch.zeros(2, self.features))
        module = Tempered(custom).eval()
        try:
            module.load_state_dict({name: torch.tensor(value) for name, value in self.tensors.items()})
        except RuntimeError as error:
            raise FormatError(f"The tensors of the head do not fit what {self.maker.name} makes: {error}.") from error
        return module

    def with_tensors(self, tensors: Mapping[str, npt.NDArray[Any]]) -> CustomHead:
        """Return the head with other tensors."""
        return replace(self, tensors=dict(tensors))

    def with_temperature(self, temperature: float) -> CustomHead:
        """Return the head with its logits divided by a temperature."""
        product = np.asarray(self.tensors["temperature"] * np.float32(temperature), np.float32)
        return self.with_tensors({**self.tensors, "temperature": product})

    def logits(self, features: npt.NDArray[Any]) -> Floats:
        """Return the logits (n, classes), computed in float64: which rows come together then makes no difference."""
        with torch.inference_mode():
            logits: Floats = self._in_float64(torch.from_numpy(features.astype(np.float64))).float().numpy()
        return logits

    @cached_property
    def _in_float64(self) -> Tempered:
        return self.module().double()


def head_digest(head: Head) -> str:
    """Return what identifies a head: its weights, and the function that makes it where that is the user's own."""
    made_by = {"": head.key} if isinstance(head, CustomHead) else {}
    return json_digest(made_by | {name: digest(value.tobytes()).hex() for name, value in sorted(head.tensors.items())})


def arrays_of(module: torch.nn.Module) -> dict[str, npt.NDArray[Any]]:
    """Return a copy of all parameters and buffers."""
    return {name: value.detach().cpu().numpy().copy() for name, value in module.state_dict().items()}


@contextlib.contextmanager
def _as_at_inference(module: torch.nn.Module) -> Iterator[None]:
    """Freeze the statistics of a module's BatchNorms while the block runs."""
    norms = [one for one in module.modules() if isinstance(one, torch.nn.modules.batchnorm._BatchNorm) and one.training]
    for norm in norms:
        norm.eval()
    try:
        yield
    finally:
        for norm in norms:
            norm.train()
