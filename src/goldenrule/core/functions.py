"""A user's own Python functions: named by what they do, so that what they made can be found again (law 7)."""

from __future__ import annotations

import functools
import hashlib
import inspect
import json
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

from goldenrule.core.errors import OptionError


def function_name(function: Callable[..., Any]) -> str:
    """Return the name people know a function by."""
    if isinstance(function, functools.partial):
        return function_name(function.func)
    return str(getattr(function, "__qualname__", type(function).__qualname__))


def function_key(function: Callable[..., Any]) -> str | None:
    """Return the hash of a function's qualified name, source, defaults and the values it closes over.

    None where that can't be told: it has no source, or was given a value that is no plain JSON. What it takes
    from its module is not looked at. `OptionError` for what is no function.
    """
    if not callable(function):
        raise OptionError(f"{function!r} was given; wanted a function.")
    about = _about(function)
    try:
        text = json.dumps(about, sort_keys=True, allow_nan=False)
    except (TypeError, ValueError):
        return None
    return None if about is None else hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def key_of(function: Callable[..., Any], what: str, example: str) -> str:
    """Return the key of a function; where it has none, an `OptionError` says that `what` could not be kept."""
    key = function_key(function)
    if key is None:
        raise OptionError(
            f"{function_name(function)} can't be told from a changed version of itself (no source, or a value "
            f'that is no plain JSON), so {what} could not be kept. Give a key: key="{example}".'
        )
    return key


def _about(function: Callable[..., Any]) -> Any:
    if isinstance(function, functools.partial):
        inner = _about(function.func)
        return inner and [inner, list(function.args), function.keywords]
    if not inspect.isfunction(function):
        return None
    try:
        source = inspect.getsource(function)
        closed = [cell.cell_contents for cell in function.__closure__ or ()]
    except (OSError, ValueError):  # typed into a prompt, or a variable that has no value yet
        return None
    return [function.__qualname__, source, function.__defaults__, function.__kwdefaults__, closed]


def from_file(reference: str) -> Any:
    """Return what FILE.py:NAME names; the file is run. Raises `OptionError` where there is no such thing."""
    file, _, name = reference.rpartition(":")
    path = Path(file).expanduser()
    if not path.is_file():
        raise OptionError(f"{reference}: there is no file {path}. Wanted FILE.py:NAME.")
    try:
        module = types.ModuleType(path.stem)  # not imported: kept bytecode may be that of an earlier content
        module.__file__ = str(path)
        exec(compile(path.read_text(encoding="utf-8"), str(path), "exec"), vars(module))  # noqa: S102 - asked for
    except Exception as error:
        raise OptionError(f"{reference}: {path} can't be run ({type(error).__name__}: {error}).") from error
    if not hasattr(module, name):
        defined = (
            one for one, value in vars(module).items() if not one.startswith("_") and not inspect.ismodule(value)
        )
        known = ", ".join(sorted(defined)) or "nothing"
        raise OptionError(f"{reference}: {path} has no {name!r}; it has {known}.")
    return getattr(module, name)
