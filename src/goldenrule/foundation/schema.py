"""JSON values against the types that describe them: a field of another type, range or name is a `FormatError`.

The types are dataclasses and `msgspec.Struct`s; `typing.Annotated` with `msgspec.Meta` says ranges and sizes. A file of
a stranger can't ask for more than they allow: numbers are finite, nesting and the length of a number are bounded.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec

from goldenrule.foundation.errors import FormatError, OptionError

T = TypeVar("T")
MOST_NESTED = 100
"""So deep may JSON of ours be; it is less than twenty."""
Count = Annotated[int, msgspec.Meta(ge=0, le=10**12)]
"""How many of something there are."""
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=1_000)]
Digest = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
"""A blake2b digest of 32 bytes, hexadecimal."""


def parse_json(content: bytes) -> Any:
    """Return the JSON value in `content`; raises `ValueError` with the reason where it holds none.

    >>> parse_json(b'{"a": [1, 2.5, null]}')
    {'a': [1, 2.5, None]}
    >>> parse_json(b"NaN")
    Traceback (most recent call last):
    ...
    ValueError: JSON is malformed: invalid character (byte 0)
    """
    try:
        value = msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ValueError(str(error)) from error
    except RecursionError as error:
        raise ValueError(f"its values are nested more than {MOST_NESTED} deep") from error
    _check_nesting(value)
    return value


def _check_nesting(value: Any) -> None:
    """Raise `ValueError` for values that whoever walks through them could not come back from."""
    level = [value]
    for _ in range(MOST_NESTED):
        inside = (own.values() if isinstance(own, dict) else own for own in level if isinstance(own, dict | list))
        level = [one for own in inside for one in own if isinstance(one, dict | list)]
        if not level:
            return
    raise ValueError(f"its values are nested more than {MOST_NESTED} deep")


def as_type(value: Any, kind: type[T], *, what: str, optional: Collection[str] = (), whole: bool = True) -> T:
    """Return a JSON value as `kind`; raises `FormatError` that begins with `what` and names the field.

    Every field has to be there, also those with a default, but for the `optional` ones; no other may be. Without
    `whole` the type is of some fields alone, and the others are not looked at.

    >>> as_type([1, 2], tuple[Count, Count], what="the sizes")
    (1, 2)
    >>> as_type([1, -2], tuple[Count, Count], what="the sizes")
    Traceback (most recent call last):
    ...
    goldenrule.foundation.errors.FormatError: the sizes can't be read: expected `int` >= 0, at `$[1]`.
    """
    try:
        found = msgspec.convert(value, kind, dec_hook=_path)
    except (msgspec.ValidationError, OptionError) as error:
        text = str(error).replace(" - at ", ", at ").removesuffix(".")
        raise FormatError(f"{what} can't be read: {text[:1].lower()}{text[1:]}.") from error
    odd = _odd_field(value, msgspec.to_builtins(found, enc_hook=str), "$", optional) if whole else ""
    if odd:
        raise FormatError(f"{what} can't be read: {odd}.")
    return found


def _path(kind: type, value: Any) -> Path:
    """Return a path: JSON has them as texts."""
    if kind is not Path or not isinstance(value, str):
        raise ValueError(f"expected `{kind.__name__}`, got `{type(value).__name__}`")
    return Path(value)


def _odd_field(given: Any, known: Any, place: str, optional: Collection[str]) -> str:
    """Return what field is unknown or missing, and where; "" where none is."""
    pairs: list[tuple[Any, Any, str]] = []
    if isinstance(given, Mapping) and isinstance(known, Mapping):
        for name in given.keys() - known.keys():
            return f"unknown field, at `{place}.{name}`"
        for name in known.keys() - given.keys() - set(optional):
            return f"missing field, at `{place}.{name}`"
        pairs = [(value, known[name], f"{place}.{name}") for name, value in given.items()]
    elif isinstance(given, Sequence) and isinstance(known, Sequence) and not isinstance(given, str):
        pairs = [(one, other, f"{place}[...]") for one, other in zip(given, known, strict=False)]
    return next((found for one in pairs if (found := _odd_field(*one, optional))), "")
