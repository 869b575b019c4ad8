import re
import sys
from xml.etree import ElementTree

import numpy as np
import pytest

from goldenrule.core.errors import OptionError
from goldenrule.metrics import Predictions
from goldenrule.report.figures.plot import plot
from goldenrule.report.figures.plots import figure_svg
from goldenrule.report.figures.reliability import reliability_figure
from goldenrule.report.figures.search_figures import trials_figure

LOSSES = {"heads": [(0, 0.2), (1, 0.1), (2, None)]}


def predictions(classes, n=60, seed=0):
    rng = np.random.default_rng(seed)
    truth = np.arange(n) % len(classes)
    logits = rng.normal(size=(n, len(classes))) + 2 * np.eye(len(classes))[truth]
    return Predictions.from_logits(logits, classes, truth=truth)


def names(count):
    return [f"class {number}" for number in range(count)]


def ids(svg):
    return re.findall(r'\bid="([^"]+)"', svg)


@pytest.mark.parametrize(
    "figure", [lambda: reliability_figure(predictions(names(20))), lambda: trials_figure(LOSSES, default=0.3)]
)
def test_svg_is_the_same_for_the_same_figure_and_loads_nothing(figure):
    svg = figure_svg(figure())
    assert svg == figure_svg(figure())
    assert "http" not in svg
    assert "<metadata" not in svg
    assert "<style" not in svg
    assert "font-family" not in svg
    assert "#000000" not in svg
    assert all(target.startswith(("#", "data:image/png;base64,")) for target in re.findall(r'href="([^"]*)"', svg))


def test_two_figures_share_no_id_on_a_page_and_references_still_meet():
    one, other = figure_svg(reliability_figure(predictions(names(20)))), figure_svg(trials_figure(LOSSES, default=0.3))
    assert not set(ids(one)) & set(ids(other))
    for svg in (one, other):
        assert len(set(ids(svg))) == len(ids(svg))
        targets = re.findall(r"url\(#([^)]+)\)", svg) + re.findall(r'href="#([^"]+)"', svg)
        assert set(targets) <= set(ids(svg))


@pytest.mark.parametrize(
    "name", ["$x^$", "<script>&", "无毛犬", "a\nb\x01", "\udcff", "stroke: #000000", 'id="x"', "n" * 300]
)
def test_any_class_name_can_be_a_label(name):
    svg = figure_svg(reliability_figure(predictions([name, "dog"]), of=name))
    ElementTree.fromstring(svg)
    assert "<script>" not in svg
    assert len(svg) < 60_000


def test_figures_leave_pyplot_alone():
    before = "matplotlib.pyplot" in sys.modules
    figure_svg(trials_figure(LOSSES, default=0.3))
    assert ("matplotlib.pyplot" in sys.modules) == before


def test_predictions_without_labels_have_no_confusion_to_draw():
    labelled = predictions(names(3))
    unlabelled = Predictions.from_logits(labelled.logits[:, 0], labelled.classes)
    with pytest.raises(OptionError, match="have no labels to be compared with"):
        plot(unlabelled)
    assert plot(labelled).axes
