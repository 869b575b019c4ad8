"""Which values of pictures of more than 8 bits are black and white: found over a whole set, or given.

A set in whose pictures no value needs more than 8, 10, 12 or 14 bits comes from such a sensor, and is scaled by that
without being asked. Other ranges (temperatures, depth, a few hot pixels) can't be told from dark pictures by their
values alone: they are named, with the option to give. See decision 37.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from goldenrule.core.errors import OptionError
from goldenrule.core.findings import Finding
from goldenrule.core.progress import Progress
from goldenrule.data.pictures.deep_pixels import FULL, Levels, Used, check_levels, levels_text
from goldenrule.data.pictures.unread import unreadable
from goldenrule.data.scan import FileScan, closed_files, glance, looked
from goldenrule.data.table import ImageTable

SENSORS = (8, 10, 12, 14)
"""Bits that sensors have, and the values that are stored of them in 16."""
FEWEST_FILES = 4
"""So few files prove no sensor: they may be dark."""
NARROW = 1 / 16
"""A range of so small a share of the levels leaves 16 of 256."""
MIXED = 0.1
"""The share of pictures of a narrow range beside others from which they are worth a word."""
_RANGE = re.compile(r"(-?[0-9.]+(?:e[-+]?[0-9]+)?)\.\.(-?[0-9.]+(?:e[-+]?[0-9]+)?)", re.IGNORECASE)


def levels_named(text: str) -> Levels | None:
    """Return the levels of "LOW..HIGH"; None for "full": all bits of each file.

    >>> levels_named("0..4095"), levels_named("full"), levels_named("-1024..3071")
    ((0.0, 4095.0), None, (-1024.0, 3071.0))
    """
    if text == FULL:
        return None
    try:
        match = _RANGE.fullmatch(text.strip())
        levels = (float(match[1]), float(match[2])) if match else None
    except ValueError:
        levels = None
    if levels is None:
        raise OptionError(f"--levels {text}: wanted the values of black and white, such as 0..4095, or {FULL}.")
    check_levels(levels)
    return levels


def levels_found(table: ImageTable, looks: Sequence[FileScan]) -> Levels | None:
    """Return the levels that pictures of more than 8 bits prove: those of train where splits are given, else all."""
    used = _used(table, looks, taught=True)
    return _sensor([values for _, values in used])


def glanced(table: ImageTable, *, progress: Progress | None = None) -> tuple[ImageTable, Levels | None, list[Finding]]:
    """Return the table with digests, as `with_digests` does, with the levels that were found and what is said of them.

    For whoever works by hand: a fit glances at its images itself.
    """
    looks = looked(table, by=glance, progress=progress)
    closed = closed_files(table, looks)
    table = table.with_digests([scan.digest for scan in looks])
    levels = levels_found(table, looks)
    said = levels_findings(table, looks, levels, asked=False)
    return table.with_findings(*([unreadable(closed)] if closed else []), *said), levels, said


def levels_findings(
    table: ImageTable, looks: Sequence[FileScan], levels: Levels | None, *, asked: bool
) -> list[Finding]:
    """Return what should be known of pictures of more than 8 bits that are seen with these levels.

    `asked` says that a user gave them.
    """
    used = _used(table, looks, taught=False)
    if not used:
        return []
    found = [] if asked else [*_scaled(_used(table, looks, taught=True), levels), *_unscaled(used, levels)]
    if levels is not None:
        found += _beyond(used, levels)
    return found


def _used(table: ImageTable, looks: Sequence[FileScan], *, taught: bool) -> list[tuple[str, Used]]:
    every = zip(table.uris, table.splits, looks, strict=True)
    given = taught and "train" in table.splits
    return [(uri, scan.used) for uri, split, scan in every if scan.used is not None and (not given or split == "train")]


def _sensor(used: Sequence[Used]) -> Levels | None:
    if len(used) < FEWEST_FILES or any(values.low < 0 for values in used):
        return None
    highest = max(values.high for values in used)
    if all(values.floating for values in used):
        return (0.0, 1.0) if 0 < highest <= 1 else None
    if any(values.floating for values in used):
        return None
    stored = max(values.bits for values in used)
    return next(((0.0, 2.0**bits - 1) for bits in SENSORS if bits < stored and highest < 2**bits), None)


def _scaled(used: Sequence[tuple[str, Used]], levels: Levels | None) -> list[Finding]:
    """Return the finding that a range was found, and what is done with it."""
    if levels is None:
        return []
    low, high = min(values.low for _, values in used), max(values.high for _, values in used)
    return [
        Finding(
            severity="warning",
            code="levels",
            fields={
                "n": len(used),
                "low": low,
                "high": high,
                "black": levels[0],
                "white": levels[1],
                "levels": levels_text(levels),
                "full": FULL,
            },
            evidence=tuple(f"{uri}: {values}" for uri, values in used),
            images=tuple((uri,) for uri, _ in used),
        )
    ]


def _unscaled(used: Sequence[tuple[str, Used]], levels: Levels | None) -> list[Finding]:
    """Return a finding where much of the range is unused, or can't be scaled, and nothing proves what is meant."""
    low, high = min(values.usual_low for _, values in used), max(values.usual_high for _, values in used)
    unclear = [(uri, values) for uri, values in used if values.floating or values.low < 0 or values.high > 65535]
    if unclear and levels is None:
        least, most = min(values.low for _, values in unclear), max(values.high for _, values in unclear)
        variant = "floating" if unclear[0][1].floating else "beyond-16-bits"
        return [_wanted(variant, {"low": least, "high": most}, unclear, (least, most))]
    full = float(2 ** max(min(values.bits, 16) for _, values in used) - 1) if levels is None else levels[1]
    hot = max(values.high for _, values in used) > 4 * high and high < full / 4
    if high - low < NARROW * full or hot:
        start = 0.0 if low < NARROW * full else low
        fields = {"low": low, "high": high, "full": full}
        return [_wanted("but-few-pixels" if hot else "", fields, used, (start, high))]
    narrow = [(uri, values) for uri, values in used if values.usual_high - values.usual_low < NARROW * full]
    if levels is not None or len(narrow) < max(2, MIXED * len(used)):
        return []
    return [
        Finding(
            severity="warning",
            code="levels-mixed",
            fields={"narrow": len(narrow), "n": len(used)},
            evidence=tuple(f"{uri}: {values}" for uri, values in narrow),
            images=tuple((uri,) for uri, _ in narrow),
        )
    ]


