"""The same 20 photos through every door of a classifier: how far apart the probabilities are.

All doors are compared with PyTorch in fp32 and features rounded to float16 (law 1), on the same pixels: those that
goldenrule decodes, for the browser as a PNG. Another JPEG decoder and another precision have rows of their own.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from PIL import Image
from playwright.sync_api import sync_playwright
from simplejpeg import decode_jpeg

import goldenrule as gr
from common import DATA, RESULTS, ROOT, made_with, markdown_table
from goldenrule.core.progress import Silent
from goldenrule.data.pictures.decode import decode
from goldenrule.data.sources.folders import image_files
from goldenrule.deploy.export_formats import FORMATS
from goldenrule.deploy.exporting import in_python
from goldenrule.deploy.quantizing import quantized
from goldenrule.deploy.run_pictures import run_pictures

PHOTOS = 20
BROWSER = ROOT / "examples" / "browser"
IN_PAGE = """async () => {
    const { classifier, classify, pixelsOf } = await import("./main.js");
    await classifier;
    const answer = await classify(await pixelsOf(document.querySelector("#file").files[0]));
    return answer.probabilities;
}"""
DIGEST_IN_PAGE = """async () => {
    const { pixelsOf } = await import("./main.js");
    const { rgb } = await pixelsOf(document.querySelector("#file").files[0]);
    const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", rgb));
    return [...digest].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}"""
Found = np.ndarray


def main() -> None:
    """Measure and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path, help="a quick fit of dogscats without augmented views")
    parser.add_argument("-o", "--out", type=Path, default=RESULTS / "same_photos.md")
    arguments = parser.parse_args()
    files = [path for _, path in image_files([DATA / "dogscats" / "valid"])]
    files = [files[place] for place in np.linspace(0, len(files) - 1, PHOTOS).astype(int)]
    with tempfile.TemporaryDirectory() as folder:
        run = arguments.run or gr.fit(DATA / "dogscats", quick=True, views=0, out=Path(folder) / "run").folder
        values = measured(run, files, Path(folder))
    arguments.out.with_suffix(".json").write_text(json.dumps(values, indent=1) + "\n")
    arguments.out.write_text(page(values))
    print(page(values))


def measured(run: Path, files: list[Path], folder: Path) -> dict[str, Any]:
    """Return the largest difference of a probability by each door, and how many photos are called otherwise."""
    classifier = gr.Classifier.load(run)
    pixels = [decode(file.read_bytes()) for file in files]
    wanted = np.concatenate([in_python(classifier, each)["probabilities"] for each in pixels])
    plain = [folder / f"{number:02d}.png" for number in range(len(files))]
    for path, each in zip(plain, pixels, strict=True):
        Image.fromarray(each).save(path)
    found = {
        "Python: `classifier.predict(paths)`": classifier.predict(files).probabilities,
        "`goldenrule predict`": by_command(run, files, folder, classifier),
        "`goldenrule serve`, a process": by_server(run, files, classifier),
    }
    pictures = run_pictures(run)
    assert pictures is not None
    for precision, made in (("fp32", None), ("int8", quantized(classifier, pictures.train, Silent()))):
        for name in ("onnx", "openvino"):
            for ending, content in FORMATS[name].make(classifier, made).items():
                (folder / f"{precision}{ending}").write_bytes(content)
            door = FORMATS[name].runner(folder / f"{precision}{FORMATS[name].ending}", classifier)
            found[f"{NAMES[name]}, {precision}"] = np.concatenate([door(each)["probabilities"] for each in pixels])
            if (precision, name) == ("fp32", "onnx"):
                others = [decode_jpeg(file.read_bytes(), fastdct=True, fastupsample=True) for file in files]
                rough = np.concatenate([door(each)["probabilities"] for each in others])
    browser, digests = by_browser(folder, plain, files)
    found |= browser | {"ONNX Runtime, fp32, JPEGs decoded the fast way": rough}
    return {
        "same_pixels": sum(hashlib.sha256(each).hexdigest() == one for each, one in zip(pixels, digests, strict=True)),
        "doors": {name: difference(wanted, each) for name, each in found.items()},
        "engine": str(classifier.engine),
        "photos": len(files),
    }


NAMES = {"onnx": "ONNX Runtime, exported file", "openvino": "OpenVINO, exported file"}


def difference(wanted: Found, found: Found) -> dict[str, float]:
    """Return how far probabilities are apart."""
    apart = np.abs(found - wanted).max(axis=1)
    called = int((found.argmax(axis=1) != wanted.argmax(axis=1)).sum())
    return {"largest": float(apart.max()), "median": float(np.median(apart)), "called_otherwise": called}


