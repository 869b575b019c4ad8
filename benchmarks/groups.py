"""How often intervals hold where images come in groups: simulated groups of several sizes and likenesses.

Shares: each group's chance of being right is drawn (beta), so that answers within a group correlate (intraclass
correlation 0 to .5). Means: a normal effect of the group beside the image's own. Orders: neighbours in a line are alike
(an autoregressive chain), and the line is cut in blocks; beside it the circular block bootstrap with the block length
of Politis and White (2004). Intervals that take images for independent stand beside all of them.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from common import RESULTS, made_with, markdown_table
from goldenrule.data.splits.stretches import BLOCKS
from goldenrule.metrics.grouped.clusters import clustered_mean, clustered_share
from goldenrule.metrics.intervals import wilson

GROUPS = (6, 10, 20, 30, 50)
SIZES = (5, 20)
LIKENESS = (0.0, 0.1, 0.3, 0.5)
SHARES = (0.5, 0.8, 0.95, 0.99)
CHAINS = (0.0, 0.5, 0.8, 0.9)
LENGTHS = (100, 400, 1600)
WANTED = 0.93


def main() -> None:
    """Simulate and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("-o", "--out", type=Path, default=RESULTS / "groups.md")
    arguments = parser.parse_args()
    rows = []
    for kind in (shares, means, orders):
        some = list(kind(arguments.draws, np.random.default_rng(arguments.seed)))
        print(kind.__name__, min(row["held"] for row in some), flush=True)
        rows += some
    about = {"made_with": made_with(), "draws": arguments.draws, "seed": arguments.seed, "rows": rows}
    arguments.out.with_suffix(".json").write_text(json.dumps(about, indent=1) + "\n")
    arguments.out.write_text(page(rows, arguments.draws))


def shares(draws: int, generator: np.random.Generator) -> Iterator[dict[str, Any]]:
    """Return how often the interval of a share holds it, with groups of equal and of unequal sizes."""
    for groups in GROUPS:
        for size in SIZES:
            for likeness in LIKENESS:
                for share in SHARES:
                    for equal in (True, False):
                        held, naive, width = [], [], []
                        for _ in range(draws):
                            sizes = np.full(groups, size) if equal else 1 + generator.poisson(size - 1, groups)
                            chance = (
                                generator.beta(*((1 - likeness) / likeness * np.array([share, 1 - share])), groups)
                                if likeness
                                else np.full(groups, share)
                            )
                            codes = np.repeat(np.arange(groups), sizes)
                            right = generator.random(len(codes)) < chance[codes]
                            found = clustered_share(right, codes)
                            low, high = wilson(int(right.sum()), len(right))
                            held.append(found.low <= share <= found.high)
                            naive.append(low <= share <= high)
                            width.append(found.high - found.low)
                        yield cell("share", held, naive, width) | {
                            "groups": groups,
                            "size": size,
                            "likeness": likeness,
                            "share": share,
                            "equal": equal,
                        }


def means(draws: int, generator: np.random.Generator) -> Iterator[dict[str, Any]]:
    """Return how often the interval of a mean of losses (skew: squares of normal numbers) holds it."""
    for groups in GROUPS:
        for size in SIZES:
            for likeness in LIKENESS:
                held, naive, width = [], [], []
                codes = np.repeat(np.arange(groups), size)
                for _ in range(draws):
                    effect = generator.normal(size=groups)[codes] * np.sqrt(likeness)
                    values = (effect + generator.normal(size=len(codes)) * np.sqrt(1 - likeness)) ** 2
                    found = clustered_mean(values, codes, resamples=1000)
                    half = 1.96 * values.std() / np.sqrt(len(values))
                    held.append(found.low <= 1 <= found.high)
                    naive.append(abs(values.mean() - 1) <= half)
                    width.append(found.high - found.low)
                yield cell("mean", held, naive, width) | {"groups": groups, "size": size, "likeness": likeness}


def orders(draws: int, generator: np.random.Generator) -> Iterator[dict[str, Any]]:
    """Return how often the interval of a share holds it where neighbours in an order are alike, cut in blocks."""
    for length in LENGTHS:
        for chain in CHAINS:
            for share in (0.8, 0.95):
                limit = quantile(share)
                held, naive, width, circular = [], [], [], []
                codes = np.arange(length) * BLOCKS // length
                for _ in range(draws):
                    right = chained(length, chain, generator) < limit
                    found = clustered_share(right, codes)
                    low, high = wilson(int(right.sum()), length)
                    ends = circular_blocks(right.astype(float), generator)
                    held.append(found.low <= share <= found.high)
                    naive.append(low <= share <= high)
                    circular.append(ends[0] <= share <= ends[1])
                    width.append(found.high - found.low)
                yield cell("order", held, naive, width) | {
                    "groups": BLOCKS,
                    "size": length,
                    "likeness": chain,
                    "share": share,
                    "circular": float(np.mean(circular)),
                }


def chained(length: int, chain: float, generator: np.random.Generator) -> Any:
    """Return standard normal numbers (length,), each correlated with the one before by `chain`."""
    noise = generator.normal(size=length)
    values = np.empty(length)
    values[0] = noise[0]
    for place in range(1, length):
        values[place] = chain * values[place - 1] + np.sqrt(1 - chain**2) * noise[place]
    return values


