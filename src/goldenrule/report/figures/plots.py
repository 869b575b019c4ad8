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

if TYPE_CHECKING:
    from matplotlib.figure import Figure

HIT, MISTAKE, GOLD = "#2f6f94", "#cf5a2e", "#a87400"
_LONGEST_NAME = 24
_BLACK = re.compile(r"#000000\b")
_REFERENCE = re.compile(r"url\(#([^)]*)\)")
_FONT = re.compile(r"font-family:[^;]*;?\s*")


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


def shortened(name: str) -> str:
    """Return a class name as a label: one line, nothing that XML can't hold."""
    shown = "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in name)
    return shown if len(shown) <= _LONGEST_NAME else f"{shown[: _LONGEST_NAME - 1]}…"
