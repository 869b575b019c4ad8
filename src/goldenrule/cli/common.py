"""Options that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

RunFolder = Annotated[Path | None, typer.Option(help="The run's folder. \\[default: runs/NAME]", show_default=False)]
Threads = Annotated[int | None, typer.Option(help="Processors to use. \\[default: all]", show_default=False)]
Device = Annotated[str, typer.Option(help="cpu, cuda or mps.")]
MinPerClass = Annotated[int | None, typer.Option(help="Accept classes with as few images as this.", show_default=False)]
Sample = Annotated[
    int | None, typer.Option(help="Take at most N images per class and part: a trial.", show_default=False)
]
