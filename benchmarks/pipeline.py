"""How well decoding overlaps with the engine: precompute against 1 / (1/decode + 1/engine), in one interleaved run.

Decoding (with preprocessing) alone, the engine alone and both together, on the same cores and photos, round by
round. Then where the rest goes: the share of wall time in which the cores were idle, and a profile of threads.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from common import DATA, RESULTS, made_with, markdown_table
from goldenrule.data.augmentation.augment import views
from goldenrule.data.augmentation.presets import side_on
from goldenrule.data.loader import DecodeJob, batches
from goldenrule.data.pictures.file_digests import with_digests
from goldenrule.data.sources.folders import from_folder
from goldenrule.data.table import ImageTable
from goldenrule.features.extractor import FeatureExtractor
from goldenrule.models.backbone import backbone
from goldenrule.models.graphs.compiled import available_threads


def main() -> None:
    """Measure and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sets", nargs="*", default=["dogscats", "GTSRB"])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--views", type=int, default=4)
    parser.add_argument("-o", "--out", type=Path, default=RESULTS / "pipeline.md")
    arguments = parser.parse_args()
    pretrained = backbone()
    threads = available_threads()
    extractor = FeatureExtractor.of(pretrained, threads=threads)
    rows, raw = [], []
    for name in arguments.sets:
        table = with_digests(from_folder(DATA / name))
        for count in (0, arguments.views):
            measured = rounds(table, extractor, count, arguments.repeats)
            raw.append({"set": name, "views": count, **measured})
            rows.append(row(name, count, measured))
    header = [
        "set",
        "augmented views",
        "decode, views/s",
        "engine, views/s",
        "1/(1/d+1/e)",
        "precompute, views/s",
        "reached",
        "cores busy",
    ]
    text = (
        "# Decoding overlapped with the engine\n\n"
        f"Median [min, max] of {arguments.repeats} interleaved rounds, {threads} threads, {extractor.kind}. "
        "`reached` is precompute (files to rows on disk) over what decoding and engine alone allow when they share the "
        "cores. `cores busy` is processor time over wall time x cores during precompute: what is missing to 100 % is "
        "waiting; the rest is work that neither part has alone (rows, checksums, digests, the chunk's fsync) and "
        "threads that share a core's caches.\n\n"
        f"{markdown_table(header, rows)}\n\nMade by `python benchmarks/pipeline.py`: {made_with()}.\n"
    )
    arguments.out.write_text(text)
    arguments.out.with_suffix(".json").write_text(
        json.dumps({"made_with": made_with(), "rounds": raw}, indent=1) + "\n"
    )
    print(text)


def rounds(table: ImageTable, extractor: FeatureExtractor, count: int, repeats: int) -> dict[str, list[float]]:
    """Return views per second of each way in every round."""
    engine, threads, preprocessing = extractor.engine, extractor.threads, extractor.spec.preprocessing
    shown = views(side_on(max_zoom=1.1), count)
    wanted = tuple(range(len(shown)))
    number = len(set(table.digests)) * len(shown)
    size = preprocessing.size
    pixels = np.zeros((engine.batch_size, 3, size, size), np.float32)

    def decoded() -> Iterator[tuple[None, np.ndarray]]:
        jobs = (DecodeJob(row=r, read=partial(table.read, uri), views=wanted) for r, uri in enumerate(table.uris))
        for batch in batches(jobs, shown, preprocessing, batch_size=engine.batch_size, threads=threads):
            yield None, batch.pixels

    def whole() -> Iterable[None]:
        with tempfile.TemporaryDirectory() as folder:
            os.environ["GOLDENRULE_CACHE"] = folder
            mask = np.ones(len(table), bool)
            extractor.features(table, views=shown, augmented=mask)
        return []

    ways: dict[str, Callable[[], Iterable[object]]] = {
        "decode": decoded,
        "engine": lambda: engine.run((None, pixels) for _ in range(number // engine.batch_size + 1)),
        "precompute": whole,
    }
    measured: dict[str, list[float]] = {name: [] for name in ways} | {"busy": []}
    for round_number in range(repeats + 1):
        for name, way in ways.items():
            began, used = time.perf_counter(), time.process_time()
            with threadpool_limits(1, user_api="blas"):
                for _ in way():
                    pass
            seconds = time.perf_counter() - began
            if round_number:  # the first one warms up
                measured[name].append(number / seconds)
                if name == "precompute":
                    measured["busy"].append((time.process_time() - used) / seconds / threads)
    return measured


def row(name: str, count: int, measured: dict[str, list[float]]) -> list[str]:
    """Return one line of the table."""
    possible = [1 / (1 / d + 1 / e) for d, e in zip(measured["decode"], measured["engine"], strict=True)]
    reached = [p / limit for p, limit in zip(measured["precompute"], possible, strict=True)]
    rates = [spread(measured[key]) for key in ("decode", "engine")]
    busy, share = (f"{100 * statistics.median(values):.0f} %" for values in (measured["busy"], reached))
    spread_share = f"{share} [{100 * min(reached):.0f}, {100 * max(reached):.0f}]"
    return [name, str(count), *rates, spread(possible), spread(measured["precompute"]), spread_share, busy]


def spread(values: list[float]) -> str:
    """Return median and range."""
    return f"{statistics.median(values):.0f} [{min(values):.0f}, {max(values):.0f}]"


if __name__ == "__main__":
    main()
