from xml.etree import ElementTree

import numpy as np
import pytest

from goldenrule.core.errors import OptionError
from goldenrule.metrics import Predictions, calibration_error, fit_calibration, value_and_interval
from goldenrule.report.figures.plots import figure_svg
from goldenrule.report.figures.reliability import reliability_figure


def predictions(n=300, task="single", name="cat"):
    generator = np.random.default_rng(0)
    truth = generator.integers(0, 2, (n, 3) if task == "multi" else n)
    ours = truth if task == "multi" else np.eye(3)[truth]
    logits = 4 * (ours + generator.normal(size=(n, 3)))
    return Predictions.from_logits(logits, [name, "cow", "dog"], truth=truth, task=task)


@pytest.mark.parametrize(("n", "task", "of"), [(300, "single", None), (300, "multi", "cow"), (1, "single", "cat")])
def test_before_and_after_are_drawn_with_their_errors(n, task, of):
    before = predictions(n, task)
    after = fit_calibration(before).apply(before)
    svg = figure_svg(reliability_figure(before, after, of=of))
    ElementTree.fromstring(svg)
    for name, one in (("before", before), ("after", after)):
        assert f">{name}: {value_and_interval(calibration_error(one, of=of))}<" in svg
    assert len(svg) < 60_000


def test_one_alone_is_not_called_before():
    svg = figure_svg(reliability_figure(predictions()))
    assert "before" not in svg
    assert ">confidence<" in svg
    assert svg == figure_svg(reliability_figure(predictions()))


@pytest.mark.parametrize("name", ["$x^$", "<script>&", "a\nb\x01", "n" * 300])
def test_any_class_name_can_be_the_title(name):
    svg = figure_svg(reliability_figure(predictions(name=name), of=name))
    ElementTree.fromstring(svg)
    assert "<script>" not in svg


def test_nothing_to_draw_is_refused():
    with pytest.raises(OptionError, match="readable and labelled, got none"):
        reliability_figure(predictions(0))
    with pytest.raises(OptionError, match="name a class"):
        reliability_figure(predictions(task="multi"))
