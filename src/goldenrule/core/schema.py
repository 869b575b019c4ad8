"""Values as JSON (`as_json`), and JSON as values (`as_type`): one way for all, by the types that describe them.

The types are dataclasses and `msgspec.Struct`s; `typing.Annotated` with `msgspec.Meta` says ranges and sizes. A file of
a stranger can't ask for more than they allow: a field of another type, range or name is a `FormatError`, numbers are
finite, nesting and the length of a number are bounded.
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, TypeAlias, TypeVar

import msgspec

from goldenrule.core.errors import FormatError, OptionError

T = TypeVar("T")
MOST_NESTED = 100
"""So deep may JSON of ours be; it is less than twenty."""
Count = Annotated[int, msgspec.Meta(ge=0, le=10**12)]
"""How many of something there are."""
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=1_000)]
Digest = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
"""A blake2b digest of 32 bytes, hexadecimal."""
IF_OTHERWISE: Mapping[str, bool] = {"if_otherwise": True}
"""Metadata of a dataclass's field that JSON has only where it differs from its default."""

if TYPE_CHECKING:
    OrNan: TypeAlias = float
    OrInfinite: TypeAlias = float
else:

    class _Float(type):
        """Makes every float an instance: these types only say what null stands for."""

        def __instancecheck__(cls, value: Any) -> bool:
            return isinstance(value, float)

    class OrNan(metaclass=_Float):
        """A number that is null in JSON where it is nan."""

        null: ClassVar[float] = math.nan

    class OrInfinite(metaclass=_Float):
        """A number that is null in JSON where it is inf."""

        null: ClassVar[float] = math.inf


@functools.singledispatch
def as_json(value: Any) -> Any:
    """Return a value as JSON has it: `as_type` reads it again.

    A dataclass becomes an object of its fields, after the class variable `kind` where there is one; a number that is
    not finite becomes null, arrays become lists, paths and enumerations their texts. Where a file has other fields
    than the value, such as figures that follow from it, a function is registered beside the value's class.

    >>> as_json({"sizes": (1, 2), "loss": math.inf, "file": Path("a/b")})
    {'sizes': [1, 2], 'loss': None, 'file': 'a/b'}
    """
    match value:
        case Enum():
            return value.value
        case None | bool() | int() | str():
            return value
        case float():
            return float(value) if math.isfinite(value) else None
        case Path():
            return str(value)
        case Mapping():
            return {str(name): as_json(item) for name, item in value.items()}
        case Sequence():
            return [as_json(item) for item in value]
    if hasattr(value, "tolist"):  # arrays and numbers of numpy
        return as_json(value.tolist())
    return fields_as_json(value)


def fields_as_json(value: Any) -> dict[str, Any]:
    """Return the fields of a dataclass or `msgspec.Struct` as a JSON object; `TypeError` for anything else."""
    if (members := _members(value)) is None:
        raise TypeError(f"JSON has no place for a value of the type {type(value).__name__}")
    return {name: as_json(member) for name, member in members.items() if not _may_be_absent(value, name)}


def _members(value: Any) -> dict[str, Any] | None:
    """Return the fields of an object by name, None for a value that has none."""
    if isinstance(value, msgspec.Struct):
        return {name: getattr(value, name) for name in value.__struct_fields__}
    if is_dataclass(value):
        kind = getattr(type(value), "kind", None)
        named = {"kind": kind} if isinstance(kind, str) else {}
        return named | {field.name: getattr(value, field.name) for field in fields(value)}
    return dict(value) if isinstance(value, Mapping) else None


def _may_be_absent(value: Any, name: str) -> bool:
    """Return whether a field is as always, and JSON does not have it then."""
    if not is_dataclass(value):
        return False
    field_ = next((field for field in fields(value) if field.name == name), None)
    if field_ is None or "if_otherwise" not in field_.metadata:
        return False
    return bool(field_.default is not MISSING and getattr(value, name) == field_.default)


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
        inside = (item.values() if isinstance(item, dict) else item for item in level if isinstance(item, dict | list))
        level = [one for items in inside for one in items if isinstance(one, dict | list)]
        if not level:
            return
    raise ValueError(f"its values are nested more than {MOST_NESTED} deep")


