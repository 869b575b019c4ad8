"""What `goldenrule serve` adds to the engine: latency and images/s at 1, 8 and 64 clients on loopback.

The server runs in a process of its own, the clients in another; both use the same cores, so the clients' processor time
is measured and said. Beside them the engine and the decoder alone, in the same run, and the same server with another
thing in the place of its network, which takes a core as long as the network does. Then a soak, whose memory is looked
at, and bodies that are no pictures. Everything stays on 127.0.0.1.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import httpx
import numpy as np
import psutil

import goldenrule as gr
from common import DATA, RESULTS, ROOT, made_with, markdown_table
from goldenrule.data.pictures.decode import decode
from goldenrule.data.sources.folders import image_files
from goldenrule.models.graphs.compiled import available_threads, serving_engine, serving_kind

CLIENTS = (1, 8, 64)
PHOTOS = 64
SOAK_STEPS = 10
STAND_IN = "GOLDENRULE_BENCH_STAND_IN_MS"


def main() -> None:
    """Measure and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=1_000, help="for each number of clients")
    parser.add_argument("--soak", type=int, default=10_000, help="requests of the soak")
    parser.add_argument("-o", "--out", type=Path, default=RESULTS / "serve.md")
    arguments = parser.parse_args()
    files = [path.read_bytes() for _, path in image_files([DATA / "dogscats"])[:PHOTOS]]
    with tempfile.TemporaryDirectory() as folder:
        run = gr.fit(DATA / "cat_dog_horse", quick=True, out=Path(folder) / "run").folder
        without = alone(gr.Classifier.load(run), files)
        values: dict[str, Any] = {
            "alone": without,
            "clients": served(run, files, arguments.requests),
            "stand_in": stood_in(run, files, arguments.requests, without["engine_ms"]),
            "soak": soaked(run, files, arguments.soak),
            "bad": bad_uploads(run),
            "requests": arguments.requests,
            "load": os.getloadavg()[0],
        }
    arguments.out.with_suffix(".json").write_text(json.dumps(values, indent=1) + "\n")
    text = page(values)
    arguments.out.write_text(text)
    print(text)


def alone(classifier: gr.Classifier, files: list[bytes]) -> dict[str, float]:
    """Return images/s of the engine alone on all threads, and the milliseconds of one photo's parts and of all."""
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
    pre = classifier.preprocessing
    return {
        "engine_images_per_second": rate,
        "engine_ms": median_ms(lambda _: list(engine.run([(None, pixels)]))) / engine.batch_size,
        "decode_ms": median_ms(lambda file: pre.pixels(decode(file, least_side=pre.least_side)), files),
        "predict_p50_ms": median_ms(lambda file: classifier.predict_here([("a", file)]), files),
    }


def median_ms(work: Callable[[Any], object], given: Iterable[Any] = (None,), times: int = 200) -> float:
    """Return the median milliseconds of a work on what is given, in turns."""
    given, seconds = list(given), []
    for number in range(times):
        began = time.perf_counter()
        work(given[number % len(given)])
        seconds.append(time.perf_counter() - began)
    return 1000 * float(np.median(seconds))


@contextlib.contextmanager
def server(run: Path, *, module: str = "goldenrule", **environment: str) -> Iterator[tuple[Any, str]]:
    """Run a server in a process of its own while the block runs; gives the process and its address."""
    command = [sys.executable, *(["-m", module] if module == "goldenrule" else [module])]
    words = [*command, "serve", str(run), "--port", "0"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=os.environ | environment) as process:
        try:
            assert process.stdout is not None
            found = re.search(r"http://[\d.]+:\d+", process.stdout.readline())
            assert found is not None
            yield process, found[0]
        finally:
            process.terminate()


def served(run: Path, files: list[bytes], requests: int) -> dict[str, dict[str, float]]:
    """Return what each number of clients sees of a server."""
    with server(run) as (process, address):
        asyncio.run(load(address, files, 50, 4))
        return {str(clients): measured(process, address, files, requests, clients) for clients in CLIENTS}


def stood_in(run: Path, files: list[bytes], requests: int, milliseconds: float) -> dict[str, float]:
    """Return what the most clients see of a server whose network is replaced by its measured time on a core."""
    with server(run, module=__file__, **{STAND_IN: str(milliseconds)}) as (process, address):
        asyncio.run(load(address, files, 50, 4))
        return measured(process, address, files, requests, CLIENTS[-1])


class StandIn:
    """An engine that keeps a core as long as the network does, and gives zeros."""

    def __init__(self, engine: Any, features: int) -> None:
        self.kind, self.batch_size, self._features = engine.kind, engine.batch_size, features
        block = bytes(1 << 20)  # hashing lets the other threads run, as the network does
        self._seconds = median_ms(lambda _: hashlib.blake2b(block)) / 1000
        self._work = bytes(int((1 << 20) * float(os.environ[STAND_IN]) / 1000 / self._seconds) + 1)

    def run(self, batches: Iterable[tuple[Any, Any]]) -> Iterator[tuple[Any, Any]]:
        """Yield zeros, after a while."""
        for tag, pixels in batches:
            for _ in pixels:
                hashlib.blake2b(self._work)
            yield tag, np.zeros((len(pixels), self._features), np.float32)


