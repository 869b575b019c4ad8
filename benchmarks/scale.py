"""What a million, a hundred million and a billion images take, from rates that were measured on two cores.

    python benchmarks/scale.py

Nothing is timed here. The model is small: reading and network share the cores, 1/r = 1/d + 1/e; a process starts once;
memory grows along a line; a server is a station of as many servers as cores with a fixed number of clients (mean value
analysis); many machines on one storage are simulated shard by shard, each reading its next shard while it computes.
First the model has to give the measured points that it was not made from; the page shows both. Then it is asked for
what nobody has measured.
"""

from __future__ import annotations

import argparse
import heapq
import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from common import RESULTS, markdown_table

CORES = 2  # of every measurement
PHOTO_BYTES, ROW_BYTES, FEATURES = 23_000, 2_600, 1_280
"""A JPEG of about 500 x 375 px (mean of the 1,100 of dogscats), a row of the feature cache with digest and checksum."""
CELL_BYTES, LINE_BYTES = 14, 60  # of predictions.csv: a probability, and all else
COUNTS = (10**6, 10**8, 10**9)
MACHINE_CORES, SHARD, STORAGE = 32, 1_000, 1.25e9
"""A machine; images of a shard; bytes a second that one storage gives to all (10 Gbit/s)."""
SPREAD = 0.1  # of a shard's seconds, as rounds of benchmarks/bulk.py spread


@dataclass(frozen=True)
class Point:
    """A measured number beside what the model says."""

    what: str
    unit: str
    predicted: float
    measured: float
    source: str

    @property
    def row(self) -> list[str]:
        """The row of the table."""
        off = self.predicted / self.measured - 1
        numbers = [f"{self.predicted:,.1f}", f"{self.measured:,.1f}", f"{off:+.0%}"]
        return [self.what, self.unit, *numbers, f"[{self.source}](results/{self.source}.md)"]


def shared(decode: float, engine: float) -> float:
    """Return images a second of two steps that take turns on the same cores.

    >>> shared(300.0, 150.0)
    100.0
    """
    return 1 / (1 / decode + 1 / engine)


def line(one: tuple[float, float], other: tuple[float, float], at: float) -> float:
    """Return where the line through two points is at a third place.

    >>> line((1, 10), (2, 11), 5)
    14.0
    """
    return one[1] + (other[1] - one[1]) / (other[0] - one[0]) * (at - one[0])


def answered(clients: int, service: float, servers: int) -> tuple[float, float]:
    """Return requests a second, and seconds a request, of clients that ask again as soon as they are answered.

    Exact mean value analysis of one station with `servers` servers (Reiser and Lavenberg 1980, JACM 27:313-322).

    >>> answered(1, 0.1, 2)
    (10.0, 0.1)
    >>> [round(found, 6) for found in answered(8, 0.1, 2)]
    [20.0, 0.4]
    """
    waiting = [1.0]  # the chance of so many requests at the station
    rate = seconds = 0.0
    for n in range(1, clients + 1):
        seconds = sum(k * service / min(k, servers) * waiting[k - 1] for k in range(1, n + 1))
        rate = n / seconds
        some = [rate * service / min(k, servers) * waiting[k - 1] for k in range(1, n + 1)]
        waiting = [max(1 - sum(some), 0.0), *some]
    return rate, seconds


def simulated(machines: int, rate: float, shards: int = 40, seed: int = 0) -> float:
    """Return images a second of machines that read from one storage; each reads its next shard while it computes."""
    draws, storage_free = random.Random(seed), 0.0
    read, wanted = SHARD * PHOTO_BYTES / STORAGE, [(0.0, number) for number in range(machines)]
    computed, left, ends = [0.0] * machines, [shards] * machines, 0.0
    heapq.heapify(wanted)
    while wanted:
        asked, machine = heapq.heappop(wanted)
        arrives = storage_free = max(asked, storage_free) + read
        begins = max(arrives, computed[machine])
        computed[machine] = begins + SHARD / rate * max(draws.gauss(1, SPREAD), 0.1)
        ends = max(ends, computed[machine])
        left[machine] -= 1
        if left[machine]:
            heapq.heappush(wanted, (begins, machine))  # one shard ahead
    return machines * shards * SHARD / ends


