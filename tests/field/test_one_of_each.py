"""What several pages, files and figures share is written in one place."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

import goldenrule as gr
from goldenrule.metrics import Predictions
from goldenrule.metrics.uncertainty.scaling import fit_temperature
from goldenrule.report.figures.reliability import measured, reliability_drawing, reliability_figure

SOURCE = Path(gr.__file__).parent
TEMPLATES = SOURCE / "report" / "pages" / "templates"


def test_all_pages_have_one_skeleton() -> None:
    texts = {path.name: path.read_text(encoding="utf-8") for path in TEMPLATES.glob("*.html")}
    assert [name for name, text in texts.items() if "<html" in text or "</body>" in text] == ["base.html"]
    rendered = {
        name
        for path in SOURCE.rglob("*.py")
        for name in re.findall(r'get_template\("([a-z]+\.html)"\)', path.read_text(encoding="utf-8"))
    }
    assert len(rendered) >= 7
    assert [name for name in rendered if not texts[name].startswith('{% extends "base.html" %}')] == []


def test_each_figure_is_drawn_by_one_function_from_numbers_of_one_place() -> None:
    texts = {path.name: path.read_text(encoding="utf-8") for path in TEMPLATES.iterdir()}
    by_hand = [name for name, text in texts.items() if 'class="tick"' in text]
    assert by_hand == ["macros.html"], "axes of a page's drawings"
    seen = Predictions.from_logits(9 * np.eye(2)[[0, 1, 1, 0] * 20], ["cat", "dog"], truth=[0, 1, 0, 0] * 20)
    with_temperature = fit_temperature(seen).apply(seen)
    drawing, figure = reliability_drawing(with_temperature, seen), reliability_figure(seen, with_temperature)
    assert drawing is not None
    drawn = [[f"{x:.6f}" for x in one.lines[0].get_xdata()] for one in figure.axes[0].containers]
    wanted = [[f"{bin_.confidence:.6f}" for bin_ in one.bins] for one in measured(seen, with_temperature)]
    assert drawn == wanted
    assert [[dot.n for dot in one.dots] for one in drawing.series] == [
        [bin_.n for bin_ in one.bins] for one in measured(seen, with_temperature)
    ]
