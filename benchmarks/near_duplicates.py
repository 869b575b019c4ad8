"""How well near duplicates are found: altered copies of real photos among all photos of their set.

Of each set, 200 photos (or all) get one altered copy, once for each kind of alteration; among all photos and these
copies near duplicates are looked for by description (as `goldenrule split` does), by activations (as a fit does), and
by both (as an audit does where there is a bank). A pair is right where both come from one photo. Pairs of two original
photos are counted apart, and looked at by eye: sets have near duplicates of their own.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageEnhance, ImageFont

from common import DATA, RESULTS, made_with, markdown_table
from goldenrule.data.duplicates.likeness import NearDuplicate
from goldenrule.data.duplicates.near_duplicates import near_duplicates as by_description
from goldenrule.data.scan import FileScan, looked
from goldenrule.data.sources.folders import image_files
from goldenrule.data.table import ImageTable, image_table
from goldenrule.features.cache import FeatureCache
from goldenrule.features.similar_windows import near_duplicates as by_activations
from goldenrule.metrics.intervals import wilson
from goldenrule.models.backbone import backbone
from goldenrule.models.graphs.compiled import engine_kind
from goldenrule.storage.cache_folder import VARIABLE, cache_folder
from goldenrule.tasks.precompute import features_of

SETS = (
    "dogscats",
    "hymenoptera_data",
    "clothing_small",
    "flowers_128",
    "dog_breed",
    "scenes_multilabel",
    "surface_crack",
)
WAYS = ("by description", "by activations", "both")
COPIED = 200


def cropped(share: float, place: float = 0.5) -> Callable[[Image.Image], Image.Image]:
    """Return what takes this share off both sides: around the centre, or from the top left corner (`place` 0)."""

    def alter(image: Image.Image) -> Image.Image:
        width, height = round(image.width * (1 - share)), round(image.height * (1 - share))
        left, top = round((image.width - width) * place), round((image.height - height) * place)
        return image.crop((left, top, left + width, top + height))

    return alter


def mirrored(image: Image.Image) -> Image.Image:
    """Return the picture flipped from left to right."""
    return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)


def brightened(image: Image.Image) -> Image.Image:
    """Return the picture with a quarter more light."""
    return ImageEnhance.Brightness(image).enhance(1.25)


def written_on(image: Image.Image) -> Image.Image:
    """Return the picture with a line of white text in a corner, a fourteenth of its height."""
    copy = image.copy()
    font = ImageFont.load_default(max(8, image.height // 14))
    ImageDraw.Draw(copy).text((image.width * 0.04, image.height * 0.88), "(c) photo 2019", (255, 255, 255), font)
    return copy


ALTERED: dict[str, Callable[[Image.Image], Image.Image]] = {
    "resized to 60 %": lambda image: image.resize((max(1, image.width * 3 // 5), max(1, image.height * 3 // 5))),
    "encoded again, quality 50": lambda image: image,
    "mirrored": mirrored,
    "brightened by 25 %": brightened,
    "mirrored and brightened": lambda image: brightened(mirrored(image)),
    "written on": written_on,
    "cropped by 5 %": cropped(0.05),
    "cropped by 10 %": cropped(0.1),
    "cropped by 15 %": cropped(0.15),
    "cropped by 15 % from a corner": cropped(0.15, 0),
    "turned by 5 degrees": lambda image: image.rotate(5, Image.Resampling.BICUBIC),
}

Record = dict[str, Any]


def main() -> None:
    """Measure and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sets", nargs="*", default=SETS)
    parser.add_argument("-o", "--out", type=Path, default=RESULTS / "near_duplicates.md")
    arguments = parser.parse_args()
    engine_kind(backbone())
    prepared = cache_folder()
    records = []
    for name in arguments.sets:
        with tempfile.TemporaryDirectory() as place:
            path = Path(place) / "cache"  # an empty bank beside the prepared backbone
            path.mkdir()
            for each in ("backbones", "engines"):
                (path / each).symlink_to(prepared / each)
            os.environ[VARIABLE] = str(path)
            records.append(measured(name, Path(place) / "set"))
        print(records[-1], flush=True)
        arguments.out.with_suffix(".json").write_text(json.dumps(records, indent=1) + "\n")
        arguments.out.write_text(page(records))


def measured(name: str, folder: Path) -> Record:
    """Make the copies of a set's photos, and see which pairs are found."""
    family, kinds, originals, uris = made(name, folder)
    table = image_table(folder, ["photo"], uris=uris, splits=[None] * len(uris), labels=[[0]] * len(uris))
    began = time.perf_counter()
    looks = looked(table, threads=2)
    looking = time.perf_counter() - began
    table = table.with_digests([scan.digest for scan in looks])
    _, features = features_of(table, backbone())
    cache = features.caches[0]
    photos = np.array([not kind for kind in kinds])
    found, seconds = pairs_of(table, looks, cache, photos)
    theirs = {way: {(pair.first, pair.second) for pair in of} for way, of in found.items()}  # rows count the photos
    ours = {
        way: [[str(originals[number].relative_to(DATA)) for number in pair] for pair in sorted(of)]
        for way, of in theirs.items()
    }
    record = {"set": name, "photos": int(photos.sum()), "own": ours, "seconds": seconds, "looking": looking / len(uris)}
    recall, right, wrong = ({way: dict.fromkeys(ALTERED, 0) for way in WAYS} for _ in range(3))
    for kind in ALTERED:
        mask = photos | np.array([text == kind for text in kinds])
        number = np.flatnonzero(mask)
        for way, of in pairs_of(table, looks, cache, mask)[0].items():
            for pair in of:
                one, other = number[pair.first], number[pair.second]
                if kinds[one] or kinds[other]:
                    same = family[one] == family[other]
                    recall[way][kind] += same
                    if same or not {(family[one], family[other]), (family[other], family[one])} & theirs[way]:
                        (right if same else wrong)[way][kind] += 1
    copied = sum(kind == next(iter(ALTERED)) for kind in kinds)
    return record | {"copied": copied, "found": recall, "right": right, "wrong": wrong}


