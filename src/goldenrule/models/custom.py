"""`Maker`: a user's own function that makes a part of the network, and how it is found again.

A classifier carries tensors and the name and key of such a function, never code. Loading one runs no function but
those that this program has given by itself: to a `Learner`, to `custom_head`, to `custom_backbone`,
to `Classifier.load`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from goldenrule.core.errors import BackboneError, FormatError, OptionError, first_line
from goldenrule.core.functions import from_file, function_key, function_name, key_of
from goldenrule.storage.files import json_digest

if TYPE_CHECKING:
    import torch

Part = Literal["head", "backbone"]
CALLED: dict[Part, str] = {"head": "(features, classes)", "backbone": "()"}
LIBRARIES = ("builtins", "torch", "torchvision", "timm")
"""Their classes are known by their names; those of anybody else by their source."""

_GIVEN: dict[tuple[Part, str, str], Maker] = {}
"""What this program has given so far, by part, the function's name and key."""


@dataclass(frozen=True, slots=True)
class Maker:
    """A function that makes a module: of a head called with (features, classes), of a backbone with nothing.

    It is known by `given_key`, or by its source and that of the classes which its module consists of.
    """

    part: Part
    function: Callable[..., torch.nn.Module]
    given_key: str | None = None

    def __post_init__(self) -> None:
        wanted = f"wanted a function make{CALLED[self.part]} that gives a torch.nn.Module"
        if not callable(self.function) or (hasattr(self.function, "state_dict") and not inspect.isclass(self.function)):
            raise OptionError(f"{self.function!r:.80} was given as {self.part}; {wanted}.")
        if self.given_key is None and not inspect.isclass(self.function):
            key_of(self.function, f"what the {self.part} has learned", f"my-{self.part}-v1")

    @property
    def name(self) -> str:
        """FILE.py:NAME, or module:NAME where there is no file."""
        function = inspect.unwrap(getattr(self.function, "func", self.function))
        try:
            home = Path(inspect.getfile(function)).name
        except (TypeError, OSError):
            home = str(getattr(function, "__module__", ""))
        return f"{home}:{function_name(self.function)}"

    def module(
        self, *arguments: int, probe: torch.Tensor | None = None, seed: int = 0
    ) -> tuple[torch.nn.Module, torch.Tensor]:
        """Return a new module in eval mode, and what it makes of `probe`; PyTorch's own draws stay as they were."""
        import torch

        called = f"{self.name.rpartition(':')[2]}({', '.join(map(str, arguments))})"
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            torch.manual_seed(seed)
            try:
                module = self.function(*arguments)
            except Exception as error:
                raise self.wrong(f"{called} failed ({first_line(error)})") from error
            if not isinstance(module, torch.nn.Module):
                raise self.wrong(f"{called} gave {type(module).__name__}")
            for name, value in module.state_dict().items():
                if value.dtype.is_floating_point and value.dtype is not torch.float32:
                    raise self.wrong(f"{name} of {called} is {value.dtype}; its tensors have to be float32")
            module.eval()
            try:
                output = module(probe) if probe is not None else None
            except Exception as error:
                shape = tuple(probe.shape) if probe is not None else ()
                raise self.wrong(
                    f"the module of {called} fails on inputs of shape {shape} ({first_line(error)})"
                ) from error
        if output is not None and not isinstance(output, torch.Tensor):
            raise self.wrong(f"the module of {called} gives {type(output).__name__}, no tensor")
        return module, output if output is not None else torch.empty(0)

    def wrong(self, what: str) -> OptionError | BackboneError:
        """Return the error that says what is wrong with the function."""
        wanted = {
            "head": "a module from features (batch, features) to logits (batch, classes)",
            "backbone": "a module from pictures (batch, 3, size, size) to features (batch, f) or maps (batch, c, h, w)",
        }[self.part]
        kind = OptionError if self.part == "head" else BackboneError
        return kind(f"The own {self.part} {self.name}: {what}. Wanted a function {CALLED[self.part]} giving {wanted}.")

    def known_as(self, module: torch.nn.Module) -> str:
        """Return the key of the function, one of whose modules this is, and remember the function under it."""
        key = self.given_key or self._key(module)
        _GIVEN[self.part, function_name(self.function), key] = self
        return key

    def made_by(self, key: str) -> dict[str, str]:
        """Return what a classifier says of the function."""
        return {"name": self.name, "key": key}

    def _key(self, module: torch.nn.Module) -> str:
        kinds = {kind for one in module.modules() for kind in type(one).__mro__}
        user_types = sorted(
            (kind for kind in kinds if kind.__module__.partition(".")[0] not in LIBRARIES), key=_qualname
        )
        try:
            sources = [[_qualname(kind), _methods(kind)] for kind in user_types]
        except (OSError, TypeError) as error:
            names = ", ".join(map(_qualname, user_types))
            raise OptionError(
                f"{self.name} makes {names}, without source here: they can't be told apart from changed versions. "
                f'Give a key: key="my-{self.part}-v1".'
            ) from error
        called = _qualname(self.function) if inspect.isclass(self.function) else function_key(self.function)
        return json_digest([called, sources])[:32]


def find_again(part: Part, made_by: Mapping[str, str], given: Maker | None, *arguments: int) -> Maker:
    """Return the function that a classifier names: the given one if it is that, or one that was given before.

    Raises `FormatError` where it is another one, or none: nothing that a classifier brings along is run.
    """
    name, key = str(made_by["name"]), str(made_by["key"])
    if given is None:
        if found := _GIVEN.get((part, name.rpartition(":")[2], key)):
            return found
        raise FormatError(
            f"The {part} of this classifier is made by a function of its owner's, {name}, which it does not carry, "
            f"and no code is run that you have not named. Give the function: Classifier.load(folder, {part}=make), "
            f"or goldenrule predict ... --{part} FILE.py:NAME."
        )
    module, _ = given.module(*arguments)
    if (here := given.known_as(module)) != key:
        raise FormatError(
            f"The {part} of this classifier is made by {name}, known by the key {key}; {given.name} was given, with "
            f"the key {here}. Give the function as it was when the classifier was trained, or, if it computes the "
            f'same, with that key: gr.models.custom_{part}(..., key="{key}").'
        )
    return given


def maker_from_file(part: Part, reference: str) -> Maker:
    """Return the function that FILE.py:NAME names; the file is run."""
    found = from_file(reference)
    found = getattr(found, "maker", found)  # a backbone that custom_backbone gave
    return found if isinstance(found, Maker) else Maker(part, found)


def _methods(kind: type) -> dict[str, str]:
    """Return the sources of a class's functions, which are there also where that of the class is not."""
    plain = {name: getattr(value, "__func__", getattr(value, "fget", value)) for name, value in vars(kind).items()}
    return {name: inspect.getsource(one) for name, one in sorted(plain.items()) if inspect.isfunction(one)}


def _qualname(kind: Any) -> str:
    return str(kind.__qualname__)
