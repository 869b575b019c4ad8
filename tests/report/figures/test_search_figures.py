"""The figures of a search: what is cut off says so, and what is named can be read."""

from __future__ import annotations

import numpy as np
import pytest

from goldenrule.report.figures.search_figures import trials_figure


def test_a_trial_far_above_the_default_is_not_drawn_as_one_of_that_loss() -> None:
    axes = trials_figure({"cache": [(0, 0.1), (1, 0.2), (2, 9.0), (3, None)]}, default=0.1).axes[0]
    drawn = {
        str(line.get_marker()): np.asarray(line.get_xdata()).tolist()
        for line in axes.lines
        if line.get_marker() in ("o", "^", "x")
    }
    assert drawn == {"o": [0, 1], "^": [2], "x": [3]}
    assert "triangle: higher than drawn" in axes.get_xlabel()
    assert "triangle" not in trials_figure({"cache": [(0, 0.1), (1, 0.2)]}, default=0.1).axes[0].get_xlabel()


@pytest.mark.parametrize("trials", [1, 8, 60])
def test_the_line_of_the_default_has_its_name(trials: int) -> None:
    axes = trials_figure({"cache": [(number, 0.2) for number in range(trials)]}, default=0.1).axes[0]
    (name,) = axes.texts
    low, high = axes.get_xlim()
    assert low <= name.get_position()[0] <= high