def _wanted(variant: str, fields: Mapping[str, float], used: Sequence[tuple[str, Used]], levels: Levels) -> Finding:
    low, high = levels
    if low == 0 and not used[0][1].floating:
        high = next((2.0**bits - 1 for bits in SENSORS if high < 2**bits), high)
    return Finding(
        severity="warning",
        code="levels-wanted",
        variant=variant,
        fields={**fields, "n": len(used), "levels": _rounded((low, high if high > low else low + 1))},
        evidence=tuple(f"{uri}: {values}" for uri, values in used),
        images=tuple((uri,) for uri, _ in used),
    )


def _beyond(used: Sequence[tuple[str, Used]], levels: Levels) -> list[Finding]:
    found = [(uri, values) for uri, values in used if values.usual_high > levels[1] or values.usual_low < levels[0]]
    if not found:
        return []
    return [
        Finding(
            severity="warning",
            code="levels-beyond",
            fields={"n": len(found), "levels": levels_text(levels)},
            evidence=tuple(f"{uri}: {values}" for uri, values in found),
            images=tuple((uri,) for uri, _ in found),
        )
    ]


def _span(low: float, high: float) -> str:
    return f"{low:,.6g} to {high:,.6g}"


def _rounded(levels: Levels) -> str:
    return "..".join(f"{one:.6g}" for one in levels)
