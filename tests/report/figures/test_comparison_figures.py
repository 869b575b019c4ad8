"""The figures of a comparison: every network is named, and no name lies on another."""

from __future__ import annotations

from dataclasses import replace

import pytest

from goldenrule.core.errors import OptionError
from goldenrule.metrics import Estimate
from goldenrule.report.figures.comparison_figures import Point, intervals_figure, pareto_figure


def point(label: str, right: int, seconds: float, *, on_front: bool = False) -> Point:
    share = Estimate.of_share("accuracy", right, 100)
    shares = {"valid": share, "test": share}
    return Point(label=label, type="fromzero", seconds=seconds, shares=shares, chosen=on_front, on_front=on_front)


POINTS = [point("a", 90, 1, on_front=True), point("b", 50, 20), point("c", 50, 21), point("d", 50, 22)]


def test_names_of_networks_that_are_alike_do_not_lie_on_each_other() -> None:
    figure = pareto_figure(POINTS)
    figure.draw_without_rendering()
    boxes = [text.get_window_extent() for text in figure.axes[0].texts]
    assert [text.get_text() for text in figure.axes[0].texts] == ["a", "b", "c", "d"]
    assert not any(one.overlaps(other) for place, one in enumerate(boxes) for other in boxes[place + 1 :])


def test_every_network_has_a_line_with_both_parts() -> None:
    axes = intervals_figure(POINTS).axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "b", "c", "d"]
    legend = axes.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["valid, n=100", "test, n=100"]


@pytest.mark.parametrize("seconds", [(6.0, 30.0), (2.5, 3.5), (3.0, 4000.0)])
def test_seconds_are_plain_numbers(seconds: tuple[float, float]) -> None:
    figure = pareto_figure([point("a", 90, seconds[0], on_front=True), point("b", 50, seconds[1])])
    figure.draw_without_rendering()
    axis = figure.axes[0].xaxis
    shown = [label.get_text() for minor in (False, True) for label in axis.get_ticklabels(minor=minor)]
    assert any(shown)
    assert [text for text in shown if text and not text.replace(".", "").isdigit()] == []


def test_where_there_is_no_test_part_each_interval_lies_on_the_line_of_its_name_and_none_on_the_axis() -> None:
    points = [replace(point, shares={"valid": point.shares["valid"]}) for point in POINTS]
    axes = intervals_figure(points).axes[0]
    assert [list(line.get_ydata()) for line in axes.lines] == [[0, 1, 2, 3]]
    assert axes.get_ylim() == (3.5, -0.5)


def test_nothing_to_draw_is_said() -> None:
    with pytest.raises(OptionError, match="no network"):
        pareto_figure([])
