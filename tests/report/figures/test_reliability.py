"""The drawing of confidence beside accuracy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goldenrule.metrics import Predictions, reliability
from goldenrule.metrics.uncertainty.scaling import Temperature
from goldenrule.report.figures.drawing import BOTTOM, LEFT, RIGHT, TOP
from goldenrule.report.figures.reliability import HEIGHT, percent, reliability_drawing

CLASSES = ("ant", "bee", "cow")


def drawn(n: int, seed: int = 0, sharpness: float = 2.0) -> Predictions:
    draws = np.random.default_rng(seed)
    return Predictions.from_logits(draws.normal(scale=sharpness, size=(n, 3)), CLASSES, truth=draws.integers(3, size=n))


@settings(max_examples=40, deadline=None)
@given(n=st.integers(1, 300), seed=st.integers(0, 99), sharpness=st.floats(0.0, 60.0))
def test_everything_lies_inside_the_axes(n: int, seed: int, sharpness: float) -> None:
    seen = drawn(n, seed, sharpness)
    drawing = reliability_drawing(seen, Temperature(value=0.3, n=n).apply(seen))
    assert drawing is not None
    assert [series.css for series in drawing.series] == ["miss", "hit"]
    for series in drawing.series:
        for dot in series.dots:
            assert LEFT <= dot.x <= RIGHT
            assert TOP - 0.1 <= dot.high <= dot.y <= dot.low <= HEIGHT - BOTTOM + 0.1
    assert LEFT <= drawing.diagonal[0] < drawing.diagonal[2] <= RIGHT
    assert drawing.x_ticks[-1][1] in ("100 %", "100.0 %")


def test_the_dots_are_the_bins_and_higher_is_more_often_right() -> None:
    seen = drawn(200)
    drawing = reliability_drawing(seen)
    assert drawing is not None
    (series,) = drawing.series
    bins = reliability(seen)
    assert [dot.n for dot in series.dots] == [bin_.n for bin_ in bins]
    assert [dot.claimed for dot in series.dots] == [percent(bin_.confidence) for bin_ in bins]
    by_share = sorted(zip([bin_.accuracy.value for bin_ in bins], [-dot.y for dot in series.dots], strict=True))
    assert [y for _, y in by_share] == sorted(y for _, y in by_share)


@pytest.mark.parametrize("seen", [drawn(0), Predictions.from_logits([[1.0, 0]], ["a", "b"])], ids=["none", "no truth"])
def test_without_scored_images_there_is_no_drawing(seen: Predictions) -> None:
    assert reliability_drawing(seen) is None


def test_many_labels_have_no_drawing() -> None:
    many = Predictions.from_logits([[1.0, 0]], ["a", "b"], truth=[[1, 1]], task="multi")
    assert reliability_drawing(many) is None
