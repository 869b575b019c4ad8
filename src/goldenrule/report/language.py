"""`say`: a fixed sentence of the report in the language that is spoken.

English stands in the code and in the templates; report/languages/LANGUAGE.toml holds the others, by the English
sentence. Placeholders are named, so that a translation may put them in another order.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from pathlib import Path

from goldenrule.core.errors import OptionError, nearest

LANGUAGES = {"en": "en", "ja": "ja", "zh": "zh-Hans"}
"""The languages of a report, with their names in HTML (BCP 47)."""
CATALOGS = Path(__file__).parent / "languages"

WORDS = (
    *("train", "valid", "test", "out-of-fold", "all"),
    *("validation", "held-out"),
    *("clean", "chosen on", "error", "warning", "note"),
    *("accuracy", "balanced accuracy", "log loss", "precision", "recall", "average precision", "calibration error"),
    *("read", "backbone", "precompute", "precompute views", "solve", "solve with views", "judge", "report"),
    *("train the head", "train the late layers", "train the whole network", "test-time augmentation"),
    *("from zero", "transfer learning", "fine tuning", "trained from zero", "trained head", "fine-tuned network"),
    *(
        "near duplicates",
        "choose backbone",
        "solved head",
        "concat-pool head",
        "gap-1024 head",
        "flatten-64 head",
        "before",
        "after",
    ),
)
"""Words that templates get as values: names of parts, metrics, stages and candidates, severities."""
NOUNS = {
    "image": "{n} images",
    "test image": "{n} test images",
    "validation image": "{n} validation images",
    "held-out image": "{n} held-out images",
    "class": "{n} classes",
    "activation": "{n} activations",
    "error": "{n} errors",
    "warning": "{n} warnings",
}
"""What is counted, with the sentence by which catalogs know it; their languages have no plural."""

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
    """Give the language that is spoken: "en", if nobody said another."""
    return _language.get()


def say(sentence: str, **values: object) -> str:
    """Give a sentence with its values in the language that is spoken; in English where there is no translation.

    >>> say("{n} of {total}", n=1, total=9)
    '1 of 9'
    """
    return translated(sentence).format(**values)


def translated(sentence: str) -> str:
    """Give a sentence, or a word that is data elsewhere, in the language that is spoken, placeholders unfilled."""
    return catalog(language()).get(sentence, sentence)


@cache
def catalog(language: str) -> Mapping[str, str]:
    """Give the translations into a language, by the English sentence; none into English."""
    if language == "en":
        return {}
    return {
        str(own): str(other) for own, other in tomllib.loads((CATALOGS / f"{language}.toml").read_text("utf-8")).items()
    }
