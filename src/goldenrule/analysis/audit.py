"""What should be known of images before anything is learned from them: facts, and findings with advice."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from goldenrule.analysis.data_size import how_much
from goldenrule.analysis.duplicate_findings import duplicates, near_duplicates, repeated
from goldenrule.core.findings import Finding, Severity, plural
from goldenrule.data.duplicates.likeness import NearDuplicate
from goldenrule.data.pictures.header import Header
from goldenrule.data.pictures.levels import levels_findings, levels_found
from goldenrule.data.scan import FileScan, unreadable_files
from goldenrule.data.sources.left_out import alike_classes, unusable_classes
from goldenrule.data.sources.picture_files import by_name
from goldenrule.data.table import SPLITS, ImageTable, Split

TINY_PX, HUGE_PIXELS, LONG = 32, 25_000_000, 3.0
"""A shorter side below TINY_PX, more pixels than HUGE_PIXELS, a side more than LONG times the other: worth a word."""
FEW, UNEVEN = 10, 10.0
"""Training images of a class that are few; how many times more the largest class has before that is said."""
RARE = 0.02
"""The share of the images that a file format has to stay below to be odd."""
SHORTCUT_GAIN, SHORTCUT_IMAGES = 0.2, 30
"""A property of the file that tells classes apart better than chance by so much, over so many images."""
EXTENSIONS = {
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif", ".pjpeg", ".pjp", ".mpo"),
    "MPO": (".jpg", ".jpeg", ".mpo"),
    "PNG": (".png",),
    "GIF": (".gif",),
    "BMP": (".bmp", ".dib"),
    "TIFF": (".tif", ".tiff"),
    "WEBP": (".webp",),
    "AVIF": (".avif",),
    "PPM": (".ppm", ".pgm", ".pbm", ".pnm"),
    "JPEG2000": (".jp2", ".j2k"),
    "TGA": (".tga",),
    "HEIF": (".heic", ".heif"),
}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Audit:
    """Images that were looked at: the table with digests, what each file is, near duplicates, and all findings."""

    table: ImageTable
    looks: tuple[FileScan, ...]
    pairs: tuple[NearDuplicate, ...]
    findings: tuple[Finding, ...]

    def __repr__(self) -> str:
        severe = Counter(finding.severity for finding in self.findings)
        told = ", ".join(f"{count:,} {kind}{'s' * (count > 1)}" for kind, count in severe.items())
        return f"Audit({len(self.table):,} images, {len(self.table.classes):,} classes; {told or 'no findings'})"

    def facts(self) -> dict[str, Any]:
        """Return counts, formats, modes and sizes as JSON."""
        headers = [scan.header for scan in self.looks if scan.header is not None]
        return {
            "images": len(self.table),
            "readable": sum(scan.problem is None for scan in self.looks),
            "bytes": sum(scan.size for scan in self.looks),
            "classes": len(self.table.classes),
            "counts": self.table.counts(),
            "formats": dict(Counter(header.format for header in headers).most_common()),
            "modes": dict(Counter(header.mode for header in headers).most_common()),
            "width": quartiles([header.width for header in headers]),
            "height": quartiles([header.height for header in headers]),
            "sizes": len({(header.width, header.height) for header in headers}),
        }


def audit(table: ImageTable, looks: Sequence[FileScan], pairs: Sequence[NearDuplicate]) -> Audit:
    """Evaluate images by what one look at each has shown; `pairs` are the near duplicates among them."""
    images = table.with_digests([one.digest for one in looks])
    readable = images.where(np.array([one.problem is None for one in looks], dtype=bool))
    findings = [
        *table.findings,
        *unreadable_files(images, looks),
        *unusable_classes(images, [one.problem is None for one in looks]),
        *duplicates(readable),
        *near_duplicates(images, pairs),
        *_flat(images, looks),
        *repeated(readable),
        *at_a_glance(images, looks, numberings=True),
        *levels_findings(images, looks, levels_found(images, looks), asked=False),
        *how_much(readable),
    ]
    order = {"error": 0, "warning": 1, "note": 2}
    findings.sort(key=lambda finding: order[finding.severity])
    return Audit(table=images, looks=tuple(looks), pairs=tuple(pairs), findings=tuple(findings))


def at_a_glance(table: ImageTable, looks: Sequence[FileScan], *, numberings: bool = False) -> Iterator[Finding]:
    """Return what names, labels and headers tell without decoding a picture: what every fit begins with.

    With `numberings` also where names count on from one split into another; a fit asks the images themselves.
    """
    readable = [
        (uri, scan.header) for uri, scan in zip(table.uris, looks, strict=True) if scan.header and not scan.problem
    ]
    if numberings:
        yield from _series_in_two_splits(table)
    yield from alike_classes(table)
    yield from _shortcuts(table, looks)
    yield from _sizes_of_classes(table.where(np.array([not scan.problem for scan in looks], dtype=bool)))
    yield from _rare_formats(readable)
    yield from _odd_files(readable)


def quartiles(values: Sequence[int]) -> list[int]:
    """Return smallest, quartiles and largest of some numbers.

    >>> quartiles([1, 2, 3, 4, 100])
    [1, 2, 3, 4, 100]
    """
    return [round(float(value)) for value in np.quantile(values, [0, 0.25, 0.5, 0.75, 1])] if values else []


def _odd_files(readable: Sequence[tuple[str, Header]]) -> Iterator[Finding]:
    """Return a finding for every kind of file that is read otherwise than its bare pixels say, or is of odd size."""
    kinds: tuple[tuple[Severity, str, Callable[[str, Header], bool], float], ...] = (
        ("note", "wrong-extension", _is_misnamed, 0),
        ("note", "turned", lambda _, header: header.orientation != 1, 0),
        ("note", "16-bit", lambda _, header: header.is_deep, 0),
        ("note", "alpha", lambda _, header: header.alpha, 0),
        ("note", "bands", lambda _, header: header.left_out > 0, 0),
        ("note", "cmyk", lambda _, header: header.mode == "CMYK", 0),
        ("note", "profile", lambda _, header: header.recoloured, 0),
        ("note", "animated", lambda _, header: header.animated, 0),
        ("warning", "tiny", _is_tiny, TINY_PX),
        ("note", "huge", _is_huge, HUGE_PIXELS // 10**6),
        ("note", "long", _is_long, LONG),
    )
    for severity, code, has, limit in kinds:
        found = [(uri, header) for uri, header in readable if has(uri, header)]
        if found:
            yield Finding(
                severity=severity,
                code=code,
                fields={"n": len(found), **({"limit": limit} if limit else {})},
                evidence=tuple(f"{uri}: {_described(header)}" for uri, header in found),
                images=tuple((uri,) for uri, _ in found),
            )


def _flat(table: ImageTable, looks: Sequence[FileScan]) -> Iterator[Finding]:
    found = [uri for uri, scan in zip(table.uris, looks, strict=True) if scan.problem is None and scan.likeness is None]
    if found:
        yield Finding(
            severity="warning",
            code="flat",
            fields={"n": len(found)},
            evidence=tuple(found),
            images=tuple((uri,) for uri in found),
        )


def _rare_formats(readable: Sequence[tuple[str, Header]]) -> Iterator[Finding]:
    """Return a finding for the few files of another format than nearly all: a placeholder, or from somewhere else."""
    counts = Counter(header.format for _, header in readable)
    rare = {name for name, count in counts.items() if count < RARE * len(readable)}
    found = [(uri, header) for uri, header in readable if header.format in rare]
    if found and len(counts) - len(rare) == 1:
        (usual,) = counts.keys() - rare
        yield Finding(
            severity="warning",
            code="rare-format",
            fields={"n": len(found), "images": len(readable), "format": usual},
            evidence=tuple(f"{uri}: {_described(header)}" for uri, header in found),
            images=tuple((uri,) for uri, _ in found),
        )


def _described(header: Header) -> str:
    more = f" and {plural(header.left_out, 'band')}" if header.left_out else ""
    mode = header.mode.removesuffix("A") if header.left_out else header.mode
    return f"{header.format}, {mode}{more}, {header.width} x {header.height}"


def _is_misnamed(uri: str, header: Header) -> bool:
    suffix = PurePosixPath(uri).suffix.lower()
    untold = by_name(PurePosixPath(uri).name) in ("variant", "unknown")  # named as taken by content
    return header.format in EXTENSIONS and bool(suffix) and not untold and suffix not in EXTENSIONS[header.format]


def _is_tiny(_: str, header: Header) -> bool:
    return min(header.width, header.height) < TINY_PX


def _is_huge(_: str, header: Header) -> bool:
    return header.width * header.height > HUGE_PIXELS


def _is_long(_: str, header: Header) -> bool:
    return max(header.width, header.height) > LONG * min(header.width, header.height)


def _sizes_of_classes(table: ImageTable) -> Iterator[Finding]:
    counts = table.counts()
    split = "train" if "train" in counts else "all"
    in_split = {name: count for name, count in counts.get(split, {}).items() if name and count}
    few = {name: count for name, count in in_split.items() if count < FEW}
    if few:
        yield Finding(
            severity="warning",
            code="few-images",
            fields={"n": len(few), "few": FEW},
            evidence=tuple(f"{name}: {count}" for name, count in sorted(few.items(), key=lambda item: item[1])),
        )
    if in_split and max(in_split.values()) > UNEVEN * min(in_split.values()):
        large, small = max(in_split, key=in_split.__getitem__), min(in_split, key=in_split.__getitem__)
        yield Finding(
            severity="warning",
            code="imbalance",
            fields={"large": large, "small": small, "times": in_split[large] / in_split[small]},
            evidence=(f"{large}: {in_split[large]:,}", f"{small}: {in_split[small]:,}"),
        )


_NUMBERED = re.compile(r"^(.*?)(\d+)$")


def _series_in_two_splits(table: ImageTable) -> Iterator[Finding]:
    """Return a finding where names of one class count on from one split into another: frames of one film, likely.

    Names of the same beginning in two splits whose numbers are all different, and interleaved: one series that was
    dealt out image by image. Numbers that repeat in both splits speak for two series.
    """
    numbers: dict[tuple[int, str], dict[Split, set[int]]] = defaultdict(lambda: defaultdict(set))
    for uri, split, labels in zip(table.uris, table.splits, table.rows["labels"].to_pylist(), strict=True):
        match = _NUMBERED.match(PurePosixPath(uri).stem)
        if split is not None and len(labels) == 1 and match and len(match[2]) < 12:
            numbers[labels[0], match[1]][split].add(int(match[2]))
    found = []
    plain = len({name for _, name in numbers}) <= len({label for label, _ in numbers})  # one numbering per class
    for (label, name), splits in sorted(numbers.items()):
        train = splits.get("train", set())
        for split in SPLITS[1:]:
            numbers_there = splits.get(split, set())
            if (
                min(len(numbers_there), len(train)) >= 3
                and not numbers_there & train
                and any(min(train) < n < max(train) for n in numbers_there)
            ):
                close = sum(bool({n - 1, n + 1} & train) for n in numbers_there)
                if close >= len(numbers_there) / 2:
                    found.append(f"{table.classes[label]}: {name}{min(train)}... in train and {split}")
    if found:
        yield Finding(
            severity="note" if plain else "warning",
            code="series-in-two-splits",
            fields={"n": len(found)},
            evidence=tuple(found),
        )


def _shortcuts(table: ImageTable, looks: Sequence[FileScan]) -> Iterator[Finding]:
    """Return a finding for each property of the file alone by which the class can be told better than by chance.

    The class is guessed as the commonest one among the other images of the same format (size, mode); that this is
    right much more often than the commonest class of all is no accident over many images.
    """
    labels = table.rows["labels"].to_pylist()
    rows = [
        (scan.header, label[0]) for scan, label in zip(looks, labels, strict=True) if scan.header and len(label) == 1
    ]
    if len(rows) < SHORTCUT_IMAGES:
        return
    base = Counter(label for _, label in rows).most_common(1)[0][1] / len(rows)
    properties: Mapping[str, Callable[[Header], object]] = {
        "file format": lambda header: header.format,
        "colour mode": lambda header: header.mode,
        "size": lambda header: (header.width, header.height),
    }
    for name, of in properties.items():
        groups: dict[object, Counter[str]] = defaultdict(Counter)
        for header, label in rows:
            groups[of(header)][table.classes[label]] += 1
        right = sum(map(_told, groups.values()))
        if right / len(rows) - base >= SHORTCUT_GAIN:
            yield Finding(
                severity="warning",
                code="shortcut",
                fields={"property": name, "right": 100 * right / len(rows), "base": 100 * base},
                evidence=_telling(groups),
            )


def _told(counts: Counter[str]) -> int:
    """Count the images of one value whose class is the commonest among the others of that value, without a tie.

    >>> _told(Counter(cat=9, dog=2)), _told(Counter(cat=3, dog=2)), _told(Counter(cat=1))
    (9, 0, 0)
    """
    (_, first), (_, second) = (*counts.most_common(2), ("", 0))[:2]
    return first if first - 1 > second else 0


def _telling(groups: Mapping[object, Counter[str]]) -> tuple[str, ...]:
    """Name the commonest values with their commonest class: "320 x 240: horse 98 of 100"."""
    lines = []
    for value, counts in sorted(groups.items(), key=lambda item: -item[1].total())[:8]:
        name, count = counts.most_common(1)[0]
        shown = " x ".join(map(str, value)) if isinstance(value, tuple) else str(value)
        lines.append(f"{shown}: {name} {count:,} of {counts.total():,}")
    return tuple(lines)
