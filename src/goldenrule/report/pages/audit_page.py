"""`audit_page`: what was found in a set of images, as one HTML file that loads nothing from anywhere."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from goldenrule.analysis.audit import Audit
from goldenrule.core.findings import Finding
from goldenrule.core.messages import count
from goldenrule.core.randomness import key
from goldenrule.report import tables
from goldenrule.report.facts import facts
from goldenrule.report.pages.run_page import MOST_EVIDENCE, environment, printable
from goldenrule.report.thumbnails import Thumbnail, thumbnail_of
from goldenrule.storage.files import in_shell

SHEET_CLASSES, SHEET_IMAGES = 60, 6
"""So many classes have a row of so many pictures in the sample sheet."""
MOST_SHOWN = 6
"""So many pieces of a finding's evidence are shown as pictures."""
SIDE_PX = 112


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A finding with pictures of its first pieces of evidence: for each its files and their thumbnails."""

    finding: Finding
    pictures: tuple[tuple[tuple[str, Thumbnail], ...], ...]


def render_audit(audit: Audit, title: str, created: str) -> str:
    """Return the whole page. Equal images give an equal page but for `created`."""
    readable = {uri for uri, scan in zip(audit.table.uris, audit.looks, strict=True) if scan.problem is None}

    def image(uri: str) -> bytes | None:
        return audit.table.read(uri) if uri in readable else None

    shown = [Shown(finding=finding, pictures=tuple(_pictures(finding, readable, image))) for finding in audit.findings]
    found = audit.facts()
    page = (
        environment()
        .get_template("audit.html")
        .render(
            title=title,
            created=created,
            head=_headline(audit),
            data=tables.data_table(found["counts"]),
            several=any(len(labels) > 1 for labels in audit.table.rows["labels"].to_pylist()),
            sheet=list(_sheet(audit, image)),
            classes=len(audit.table.classes),
            shown=shown,
            facts=facts("Files", _file_facts(found)),
            sizes=side_bins([min(one.header.width, one.header.height) for one in audit.looks if one.header]),
            next_steps=_next_steps(audit),
            most_evidence=MOST_EVIDENCE,
        )
    )
    return printable(page)


def _headline(audit: Audit) -> str:
    counts = {severity: sum(one.severity == severity for one in audit.findings) for severity in ("error", "warning")}
    said = " and ".join(count(n, severity) for severity, n in counts.items() if n)
    return f"{count(len(audit.table), 'image')}, {said or 'nothing to warn of'}"


def _file_facts(found: dict[str, object]) -> dict[str, object]:
    width, height = found["width"], found["height"]
    assert isinstance(width, list)
    assert isinstance(height, list)
    return {
        "images": found["images"],
        "readable": found["readable"],
        "megabytes": f"{float(str(found['bytes'])) / 1e6:,.1f}",
        "formats": found["formats"],
        "modes": found["modes"],
        "different sizes": found["sizes"],
        "width, px (smallest, quartiles, largest)": width,
        "height, px": height,
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class SideBin:
    """How many images have a shorter side of so many px; `share` is in percent of the fullest bin."""

    name: str
    count: int
    share: float


def side_bins(sides: Sequence[int]) -> list[SideBin]:
    """Return a histogram of sides in px, each bin twice as wide as the one before.

    >>> [(one.name, one.count) for one in side_bins([40, 60, 300])]
    [('32–63', 2), ('64–127', 0), ('128–255', 0), ('256–511', 1)]
    """
    powers = Counter(max(side, 1).bit_length() - 1 for side in sides)
    if not powers:
        return []
    fullest = max(powers.values())
    return [
        SideBin(
            name=f"{1 << power:,}–{(2 << power) - 1:,}",
            count=powers[power],
            share=round(100 * powers[power] / fullest, 1),
        )
        for power in range(min(powers), max(powers) + 1)
    ]


def _next_steps(audit: Audit) -> list[str]:
    """Return what to do: see to errors and warnings first, then fit."""
    folder = in_shell(audit.table.root.name or "PHOTOS")
    advised = [
        finding.advice
        for severity in ("error", "warning")
        for finding in audit.findings
        if finding.severity == severity and finding.advice
    ]
    fits = [f"goldenrule fit {folder} --quick", f"goldenrule fit {folder}"]
    if set(audit.table.splits) == {None}:
        fits = [f"goldenrule split {folder} {in_shell(f'{audit.table.name}-split')}", *fits]
    return [*dict.fromkeys(advised)][:MOST_SHOWN] + fits


def _sheet(
    audit: Audit, image: Callable[[str], bytes | None]
) -> Iterator[tuple[str, int, list[tuple[str, Thumbnail]]]]:
    """Return a row per class: its name, how many images it has, and some of them, drawn by the hash of their names."""
    members: dict[int, list[str]] = defaultdict(list)
    labels = audit.table.rows["labels"].to_pylist()
    for uri, indices, look in zip(audit.table.uris, labels, audit.looks, strict=True):
        for label in indices if look.problem is None else ():
            members[label].append(uri)
    for label in sorted(members)[:SHEET_CLASSES]:
        drawn = sorted(members[label], key=lambda uri: key(0, "sheet", uri))[:SHEET_IMAGES]
        thumbnails = [(uri, thumbnail_of(image, uri, side=SIDE_PX)) for uri in drawn]
        yield (
            audit.table.classes[label],
            len(members[label]),
            [(uri, thumbnail) for uri, thumbnail in thumbnails if thumbnail],
        )


def _pictures(
    finding: Finding, readable: set[str], image: Callable[[str], bytes | None]
) -> Iterator[tuple[tuple[str, Thumbnail], ...]]:
    for piece in (finding.images or tuple((line,) for line in finding.evidence))[:MOST_SHOWN]:
        uris = [uri for uri in piece if uri in readable][:4]
        found = tuple(
            (uri, thumbnail) for uri in uris if (thumbnail := thumbnail_of(image, uri, side=SIDE_PX)) is not None
        )
        if found:
            yield found
