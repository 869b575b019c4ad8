"""The options by which a command finds the functions that made a classifier's custom head or backbone."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from goldenrule.models.classifier import Classifier

CustomHead = Annotated[
    str,
    typer.Option(help="FILE.py:NAME, the function that makes the custom head; the file is run.", show_default=False),
]
CustomBackbone = Annotated[
    str,
    typer.Option(
        help="FILE.py:NAME, the function that makes the custom backbone; the file is run.", show_default=False
    ),
]


def loaded(run: Path, head: str, backbone: str, device: str = "cpu") -> Classifier:
    """Return the classifier of a run, made with these functions where they are named, to predict on a device."""
    from goldenrule.models.classifier import Classifier
    from goldenrule.models.custom import maker_from_file

    return Classifier.load(
        run,
        head=maker_from_file("head", head) if head else None,
        backbone=maker_from_file("backbone", backbone) if backbone else None,
        device=device,
    )