def verified(found: dict[str, Any]) -> list[Point]:
    """Return the measured points and what the model says of them from other measurements."""
    bulk, pipeline, serve, audit = (found[name] for name in ("bulk", "pipeline", "serve", "audit_many"))
    rates = {name: median(values) for name, values in bulk["rates"].items()}
    points = [Point("predict, AMD", "images/s", shared(rates["decode"], rates["engine"]), rates["whole"], "bulk")]
    for one in pipeline["rounds"]:
        decode, engine, reached = (median(one[name]) for name in ("decode", "engine", "precompute"))
        what = f"features, Intel with AMX, {one['views']} augmented views"
        points.append(Point(what, "views/s", shared(decode, engine), reached, "pipeline"))
    few, some, many = ((count, count / rate, megabytes) for count, rate, megabytes in bulk["memory"])
    points.append(
        Point("predict 100,000 files, from 1,000 and 10,000", "s", line(few[:2], some[:2], many[0]), many[1], "bulk")
    )
    few, some, *_, many = ((one["files"], one["seconds"], one["peak_memory_mb"]) for one in audit)
    points.append(
        Point(
            "audit of 100,000 files, from 1,000 and 10,000",
            "s",
            line(few[:2], some[:2], many[0]),
            many[1],
            "audit_many",
        )
    )
    points.append(
        Point("its peak of memory, likewise", "MB", line(few[::2], some[::2], many[0]), many[2], "audit_many")
    )
    alone = serve["clients"]["1"]
    service = (alone["server_cpu_ms"] + alone["clients_cpu_ms"]) / 1000
    for clients, one in serve["clients"].items():
        rate, seconds = answered(int(clients), service, CORES)
        points.append(Point(f"serve, clients: {clients}", "images/s", rate, one["images_per_second"], "serve"))
        points.append(Point(f"its latency, clients: {clients}", "ms", 1000 * seconds, one["p50_ms"], "serve"))
    return points


def costs(rates: dict[str, float]) -> list[list[str]]:
    """Return a row per count: core-hours and days, and what is stored and moved."""
    rows = []
    for count in COUNTS:
        hours = [f"{CORES * count / rate / 3600:,.0f}" for rate in rates.values()]
        days = [count / rate / 86400 * CORES / cores for rate in (rates["predict, AMD"],) for cores in (2, 32, 1024)]
        stored = [
            count * size / 1e9
            for size in (PHOTO_BYTES, ROW_BYTES, LINE_BYTES + 2 * CELL_BYTES, LINE_BYTES + 100 * CELL_BYTES)
        ]
        rows.append([f"{count:,}", *hours, *(duration(one) for one in days), *(size_of(one) for one in stored)])
    return rows


def duration(days: float) -> str:
    """Return days for people.

    >>> duration(0.0001), duration(0.02), duration(0.5), duration(400.0)
    ('9 s', '29 min', '12 h', '400 d')
    """
    if days < 1 / 720:
        return f"{days * 86400:,.0f} s"
    if days < 1 / 12:
        return f"{days * 1440:,.0f} min"
    return f"{days * 24:,.0f} h" if days < 3 else f"{days:,.0f} d"


def size_of(gigabytes: float) -> str:
    """Return gigabytes for people.

    >>> size_of(2.6), size_of(2600.0)
    ('2.6 GB', '2.6 TB')
    """
    return f"{gigabytes:,.1f} GB" if gigabytes < 1000 else f"{gigabytes / 1000:,.1f} TB"


def storages(rate: float) -> list[list[str]]:
    """Return a row per number of machines on one storage: what they would do, what they do, and what limits them."""
    rows = []
    for machines in (1, 10, 30, 100, 300):
        alone, most = machines * rate, STORAGE / PHOTO_BYTES
        reached = simulated(machines, rate)
        limit = "storage" if alone > most else "cores"
        wire = reached * PHOTO_BYTES * 8 / 1e9
        rows.append(
            [str(machines), f"{alone:,.0f}", f"{reached:,.0f}", f"{wire:.2f}", limit, duration(1e9 / reached / 86400)]
        )
    return rows


def memories(audit: Sequence[dict[str, Any]], bulk: Sequence[Sequence[float]]) -> list[list[str]]:
    """Return a row per count: what one process keeps in memory that is given all images."""
    (few, many), (one, other) = (audit[0], audit[-1]), (bulk[0], bulk[-1])
    rows = []
    for count in COUNTS:
        looked = line((few["files"], few["peak_memory_mb"]), (many["files"], many["peak_memory_mb"]), count) / 1000
        predicted = line((one[0], one[2]), (other[0], other[2]), count) / 1000
        rows.append([f"{count:,}", size_of(predicted), size_of(looked), size_of(count * FEATURES * 4 / 1e9)])
    return rows


