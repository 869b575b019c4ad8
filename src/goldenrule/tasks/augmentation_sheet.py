"""Pictures of what is done to images before they are learned."""

from __future__ import annotations

import io
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np

from goldenrule.core.errors import OptionError, SourceError, UnreadableImage
from goldenrule.core.progress import Progress, Silent
from goldenrule.core.randomness import key
from goldenrule.data.pictures.decode import decode
from goldenrule.data.pictures.deep_pixels import Levels
from goldenrule.data.pictures.levels import levels_findings, levels_found
from goldenrule.data.pictures.preprocess import Preprocessing
from goldenrule.data.scan import glance, looked
from goldenrule.data.sources.label_tables import from_source
from goldenrule.data.table import ImageTable
from goldenrule.runs.options import SHEET_SIZE, SHEET_VIEWS, CropOption, FitOptions
from goldenrule.storage.files import digest
from goldenrule.storage.outputs import FIGURE, FIGURE_METADATA, check_output, write_output, written_into

FORMATS = (".png", ".svg", ".pdf")


def draw_augmentation(
    source: Path | ImageTable,
    *,
    augment: str = "auto",
    crop: CropOption = "random",
    levels: str | None = None,
    views: int = SHEET_VIEWS,
    images: int = 4,
    size: int = SHEET_SIZE,
    out: Path,
    progress: Progress | None = None,
) -> list[str]:
    """Draw some images of a folder as they are and in augmented views; give the files that were drawn.

    The views are those of a fit: their parameters depend on the image's bytes and the number of the view alone.
    """
    from goldenrule.report.figures.augmentation_figure import augmentation_figure

    check_output(out, FIGURE)
    if out.suffix not in FORMATS and written_into(out) is None:
        raise OptionError(f"-o {out}: wanted a name that ends in .png, .svg or .pdf.")
    suffix = out.suffix or FORMATS[0]
    for name, value, most in (("--views", views, 16), ("--num-images", images, 40)):
        if not 1 <= value <= most:
            raise OptionError(f"{name} {value}: wanted 1 to {most}.")
    options = FitOptions(augment=augment, crop=crop, size=size, levels=levels)
    table = source if isinstance(source, ImageTable) else from_source(source)
    order = _order(table)
    wanted = options.fixed_levels if levels is not None else _levels(table, order[:images], progress or Silent())
    preprocessing = Preprocessing(size=size, levels=wanted)
    if crop == "squish":
        preprocessing = replace(preprocessing, resize="squish", crop_fraction=1.0)
    drawn = _some(table, order, images, wanted)
    with (progress or Silent()).task("draw", 1, "sheet") as task:
        figure = augmentation_figure(drawn, options.augmentation, preprocessing, count=views)
        content = io.BytesIO()
        shown = f"Images as they are, a row each, and {views} augmented views of each (--augment {augment})"
        figure.savefig(
            content,
            format=suffix[1:],
            metadata={"Subject" if suffix == ".pdf" else "Description": shown, **FIGURE_METADATA[suffix]},
        )
        write_output(out, content.getvalue())
        task.advance()
    return [name for name, _, _ in drawn]


def _order(table: ImageTable) -> list[str]:
    """Return the images with as few of one class at the beginning as can be, drawn by their names."""
    order = sorted(
        zip(table.uris, table.rows["labels"].to_pylist(), strict=True), key=lambda row: key(0, "show", row[0])
    )
    places: Counter[tuple[int, ...]] = Counter()
    ranked = []
    for uri, labels in order:
        places[tuple(labels)] += 1
        ranked.append((places[tuple(labels)], uri))
    return [uri for _, uri in sorted(ranked, key=lambda row: row[0])]


def _levels(table: ImageTable, first: list[str], progress: Progress) -> Levels | None:
    """Return the levels of the whole set, as a fit finds them; all is looked at only where the first are deep."""
    if not any(scan.used for scan in looked(table.where(np.isin(table.uris, first)), by=glance)):
        return None
    looks = looked(table, by=glance, progress=progress)
    levels = levels_found(table, looks)
    for finding in levels_findings(table, looks, levels, asked=False):
        progress.say(str(finding))
    return levels


def _some(table: ImageTable, order: list[str], count: int, levels: Levels | None) -> list[tuple[str, bytes, bytes]]:
    """Return the first images that can be read: name, content, digest."""
    found: list[tuple[str, bytes, bytes]] = []
    for uri in order:
        try:
            content = table.read(uri)
            decode(content, levels=levels)
        except (OSError, UnreadableImage):
            continue
        found.append((uri, content, digest(content)))
        if len(found) == count:
            break
    if not found:
        raise SourceError(f"{table.root} has no image that can be read.")
    return found
