"""Findings that follow from a fit itself: numbers that contradict each other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from goldenrule.evaluation import Predictions, quality, value_and_interval
from goldenrule.foundation.findings import Finding


def contradictions(scored: Mapping[str, Predictions], *, beta: float = 1) -> Iterator[Finding]:
    """Give a finding where validation is far better than test: their intervals do not even touch."""
    if not {"test", "valid"} <= scored.keys():
        return
    valid, test = quality(scored["valid"], beta=beta), quality(scored["test"], beta=beta)
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
