"""Options that several commands have: how images are augmented and cut."""

from __future__ import annotations

from typing import Annotated

import typer

Augment = Annotated[
    str, typer.Option(help="Kind of views: auto, side_on, top_down, basic, keras, trivial, none, or FILE.py:NAME.")
]
Crop = Annotated[str, typer.Option(help="How views are cut: random, centre, resized (random window), or squish.")]
