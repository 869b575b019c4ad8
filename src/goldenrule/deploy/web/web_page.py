"""The page of a server: files of this package, served as they are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.resources import files
from pathlib import PurePath

from fastapi import FastAPI, Request, Response

PAGE_POLICY = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    b"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
)
"""What a browser lets the page do: it runs the scripts of this server, and asks nobody else."""
TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}
REPORT_STYLE = "report.css"
"""The style of the reports, whose colours and words the page shares."""


def page_files() -> Mapping[str, str]:
    """Return the files of the page by name."""
    package = files("goldenrule")
    inside = (package / "deploy" / "web" / "page").iterdir()
    own = {one.name: one.read_text("utf-8") for one in inside if PurePath(one.name).suffix in TYPES}
    style = package / "report" / "pages" / "templates" / "style.css"
    return {**own, REPORT_STYLE: style.read_text("utf-8")}


def add_page(app: FastAPI) -> None:
    """Let an application serve the page at /, and what it loads below /page/."""
    for name, text in page_files().items():
        ending = PurePath(name).suffix
        path = "/" if ending == ".html" else f"/page/{name}"

        app.add_route(path, _answering(text, TYPES[ending]), methods=["GET"], include_in_schema=False)


def _answering(text: str, kind: str) -> Callable[[Request], Response]:
    return lambda _: Response(text, media_type=kind)
