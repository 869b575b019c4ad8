"""`goldenrule demo`: the main job on scikit-learn's handwritten digits."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from goldenrule.cli.options import Threads, command

EXAMPLES = """Examples:

  goldenrule demo

  goldenrule demo --folder /tmp/digits
"""


@command(EXAMPLES)
def demo(
    folder: Annotated[Path, typer.Option(help="Where the digits and their run are written.")] = Path("demo"),
    threads: Threads = None,
) -> None:
    """Write 1,797 handwritten digits as PNG class folders, fit a classifier on them, and evaluate it."""
    from goldenrule.cli.fit import show
    from goldenrule.core.console import Console
    from goldenrule.core.progress import Bars
    from goldenrule.demo.digits import DIGITS_OPTIONS, write_digits
    from goldenrule.pipelines.quick_fit import quick_fit

    digits = write_digits(folder / "digits")
    Console().print(f"1,797 handwritten digits are in {digits}.")
    from dataclasses import replace

    show(quick_fit(digits, options=replace(DIGITS_OPTIONS, threads=threads), runs=folder / "runs", progress=Bars()))
