"""The pictures of a run, read again: those that an exported file is scored, compared and calibrated on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from goldenrule.core.errors import UnreadableImage
from goldenrule.data.pictures.decode import decode
from goldenrule.data.table import ImageTable
from goldenrule.metrics import Basis
from goldenrule.models.classifier import Classifier
from goldenrule.runs.verified_files import is_run, run_images, run_result
from goldenrule.storage.files import digest

Picture = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RunPictures:
    """Images of a run: those labelled in `split`, those of training, and all outside `split`."""

    scored: ImageTable
    train: ImageTable
    others: ImageTable
    split: str
    basis: Basis


def run_pictures(folder: Path) -> RunPictures | None:
    """Return the images of the run that a classifier belongs to; None where there is none, or they are gone."""
    inside = folder.resolve().name == "classifier" and not is_run(folder)
    run = folder.resolve().parent if inside else folder
    if not is_run(run) or not (run / "result.json").is_file():
        return None
    table, result = run_images(run), run_result(run)
    if not table.is_there:
        return None
    splits = np.array([split or "" for split in table.splits])
    labelled = {name: (splits == name) & table.labelled for name in ("test", "valid")}
    split = next((name for name, mask in labelled.items() if mask.any()), "test")
    numbers = result.numbers(split)
    return RunPictures(
        scored=table.where(labelled[split]),
        train=table.where(splits == "train"),
        others=table.where(splits != split),
        split=split,
        basis=numbers.basis if numbers else Basis.HELD_OUT,
    )


def spread(table: ImageTable, most: int) -> ImageTable:
    """Return at most so many images of a table, from everywhere alike."""
    count = len(table)
    mask = np.zeros(count, np.bool_)
    mask[np.linspace(0, count - 1, min(count, most)).astype(int) if count else []] = True
    return table.where(mask)


def pictures(
    classifier: Classifier, table: ImageTable | None, *, same_bytes: bool = False
) -> Iterator[tuple[str, Picture]]:
    """Yield the pictures of a table that can be read, with their names; with `same_bytes` as the run has seen them."""
    if table is None:
        return
    for uri, known in zip(table.uris, table.digests, strict=True):
        try:
            content = table.read(uri)
            if same_bytes and known and digest(content) != known:
                continue
            yield uri, decode(content, levels=classifier.preprocessing.levels)
        except (UnreadableImage, OSError):
            continue


def part(picture: Picture, number: int) -> Picture:
    """Return a part of a picture, of another size for each number."""
    height, width = (max(1, side * (number % 16 + 2) // 18) for side in picture.shape[:2])
    return np.ascontiguousarray(picture[:height, : max(1, width - number)])
