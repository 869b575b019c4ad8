"""Findings that follow from a fit itself: what leaks between parts, and numbers that contradict each other."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping

from goldenrule.evaluation import Predictions, accuracy, value_and_interval
from goldenrule.foundation.findings import Finding
from goldenrule.images.table import ImageTable


def duplicates(table: ImageTable) -> Iterator[Finding]:
    """Give findings for files with equal bytes in different parts, or under different labels."""
    places: dict[bytes, list[int]] = defaultdict(list)
    for row, digest in enumerate(table.digests):
        if digest is not None:
            places[digest].append(row)
    uris, parts, labels = table.uris, table.parts, table.rows["labels"].to_pylist()
    same = [rows for rows in places.values() if len(rows) > 1]
    leaks = [rows for rows in same if len({parts[row] for row in rows}) > 1]
    torn = [rows for rows in same if len({tuple(labels[row]) for row in rows if labels[row]}) > 1]

    def evidence(groups: list[list[int]]) -> tuple[str, ...]:
        return tuple(" = ".join(uris[row] for row in rows) for rows in groups)

    if leaks:
        yield Finding(
            severity="warning",
            code="leak",
            sentence=f"{len(leaks):,} image{'s are' if len(leaks) > 1 else ' is'} in more than one part",
            evidence=evidence(leaks),
            advice="The scores of those parts flatter: keep one copy of each.",
        )
    if torn:
        yield Finding(
            severity="warning",
            code="two-labels",
            sentence=f"{len(torn):,} image{'s have' if len(torn) > 1 else ' has'} more than one label",
            evidence=evidence(torn),
            advice="Keep the right one of each.",
        )


def contradictions(scored: Mapping[str, Predictions]) -> Iterator[Finding]:
    """Give a finding where validation is far better than test: their intervals do not even touch."""
    if not {"test", "valid"} <= scored.keys():
        return
    valid, test = accuracy(scored["valid"]), accuracy(scored["test"])
    if valid.low > test.high:
        yield Finding(
            severity="warning",
            code="valid-above-test",
            sentence="validation looks far better than test: train and valid are probably not independent "
            "(frames of one scene, photos of one object or session)",
            evidence=(f"valid {value_and_interval(valid)}", f"test {value_and_interval(test)}"),
            advice="Trust the test number; keep what belongs together in one part: --group-by REGEX (on the names of "
            "files), or train/ and valid/ folders.",
        )
