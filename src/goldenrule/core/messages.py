"""`say`: a text by its id, in the language that is spoken.

Code holds ids and values, core/languages/LANGUAGE/*.toml the texts. Placeholders are named, so that a
translation may put them in another order.

    [mistakes]
    wrong.one = "{wrong} of {images} was misclassified."      where `n` is 1
    wrong.other = "{wrong} of {images} were misclassified."
    most confident = "The most confident of them:"                                      whatever `n` is

`{n:image}` counts by the noun of that name ("1 image", "1,200 images"), `{names:and}` joins several. `{split:word}`
says the text of that kind for a value, here "word.valid" for "valid"; values without one stay as they are.
"""

from __future__ import annotations

import string
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

from goldenrule.core.errors import FormatError, OptionError, nearest
from goldenrule.core.schema import reads

LANGUAGES = {"en": "en", "ja": "ja", "zh": "zh-Hans"}
"""The languages of a report, with their names in HTML (BCP 47)."""
CATALOGS = Path(__file__).parent / "languages"

_language: ContextVar[str] = ContextVar("language", default="en")


@contextmanager
def spoken(language: str) -> Iterator[None]:
    """Speak a language inside the block. Raises `OptionError` where there is none of that name."""
    if language not in LANGUAGES:
        guess = nearest(language, list(LANGUAGES), most=1)
        meant = f" Did you mean {guess[0]}?" if guess else ""
        raise OptionError(f"there is no report in {language!r}; wanted one of {', '.join(LANGUAGES)}.{meant}")
    token = _language.set(language)
    try:
        yield
    finally:
        _language.reset(token)


def language() -> str:
    """Return the language that is spoken: "en", if nobody said another."""
    return _language.get()


def say(message: str, /, **fields: object) -> str:
    """Return the text of an id with its fields filled in. Raises `KeyError` for an id that no catalogue has.

    >>> say("list.of", n=1, total=9), say("noun.image", n=1), say("noun.image", n=1200)
    ('1 of 9', '1 image', '1,200 images')
    """
    return _FORMATTER.vformat(template(message, fields), (), fields)


@dataclass(frozen=True, slots=True)
class Message:
    """A text that is not yet said: its id and its fields, plain values. `str` says it in the language that is spoken.

    >>> print(Message("list.of", {"n": 1, "total": 9}))
    1 of 9
    """

    id: str
    fields: Mapping[str, Field] = field(default_factory=dict, hash=False)

    def __str__(self) -> str:
        return say(self.id, **self.fields)


Field: TypeAlias = "str | int | float | Message | tuple[Field, ...]"
"""What a text may be filled in with."""


@reads(Message)
def message_of(value: Any) -> Message:
    """Return the message that stands in JSON. Raises `FormatError` for anything else, and where it can't be said."""
    found = field_of(value)
    if not isinstance(found, Message):
        raise FormatError(f"No message: {value!r}.")
    try:
        str(found)
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise FormatError(f"The message {found.id!r} lacks what its text asks for ({error}).") from error
    return found


def field_of(value: Any) -> Field:
    """Return the field of a text that stands in JSON. Raises `FormatError` for anything else.

    >>> field_of(["a", {"id": "list.and", "fields": {}}])
    ('a', Message(id='list.and', fields={}))
    """
    match value:
        case {"id": str(message), "fields": dict(fields)}:
            return Message(message, {name: field_of(field) for name, field in fields.items()})
        case list():
            return tuple(map(field_of, value))
        case str() | int() | float():
            return value
    raise FormatError(f"No field of a text: {value!r}.")


def template(message: str, fields: Mapping[str, object]) -> str:
    """Return the text of an id with its placeholders unfilled; English where the language has none.

    >>> template("mistakes.wrong", {"n": 1})
    '{wrong} of {images} was misclassified.'
    """
    for texts in (catalog(language()), catalog("en")):
        for name in (f"{message}.{'one' if fields.get('n') == 1 else 'other'}", message):
            if name in texts:
                return texts[name]
    raise KeyError(message)


def known(message: str) -> bool:
    """Return whether there is a text of this id.

    >>> known("noun.image"), known("noun.unicorn")
    (True, False)
    """
    return message in catalog("en") or f"{message}.other" in catalog("en")


def word(value: str) -> str:
    """Return the word for a value that is data elsewhere, such as the name of a split or metric; others as they are.

    >>> word("valid"), word("resnet18")
    ('valid', 'resnet18')
    """
    return say(f"word.{value}") if known(f"word.{value}") else value


def count(n: int, noun: str) -> str:
    """Return a number and its noun. A noun without a text is English, and gets an s.

    >>> count(2, "class"), count(1, "image"), count(2, "trial")
    ('2 classes', '1 image', '2 trials')
    """
    if known(f"noun.{noun}"):
        return say(f"noun.{noun}", n=n)
    plural = noun + ("es" if noun.endswith("s") else "s")
    return f"{n:,} {noun if n == 1 else plural}"


@cache
def catalog(language: str) -> Mapping[str, str]:
    """Return the texts of a language by their ids, those of `one` and of `other` things each under its own."""
    paths = sorted((CATALOGS / language).glob("*.toml"))
    return dict(one for path in paths for one in _flat(tomllib.loads(path.read_text("utf-8"))))


def _flat(tables: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, str]]:
    for name, value in tables.items():
        if isinstance(value, str):
            yield f"{before}{name}", value
        else:
            yield from _flat(value, f"{before}{name}.")


class _Formatter(string.Formatter):
    """Fills in fields as `str.format` does, and counts, joins and words by the specifications of this module."""

    def format_field(self, value: Any, format_spec: str) -> str:
        if isinstance(value, tuple | list):
            return say(f"list.{format_spec or 'comma'}").join(map(str, value))
        if isinstance(value, str):
            return say(f"{format_spec}.{value}") if known(f"{format_spec}.{value}") else str(value)
        if isinstance(value, int) and known(f"noun.{format_spec}"):
            return say(f"noun.{format_spec}", n=value)
        return format(value, format_spec)


_FORMATTER = _Formatter()
