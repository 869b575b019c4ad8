"""examples/browser says in Chromium what Python says: npm installs its runtime, Python's own server serves it."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from goldenrule.data.pictures.decode import decode
from goldenrule.deploy.classifier_graph import PROBABILITIES, exported_graph
from goldenrule.deploy.export_formats import FORMATS
from goldenrule.deploy.exporting import in_python
from goldenrule.engines import EngineKind
from goldenrule.metrics.uncertainty.thresholds import Thresholds
from goldenrule.models.backbone import backbone
from goldenrule.models.classifier import Classifier
from goldenrule.models.heads import fresh_head

EXAMPLE = Path(__file__).parents[2] / "examples" / "browser"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine (Debian: apt install chromium)"),
    pytest.mark.skipif(shutil.which("npm") is None, reason="no npm on this machine (Debian: apt install npm)"),
]


@pytest.fixture(scope="module")
def example(made_once: Callable[..., Path]) -> Path:
    """The example's folder with onnxruntime-web installed; skip where npm can't get it."""

    def fill(folder: Path) -> None:
        for file in EXAMPLE.iterdir():
            if file.is_file():
                shutil.copy(file, folder)
        words = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--no-progress"]
        done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False, timeout=240)
        if done.returncode:
            pytest.skip(f"npm can't install onnxruntime-web: {done.stderr[-300:]}")

    return made_once("browser-example", fill)


@pytest.fixture
def address(example: Path, tmp_path: Path) -> Iterator[str]:
    """The example as its README starts it, in a folder that holds what `tmp_path` holds too."""
    for file in example.iterdir():
        (tmp_path / file.name).symlink_to(file)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = [sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1"]
    server = subprocess.Popen(words, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(100):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/").close()
                break
            except OSError:
                server.poll()
                assert server.returncode is None, "the server has ended"
                with pytest.raises(subprocess.TimeoutExpired):
                    server.wait(timeout=0.1)
        yield f"http://127.0.0.1:{port}/"
    finally:
        server.kill()
        server.wait()


@pytest.fixture
def page() -> Iterator[Any]:
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        opened = browser.new_page()
        opened.set_default_timeout(60_000)
        opened.errors = []
        opened.on("pageerror", lambda error: opened.errors.append(str(error)))
        yield opened
        browser.close()


def shown(page: Any) -> dict[str, float]:
    """Return the probabilities that the page shows."""
    rows = page.eval_on_selector_all("tr", "rows => rows.map(row => [row.cells[0].innerText, row.cells[2].innerText])")
    return {name.strip(): float(value.removesuffix("%")) / 100 for name, value in rows}


TO_THE_DIGIT = """async () => {
    const { classify, pixelsOf } = await import("./main.js");
    return (await classify(await pixelsOf(document.querySelector("#file").files[0]))).probabilities;
}"""


@pytest.mark.parametrize("precision", ["fp32", pytest.param("int8", marks=pytest.mark.exhaustive)])
def test_the_page_shows_what_python_says_of_a_picture(
    command: Callable[..., Any],
    picture_folder: Callable[..., Path],
    address: str,
    page: Any,
    tmp_path: Path,
    precision: str,
) -> None:
    assert command("fit", picture_folder(), "--quick", "--out", "run").returncode == 0
    assert command("export", "run", "-o", "photos.onnx", "--precision", precision).returncode == 0
    classifier = Classifier.load(tmp_path / "run")
    file = FORMATS["onnx"].runner(tmp_path / "photos.onnx", classifier)
    draws = np.random.default_rng(0)
    exif = Image.Exif()
    exif[274] = 6  # a camera that was held upright
    Image.fromarray(draws.integers(0, 256, (70, 50, 3), dtype=np.uint8)).save(tmp_path / "turned.png", exif=exif)
    clear = np.dstack([draws.integers(0, 256, (40, 90, 3)), np.repeat([[0, 255]], 45, axis=1).repeat(40, axis=0)])
    Image.fromarray(clear.astype(np.uint8)).save(tmp_path / "clear.png")
    page.goto(address)
    page.wait_for_selector("#file:enabled")
    for name in ("turned.png", "clear.png"):
        pixels = decode((tmp_path / name).read_bytes())
        with page.expect_event("console", lambda message: message.text == "classified"):
            page.evaluate(
                """() => new MutationObserver((_, self) => { self.disconnect(); console.log("classified"); })
                    .observe(document.querySelector("#picture"), { attributes: true, attributeFilter: ["src"] })"""
            )
            page.set_input_files("#file", tmp_path / name)
        found = page.evaluate(TO_THE_DIGIT)
        wanted = (
            in_python(classifier, pixels)[PROBABILITIES][0] if precision == "fp32" else file(pixels)[PROBABILITIES][0]
        )
        np.testing.assert_allclose(found, wanted, atol=1e-4 if precision == "fp32" else 5e-2, rtol=0)
        assert shown(page) == {
            label: pytest.approx(probability, abs=6e-4)
            for label, probability in zip(classifier.classes, found, strict=True)
        }
    assert page.errors == []


@pytest.mark.exhaustive
def test_labels_above_their_thresholds_are_marked_and_what_is_wrong_is_said(
    cache: Path, address: str, page: Any, tmp_path: Path
) -> None:
    classes, network = ("sea", "sky"), backbone()
    classifier = Classifier(
        classes,
        network,
        fresh_head("linear", features=network.spec.features, classes=2, draws=np.random.default_rng(0)),
        EngineKind(name="openvino", precision="fp32", version="0"),
        task="multi",
        thresholds=Thresholds(classes=classes, values=(0.01, 0.99), beta=1, n=2, per_class=True),
    )
    (tmp_path / "labels.onnx").write_bytes(exported_graph(classifier).SerializeToString())
    Image.new("RGB", (64, 48), "blue").save(tmp_path / "blue.png")
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    page.goto(address)
    page.get_by_text("photos.onnx can't be loaded (404): put an exported file beside index.html").wait_for()
    assert page.locator("#file").is_disabled()
    page.goto(f"{address}?model=labels.onnx")
    page.wait_for_selector("#file:enabled")
    page.set_input_files("#file", tmp_path / "blue.png")
    page.locator("tr").nth(1).wait_for()
    assert shown(page).keys() == {"✓ sea", "sky"}
    page.set_input_files("#file", tmp_path / "broken.jpg")
    page.get_by_text("This picture can't be classified").wait_for()
    assert page.locator("tr").count() == 0
