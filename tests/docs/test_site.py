"""The site builds without a warning, a fault in a page fails the build, and a phone shows every page."""

from __future__ import annotations

import doctest
import functools
import re
import shlex
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urldefrag

import pytest

ROOT = Path(__file__).parents[2]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
sys.path.insert(0, str(ROOT / "docs" / "site"))
import navigation  # noqa: E402
import phone  # noqa: E402

needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")
PHONE = {"viewport": {"width": 390, "height": 844}, "device_scale_factor": 2, "is_mobile": True, "has_touch": True}
CONTRAST = ("docs/lessons/xor.html", "docs/reference/commands.html", "docs/glossary.html", "index.html")

OUT_OF_THE_PAGE = """() => [...document.querySelectorAll("article *")].filter(element => {
    if (element.getBoundingClientRect().right <= document.documentElement.clientWidth + 1) return false
    for (let box = element.parentElement; box.tagName != "BODY"; box = box.parentElement)
        if (["auto", "scroll"].includes(getComputedStyle(box).overflowX)) return false
    return true
}).map(element => element.outerHTML.slice(0, 200))"""
"""Elements that reach out of the page to the right and are in no box that scrolls. A phone's browser makes `innerWidth`
as wide as what sticks out, so that is no measure."""

PAGE = """() => ({
    width: document.scrollingElement.scrollWidth,
    window: innerWidth,
    links: [...document.links].map(link => link.href),
    images: [...document.images].filter(image => !image.naturalWidth).map(image => image.src),
    anchors: [...document.querySelectorAll("[id]")].map(element => element.id),
})"""

FAINT = """() => {
    const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true })
    const rgba = colour => {
        canvas.clearRect(0, 0, 1, 1)
        canvas.fillStyle = colour
        canvas.fillRect(0, 0, 1, 1)
        return [...canvas.getImageData(0, 0, 1, 1).data]
    }
    const light = colour => {
        const [r, g, b] = rgba(colour).map(v => v / 255).map(v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
        return .2126 * r + .7152 * g + .0722 * b
    }
    const behind = element => {
        for (; element; element = element.parentElement) {
            const colour = getComputedStyle(element).backgroundColor
            if (rgba(colour)[3] == 255) return colour
        }
        return "white"
    }
    return [...document.querySelectorAll("article *")].filter(element => {
        const own = [...element.childNodes].some(node => node.nodeType == 3 && node.data.trim())
        if (!own || !element.checkVisibility() || element.classList.contains("headerlink")) return false
        const [dark, bright] = [light(getComputedStyle(element).color), light(behind(element))].sort((a, b) => a - b)
        return (bright + .05) / (dark + .05) < 4.5
    }).map(element => element.outerHTML.slice(0, 200))
}"""
"""Elements whose letters have less contrast than WCAG's 4.5 (relative luminance of sRGB)."""


