"""Names of a package that are loaded when they are first used, so that importing it costs nothing."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping
from typing import Any


def lazy(
    package: str,
    homes: Mapping[str, str],
    before: Callable[[str], object] | None = None,
    *,
    meant: Mapping[str, str] | None = None,
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return `__getattr__` and `__dir__` of a package: `homes` says in which of its modules each name lives (PEP 562).

    A home "" is a module or package of that name itself. `before` is asked with each name first; `meant` says what is
    probably meant by a name that there is not. Raises `MissingExtra`
    where a home needs a package that is not installed.
    """

    def load(name: str) -> Any:
        if name not in homes:
            from goldenrule.core.errors import nearest

            close = (meant or {}).get(name) or next(iter(nearest(name, homes, most=1, cutoff=0.6)), "")
            hint = f". Did you mean {close}?" if close and not name.startswith("_") else ""
            raise AttributeError(f"module {package!r} has no attribute {name!r}{hint}")
        if before is not None:
            before(name)
        home = homes[name]
        try:
            value = (
                getattr(importlib.import_module(f"{package}.{home}"), name)
                if home
                else importlib.import_module(f"{package}.{name}")
            )
        except ImportError as error:
            from goldenrule.core.errors import missing_extra

            if (missing := missing_extra(error)) is None:
                raise
            raise missing from error
        setattr(sys.modules[package], name, value)
        return value

    def names() -> list[str]:
        return sorted({*homes, *vars(sys.modules[package])})

    return load, names


def from_above(module: str, name: str) -> Any:
    """Return what a module of a higher floor is called by: for a method that is short for it, and nothing else."""
    try:
        return getattr(importlib.import_module(f"goldenrule.{module}"), name)
    except ImportError as error:
        from goldenrule.core.errors import missing_extra

        raise (missing_extra(error) or error) from error
