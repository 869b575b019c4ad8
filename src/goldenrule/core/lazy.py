"""Names of a package that are loaded when they are first used, so that importing it costs nothing."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping
from typing import Any


def lazy(package: str, homes: Mapping[str, str]) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return `__getattr__` and `__dir__` of a package: `homes` says in which of its modules each name lives (PEP 562).

    A home "" is a module or package of that name itself.
    """

    def load(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        home = homes[name]
        value = (
            getattr(importlib.import_module(f"{package}.{home}"), name)
            if home
            else importlib.import_module(f"{package}.{name}")
        )
        setattr(sys.modules[package], name, value)
        return value

    def names() -> list[str]:
        return sorted({*homes, *vars(sys.modules[package])})

    return load, names


def from_above(module: str, name: str) -> Any:
    """Return what a module of a higher floor is called by: for a method that is short for it, and nothing else."""
    return getattr(importlib.import_module(f"goldenrule.{module}"), name)
