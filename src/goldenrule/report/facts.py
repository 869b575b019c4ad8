"""Names and values of a run (network, options, environment) as text, a group per heading."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from goldenrule.core.messages import say


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """A heading with (name, value) pairs."""

    heading: str
    pairs: tuple[tuple[str, str], ...]


def network_facts(backbone: Mapping[str, Any], engine: str) -> tuple[Facts, ...]:
    """Return the network with its engine, then a group for every mapping inside it."""
    plain = {name: value for name, value in backbone.items() if not isinstance(value, Mapping)}
    nested = {name: value for name, value in backbone.items() if isinstance(value, Mapping)}
    titles = {"source": say("facts.weights"), "preprocessing": say("facts.preprocessing")}
    return (
        facts(say("facts.network"), plain | {"engine": engine}),
        *(facts(titles.get(name, _words(name).capitalize()), value) for name, value in nested.items()),
    )


def facts(heading: str, values: Mapping[str, Any]) -> Facts:
    """Return a group of plain values; what is nested deeper is put on one line."""
    return Facts(heading=heading, pairs=tuple((_words(name), value_text(v)) for name, v in values.items()))


def value_text(value: Any) -> str:
    """Return a JSON value as one would write it.

    >>> value_text(3371024), value_text(None), value_text([0.5, 0.25]), value_text({"size": 224})
    ('3,371,024', 'default', '0.5, 0.25', 'size 224')
    """
    match value:
        case None:
            return "default"
        case bool():
            return "yes" if value else "no"
        case int():
            return f"{value:,}" if value >= 100_000 else str(value)
        case float():
            return f"{value:.6g}"
        case str():
            return value
        case Mapping():
            return ", ".join(f"{_words(name)} {value_text(fact)}" for name, fact in value.items())
        case Sequence():
            return ", ".join(map(value_text, value)) or "none"
        case _:
            return str(value)


def _words(name: str) -> str:
    return str(name).replace("_", " ")
