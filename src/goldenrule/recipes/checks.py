"""Findings that follow from a fit itself: numbers that contradict each other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from goldenrule.evaluation import Predictions, quality, value_and_interval
from goldenrule.foundation.findings import Finding

CONTRADICTIONS = ("out-of-fold-below", "valid-above-test")
"""Findings that put the numbers of a run in doubt: they are told before them."""


def contradictions(scored: Mapping[str, Predictions], *, beta: float = 1) -> Iterator[Finding]:
    """Give a finding where two numbers contradict each other: their intervals do not even touch."""
    found = {name: quality(own, beta=beta) for name, own in scored.items()}
    for part in ("valid", "test"):
        if part in found and "out-of-fold" in found and found["out-of-fold"].high < found[part].low:
            yield Finding(
                severity="warning",
                code="out-of-fold-below",
                sentence=f"out-of-fold looks far worse than {part}: the folds do not learn what they are judged on, or "
                f"{part} is easier",
                evidence=tuple(f"{name} {value_and_interval(found[name])}" for name in ("out-of-fold", part)),
                advice="Penalty, views, calibration and prediction sets were chosen out-of-fold, and are doubtful. "
                "Look at what is kept together: --group-by none, or --group-by REGEX.",
            )
    if {"test", "valid"} <= found.keys() and found["valid"].low > found["test"].high:
        valid, test = found["valid"], found["test"]
        yield Finding(
            severity="warning",
            code="valid-above-test",
            sentence="validation looks far better than test: train and valid are probably not independent "
            "(frames of one scene, photos of one object or session)",
            evidence=(f"valid {value_and_interval(valid)}", f"test {value_and_interval(test)}"),
            advice="Trust the test number; keep what belongs together in one part: --group-by REGEX (on the names of "
            "files), or train/ and valid/ folders.",
        )
