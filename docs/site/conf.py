"""The documentation's site: what Sphinx reads. `make docs` builds it into site/.

The source folder is the checkout itself, so that a link between two Markdown files is the same path on the site, in
an editor and where the repository is shown; README.md is the front page. A link to any other file of the checkout (a
script, the licence) gives that file, copied into the site. No page asks anything of the internet: fonts are those of
the system, scripts and search index lie beside the pages, which work from file:// too.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
from navigation import FRONT, with_navigation  # noqa: E402
from phone import Translator  # noqa: E402

project = "goldenrule"
extensions = ["myst_parser"]
root_doc = FRONT
include_patterns = ["README.md", "CHANGELOG.md", "CONTRIBUTING.md", "docs/**.md"]
exclude_patterns = [".*", "benchmarks", "demo", "lessons", "runs", "site", "src", "tests"]
source_suffix = {".md": "markdown"}

nitpicky = True
myst_heading_anchors = 4
highlight_language = "text"

html_theme = "furo"
html_title = "goldenrule"
html_static_path = ["style.css"]
html_css_files = ["style.css"]
html_favicon = "favicon.svg"
html_show_sphinx = False
html_copy_source = False
html_use_index = False
html_show_copyright = False


def setup(app: Sphinx) -> None:
    """Add the menu to the pages that lead to others, let figures scroll, and give the front page its usual name."""
    app.connect("source-read", _add_navigation)
    app.connect("html-page-context", _fold_menu, priority=400)  # the theme's is 500
    app.connect("build-finished", _name_front_page)
    app.set_translator("html", Translator)


def _add_navigation(app: Sphinx, page: str, source: list[str]) -> None:
    source[0] = with_navigation(Path(app.srcdir), page, source[0])


def _fold_menu(_: Sphinx, __: str, ___: str, context: dict[str, Any], ____: object) -> None:
    """Let a page's menu unfold its own folder alone: all pages in the menu of each took half of the build."""
    if menu := context.get("toctree"):
        context["toctree"] = lambda **options: menu(**{**options, "collapse": True})


def _name_front_page(app: Sphinx, exception: Exception | None) -> None:
    if exception is None and app.builder.name == "html":
        shutil.copy(app.outdir / f"{FRONT}.html", app.outdir / "index.html")
