"""The notebook runs from top to bottom, shows what it has shown, and its page is its own."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "docs"))
import make_notebook  # noqa: E402

LARGEST_BYTES = 1_500_000


@pytest.fixture(scope="module")
def kept() -> Any:
    """The notebook as it is committed."""
    return json.loads(make_notebook.NOTEBOOK.read_text("utf-8"))


def kinds(book: Any) -> Iterator[tuple[str, ...]]:
    """Yield for every cell of code what kinds of things it showed."""
    for cell in book["cells"]:
        if cell["cell_type"] == "code":
            yield tuple(
                max(output.get("data", {"stream": 0}), key=("stream", "text/plain", "text/html", "image/png").index)
                for output in cell["outputs"]
            )


def textiles(folder: Path) -> None:
    """Draw what the notebook finds in place of the demo's textiles: a few small pictures of each class."""
    for hue, name in enumerate(("faultless", "global defect", "local defect")):
        (folder / name).mkdir(parents=True)
        for number in range(20):
            pixels = np.random.default_rng(100 * hue + number).integers(0, 90, size=(40, 48, 3))
            pixels[:, :, hue] += 150
            Image.fromarray(pixels.astype(np.uint8)).save(folder / name / f"textile_{number:04d}.jpg")


@pytest.mark.slow
def test_the_notebook_runs_and_shows_what_it_has_shown(kept: Any, cache: Path, tmp_path: Path) -> None:
    textiles(tmp_path / "textiles")
    book = make_notebook.run(tmp_path)
    assert list(kinds(book)) == list(kinds(kept))
    assert not [
        output for cell in book["cells"] for output in cell.get("outputs", []) if output.get("name") == "stderr"
    ]


def test_the_page_is_that_of_the_notebook(kept: Any) -> None:
    text, figures = make_notebook.page(kept)
    assert make_notebook.PAGE.read_text("utf-8") == text
    assert {path.name: path.read_bytes() for path in make_notebook.PAGE.parent.glob("*.png")} == figures
    assert len(figures) == 3


def test_the_notebook_is_small_and_names_no_machine(kept: Any) -> None:
    assert make_notebook.NOTEBOOK.stat().st_size < LARGEST_BYTES
    said = json.dumps(
        [
            output
            for cell in kept["cells"]
            for output in cell.get("outputs", [])
            if "image/png" not in output.get("data", {})
        ]
    )
    assert "/home/" not in said
    assert "/tmp/" not in said
    assert "Traceback" not in said
    assert " at 0x" not in said
    assert [cell["execution_count"] for cell in kept["cells"] if cell["cell_type"] == "code"] == list(
        range(1, 1 + sum(cell["cell_type"] == "code" for cell in kept["cells"]))
    )
