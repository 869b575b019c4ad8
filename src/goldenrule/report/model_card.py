"""The model card of a run: what its classifier is for, how good it is, and what is known against it, as Markdown.

Its fields are those of Mitchell et al. (2019), "Model Cards for Model Reporting"; its front matter is what model hubs
read.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from goldenrule.core.messages import count, say, word
from goldenrule.core.visible import visible
from goldenrule.metrics import render
from goldenrule.report import sentences, tables
from goldenrule.report.content import Project, ReportContent
from goldenrule.report.facts import facts, network_facts
from goldenrule.storage.files import digest, write_atomic

CARD = "MODEL_CARD.md"
MOST_CLASSES, MOST_FINDINGS = 30, 20
_SPECIAL = re.compile(r"([\\`*_\[\]<>#|~&])")
_SEAL = re.compile(r"\n<!-- written by goldenrule, which leaves it alone once it was changed: ([0-9a-f]{16}) -->\n$")
_FRONT = """---
library_name: goldenrule
pipeline_tag: image-classification
tags:
- image-classification
- goldenrule
---
"""


def model_card(content: ReportContent, project: Project | None = None) -> str:
    """Return the card; equal content gives an equal card, in the language that is spoken."""
    project = project or Project()
    parts = (_about(content, project), _quality(content), _classes(content), _limits(content), _made(content))
    lines = [line for part in parts for line in part]
    card = _FRONT + "\n".join(lines) + "\n"
    return sealed(card.encode("utf-8", "backslashreplace").decode("utf-8"))


def write_card(path: Path, card: str) -> bool:
    """Write a card where there is none, or one that nobody has changed; return whether it is there now."""
    try:
        there = path.read_bytes().decode("utf-8", "replace") if path.exists() else None
    except OSError:
        return False
    if there is not None and not is_untouched(there):
        return False
    if there != card:
        write_atomic(path, card)
    return True


def sealed(card: str) -> str:
    """Return a card with a last line by which a change of it is seen.

    >>> is_untouched(sealed("a card")), is_untouched(sealed("a card").replace("a", "my")), is_untouched("my own")
    (True, False, False)
    """
    return f"{card}\n<!-- written by goldenrule, which leaves it alone once it was changed: {_digest(card)} -->\n"


def is_untouched(card: str) -> bool:
    """Return whether a card is as goldenrule wrote it."""
    found = _SEAL.search(card)
    return found is not None and found[1] == _digest(card[: found.start()])


def _digest(card: str) -> str:
    return digest(card.encode()).hex()[:16]


def _about(content: ReportContent, project: Project) -> Iterator[str]:
    head = sentences.headline(content.headline, content.headline_split)
    names = content.predictions.classes
    listed = say("list.comma").join(plain(name) for name in names[:MOST_CLASSES])
    more = f" {say('list.and-more', n=f'{len(names) - MOST_CLASSES:,}')}" if len(names) > MOST_CLASSES else ""
    yield f"# {plain(project.title or content.title)}\n"
    yield f"{sentences.ended(head.lead or head.sentence)} {head.basis}".strip() + "\n"
    yield f"## {say('card.use')}\n"
    yield (
        f"{plain(project.goal)}\n" if project.goal else say("card.classify", classes=count(len(names), "class")) + "\n"
    )
    yield f"{say('label.classes').capitalize()}: {listed}{more}\n"
    if project.team:
        yield f"{say('project.team').capitalize()}: {plain(project.team)}\n"


def _quality(content: ReportContent) -> Iterator[str]:
    yield f"## {say('section.scores')}\n"
    table = tables.split_scores(content.estimates, content.headline_split, content.bases)
    metrics = [word(metric) for metric in table.metrics]
    yield from table_lines(
        [say("label.split"), *metrics, say("label.these-images")],
        [
            [word(row.name), *(render(one) if one else "–" for one in row.estimates), plain(row.note)]
            for row in table.rows
        ],
    )
    yield f"{say('scores.interval')}\n"
    said = [content.calibration, content.sets, content.ood]
    yield from (f"- {sentences.ended(plain(one))}" for one in said if one)
    if any(said):
        yield ""
    if baseline := sentences.baseline_sentence(content.predictions):
        yield f"{plain(baseline)}\n"


def _classes(content: ReportContent) -> Iterator[str]:
    data = tables.data_table(content.counts, content.images)
    yield f"## {say('section.data')}\n"
    yield f"{plain(data.sentence)}\n"
    scores = tables.weakest_first(content.predictions)
    yield f"## {say('section.classes')}\n"
    yield from table_lines(
        [say("label.class"), say("word.recall"), say("word.precision")],
        [[plain(one.name), render(one.recall), render(one.precision)] for one in scores[:MOST_CLASSES]],
    )
    if len(scores) > MOST_CLASSES:
        yield f"{say('list.and-more', n=f'{len(scores) - MOST_CLASSES:,}')}\n"


def _limits(content: ReportContent) -> Iterator[str]:
    yield f"## {say('card.limits')}\n"
    yield f"{say('card.like-these')}\n"
    warned = [finding for finding in content.findings if finding.severity != "note"]
    for finding in warned[:MOST_FINDINGS]:
        advice = f" {plain(finding.advice)}" if finding.advice else ""
        yield f"- {word(finding.severity)}: {sentences.ended(plain(finding.sentence))}{advice}"
    if len(warned) > MOST_FINDINGS:
        yield f"- {say('list.and-more', n=f'{len(warned) - MOST_FINDINGS:,}')}"
    yield "" if warned else f"{say('findings.no-warning')}\n"


def _made(content: ReportContent) -> Iterator[str]:
    yield f"## {say('section.network')}\n"
    groups = [
        *network_facts(content.backbone, content.engine),
        facts(say("facts.options"), content.options),
        facts(say("facts.environment"), content.environment),
    ]
    for group in groups:
        yield f"### {plain(group.heading)}\n"
        yield from (f"- {plain(name)}: {plain(value)}" for name, value in group.pairs)
        yield ""
    if content.next_steps:
        yield f"## {say('caption.commands')}\n"
        yield from ("```console", *(visible(step).replace("`", "") for step in content.next_steps), "```")


def table_lines(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """Return the lines of a Markdown table, and the empty one behind it."""
    yield f"| {' | '.join(head)} |"
    yield f"|{'---|' * len(head)}"
    yield from (f"| {' | '.join(row)} |" for row in rows)
    yield ""


def plain(text: str) -> str:
    r"""Return a text that Markdown shows as it is, on one line.

    >>> plain("a_b <b>|"), plain("two\nlines")
    ('a\\_b \\<b\\>\\|', 'two lines')
    """
    return _SPECIAL.sub(r"\\\1", visible(" ".join(text.split())))
