"""What `goldenrule serve` adds to the engine: latency and images/s at 1, 8 and 64 clients on loopback.

The server runs in a process of its own, the clients in another; both use the same cores, so the clients' processor time
is measured and said. Beside them the engine and the decoder alone, in the same run. Everything stays on 127.0.0.1.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psutil

import goldenrule as gr
from common import DATA, RESULTS, made_with, markdown_table
from goldenrule.data.sources.folders import image_files
from goldenrule.models.graphs.compiled import available_threads, serving_engine, serving_kind

CLIENTS = (1, 8, 64)
PHOTOS = 64


def main() -> None:
    """Measure and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=1_000, help="for each number of clients")
    parser.add_argument("-o", "--out", type=Path, default=RESULTS / "serve.md")
    arguments = parser.parse_args()
    files = [path.read_bytes() for _, path in image_files([DATA / "dogscats"])[:PHOTOS]]
    with tempfile.TemporaryDirectory() as folder:
        run = gr.fit(DATA / "cat_dog_horse", quick=True, out=Path(folder) / "run").folder
        values: dict[str, Any] = {
            "alone": alone(gr.Classifier.load(run), files),
            "clients": served(run, files, arguments.requests),
            "requests": arguments.requests,
            "load": os.getloadavg()[0],
        }
    arguments.out.with_suffix(".json").write_text(json.dumps(values, indent=1) + "\n")
    text = page(values)
    arguments.out.write_text(text)
    print(text)


def alone(classifier: gr.Classifier, files: list[bytes]) -> dict[str, float]:
    """Return images/s of the engine alone on all threads, and the milliseconds of one photo with its decoding."""
    threads = available_threads()
    engine = serving_engine(
        classifier.backbone, serving_kind(classifier.backbone, classifier.engine), images=1, threads=threads
    )
    size = classifier.preprocessing.size
    pixels = np.zeros((engine.batch_size, 3, size, size), np.float32)
    list(engine.run((None, pixels) for _ in range(8)))
    began = time.perf_counter()
    list(engine.run((None, pixels) for _ in range(200)))
    rate = 200 * engine.batch_size / (time.perf_counter() - began)
    seconds = []
    for number in range(200):
        began = time.perf_counter()
        classifier.predict_here([("a", files[number % len(files)])])
        seconds.append(time.perf_counter() - began)
    return {"engine_images_per_second": rate, "predict_p50_ms": 1000 * float(np.median(seconds))}


def served(run: Path, files: list[bytes], requests: int) -> dict[str, dict[str, float]]:
    """Return what each number of clients sees of a server in a process of its own."""
    command = [sys.executable, "-m", "goldenrule", "serve", str(run), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            found = re.search(r"http://[\d.]+:\d+", process.stdout.readline())
            assert found is not None
            asyncio.run(load(found[0], files, 50, 4))
            return {str(clients): measured(process, found[0], files, requests, clients) for clients in CLIENTS}
        finally:
            process.terminate()


def measured(
    process: subprocess.Popen[str], address: str, files: list[bytes], requests: int, clients: int
) -> dict[str, float]:
    """Return the quantiles of a load in milliseconds, images/s, and the processor's time of both sides."""
    server, client = psutil.Process(process.pid), psutil.Process()
    before, began = (sum(one.cpu_times()[:2]) for one in (server, client)), time.perf_counter()
    of_server, of_client = before
    seconds = asyncio.run(load(address, files, requests, clients))
    took = time.perf_counter() - began
    milliseconds = 1000 * np.array(seconds)
    return {
        "p50_ms": float(np.percentile(milliseconds, 50)),
        "p99_ms": float(np.percentile(milliseconds, 99)),
        "images_per_second": len(seconds) / took,
        "server_cpu_ms": 1000 * (sum(server.cpu_times()[:2]) - of_server) / len(seconds),
        "clients_cpu_ms": 1000 * (sum(client.cpu_times()[:2]) - of_client) / len(seconds),
    }


async def load(address: str, files: list[bytes], requests: int, clients: int) -> list[float]:
    """Return the seconds of each request, sent by so many clients, each one after another."""
    seconds: list[float] = []
    left = iter(range(requests))

    async def ask(client: httpx.AsyncClient) -> None:
        for number in left:
            began = time.perf_counter()
            headers = {"content-type": "image/jpeg"}
            answer = await client.post(f"{address}/predict", content=files[number % len(files)], headers=headers)
            answer.raise_for_status()
            seconds.append(time.perf_counter() - began)

    async with httpx.AsyncClient(timeout=120, limits=httpx.Limits(max_connections=clients)) as client:
        await asyncio.gather(*(ask(client) for _ in range(clients)))
    return seconds


def page(values: dict[str, Any]) -> str:
    """Return the page of the results."""
    alone, threads = values["alone"], available_threads()
    columns = ["p50_ms", "p99_ms", "images_per_second", "server_cpu_ms", "clients_cpu_ms"]
    rows = [[clients, *(f"{of[name]:.1f}" for name in columns)] for clients, of in values["clients"].items()]
    header = ["clients", "p50, ms", "p99, ms", "images/s", "server, CPU ms an image", "clients, CPU ms an image"]
    return (
        "# Serving\n\n"
        f"`goldenrule serve` on EfficientNet-Lite0, a JPEG of about 500 x 375 px a request, n={values['requests']:,} "
        f"requests for each number of clients, all on {threads} cores, on which the clients run too.\n\n"
        f"{markdown_table(header, rows)}\n\n"
        f"In the same run, without HTTP: a photo decoded and predicted takes {alone['predict_p50_ms']:.1f} ms (p50), "
        f"and the engine alone gives {alone['engine_images_per_second']:.0f} images/s on all cores, without "
        f"decoding. The load average at the end was {values['load']:.1f}.\n\n"
        f"Made by `python benchmarks/serve.py`: {made_with()}.\n"
    )


if __name__ == "__main__":
    main()
