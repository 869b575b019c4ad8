"""How well near duplicates are found: altered copies of real photos among all photos of their set.

Of each set, 200 photos (or all) get five altered copies each; `near_duplicates`, as `goldenrule split` calls it, then
looks at all photos and copies together. A pair is right where both come from one photo. Pairs of two original
photos are counted apart, and looked at by eye: sets have near duplicates of their own.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageEnhance

from common import DATA, RESULTS, made_with, markdown_table
from goldenrule.evaluation.intervals import wilson
from goldenrule.images.look import looked, near_duplicates
from goldenrule.images.sources import image_files
from goldenrule.images.table import image_table

SETS = (
    "dogscats",
    "hymenoptera_data",
    "clothing_small",
    "flowers_128",
    "dog_breed",
    "scenes_multilabel",
    "surface_crack",
)
COPIED = 200
ALTERED: dict[str, Callable[[Image.Image], Image.Image]] = {
    "resized to 60 %": lambda image: image.resize((max(1, image.width * 3 // 5), max(1, image.height * 3 // 5))),
    "encoded again, quality 50": lambda image: image,
    "cropped by 5 %": lambda image: image.crop(
        (image.width // 40, image.height // 40, image.width - image.width // 40, image.height - image.height // 40)
    ),
    "mirrored": lambda image: image.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
    "brightened by 25 %": lambda image: ImageEnhance.Brightness(image).enhance(1.25),
}

Record = dict[str, Any]


def main() -> None:
    """Measure and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sets", nargs="*", default=SETS)
    parser.add_argument("-o", "--out", type=Path, default=RESULTS / "near_duplicates.md")
    arguments = parser.parse_args()
    records = []
    for name in arguments.sets:
        with tempfile.TemporaryDirectory() as folder:
            records.append(measured(name, Path(folder)))
        print(records[-1], flush=True)
        arguments.out.with_suffix(".json").write_text(json.dumps(records, indent=1) + "\n")
        arguments.out.write_text(page(records))


def measured(name: str, folder: Path) -> Record:
    """Make the copies of a set's photos, and see which pairs are found."""
    family: list[tuple[int, str]] = []  # of every file: the photo it comes from, and how it was altered
    seen: set[bytes] = set()
    originals = []
    for _, path in image_files([DATA / name]):
        content = path.read_bytes()
        if content not in seen and _is_picture(path):
            seen.add(content)
            originals.append(path)
    chosen = set(np.random.default_rng(0).permutation(len(originals))[:COPIED].tolist())
    uris = []
    for number, path in enumerate(originals):
        uris.append(f"{number:05d}{path.suffix}")
        family.append((number, ""))
        shutil.copy(path, folder / uris[-1])
        if number in chosen:
            with Image.open(path) as image:
                picture = image.convert("RGB")
            for kind, alter in ALTERED.items():
                uris.append(f"{number:05d}-{len(uris)}.jpg")
                family.append((number, kind))
                alter(picture).save(folder / uris[-1], quality=50 if "quality" in kind else 90)
    table = image_table(folder, ["photo"], uris=uris, parts=[None] * len(uris), labels=[[0]] * len(uris))
    began = time.perf_counter()
    looks = looked(table, threads=2)
    looking = time.perf_counter() - began
    pairs = near_duplicates(table, looks, threads=2)
    found = dict.fromkeys(ALTERED, 0)
    wrong, own = [], []
    for pair in pairs:
        (one, first), (other, second) = family[pair.first], family[pair.second]
        if one == other and "" in (first, second):
            found[first or second] += 1
        elif not (first or second):
            own.append([str(originals[one].relative_to(DATA)), str(originals[other].relative_to(DATA))])
        elif one != other:
            wrong.append([uris[pair.first], uris[pair.second]])
    right = sum(family[pair.first][0] == family[pair.second][0] for pair in pairs)
    return {
        "set": name,
        "files": len(uris),
        "copied": len(chosen),
        "found": found,
        "right": right,
        "wrong": len(wrong),
        "own": own,
        "looking": looking,
        "comparing": time.perf_counter() - began - looking,
    }


def page(records: list[Record]) -> str:
    """Give the page of docs/results."""
    recall = [
        [
            record["set"],
            str(record["copied"]),
            *(share(record["found"][kind], record["copied"]) for kind in ALTERED),
        ]
        for record in records
    ]
    copied = sum(record["copied"] for record in records)
    every = [share(sum(record["found"][kind] for record in records), copied) for kind in ALTERED]
    recall.append(["all", str(copied), *every])
    precision = [
        [
            record["set"],
            f"{record['files']:,}",
            f"{record['right']:,}",
            str(record["wrong"]),
            share(record["right"], record["right"] + record["wrong"]),
            str(len(record["own"])),
            f"{record['files'] / record['looking']:.0f}",
            f"{record['comparing']:.1f}",
        ]
        for record in records
    ]
    head = [
        "set",
        "files",
        "right pairs",
        "wrong pairs",
        "precision",
        "pairs of originals",
        "files/s",
        "seconds to pair",
    ]
    return (
        "# Near duplicates\n\n"
        "Of each set up to 200 photos got five altered copies; `goldenrule split` looked for near duplicates among all "
        "photos and copies. Share of the copies that were found with their original, with n and 95 % interval (Wilson):"
        f"\n\n{markdown_table(['set', 'photos', *ALTERED], recall)}\n\n"
        "A pair is right where both are of one photo (two copies of it too), wrong where a copy is paired with another "
        "photo or its copy. Pairs of two originals are near duplicates that the sets have themselves, or mistakes: "
        f"they are listed below.\n\n{markdown_table(head, precision)}\n\n"
        "## Pairs of originals\n\n"
        + "\n".join(f"- {one} ~ {other}" for record in records for one, other in record["own"])
        + f"\n\nMade by `python benchmarks/near_duplicates.py`: {made_with()}.\n"
    )


def share(found: int, count: int) -> str:
    """Give a share with its interval."""
    low, high = wilson(found, count)
    return f"{100 * found / count:.1f} % [{100 * low:.1f}, {100 * high:.1f}] n={count:,}"


def _is_picture(path: Path) -> bool:
    try:
        with Image.open(path):
            return True
    except OSError:
        return False


if __name__ == "__main__":
    main()