def serve_with_stand_in() -> None:
    """Be `goldenrule serve`, with `StandIn` in the place of the engine."""
    from goldenrule.cli.main import run
    from goldenrule.models import classifier

    true = classifier.serving_engine
    classifier.serving_engine = lambda backbone, *args, **more: StandIn(  # type: ignore[assignment,return-value]
        true(backbone, *args, **more), backbone.spec.features
    )
    run()


def soaked(run: Path, files: list[bytes], requests: int) -> list[dict[str, float]]:
    """Return the memory of a server after each tenth of so many requests by 8 clients."""
    with server(run) as (process, address):
        found = psutil.Process(process.pid)
        asyncio.run(load(address, files, 200, 8))
        rows = [{"requests": 200, "megabytes": found.memory_info().rss / 2**20}]
        for step in range(SOAK_STEPS):
            asyncio.run(load(address, files, requests // SOAK_STEPS, 8))
            count = 200 + (step + 1) * (requests // SOAK_STEPS)
            rows.append({"requests": count, "megabytes": found.memory_info().rss / 2**20})
        return rows


def bad_uploads(run: Path) -> list[list[str]]:
    """Return for each body that the tests know to be bad: its kind, the answer, and whether the server goes on."""
    sys.path.append(str(ROOT / "tests" / "field"))
    from test_serve import BAD, drawn

    rows = []
    with server(run) as (process, address):
        for kind, (made, _, _) in BAD.items():
            answer = httpx.post(f"{address}/predict", timeout=60, **made())
            after = httpx.post(f"{address}/predict", timeout=60, files={"files": ("a.png", drawn())})
            alive = process.poll() is None and after.status_code == 200
            rows.append([kind, str(answer.status_code), answer.json()["error"], "yes" if alive else "no"])
    return rows


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

    async def ask() -> None:
        async with aiohttp.ClientSession(raise_for_status=True) as client:  # its own connection
            for number in left:
                began = time.perf_counter()
                headers = {"content-type": "image/jpeg"}
                async with client.post(
                    f"{address}/predict", data=files[number % len(files)], headers=headers
                ) as answer:
                    await answer.read()
                seconds.append(time.perf_counter() - began)

    await asyncio.gather(*(ask() for _ in range(clients)))
    return seconds


def page(values: dict[str, Any]) -> str:
    """Return the page of the results."""
    alone, threads = values["alone"], available_threads()
    columns = ["p50_ms", "p99_ms", "images_per_second", "server_cpu_ms", "clients_cpu_ms"]
    rows = [[clients, *(f"{of[name]:.1f}" for name in columns)] for clients, of in values["clients"].items()]
    rows.append([f"{CLIENTS[-1]}, stand-in", *(f"{values['stand_in'][name]:.1f}" for name in columns)])
    header = ["clients", "p50, ms", "p99, ms", "images/s", "server, CPU ms an image", "clients, CPU ms an image"]
    soak = [[f"{row['requests']:,}", f"{row['megabytes']:.0f}"] for row in values["soak"]]
    return (
        "# Serving\n\n"
        f"`goldenrule serve` on EfficientNet-Lite0, a JPEG of about 500 x 375 px a request, n={values['requests']:,} "
        f"requests for each number of clients, all on {threads} cores, on which the clients run too.\n\n"
        f"{markdown_table(header, rows)}\n\n"
        f"In the same run, without HTTP: a photo decoded and predicted takes {alone['predict_p50_ms']:.1f} ms (p50): "
        f"{alone['decode_ms']:.1f} to decode and preprocess, {alone['engine_ms']:.1f} in the engine. The engine alone "
        f"gives {alone['engine_images_per_second']:.0f} images/s on all cores, without decoding. In the row "
        "*stand-in* the network is replaced by hashing, which takes a core as long as one picture takes the engine: "
        f"what is left is the server. The load average at the end was {values['load']:.1f}.\n\n"
        "## Memory\n\nOf the server's process, 8 clients.\n\n"
        f"{markdown_table(['requests', 'MB'], soak)}\n\n"
        "## Bad uploads\n\nThe bodies of `tests/field/test_serve.py`, each followed by a good one.\n\n"
        f"{markdown_table(['what was sent', 'status', 'answer', 'goes on'], values['bad'])}\n\n"
        f"Made by `python benchmarks/serve.py`: {made_with()}.\n"
    )


if __name__ == "__main__":
    if STAND_IN in os.environ:
        serve_with_stand_in()
    else:
        main()
