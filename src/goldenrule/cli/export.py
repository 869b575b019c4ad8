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
) -> Numbers:
    """Export a classifier as one file that other programs run, checked against Python."""
    from goldenrule.core.console import Console, Text
    from goldenrule.core.progress import Bars
    from goldenrule.deploy.exporting import export as exported

    found = exported(run, out, format=format, progress=Bars())
    console = Console()
    for line in _lines(found):
        console.print(Text(line), soft_wrap=True)
    for note in found.notes:
        console.print(Text(f"note: {note}", style="yellow"), soft_wrap=True)
    return {
        "files": found.files,
        "format": found.format,
        "bytes": found.bytes,
        "outputs": found.outputs,
        "compared": found.compared,
        "sizes": found.sizes,
        "difference": found.difference,
        "split": found.split,
        "quality": found.quality,
        "quality_in_python": found.quality_in_python,
        "same": found.same,
        "notes": found.notes,
    }


def _lines(found: Exported) -> list[str]:
    from goldenrule.deploy.classifier_graph import PROBABILITIES

    names = " and ".join(map(str, found.files))
    lines = [
        f"Written:  {names} ({found.bytes / 1e6:.1f} MB, fp32)",
        f"Gives:    {', '.join(found.outputs)}",
        f"Compared: {found.compared:,} pictures of {found.sizes:,} sizes; probabilities differ from Python's by "
        f"{found.difference[PROBABILITIES]:.1e} at most",
    ]
    if found.quality and found.quality_in_python and found.same:
        where = {"test": "test", "valid": "validation"}[str(found.split)]
        lines += [
            f"{found.quality.name.capitalize()} on {where} images: {found.quality}; "
            f"in Python {found.quality_in_python}",
            f"Same prediction: {found.same}",
        ]
    return lines