def check_schema(found: object, known: int, path: Path | str) -> None:
    """Raise `FormatError` where a file is of another schema version than the one that is known, and say what to do."""
    if type(found) is not int or found > known:
        raise FormatError(
            f"{path} has schema version {found!r}; this goldenrule reads version {known}. Update goldenrule "
            "(pip install -U goldenrule) to read it."
        )
    if found < known:
        raise FormatError(
            f"{path} was written by an earlier goldenrule (schema version {found}; this one reads version {known}). "
            "Make it again: give its command with another --out."
        )


def as_type(value: Any, kind: type[T], *, what: str, optional: Collection[str] = (), whole: bool = True) -> T:
    """Return a JSON value as `kind`; raises `FormatError` that begins with `what` and names the field.

    Every field has to be there, also those with a default, but for those marked `IF_OTHERWISE` and the `optional` ones;
    no other may be. Without `whole` the type is of some fields alone, and the others are not looked at.

    >>> as_type([1, 2], tuple[Count, Count], what="the sizes")
    (1, 2)
    >>> as_type([1, -2], tuple[Count, Count], what="the sizes")
    Traceback (most recent call last):
    ...
    goldenrule.core.errors.FormatError: the sizes can't be read: expected `int` >= 0, at `$[1]`.
    """
    try:
        found = msgspec.convert(value, kind, dec_hook=_special)
    except (msgspec.ValidationError, OptionError) as error:
        text = str(error).replace(" - at ", ", at ").removesuffix(".")
        raise FormatError(f"{what} can't be read: {text[:1].lower()}{text[1:]}.") from error
    odd = _odd_field(value, found, "$", optional) if whole else ""
    if odd:
        raise FormatError(f"{what} can't be read: {odd}.")
    return found


def from_json(value: Any, kind: type[T]) -> T:
    """Return the value of this type that `as_json` gave; raises `FormatError` for anything else."""
    read = _READERS.get(kind)
    found: T = read(value) if read else as_type(value, kind, what=f"this {_in_words(kind)}")
    return found


_READERS: dict[type, Callable[[Any], Any]] = {}


def reads(kind: type[T]) -> Callable[[Callable[[Any], T]], Callable[[Any], T]]:
    """Register the decorated function to read a value of this type in `from_json`: its JSON has other fields."""

    def registered(read: Callable[[Any], T]) -> Callable[[Any], T]:
        _READERS[kind] = read
        return read

    return registered


def _in_words(kind: type) -> str:
    """Return what people call a type.

    >>> _in_words(KeyError)
    'key error'
    """
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", kind.__name__).lower()


def _special(kind: Any, value: Any) -> Any:
    """Return a path, which JSON has as a text, or a number, whose null stands for nan or inf."""
    if kind is Path and isinstance(value, str):
        return Path(value)
    if hasattr(kind, "null") and (value is None or type(value) in (int, float)):
        return kind.null if value is None else float(value)
    wanted = "float" if hasattr(kind, "null") else getattr(kind, "__name__", str(kind))
    raise ValueError(f"expected `{wanted}`, got `{type(value).__name__}`")


def _odd_field(given: Any, found: Any, place: str, optional: Collection[str]) -> str:
    """Return what field is unknown, missing or of another kind, and where; "" where none is."""
    pairs: list[tuple[Any, Any, str]] = []
    members = _members(found)
    if isinstance(given, Mapping) and members is not None:
        for name in given.keys() - members.keys():
            return f"unknown field, at `{place}.{name}`"
        for name in members.keys() - given.keys() - set(optional):
            if not _may_be_absent(found, name):
                return f"missing field, at `{place}.{name}`"
        if "kind" in given and isinstance(members["kind"], str) and given["kind"] != members["kind"]:
            return f"expected `{members['kind']}`, at `{place}.kind`"
        pairs = [(value, members[name], f"{place}.{name}") for name, value in given.items()]
    elif isinstance(given, Sequence) and isinstance(found, Sequence) and not isinstance(given, str):
        pairs = [(one, other, f"{place}[...]") for one, other in zip(given, found, strict=False)]
    return next((odd for one in pairs if (odd := _odd_field(*one, optional))), "")