def main() -> None:
    """Verify the model, then write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--out", type=Path, default=RESULTS.parent / "scale.md")
    arguments = parser.parse_args()
    found = {
        name: json.loads((RESULTS / f"{name}.json").read_text()) for name in ("bulk", "pipeline", "serve", "audit_many")
    }
    text = page(found)
    arguments.out.write_text(text)
    print(text)


def page(found: dict[str, Any]) -> str:
    """Return docs/scale.md."""
    points = verified(found)
    amd, amx = points[0].measured, points[1].measured
    audit = found["audit_many"][-1]
    rates = {"predict, AMD": amd, "features, AMX": amx, "audit": audit["files"] / audit["seconds"]}
    machine = amd / CORES * MACHINE_CORES
    worst = max(abs(point.predicted / point.measured - 1) for point in points)
    header = ["images", "predict, AMD: core-hours", "features, Intel with AMX: core-hours", "audit: core-hours"]
    header += [
        "predict on 2 cores",
        "on 32",
        "on 1,024",
        "images",
        "rows of features",
        "CSV, 2 classes",
        "CSV, 100 classes",
    ]
    return TEXT.format(
        doc=(__doc__ or "").strip(),
        verified=markdown_table(
            ["what", "unit", "model", "measured", "off by", "measured in"], [p.row for p in points]
        ),
        worst=f"{worst:.0%}",
        costs=markdown_table(header, costs(rates)),
        memory=markdown_table(
            ["images", "predict", "audit", "features for a head, float32"],
            memories(found["audit_many"], found["bulk"]["memory"]),
        ),
        storage=markdown_table(
            ["machines", "images/s of their cores", "images/s", "Gbit/s", "limited by", "a billion images"],
            storages(machine),
        ),
        machine=f"{machine:,.0f}",
        machine_cores=MACHINE_CORES,
        knee=f"{STORAGE / PHOTO_BYTES / machine:,.0f}",
        per_core=f"{amd / CORES * PHOTO_BYTES * 8 / 1e6:.1f}",
        photo=f"{PHOTO_BYTES / 1000:.0f}",
    )


TEXT = """# How far it goes

{doc}

## The model beside what was measured

{verified}

The largest difference is {worst}: a line through two small audits asks for more memory than a large one took. All
were measured on two cores (AMD EPYC without AMX, an Intel Xeon with it) with EfficientNet-Lite0 at 224 px and JPEGs
of about 500 x 375 px; the audit on smaller ones, 128 x 96 px.

## What it would take

Photos of {photo} KB. Core-hours are those of cores as they were measured; other networks cost [other
times](results/families.md). Times are core-hours over cores, as if nothing else limited them.

{costs}

Rows of features are for one view; each augmented view takes as much again, and, since the file is decoded once,
somewhat less time.

## Where the bottleneck moves

**Up to a million: the cores.** A core takes {per_core} Mbit/s of photos, so a disk or a common network is not
noticed. More cores or AMX are all that helps. A fit keeps its rows, so the price is paid once; adding images costs
those images.

**Beyond a million: memory.** A process that is given all images keeps something of each:

{memory}

All are lines through the smallest and largest counts that were [measured](results/bulk.md); nobody has been where
they end. `predict` keeps about 0.9 KB of a file that it finds in a folder: give it parts of a million, as archives
or lists. An audit and a head want all at once, and a head holds more than its features while it is fitted. A linear
head on 1,280 features does not need a hundred million labelled images: [learning curves](how-to/learning-curve.md)
say when more give nothing. Draw a sample, fit it, and predict the rest.

**At a billion: the storage.** Machines of {machine_cores} cores take {machine} images/s each, if cores added up.
One storage of 10 Gbit/s feeds {knee} of them; simulated, {shards} shards of 1,000 images a machine, each machine
reading one ahead:

{storage}

Beyond the knee more machines give nothing: images have to lie on several storages, or with the machines. Reading
single files instead of archives makes that storage answer a request an image, 50,000 a second at the knee; put
images into archives, which `predict` reads as they are.

**Then what is written.** The probabilities of 100 classes as text take 1.5 TB for a billion images; Parquet takes
less ([formats](how-to/predict-many.md)).

## What was verified, and what not

- *Measured:* 100,000 files on one machine, `predict` and `audit`; a server with 64 clients for 10,000 requests.
- *Computed from it:* everything else on this page. Nobody has run a million images, more than two cores of which
  these rates are, or more than one machine.
- *Left out:* that many cores share memory and heat (images/s per core fall on large machines), machines that fail,
  disks whose files are not in the system's cache (here they were), a storage's requests per second, money.
- A [Ray cluster](how-to/cluster.md) shares the images out (`--cluster`), or each machine is given archives or a list of
  its own. A row does not depend on its machine as long as processor and versions are alike.

The tables are made by `python benchmarks/scale.py` from the JSON files beside the pages that are named; it takes a
second and can be run where these change.
""".replace("{shards}", "40")

if __name__ == "__main__":
    main()
