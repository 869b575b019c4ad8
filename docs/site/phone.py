"""Pages that can be read on a phone: figures and wide tables scroll in their own boxes, tables of prose are stacked."""

from __future__ import annotations

import re
from html import escape
from pathlib import Path

from docutils import nodes
from sphinx.writers.html5 import HTML5Translator

LETTERS_PX = 9.0
"""The least size of letters on the screen, in CSS pixels."""
PHONE_PX = 358
"""What a phone of 390 pixels has left between its margins."""
WHOLE = 32
"""A word of code of at most so many characters is not broken: a phone's line has room for about 40."""
PROSE = 60
"""A column with a cell of more characters is text to be read, not values to be compared."""
STACKED_COLUMNS = (3, 5)
"""Tables of so many columns, one of them prose, are shown row under row on a phone."""


class Translator(HTML5Translator):
    """Sphinx's writer of HTML; what style.css can't know about figures, tables and code is added here."""

    def visit_image(self, node: nodes.image) -> None:
        """Write a figure in a box that scrolls, as wide as its smallest letters need; a tap opens the file."""
        file = Path(self.builder.srcdir) / node["uri"]
        if file.suffix != ".svg" or not file.is_file():  # Sphinx has warned of a missing one
            super().visit_image(node)
            return
        svg = file.read_text(encoding="utf-8")
        super().visit_image(node)
        image = self.body.pop().replace("<img ", f'<img style="min-width: {width_px(svg)}px" ', 1)
        source = re.findall(r'src="([^"]*)"', image)[0]
        kind = "figure wide" if width_px(svg) > PHONE_PX else "figure"
        self.body.append(f'<span class="{kind}"><span class="slide"><a href="{source}">{image}</a></span></span>')

    def visit_table(self, node: nodes.table) -> None:
        """Write a table with its kind as a class and, where it is stacked, the heading of its column in each cell."""
        rows = [list(row.children) for row in node.findall(nodes.row)]
        texts = [[cell.astext() for cell in row] for row in rows]
        node["classes"].append(table_kind(texts))
        for row in rows[1:]:
            for cell, heading in list(zip(row, labels(texts), strict=True)):
                if heading and cell.astext():
                    cell["label"] = heading
        super().visit_table(node)

    def visit_entry(self, node: nodes.entry) -> None:
        """Write a cell's start."""
        super().visit_entry(node)
        if "label" in node:
            self.body[-1] = self.body[-1].replace("<td", f'<td data-label="{escape(node["label"])}"', 1)

    def visit_Text(self, node: nodes.Text) -> None:  # noqa: N802 - docutils calls it by the name of the node's class
        """Write text; Sphinx has put every word of code into a span of its own."""
        before = len(self.body)
        super().visit_Text(node)
        for place, html in enumerate(self.body[before:], before):
            self.body[place] = re.sub(
                rf'^<span class="pre">(?=.{{1,{WHOLE}}}</span>$)', '<span class="pre whole">', html
            )


def width_px(svg: str) -> int:
    """Return the least width at which a figure's smallest letters are still read, in CSS pixels.

    >>> width_px('<svg viewBox="0 0 460 200"><text style="font-size: 10px">a</text></svg>')
    414
    """
    found = re.search(r'viewBox="\S+ \S+ (\S+) \S+"', svg)
    letters = letter_sizes(svg)
    return round(LETTERS_PX / min(letters) * float(found[1])) if found and letters else 0


def letter_sizes(svg: str) -> list[float]:
    """Return the sizes of all letters, in units of the view box.

    Matplotlib draws letters as outlines of 100 units, scaled: `scale(0.08 -0.08)` is a letter of 8 units.
    """
    outlines = [100 * float(scale) for scale in re.findall(r"scale\(([\d.]+) -\1\)", svg)]
    return outlines + [float(size) for size in re.findall(r"font-size: ?([\d.]+)", svg)]


def table_kind(texts: list[list[str]]) -> str:
    """Return how a table is shown on a phone: `stacked`, `wide` (it scrolls) or `narrow` (two columns).

    >>> table_kind([["option", "default", "meaning"], ["--seed", "0", "what is drawn, " * 8]])
    'stacked'
    >>> table_kind([["set", "n", "seconds"], ["dogscats", "200", "6.9"]])
    'wide'
    """
    columns = len(texts[0])
    least, most = STACKED_COLUMNS
    if columns < least:
        return "narrow"
    return "stacked" if columns <= most and any(_is_prose(texts, column) for column in range(columns)) else "wide"


def labels(texts: list[list[str]]) -> list[str]:
    """Return what stands before the cells of each column of a stacked table: nothing before names and the longest text.

    >>> labels([["option", "default", "meaning"], ["--seed", "0", "what is drawn"]])
    ['', 'default', '']
    """
    headings = texts[0]
    longest = max(range(len(headings)), key=lambda column: max((len(row[column]) for row in texts[1:]), default=0))
    return ["" if column in (0, longest) else heading for column, heading in enumerate(headings)]


def _is_prose(texts: list[list[str]], column: int) -> bool:
    return any(len(row[column]) > PROSE for row in texts[1:])
