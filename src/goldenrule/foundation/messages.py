"""`say`: a text by its id, in the language that is spoken.

Code holds ids and values, foundation/languages/LANGUAGE/*.toml the texts. Placeholders are named, so that a
translation may put them in another order.

    [mistakes]
    wrong.one = "{wrong} of {images} was taken for another class."      where `n` is 1
    wrong.other = "{wrong} of {images} were taken for another class."
    surest = "The surest of them:"                                      whatever `n` is

`{n:image}` counts by the noun of that name ("1 image", "1,200 images"), `{parts:and}` joins, `{part:word}` translates a
word that is data elsewhere.
"""

from __future__ import annotations

import string
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from pathlib import Path
from typing import Any

from goldenrule.foundation.errors import OptionError, nearest

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


def say(message: str, **fields: object) -> str:
    """Return the text of an id with its fields filled in. Raises `KeyError` for an id that no catalogue has.

    >>> say("list.of", n=1, total=9), say("noun.image", n=1), say("noun.image", n=1200)
    ('1 of 9', '1 image', '1,200 images')
    """
    return _FORMATTER.vformat(template(message, fields), (), fields)


def template(message: str, fields: Mapping[str, object]) -> str:
    """Return the text of an id with its placeholders unfilled; English where the language has none.

    >>> template("mistakes.wrong", {"n": 1})
    '{wrong} of {images} was taken for another class.'
    """
    for texts in (catalog(language()), catalog("en")):
        for own in (f"{message}.{'one' if fields.get('n') == 1 else 'other'}", message):
            if own in texts:
                return texts[own]
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
        if format_spec == "word":
            return word(value)
        if format_spec and isinstance(value, int) and known(f"noun.{format_spec}"):
            return say(f"noun.{format_spec}", n=value)
        return format(value, format_spec)


_FORMATTER = _Formatter()
