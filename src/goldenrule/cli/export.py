"""`goldenrule export`: a classifier as one file for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from goldenrule.cli.options import Numbers, Run, command, output

if TYPE_CHECKING:
    from goldenrule.deploy.exporting import Exported

EXAMPLES = """Examples:

  goldenrule export runs/photos                       exports/photos.onnx, with the preprocessing inside

  goldenrule export runs/photos -o photos.xml         for OpenVINO, photos.bin beside it

  goldenrule export runs/photos --format torch        a safetensors file that timm loads

  goldenrule export runs/photos --precision int8      the network at a quarter of its size
"""


@command(EXAMPLES)
def export(
    run: Run,
    out: Annotated[
        Path | None, output("The file: .onnx, .xml (OpenVINO) or .safetensors (PyTorch).", "exports/NAME.onnx")
    ] = None,
    format: Annotated[  # noqa: A002 - it is the option's name
        str,
        typer.Option(
            help="onnx, openvino or torch \\[default: by the file's ending]", metavar="NAME", show_default=False
        ),
    ] = "",
    precision: Annotated[
        str, typer.Option(help="fp32, or int8: smaller, calibrated on the training images", metavar="NAME")
    ] = "fp32",
) -> Numbers:
    """Export a classifier as one file that other programs run, checked against Python."""
    from goldenrule.core.console import Console, Text
    from goldenrule.core.progress import Bars
    from goldenrule.deploy.exporting import export as exported

    found = exported(run, out, format=format, precision=precision, progress=Bars())
    console = Console()
    for line in _lines(found):
        console.print(Text(line), soft_wrap=True)
    for note in found.notes:
        console.print(Text(f"note: {note}", style="yellow"), soft_wrap=True)
    return {
        "files": found.files,
        "format": found.format,
        "precision": found.precision,
        "bytes": found.bytes,
        "outputs": found.outputs,
        "compared": found.compared,
        "sizes": found.sizes,
        "difference": found.difference,
        "split": found.split,
        "quality": found.quality,
        "quality_in_python": found.quality_in_python,
        "same": found.same,
        "calibrated": found.calibrated,
        "cost": found.cost,
        "notes": found.notes,
    }


def _lines(found: Exported) -> list[str]:
    from goldenrule.deploy.classifier_graph import PROBABILITIES

    names = " and ".join(map(str, found.files))
    lines = [
        f"Written:  {names} ({found.bytes / 1e6:.1f} MB, {found.precision})",
        f"Gives:    {', '.join(found.outputs)}",
        f"Compared: {found.compared:,} pictures of {found.sizes:,} sizes; probabilities differ from Python's by "
        f"{found.difference[PROBABILITIES]:.2g} at most",
    ]
    if found.quality and found.quality_in_python and found.same:
        where = {"test": "test", "valid": "validation"}[str(found.split)]
        in_fp32 = f"in fp32 {found.cost.quality[0]}; " if found.cost else ""
        lines += [
            f"{found.quality.name.capitalize()} on {where} images: {found.quality}; {in_fp32}"
            f"in Python {found.quality_in_python}",
            f"Same prediction: {found.same}",
        ]
    if found.cost:
        lines.append(f"{found.cost.sentence}.")
        if found.cost.flagged:
            before, after = found.cost.flagged
            lines.append(f"Called out-of-distribution: {after}; in fp32 {before}")
    return lines