def by_command(run: Path, files: list[Path], folder: Path, classifier: gr.Classifier) -> Found:
    """Return what the command writes."""
    out = folder / "rows.jsonl"
    words = [sys.executable, "-m", "goldenrule", "predict", run, *files, "-o", out, "--quiet"]
    subprocess.run(list(map(str, words)), check=True)
    return in_order([json.loads(line) for line in out.read_text().splitlines()], files, classifier)


def by_server(run: Path, files: list[Path], classifier: gr.Classifier) -> Found:
    """Return what a server answers."""
    words = [sys.executable, "-m", "goldenrule", "serve", str(run), "--port", "0"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            address = re.search(r"http://[\d.]+:\d+", process.stdout.readline())
            assert address is not None
            form = [("files", (str(file), file.read_bytes())) for file in files]
            answer = httpx.post(f"{address[0]}/predict", files=form, timeout=300).raise_for_status()
        finally:
            process.terminate()
    return np.array(
        [[row["probabilities"][name] for name in classifier.classes] for row in answer.json()["predictions"]]
    )


def in_order(rows: list[Mapping[str, Any]], files: list[Path], classifier: gr.Classifier) -> Found:
    """Return the probabilities of rows in the order of the files."""
    by_name = {Path(row["path"]).name: row["probabilities"] for row in rows}
    return np.array([[by_name[file.name][name] for name in classifier.classes] for file in files])


def by_browser(folder: Path, plain: list[Path], files: list[Path]) -> tuple[dict[str, Found], list[str]]:
    """Return what examples/browser shows in Chromium: of the same pixels, and of the photos as they are.

    And the digest of each photo's pixels there.
    """
    site = folder / "site"
    shutil.copytree(BROWSER, site, ignore=shutil.ignore_patterns("node_modules"))
    subprocess.run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=site, check=True)
    for precision in ("fp32", "int8"):
        shutil.copy(folder / f"{precision}.onnx", site)
    words = [sys.executable, "-u", "-m", "http.server", "0", "--bind", "127.0.0.1"]
    with (
        subprocess.Popen(words, cwd=site, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server,
        sync_playwright() as play,
    ):
        try:
            assert server.stdout is not None
            port = re.search(r"port (\d+)", server.stdout.readline())
            assert port is not None
            browser = play.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
            page = browser.new_page()
            page.set_default_timeout(300_000)

            def shown(model: str, photos: list[Path], script: str = IN_PAGE) -> list[Any]:
                page.goto(f"http://127.0.0.1:{port[1]}/?model={model}.onnx")
                page.wait_for_selector("#file:enabled")
                rows = []
                for photo in photos:
                    page.set_input_files("#file", photo)
                    rows.append(page.evaluate(script))
                return rows

            doors = {
                "browser (Chromium, onnxruntime-web), fp32": shown("fp32", plain),
                "browser, int8": shown("int8", plain),
                "browser, fp32, its own JPEG decoder": shown("fp32", files),
            }
            return {name: np.array(rows) for name, rows in doors.items()}, shown("fp32", files, DIGEST_IN_PAGE)
        finally:
            server.terminate()


def page(values: dict[str, Any]) -> str:
    """Return the page in Markdown."""
    rows = [
        [name, f"{one['largest']:.1e}", f"{one['median']:.1e}", f"{one['called_otherwise']} of {values['photos']}"]
        for name, one in values["doors"].items()
    ]
    header = ["door", "largest difference of a probability", "median over photos", "called otherwise"]
    same = [one["largest"] for name, one in values["doors"].items() if "int8" not in name and "JPEG" not in name]
    verdict = "All of them are" if max(same) <= 1e-4 else "Not all of them are"
    return "\n\n".join(
        [
            "# The same photos through every door",
            f"n={values['photos']} real photos (JPEG, cats and dogs that the classifier has not learned from) through "
            "every way to ask one classifier: EfficientNet-Lite0, a linear head, the plain view. The reference is "
            "PyTorch in fp32 with features rounded to float16, as they are everywhere "
            "([law 1](../design.md#laws)). Differences are of probabilities, the largest of any class.",
            markdown_table(header, rows),
            f"Doors in fp32 see the same pixels; 1e-4 is what is wanted. {verdict} within it: the largest difference "
            f"is {max(same):.1e}. Python, `predict` and the server use the engine that the classifier was scored with, "
            f"here {values['engine']}; on a processor with bf16 that would be another precision. The browser "
            f"gets the same pixels as PNG; its own JPEG decoder gives the very same for {values['same_pixels']} of "
            f"{values['photos']} photos. For another decoder stands libjpeg-turbo's fast way (`fastdct`, "
            "`fastupsample`), whose pixels differ. int8 is calibrated on 300 "
            "training images ([export](../how-to/export.md#int8)).",
            f"Made by `python benchmarks/same_photos.py`: {made_with()}.\n",
        ]
    )


if __name__ == "__main__":
    main()