def build(source: Path, site: Path, *more: str) -> subprocess.CompletedProcess[str]:
    """Build a site as `make docs` does, with more options of Sphinx."""
    found = re.search(r"\$\(BIN\)/python (-m sphinx .*) \. site$", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    assert found
    command = [sys.executable, *shlex.split(found[1]), *more, ".", str(site)]
    return subprocess.run(command, cwd=source, capture_output=True, text=True, timeout=300, check=False)


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serve a folder on this machine and give its address."""

    class Silent(SimpleHTTPRequestHandler):
        def log_message(self, *_: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Silent, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def phone_browser(**options: Any) -> Iterator[tuple[Any, list[str]]]:
    """Return a page of a browser on a phone, and its complaints: of the console, of scripts, of the server."""
    sync_api = pytest.importorskip("playwright.sync_api")
    complaints: list[str] = []
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_context(**PHONE, **options).new_page()
        page.on("console", lambda message: complaints.append(f"{page.url}: {message.text}"))
        page.on("pageerror", lambda error: complaints.append(f"{page.url}: {error}"))
        page.on("response", lambda answer: answer.status < 400 or complaints.append(f"{page.url}: {answer.url}"))
        yield page, complaints
        browser.close()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built for real; a warning fails every test that looks at it."""
    folder = tmp_path_factory.mktemp("site")
    built = build(ROOT, folder)
    assert built.returncode == 0, built.stderr
    assert built.stderr == ""
    return folder


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A checkout with the real settings and lists, and pages that have a title alone."""
    source = tmp_path / "source"
    shutil.copytree(ROOT / "docs" / "site", source / "docs" / "site")
    how_to = (ROOT / "docs" / "how-to" / "README.md").read_text("utf-8")
    for chapter in navigation.whole_menu(how_to):
        for name in chapter.pages:
            (source / f"{name}.md").parent.mkdir(parents=True, exist_ok=True)
            (source / f"{name}.md").write_text(f"# {name}\n")
    (source / "docs" / "how-to" / "README.md").write_text(how_to)
    (source / "README.md").write_text("# Front\n\n[the guide](docs/guide.md#split)\n")
    (source / "docs" / "guide.md").write_text("# Guide\n\n## Split\n\n[settings](site/conf.py)\n")
    return source


@pytest.mark.exhaustive
def test_a_small_site_without_faults_builds(small: Path, tmp_path: Path) -> None:
    built = build(small, tmp_path / "site")
    assert (built.returncode, built.stderr) == (0, "")
    assert (tmp_path / "site" / "index.html").is_file()
    assert [path.name for path in (tmp_path / "site" / "_downloads").rglob("*.*")] == ["conf.py"]


@pytest.mark.exhaustive
def test_a_broken_link_alone_fails_the_build(small: Path, tmp_path: Path) -> None:
    (small / "docs" / "design.md").write_text("# Design\n\n[a page](no-such-page.md)\n")
    built = build(small, tmp_path / "site")
    assert built.returncode != 0
    assert "docs/design.md:3: WARNING: 'myst' cross-reference target not found: 'no-such-page.md'" in built.stderr


def test_every_fault_of_a_page_is_named(small: Path, tmp_path: Path) -> None:
    faults = {
        "[an anchor](guide.md#no-such-part)": "no-such-part",
        "[an anchor of its own](#nowhere)": "nowhere",
        "[a file](../benchmarks/no_such.py)": "no_such.py",
        "[a folder](how-to)": "'how-to'",
        "![a picture](no-such.svg)": "no-such.svg",
        "```python\n1 = ?\n```": "Lexing literal_block",
    }
    (small / "docs" / "design.md").write_text("\n\n".join(["# Design", *faults]))
    (small / "docs" / "results" / "forgotten.md").write_text("# Forgotten\n")
    built = build(small, tmp_path / "site")
    assert built.returncode != 0
    for fault, named in faults.items():
        assert re.search(rf"docs/design\.md:.*{re.escape(named)}", built.stderr), (fault, built.stderr)
    assert re.search(r"forgotten\.md.*isn't included in any toctree", built.stderr), built.stderr


@pytest.mark.slow
def test_all_pages_are_read_and_every_link_leads_somewhere(tmp_path: Path) -> None:
    """Without a site being written, which takes twice as long again."""
    built = build(ROOT, tmp_path, "-b", "dummy")
    assert (built.returncode, built.stderr) == (0, "")


@pytest.mark.exhaustive
def test_the_site_builds_without_a_warning_and_asks_nothing_of_the_internet(site: Path) -> None:
    assert (site / "index.html").read_bytes() == (site / "README.html").read_bytes()
    text = "".join(path.read_text("utf-8") for path in [*site.rglob("*.html"), *site.rglob("*.css")])
    assert re.findall(r'<(?:script|link|img|iframe)[^>]*"(?:https?:)?//[^>]*>', text) == []
    assert re.findall(r"""url\(['"]?(?:https?:)?//[^)]*""", text) == []
    assert {path.suffix for path in (site / "_downloads").rglob("*.*")} == {".py", ".ipynb", ".js"}


@pytest.mark.parametrize("folder", ["how-to", "lessons", "results", "decisions"])
def test_the_list_of_a_folder_names_all_its_pages(folder: str) -> None:
    listed = navigation.linked(f"docs/{folder}/README", (ROOT / "docs" / folder / "README.md").read_text("utf-8"))
    pages = {f"docs/{folder}/{path.stem}" for path in (ROOT / "docs" / folder).glob("*.md")}
    assert set(listed) == pages - {f"docs/{folder}/README"}


@pytest.mark.parametrize("module", [navigation, phone], ids=lambda module: module.__name__)
def test_the_examples_of_the_site_s_code_are_true(module: Any) -> None:
    result = doctest.testmod(module)
    assert result.attempted
    assert not result.failed


@needs_chromium
def test_the_checks_of_a_page_see_wide_boxes_faint_letters_and_missing_pictures() -> None:
    with phone_browser() as (page, complaints):
        page.set_content(
            '<meta name="viewport" content="width=device-width"><script>console.error("a complaint")</script>'
            '<body style="background: white"><article><div id="wide" style="width: 500px">too wide</div>'
            '<div style="overflow-x: auto"><div style="width: 500px">it scrolls</div></div>'
            '<p id="faint" style="color: #999">2.8 to 1</p><p style="color: #666">5.7 to 1</p>'
            '<img src="data:image/png;base64,AAAA"></article>'
        )
        assert [found[9:13] for found in page.evaluate(OUT_OF_THE_PAGE)] == ["wide"]
        assert [found[7:12] for found in page.evaluate(FAINT)] == ["faint"]
        seen = page.evaluate(PAGE)
    assert seen["width"] > 390
    assert len(seen["images"]) == 1
    assert [complaint.rpartition(": ")[2] for complaint in complaints] == ["a complaint"]


@pytest.mark.exhaustive
@needs_chromium
def test_a_phone_shows_every_page_without_scrolling_sideways_complaints_or_dead_links(site: Path) -> None:
    names = sorted(path.relative_to(site).as_posix() for path in site.rglob("*.html"))
    assert len(names) > 90
    pages, wide = {}, {}
    with served(site) as address, phone_browser() as (page, complaints):
        page.on("request", lambda request: request.url.startswith(address) or complaints.append(request.url))
        for name in names:
            page.goto(address + name)
            pages[name] = page.evaluate(PAGE)
            wide[name] = page.evaluate(OUT_OF_THE_PAGE)
    assert complaints == []
    assert {name: found for name, found in wide.items() if found} == {}
    assert {found["width"] for found in pages.values()} == {found["window"] for found in pages.values()} == {390}
    assert [image for found in pages.values() for image in found["images"]] == []
    these = {link for found in pages.values() for link in found["links"] if link.startswith(address)}
    assert len(these) > 500
    assert [link for link in sorted(these) if not _leads_somewhere(link.removeprefix(address), site, pages)] == []


@pytest.mark.exhaustive
@needs_chromium
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_letters_stand_out_in_light_and_dark_and_figures_are_big_enough(site: Path, scheme: str) -> None:
    with served(site) as address, phone_browser(color_scheme=scheme) as (page, _):
        for name in CONTRAST:
            page.goto(address + name)
            assert page.evaluate(FAINT) == [], name
            assert page.evaluate(OUT_OF_THE_PAGE) == [], name
        page.goto(f"{address}docs/lessons/xor.html")
        width = page.locator(".figure img").evaluate("image => image.getBoundingClientRect().width")
    svg = (ROOT / "docs" / "lessons" / "xor-planes.svg").read_text("utf-8")
    assert (
        width / float(re.search(r'viewBox="0 0 (\S+)', svg)[1]) * min(phone.letter_sizes(svg)) >= phone.LETTERS_PX - 0.1
    )
    assert 'style="fill: #ffffff"' in svg[: svg.index('id="axes_1"')], "black letters on the dark page"


@pytest.mark.exhaustive
@needs_chromium
@pytest.mark.parametrize(
    ("asked", "found"),
    [("混同行列", "Glossary"), ("temperature", "Calibration")],
)
def test_pages_and_search_work_from_the_disk(site: Path, asked: str, found: str) -> None:
    requests: list[str] = []
    with phone_browser() as (page, _):
        page.on("request", lambda request: requests.append(request.url))
        page.goto((site / "index.html").as_uri())
        page.goto(f"{(site / 'search.html').as_uri()}?q={asked}")
        page.wait_for_selector("ul.search li")
        assert found in page.inner_text("ul.search")
        page.click(f"ul.search li a:text('{found}')")
        page.wait_for_url("**/docs/**")
    assert [url for url in requests if not url.startswith(("file://", "data:"))] == []


def _leads_somewhere(link: str, site: Path, pages: dict[str, Any]) -> bool:
    name, anchor = urldefrag(link.partition("?")[0])
    name, anchor = unquote(name) or "index.html", unquote(anchor)
    return (site / name).is_file() and (not anchor or anchor in pages[name]["anchors"])
