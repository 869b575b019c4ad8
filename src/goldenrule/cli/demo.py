"""`goldenrule demo`: the main job on pictures that come with it: textiles with defects, or handwritten digits."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from goldenrule.cli.options import Numbers, Threads, Verbose, command

EXAMPLES = """Examples:

  goldenrule demo

  goldenrule demo --digits          scikit-learn's handwritten digits, in half a minute
"""


@command(EXAMPLES)
def demo(
    folder: Annotated[Path, typer.Option(help="Where the pictures and their run are written.")] = Path("demo"),
    digits: Annotated[bool, typer.Option("--digits", help="Handwritten digits instead of textiles.")] = False,
    threads: Threads = None,
    verbose: Verbose = False,
) -> Numbers:
    """Write 2,000 textiles (or 1,797 digits) as class folders, fit a classifier on them, and evaluate it."""
    from dataclasses import replace

    from goldenrule.cli.fit import numbers, show
    from goldenrule.core.console import Console
    from goldenrule.core.progress import Bars
    from goldenrule.demo.digits import DIGITS_OPTIONS, write_digits
    from goldenrule.demo.textiles import TEXTILE_OPTIONS, are_textiles_here, write_textiles
    from goldenrule.pipelines.quick_fit import quick_fit
    from goldenrule.storage.files import in_shell

    if digits or not are_textiles_here():
        images, options = write_digits(folder / "digits"), DIGITS_OPTIONS
        said = f"1,797 handwritten digits are in {images}."
    else:
        images, options = write_textiles(folder / "textiles"), TEXTILE_OPTIONS
        said = f"2,000 simulated textile surfaces (Megahed et al. 2025, MIT) are in {images}."
    Console().print(f"{said}\n", soft_wrap=True)
    bars = Bars(verbose=verbose)
    result = quick_fit(images, options=replace(options, threads=threads), runs=folder / "runs", progress=bars)
    show(result, verbose=verbose, whole=f"goldenrule fit {in_shell(images)} --out {in_shell(result.folder)}")
    return numbers(result)
