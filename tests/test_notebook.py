"""A notebook shows figures and tables, with IPython's own shell."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

import goldenrule
from goldenrule.core import progress
from goldenrule.notebook import SHOWN


def shown(value: str) -> str:
    """Return what IPython shows of an expression as HTML, in a process of its own."""
    code = f"""
        from IPython.core.interactiveshell import InteractiveShell
        shell = InteractiveShell.instance()
        import goldenrule as gr
        from goldenrule.training.lr_finder import read_curve, rising_rates
        losses = [0.7 - 0.5 * step / 30 if step <= 30 else 0.2 + (step - 30) ** 2 / 20 for step in range(40)]
        data, _ = shell.display_formatter.format({value})
        print(data.get("text/html") or data.get("image/png"))
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_curve_of_the_finder_is_a_figure_with_its_suggestions_below() -> None:
    said = shown("read_curve(rising_rates(40), losses, chance=0.7)")
    assert said.startswith('<img alt="" src="data:image/png;base64,')
    assert "<p>" in said
    assert "steepest" in said


def test_every_value_that_is_shown_is_there_and_none_writes_html_itself() -> None:
    for module, name in SHOWN:
        assert isinstance(getattr(importlib.import_module(f"goldenrule.{module}"), name), type)
    source = Path(goldenrule.__file__).parent
    assert [path.name for path in source.rglob("*.py") if "_repr_html_" in path.read_text("utf-8")] == []


def test_an_estimate_and_predictions_are_shown_as_html() -> None:
    said = shown("gr.Estimate.of_share('recall of <b>', 1, 2)")
    assert said.startswith('<span class="goldenrule-estimate" title="recall of &lt;b&gt;: Wilson 95 %, held out">')
    assert "<td>cat 0.731</td>" in shown("gr.Predictions.from_logits([[1, 0]], ['cat', 'dog'])")


def test_a_figure_is_shown_as_a_picture_though_nobody_has_imported_pyplot() -> None:
    said = shown("gr.plot(read_curve(rising_rates(40), losses, chance=0.7))")
    assert said.startswith(r"b'\x89PNG")


def test_without_widgets_a_task_is_a_line_and_no_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "is_installed", lambda module: module != "ipywidgets")
    console, lines = Console(force_jupyter=True), []
    monkeypatch.setattr(console, "print", lambda text, **_: lines.append(text))
    monkeypatch.setattr(progress, "LINE_AFTER_SECONDS", 0.0)
    with progress.Bars(console).task("precompute", 1200, "views") as task:
        task.advance(3)
        while not lines:
            time.sleep(0.01)
    assert re.match(r"precompute: [03] of 1,200 views", lines[0])  # the clock may be first


def test_without_a_notebook_nothing_of_it_is_imported() -> None:
    code = "import sys, goldenrule; assert not {'IPython', 'goldenrule.notebook'} & set(sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_results_are_short_as_text_and_as_html(tmp_path: Path, picture_folder: Callable[..., Path]) -> None:
    root = picture_folder(each=4)
    (root / "red" / "<b>.png").write_text("no picture")
    found = goldenrule.audit_images(root)
    assert repr(found).startswith("Audit(9 images, 2 classes; ")
    assert len(repr(found)) < 100
    page = SHOWN["analysis.audit", "Audit"](found)
    assert "&lt;b&gt;.png: not a picture" in page
    assert "<b>" not in page
    split = goldenrule.split_folder(root.rename(tmp_path / "images"), tmp_path / "split")
    assert SHOWN["tasks.split_folder", "SplitFolder"](split).startswith(f"<p>SplitFolder({tmp_path}/split: ")
    shown_alone = {name for _, name in SHOWN}
    results = {
        "Audit",
        "ComparedNetworks",
        "Evaluation",
        "Explained",
        "FitResult",
        "FittedHead",
        "History",
        "LabelCheck",
    }
    assert results | {"Classifier", "Estimate", "Features", "Finding", "ImageTable", "Predictions"} <= shown_alone


def test_a_notebook_without_widgets_gets_no_warning_of_tqdm() -> None:
    code = """
        import warnings
        from IPython.core.interactiveshell import InteractiveShell
        InteractiveShell.instance()
        import goldenrule
        warnings.warn("IProgress not found. Please update jupyter and ipywidgets.", stacklevel=1)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True)
    assert done.stderr == ""