def circular_blocks(values: Any, generator: np.random.Generator, resamples: int = 1000) -> tuple[float, float]:
    """Return the percentile interval of a mean by the circular block bootstrap, its length by Politis and White."""
    n, length = len(values), block_length(values)
    starts = generator.integers(0, n, (resamples, -(-n // length)))
    sums = np.concatenate([[0], np.cumsum(np.concatenate([values, values]))])
    last = n - (starts.shape[1] - 1) * length
    total = (sums[starts[:, :-1] + length] - sums[starts[:, :-1]]).sum(axis=1)
    total = total + sums[starts[:, -1] + last] - sums[starts[:, -1]]
    low, high = np.quantile(total / n, [0.025, 0.975])
    return float(low), float(high)


def block_length(values: Any) -> int:
    """Return the block length of Politis and White (2004), Econometric Reviews 23:53, corrected 2009."""
    n, ours = len(values), values - values.mean()
    if not ours.any():
        return 1
    covariances = np.array([ours[: n - lag] @ ours[lag:] / n for lag in range(int(np.sqrt(n)) + 6)])
    small = np.abs(covariances / covariances[0]) < 2 * np.sqrt(np.log10(n) / n)
    run = max(5, int(np.sqrt(np.log10(n))))
    first = next((lag for lag in range(len(small) - run) if small[lag + 1 : lag + 1 + run].all()), len(small) - run)
    lags = np.arange(-2 * max(first, 1), 2 * max(first, 1) + 1)
    lags = lags[np.abs(lags) < len(covariances)]
    weights = np.minimum(1, 2 * (1 - np.abs(lags) / (2 * max(first, 1))))
    spectrum = (weights * covariances[np.abs(lags)]).sum()
    slope = (weights * np.abs(lags) * covariances[np.abs(lags)]).sum()
    if spectrum <= 0:
        return 1
    return int(np.clip(round((2 * slope**2 / (4 / 3 * spectrum**2)) ** (1 / 3) * n ** (1 / 3)), 1, n // 3))


def quantile(share: float) -> float:
    """Return the standard normal quantile."""
    from statistics import NormalDist

    return NormalDist().inv_cdf(share)


def cell(kind: str, held: list[Any], naive: list[Any], width: list[float]) -> dict[str, Any]:
    """Return the counts of one case."""
    return {
        "kind": kind,
        "held": float(np.mean(held)),
        "independent": float(np.mean(naive)),
        "width": float(np.mean(width)),
    }


def page(rows: list[dict[str, Any]], draws: int) -> str:
    """Return the page of docs/results."""
    sections = [
        ("Shares", "share", "Right or wrong answers; score interval at the effective n, Student's t of G - 1 degrees."),
        ("Means", "mean", "Skew losses; the wider end of Student's t and bootstrap-t over groups."),
    ]
    text = [
        "# Intervals where images come in groups\n",
        "How often 95 % intervals hold the truth where images of a group are right or wrong together, in "
        f"{draws:,} simulated sets a case: with the groups as the sample (*grouped*), and with images taken for "
        f"independent. Wanted: {100 * WANTED:.0f} % or more.\n",
        verdict(rows) + "\n",
    ]
    for title, kind, about in sections:
        some = [row for row in rows if row["kind"] == kind]
        lines = []
        for groups in GROUPS:
            for likeness in LIKENESS:
                cells = [row for row in some if row["groups"] == groups and row["likeness"] == likeness]
                lines.append([str(groups), f"{likeness:g}", *spread(cells, "held"), *spread(cells, "independent")])
        header = ["groups", "intraclass correlation", "grouped: mean", "least", "independent: mean", "least"]
        text.append(f"## {title}\n\n{about} {len(some)} cases.\n\n{markdown_table(header, lines)}\n")
    lines = [
        [
            f"{row['size']:,}",
            f"{row['likeness']:g}",
            f"{100 * row['share']:g} %",
            *(f"{100 * row[name]:.1f} %" for name in ("held", "circular", "independent")),
        ]
        for row in rows
        if row["kind"] == "order"
    ]
    header = ["images", "correlation of neighbours", "share", "blocks", "circular block bootstrap", "independent"]
    text.append(
        f"## Orders in which neighbours are alike\n\nThe order is cut in {BLOCKS} blocks, which are the groups. Beside "
        "it the circular block bootstrap, its block length chosen by Politis and White.\n\n"
        f"{markdown_table(header, lines)}\n"
    )
    return "\n".join(text) + f"\nMade by `python benchmarks/groups.py`: {made_with()}.\n"


def verdict(rows: list[dict[str, Any]]) -> str:
    """Say how often the wanted coverage was reached."""
    low = [row for row in rows if row["held"] < WANTED]
    naive = [row for row in rows if row["independent"] < WANTED]
    return (
        f"Of {len(rows)} cases {len(rows) - len(low)} hold {100 * WANTED:.0f} % or more with groups as the sample (the "
        f"least {100 * min(row['held'] for row in rows):.1f} %), {len(rows) - len(naive)} with images taken for "
        f"independent (the least {100 * min(row['independent'] for row in rows):.1f} %)."
    )


def spread(cells: list[dict[str, Any]], name: str) -> list[str]:
    """Return the mean and the least of some cases."""
    values = [cell_[name] for cell_ in cells]
    return [f"{100 * np.mean(values):.1f} %", f"{100 * min(values):.1f} %"]


if __name__ == "__main__":
    main()
