"""Run the notebook and make its page again.

    python docs/make_notebook.py          run notebooks/quickstart.ipynb, keep what it shows, and make its page
    python docs/make_notebook.py --page   make the page of the outputs that are kept

It runs in a folder that is thrown away. The page, docs/notebooks/quickstart.md, has its text, its code, what it printed
and its figures as files beside it.
"""

from __future__ import annotations

import base64
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
NOTEBOOK = ROOT / "notebooks" / "quickstart.ipynb"
PAGE = ROOT / "docs" / "notebooks" / "quickstart.md"
OPENED = (
    "*This page is the notebook [notebooks/quickstart.ipynb](../../notebooks/quickstart.ipynb), with what it showed on "
    "two processors.*"
)
ADDRESS = re.compile(r" at 0x[0-9a-f]+")


def run(folder: Path) -> Any:
    """Run the notebook in a folder; return it with its outputs."""
    import nbformat
    from nbclient import NotebookClient

    book = nbformat.read(NOTEBOOK, as_version=4)
    NotebookClient(book, timeout=1200, resources={"metadata": {"path": str(folder)}}).execute()
    for cell in book.cells:
        cell.metadata.pop("execution", None)  # when it ran
        if "outputs" in cell:
            cell["outputs"] = _whole(cell["outputs"])
        for output in cell.get("outputs", []):
            if "text/plain" in output.get("data", {}):
                output["data"]["text/plain"] = ADDRESS.sub("", output["data"]["text/plain"])
    book.metadata["language_info"] = {"name": "python"}
    return book


def _whole(outputs: list[Any]) -> list[Any]:
    """Return what cells gave and printed, that in one piece: how often it was flushed is chance, and bars go away."""
    found: list[Any] = []
    for output in outputs:
        if output["output_type"] == "display_data":  # of progress
            continue
        if found and output["output_type"] == found[-1]["output_type"] == "stream":
            found[-1]["text"] += output["text"]
        else:
            found.append(output)
    return found


def page(book: Any) -> tuple[str, dict[str, bytes]]:
    """Return the page of a notebook, and its figures by name."""
    text, figures = [], dict[str, bytes]()
    for cell in book["cells"]:
        source = _joined(cell["source"])
        if cell["cell_type"] == "markdown":
            text.append(source)
            continue
        text.append(f"```python\n{source}\n```")
        for output in cell["outputs"]:
            data = output.get("data", {})
            if output["output_type"] == "stream":
                text.append(f"```text\n{_joined(output['text']).rstrip()}\n```")
            elif "image/png" in data:
                name = f"quickstart-{len(figures) + 1}.png"
                figures[name] = base64.b64decode(_joined(data["image/png"]))
                text.append(f"![What {source.splitlines()[-1]} shows]({name})")
            elif "text/html" in data:
                text.append(_table(_joined(data["text/html"])))
            elif data:
                text.append(f"```text\n{_joined(data['text/plain'])}\n```")
    text.insert(1, OPENED)
    return "\n\n".join(text) + "\n", figures


def _joined(lines: str | list[str]) -> str:
    """Return a text of a notebook's file, which may be kept by lines."""
    return lines if isinstance(lines, str) else "".join(lines)


def _table(html: str) -> str:
    """Return a table as the site has tables, in one block of Markdown: it scrolls where the page is narrow."""
    html = re.sub(r"<style.*?</style>|</?div[^>]*>", "", html, flags=re.DOTALL)
    html = re.sub(r"<table[^>]*>", '<table class="docutils align-default">', html)
    lines = [line.strip() for line in html.splitlines() if line.strip()]
    return "\n".join(['<div class="table-wrapper docutils container">', *lines, "</div>"])


def main(arguments: list[str]) -> None:
    """Run the notebook unless only the page is wanted, and write both."""
    import nbformat

    if arguments == ["--page"]:
        book = nbformat.read(NOTEBOOK, as_version=4)
    else:
        with tempfile.TemporaryDirectory() as folder:
            book = run(Path(folder))
        nbformat.write(book, NOTEBOOK)
    text, figures = page(book)
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(text, encoding="utf-8")
    for name, content in figures.items():
        (PAGE.parent / name).write_bytes(content)


if __name__ == "__main__":
    main(sys.argv[1:])