def made(name: str, folder: Path) -> tuple[list[int], list[str], list[Path], list[str]]:
    """Write photos and copies: give of every file the number of its photo, how it was altered, and its name."""
    folder.mkdir()
    originals, seen = [], set()
    for _, path in image_files([DATA / name]):
        content = path.read_bytes()
        if content not in seen and _is_picture(path):
            seen.add(content)
            originals.append(path)
    chosen = set(np.random.default_rng(0).permutation(len(originals))[:COPIED].tolist())
    family, kinds, uris = [], [], []
    for number, path in enumerate(originals):
        uris.append(f"{number:05d}{path.suffix}")
        family.append(number)
        kinds.append("")
        shutil.copy(path, folder / uris[-1])
        if number in chosen:
            with Image.open(path) as image:
                picture = image.convert("RGB")
            for kind, alter in ALTERED.items():
                uris.append(f"{number:05d}-{len(uris)}.jpg")
                family.append(number)
                kinds.append(kind)
                alter(picture).save(folder / uris[-1], quality=50 if "quality" in kind else 90)
    return family, kinds, originals, uris


def pairs_of(
    table: ImageTable, looks: Sequence[FileScan], cache: FeatureCache, mask: np.ndarray[Any, np.dtype[np.bool_]]
) -> tuple[dict[str, list[NearDuplicate]], dict[str, float]]:
    """Return the near duplicates among some of the files in each way, and the seconds it took to pair them."""
    images = table.where(mask)
    began = time.perf_counter()
    described = by_description(images, [look for look, kept in zip(looks, mask, strict=True) if kept], threads=2)
    between = time.perf_counter()
    activated = by_activations(images, cache, threads=2)
    ended = time.perf_counter()
    both = {(pair.first, pair.second): pair for pair in (*activated, *described)}
    found = dict(zip(WAYS, (described, activated, [*both.values()]), strict=True))
    return found, {"by description": between - began, "by activations": ended - between}


def page(records: list[Record]) -> str:
    """Return the page of docs/results."""
    copied = sum(record["copied"] for record in records)
    recall = [
        [kind, *(share(sum(record["found"][way][kind] for record in records), copied) for way in WAYS)]
        for kind in ALTERED
    ]
    by_set = [
        [
            record["set"],
            str(record["copied"]),
            *(share(sum(record["found"][way].values()), record["copied"] * len(ALTERED)) for way in WAYS),
        ]
        for record in records
    ]
    precision = []
    for record in records:
        for way in WAYS:
            right, wrong = (sum(record[each][way].values()) for each in ("right", "wrong"))
            seconds = record["seconds"].get(way)
            precision.append(
                [
                    record["set"],
                    way,
                    f"{record['photos']:,}",
                    f"{right:,}",
                    str(wrong),
                    share(right, right + wrong),
                    str(len(record["own"][way])),
                    "" if seconds is None else f"{seconds:.1f}",
                ]
            )
    head = ["set", "way", "photos", "right", "wrong", "precision", "pairs of originals", "seconds to pair the photos"]
    return (
        "# Near duplicates\n\n"
        "Of each set up to 200 photos got one altered copy, once for each kind. Near duplicates were looked for among "
        "all photos of the set and these copies: by description (`goldenrule split`), by activations of the default "
        "backbone (`goldenrule fit`), by both (`goldenrule audit` where there is a bank). Share of the copies that "
        "were found with their original, all sets together, with n and 95 % interval (Wilson):\n\n"
        f"{markdown_table(['kind', *WAYS], recall)}\n\n"
        "The same by set, all kinds together:\n\n"
        f"{markdown_table(['set', 'photos copied', *WAYS], by_set)}\n\n"
        "A pair is right where both are of one photo, wrong where a copy is paired with another photo or its copy, "
        "over all kinds; what pairs the copies of two photos that are a pair themselves counts neither way. Pairs of "
        "two originals are near duplicates that the sets have themselves, or mistakes: they are "
        "listed below. To describe the photos, "
        f"{1000 * float(np.mean([record['looking'] for record in records])):.1f} ms each, and to compute the "
        "activations is not in the seconds.\n\n"
        f"{markdown_table(head, precision)}\n\n"
        "## Pairs of originals\n\n"
        + "\n".join(_listed(record) for record in records)
        + f"\n\nMade by `python benchmarks/near_duplicates.py`: {made_with()}.\n"
    )


def share(found: int, count: int) -> str:
    """Return a share with its interval."""
    low, high = wilson(found, count)
    return f"{100 * found / count:.1f} % [{100 * low:.1f}, {100 * high:.1f}] n={count:,}"


def _listed(record: Record) -> str:
    """Return a line for each pair of originals of a set, with how it was found where that was in one way only."""
    ways: dict[tuple[str, str], list[str]] = {}
    for way in WAYS[:2]:
        for one, other in record["own"][way]:
            ways.setdefault((one, other), []).append(way)
    lines = [
        f"- {one} ~ {other}{'' if len(found) > 1 else f' ({found[0]})'}" for (one, other), found in sorted(ways.items())
    ]
    return "\n".join(lines) or f"- {record['set']}: none"


def _is_picture(path: Path) -> bool:
    try:
        with Image.open(path):
            return True
    except OSError:
        return False


if __name__ == "__main__":
    main()
