"""Values as matplotlib figures, for a notebook or a file, and as inline SVG for a page.

No pyplot: a figure is a value that belongs to who asked for it, and no window or global state is touched.
"""

from __future__ import annotations

import hashlib
import io
import re
import warnings
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from goldenrule.metrics import Predictions, confusion
from goldenrule.metrics.prediction_checks import require_single_label

if TYPE_CHECKING:
    from matplotlib.figure import Figure

HIT, MISTAKE, GOLD = "#2f6f94", "#cf5a2e", "#a87400"
MOST_COUNTS, MOST_NAMES = 15, 45
_LONGEST_NAME = 24
_BLACK = re.compile(r"#000000\b")
_REFERENCE = re.compile(r"url\(#([^)]*)\)")
_FONT = re.compile(r"font-family:[^;]*;?\s*")


def confusion_figure(predictions: Predictions) -> Figure:
    """Return the confusion matrix as a heat map: a row per true class, shaded by the share of that class.

    Up to 15 classes have their counts written in, up to 45 their names. Raises `OptionError` for many labels.
    """
    from matplotlib.figure import Figure

    require_single_label(predictions.task, "a picture of the confusion matrix")
    table, names = confusion(predictions), [shortened(name) for name in predictions.classes]
    size = min(max(3.2, 1.4 + 0.24 * len(names)), 9.0)
    label = 9 if len(names) <= MOST_COUNTS else 13
    figure = Figure(figsize=(size, size), layout="constrained")
    axes = figure.add_subplot(facecolor="none")
    axes.imshow(_heat(table), interpolation="none", aspect="equal")
    axes.set_xlabel("mistaken for", fontsize=label)
    axes.set_ylabel("true class", fontsize=label)
    axes.tick_params(length=0, labelsize=8)
    if len(names) <= MOST_NAMES:
        axes.set_xticks(range(len(names)), names, rotation=90, parse_math=False)
        axes.set_yticks(range(len(names)), names, parse_math=False)
    else:
        axes.set_xticks([])
        axes.set_yticks([])
    if len(names) <= MOST_COUNTS:
        for row, column in np.argwhere(table > 0):
            axes.text(column, row, f"{table[row, column]:,}", ha="center", va="center", fontsize=8)
    return figure


def figure_svg(figure: Figure, *, label: str = "") -> str:
    """Return a figure as an `<svg>` element to put into an HTML page, the same for the same figure.

    Text stays text in the page's own font, black becomes the page's text colour (so it can be dark), the
    size follows the page. Ids get a prefix made from the drawing, so that several figures share a page;
    nothing is loaded from anywhere. `label` is the text for those who can't see it.
    """
    root = _drawn(figure)
    prefix = f"g{hashlib.blake2b(ElementTree.tostring(root), digest_size=5).hexdigest()}-"
    for parent in list(root.iter()):
        for child in list(parent):
            if _plain(child.tag) in ("metadata", "style"):
                parent.remove(child)
    for element in root.iter():
        _make_at_home(element, prefix)
    for name in ("width", "height", "version"):
        root.attrib.pop(name, None)
    root.attrib |= {"role": "img", "aria-label": label, "stroke-linejoin": "round", "class": "figure"}
    return ElementTree.tostring(root, encoding="unicode", short_empty_elements=True)


def _drawn(figure: Figure) -> Any:
    """Return matplotlib's SVG as a tree."""
    from matplotlib import rc_context

    file = io.BytesIO()
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "goldenrule"}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")  # the page's font has them
        if (engine := figure.get_layout_engine()) is not None:  # savefig would draw all to lay it out, and again
            engine.execute(figure)
            figure.set_layout_engine("none")
        figure.savefig(file, format="svg", facecolor="none", edgecolor="none", metadata={"Date": None})
    return ElementTree.fromstring(file.getvalue())  # noqa: S314 - what matplotlib has just written


def _make_at_home(element: Any, prefix: str) -> None:
    """Drop namespaces, prefix ids and references, and take colours and fonts from the page."""
    element.tag = _plain(element.tag)
    attributes = {_plain(name): value for name, value in element.attrib.items()}
    for name, value in attributes.items():
        if name == "id":
            attributes[name] = prefix + value
        elif name == "href" and value.startswith("#"):
            attributes[name] = f"#{prefix}{value[1:]}"
        elif not value.startswith("data:"):
            attributes[name] = _REFERENCE.sub(rf"url(#{prefix}\1)", _BLACK.sub("currentColor", value))
    if element.tag in ("text", "tspan"):
        attributes["style"] = _FONT.sub("", attributes.get("style", ""))
    if element.tag == "text":
        attributes.setdefault("fill", "currentColor")
    element.attrib.clear()
    element.attrib.update(attributes)


def _plain(name: str) -> str:
    return name.rpartition("}")[2]


def _heat(table: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return colours (C, C, 4): hits blue, mistakes orange, more opaque for a larger share."""
    shares = table / np.maximum(table.sum(axis=1, keepdims=True), 1)
    heat = np.empty((*table.shape, 4))
    heat[..., :3] = _rgb(MISTAKE)
    heat[np.eye(len(table), dtype=bool), :3] = _rgb(HIT)
    heat[..., 3] = np.where(table > 0, 0.3 + 0.65 * shares, 0)
    return heat


def _rgb(colour: str) -> list[float]:
    return [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]


def shortened(name: str) -> str:
    """Return a class name as a label: one line, nothing that XML can't hold."""
    shown = "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in name)
    return shown if len(shown) <= _LONGEST_NAME else f"{shown[: _LONGEST_NAME - 1]}…"
