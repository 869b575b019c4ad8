"""Make the pictures of the documentation again: python docs/make_pictures.py.

`goldenrule demo` and a `goldenrule predict` are recorded while they run: the demo's result as
`images/terminal.svg`, both as text in README.md. They show the demo's digits only. Features come from the
cache where they are there, so the seconds are those of this run: clear the cache first, and let nothing else run.
"""

from __future__ import annotations

import contextlib
import io
import re
import tempfile
from pathlib import Path
from unittest import mock

from rich.console import Console

ROOT = Path(__file__).parents[1]
COLUMNS = 100
DIGITS = [Path("demo/digits") / name for name in ("four/0324.png", "nine/0295.png", "seven/0300.png")]  # test images


def terminal() -> tuple[str, str]:
    """Return the demo as SVG, without the web fonts that Rich would load, and the whole session as text."""
    from goldenrule.cli.demo import demo
    from goldenrule.cli.predict import predict
    from goldenrule.core.progress import Silent

    console = Console(
        record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True, color_system="truecolor", highlight=False
    )
    with (
        tempfile.TemporaryDirectory() as folder,
        contextlib.chdir(folder),  # so that nothing names a folder of this machine
        mock.patch("rich.console.Console", return_value=console),
        mock.patch("goldenrule.core.progress.Bars", Silent),
    ):
        console.print("[bold]$ goldenrule demo[/]")
        demo()
        svg = console.export_svg(title="goldenrule demo", unique_id="demo", clear=False)
        console.print(f"\n$ goldenrule predict demo/runs/digits {' '.join(map(str, DIGITS))}", soft_wrap=True)
        predict(Path("demo/runs/digits"), DIGITS)
    lines = [line.rstrip() for line in console.export_text().splitlines()]
    return re.sub(r"@font-face \{.*?\}", "", svg, flags=re.DOTALL), "\n".join(lines)


def with_session(page: str, session: str) -> str:
    """Return a page with the text between its two marks `session` replaced."""
    block = f"<!-- session:begin -->\n```console\n{session}\n```\n<!-- session:end -->"
    return re.sub(r"<!-- session:begin -->.*<!-- session:end -->", lambda _: block, page, flags=re.DOTALL)


if __name__ == "__main__":
    picture, text = terminal()
    readme = ROOT / "README.md"
    (ROOT / "docs" / "images").mkdir(exist_ok=True)
    (ROOT / "docs" / "images" / "terminal.svg").write_text(picture, encoding="utf-8")
    readme.write_text(with_session(readme.read_text(encoding="utf-8"), text), encoding="utf-8")
    print("Written: docs/images/terminal.svg, and the session in README.md")
