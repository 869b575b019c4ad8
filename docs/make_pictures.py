"""Make the pictures of the documentation again: python docs/make_pictures.py.

`images/terminal.svg` is what `goldenrule demo` prints, recorded while it runs. It shows the demo's digits only.
The activations come from the bank where they are there, so the seconds in the picture are those of this run.
"""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path
from unittest import mock

from rich.console import Console

IMAGES = Path(__file__).parent / "images"
COLUMNS = 100


def terminal() -> str:
    """Give the result of the demo as SVG, without the web fonts that Rich would load."""
    from goldenrule.cli.demo import demo

    with open(os.devnull, "w") as nowhere:
        console = Console(record=True, width=COLUMNS, file=nowhere, force_terminal=True, color_system="truecolor")
        console.print("[bold]$ goldenrule demo[/]")
        with tempfile.TemporaryDirectory() as folder, mock.patch("rich.console.Console", lambda **_: console):
            before = Path.cwd()
            os.chdir(folder)  # so that the picture names no folder of this machine
            try:
                with mock.patch("goldenrule.foundation.progress.Bars", _silent()):
                    demo()
            finally:
                os.chdir(before)
    svg = console.export_svg(title="goldenrule demo", unique_id="demo")
    return re.sub(r"@font-face \{.*?\}", "", svg, flags=re.DOTALL)


def _silent() -> type:
    from goldenrule.foundation.progress import Silent

    return Silent


if __name__ == "__main__":
    IMAGES.mkdir(exist_ok=True)
    (IMAGES / "terminal.svg").write_text(terminal(), encoding="utf-8")
    print(f"Written: {IMAGES / 'terminal.svg'}")
