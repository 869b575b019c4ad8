"""What an option is: a field of a frozen dataclass that carries its default, its bounds and its help.

Command lines, `--help`, checks, the keys that runs are kept under and the reference page are made from these fields, so
that an option is written down once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from types import MappingProxyType
from typing import Any, Literal

from goldenrule.core.errors import OptionError

HeadKind = Literal["linear", "root", "concat-pool", "gap-1024", "flatten-64"]
Decoding = Literal["canonical", "scaled"]
"""Whether a picture is decoded in full, or large JPEGs at a fraction of their size (`decode.decode`)."""
KEY = "option"
NO_LIMIT = float("inf")


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """What there is to know of an option beside its type and its default.

    `unset` says what is decided where the option is not given. A number lies between `least` and `most`, both allowed,
    or `above` and `below`, neither allowed. `wanted` is the end of the error about any other value. An option that
    `keeps_run` changes how fast a fit is, or what is reported of it, but no result of its steps. What is `rare`
    stands in --help-all alone, where a command has many options.
    """

    help: str
    unset: str = ""
    flags: tuple[str, ...] = ()
    metavar: str | None = None
    argument: bool = False
    panel: str | None = None
    least: float = -NO_LIMIT
    most: float = NO_LIMIT
    above: float = -NO_LIMIT
    below: float = NO_LIMIT
    wanted: str = ""
    choices: tuple[str, ...] = ()
    keeps_run: bool = False
    rare: bool = False

    def allows(self, value: Any) -> bool:
        """Return whether the value lies within the bounds; None and what is not given do."""
        if value is None or isinstance(value, bool):
            return True
        if self.choices:
            return value in self.choices
        if not isinstance(value, int | float):
            return True
        return self.least <= value <= self.most and self.above < value < self.below


def option(default: Any, text: str, **rest: Any) -> Any:
    """Return a field of a frozen dataclass that is an option, with its help; `rest` are further fields of `Option`.

    >>> @dataclass(frozen=True, kw_only=True)
    ... class Made:
    ...     count: int | None = option(None, "How many are made.", least=1, wanted="a number, at least 1")
    ...     def __post_init__(self) -> None:
    ...         check_options(self)
    >>> Made(count=0)
    Traceback (most recent call last):
    goldenrule.core.errors.OptionError: --count 0: wanted a number, at least 1.
    """
    return field(default=default, metadata={KEY: Option(help=text, **rest)})


def options_of(kind: type) -> Mapping[str, Option]:
    """Return the options among the fields of a dataclass, by the field's name."""
    return MappingProxyType({one.name: one.metadata[KEY] for one in fields(kind) if KEY in one.metadata})


def default_of(kind: type, name: str) -> Any:
    """Return what an option is where nothing was said."""
    [found] = [one for one in fields(kind) if one.name == name]
    assert found.default is not MISSING, f"{name}: an option has a default"
    return found.default


def spelled(name: str, option: Option) -> tuple[str, ...]:
    """Return how an option is written on a command line, its main spelling last.

    >>> spelled("min_per_class", Option(help=""))
    ('--min-per-class',)
    """
    return option.flags or (f"--{name.replace('_', '-')}",)


def check_option(name: str, value: Any, option: Option) -> None:
    """Raise `OptionError` for a value outside the bounds."""
    if option.allows(value):
        return
    shown = f"{value:g}" if isinstance(value, float) else value
    wanted = f"one of {', '.join(option.choices)}" if option.choices else option.wanted
    raise OptionError(f"{spelled(name, option)[-1]} {shown}: wanted {wanted}.")


def check_options(value: Any) -> None:
    """Raise `OptionError` for the first option of this dataclass whose value is outside its bounds."""
    for name, one in options_of(type(value)).items():
        check_option(name, getattr(value, name), one)
