"""Nearest training images: which likeness agrees best with the labels, and from where on two pictures are one.

Each training image asks for its five nearest among the others (files with equal bytes count once), by the plain
activations of efficientnet_lite0. Copies are every fourth training image, resized to 2/3 and encoded again at quality
60, cropped by 5 % on each side, or brightened by a quarter; each asks for its nearest among the training images.
"""

from __future__ import annotations

import argparse
import io
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageEnhance

import goldenrule as gr
from common import DATA, RESULTS, made_with, markdown_table
from goldenrule.analysis.nearest_images import nearest, with_copies
from goldenrule.core.progress import Bars
from goldenrule.core.schema import as_json, from_json
from goldenrule.data.pictures.decode import decode
from goldenrule.data.table import ImageTable, image_table
from goldenrule.metrics import Estimate, value_and_interval

SETS = ("dogscats", "cat_dog_horse", "clothing_small", "hymenoptera_data", "surface_crack", "flowers_128")
NEAREST, EVERY = 5, 4
COPIES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "resized, encoded again": lambda photo: photo.resize((photo.width * 2 // 3, photo.height * 2 // 3)),
    "cropped by 5 %": lambda photo: photo.crop(
        (photo.width // 20, photo.height // 20, photo.width - photo.width // 20, photo.height - photo.height // 20)
    ),
    "brightened": lambda photo: ImageEnhance.Brightness(photo).enhance(1.25),
}


def main() -> None:
    """Measure and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sets", nargs="*", default=SETS)
    parser.add_argument("-o", "--out", type=Path, default=RESULTS / "neighbours.md")
    arguments = parser.parse_args()
    results = [measured(name) for name in arguments.sets]
    text = page(results)
    arguments.out.write_text(text)
    value = {"made_with": made_with(), "sets": results}
    arguments.out.with_suffix(".json").write_text(json.dumps(value, indent=1) + "\n")
    print(text)


def measured(name: str) -> dict[str, Any]:
    """Return a set's shares."""
    backbone = gr.backbone()
    table, features = gr.features_of(gr.from_folder(DATA / name), backbone, progress=Bars())
    table = table.split("train") if "train" in table.splits else table
    first = {digest: row for row, digest in reversed(list(enumerate(table.digests)))}
    table = table.where(np.isin(np.arange(len(table)), list(first.values())))
    rows = features.rows([content or b"" for content in table.digests]).astype(np.float32)
    centred = rows - rows.mean(axis=0)
    squares = np.square(rows).sum(axis=1)
    likeness = {
        "cosine less the mean": cosine(centred),
        "cosine": cosine(rows),
        "distance": 2 * rows @ rows.T - squares[:, None] - squares,
    }
    agreeing = {}
    for kind, alike in likeness.items():
        np.fill_diagonal(alike, -np.inf)
        near = np.argsort(-alike, axis=1, kind="stable")[:, :NEAREST]
        votes = np.array([voted(table.targets[value]) for value in near])
        agreeing[kind] = as_json(Estimate.of_share("right", int((votes == table.targets).sum()), len(table)))
    others = likeness["cosine less the mean"].max(axis=1)
    return {
        "set": name,
        "n": len(table),
        "right": agreeing,
        "others": others_called(table, features),
        "others_99": float(np.quantile(others, 0.99)),
        "copies": copies(table, features, backbone),
    }


def copies(table: ImageTable, features: gr.Features, backbone: gr.models.Backbone) -> dict[str, Any]:
    """Return for each kind of copy how often its original is the nearest, and is called nearly the same."""
    found: dict[str, Any] = {}
    asked = table.uris[::EVERY]
    for kind, change in COPIES.items():
        with tempfile.TemporaryDirectory() as folder:
            for number, uri in enumerate(asked):
                file = io.BytesIO()
                change(Image.fromarray(decode(table.read(uri)))).save(file, "JPEG", quality=60)
                (Path(folder) / f"{number}.jpg").write_bytes(file.getvalue())
            names = [f"{number}.jpg" for number in range(len(asked))]
            new = image_table(Path(folder), (), uris=names, splits=[None] * len(names), labels=[[]] * len(names))
            read, seen = gr.features_of(new, backbone)
            near = with_copies(nearest(read, seen, table, features, k=NEAREST), read, table)
            pairs = list(zip(asked, near, strict=True))
        first = sum(neighbours.nearest[0].id == uri for uri, neighbours in pairs)
        called = sum(any(one.id == uri and one.copy != "" for one in neighbours.nearest) for uri, neighbours in pairs)
        found[kind] = {
            "nearest": as_json(Estimate.of_share("nearest", first, len(pairs))),
            "called": as_json(Estimate.of_share("called", called, len(pairs))),
            "median": float(
                np.median(
                    [
                        next((one.similarity for one in neighbours.nearest if one.id == uri), 0.0)
                        for uri, neighbours in pairs
                    ]
                )
            ),
        }
    return found


def others_called(table: ImageTable, features: gr.Features) -> dict[str, Any]:
    """Return how many of every fourth training image have another one, not of equal bytes, that is called so."""
    mask = np.arange(len(table)) % EVERY == 0
    asked = table.where(mask)
    near = with_copies(nearest(asked, features, table, features, k=NEAREST), asked, table)
    pairs = [
        f"{neighbours.id} = {one.id}"
        for neighbours in near
        for one in neighbours.nearest
        if one.copy == "nearly the same"
    ]
    called = sum(any(one.copy == "nearly the same" for one in neighbours.nearest) for neighbours in near)
    return {"called": as_json(Estimate.of_share("called", called, len(asked))), "pairs": pairs}


def cosine(rows: Any) -> Any:
    """Return the cosines of all pairs (n, n)."""
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return unit @ unit.T


def voted(labels: Any) -> int:
    """Return the commonest label, of equals the one that comes first."""
    counts = np.bincount(labels)
    return int(next(label for label in labels if counts[label] == counts.max()))


def page(results: list[dict[str, Any]]) -> str:
    """Return the page of docs/results."""

    def said(value: dict[str, Any]) -> str:
        return value_and_interval(from_json(value, Estimate))

    kinds = list(results[0]["right"])
    right = [[one["set"], f"{one['n']:,}", *(said(one["right"][kind]) for kind in kinds)] for one in results]
    called = [
        [
            one["set"],
            *(f"{said(copy['called'])}, median {copy['median']:.2f}" for copy in one["copies"].values()),
            f"{said(one['others']['called'])}",
            f"{one['others_99']:.2f}",
        ]
        for one in results
    ]
    nearest_first = [from_json(copy["nearest"], Estimate) for one in results for copy in one["copies"].values()]
    share = sum(item.value * item.n for item in nearest_first) / sum(item.n for item in nearest_first)
    return (
        f"# Nearest training images\n\nBy the plain activations of efficientnet_lite0, before any training.\n\n"
        f"## Which likeness\n\nHow often {NEAREST} nearest images vote for the right class, each training image asking "
        "all others; with the 95 % interval (Wilson). The three can't be told apart; the cosine less the mean is taken "
        "because its 0 means something: two pictures no more alike than any two.\n\n"
        f"{markdown_table(['set', 'n', *kinds], right)}\n\n"
        "## When two pictures are one\n\nSimilarity alone does not tell: altered copies lie as far from their "
        "originals as some other pictures from each other. So of the five nearest the closest, from .5 on, are laid on "
        "the picture (the registration of [near duplicates](near_duplicates.md)) and called nearly the same where they "
        "fit. How many copies of every fourth training image are found so, with the median of their similarity; and of "
        "how many of these training images another one, with other bytes, is called so (the pairs stand in the JSON; "
        "they need not be mistakes), with the 99 % quantile of the similarity to the nearest other. The original is "
        f"the nearest of {100 * share:.1f} % of {sum(item.n for item in nearest_first):,} copies.\n\n"
        f"{markdown_table(['set', *COPIES, 'another image', '99 %'], called)}\n\n"
        f"Made by `python benchmarks/neighbours.py`: {made_with()}.\n"
    )


if __name__ == "__main__":
    main()
