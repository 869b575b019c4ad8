"""The learning-rate finder on a folder, for those who only want to see the curve."""

from __future__ import annotations

import io
from pathlib import Path

from goldenrule.core.progress import Progress
from goldenrule.data.table import ImageTable
from goldenrule.models.classifier import Classifier
from goldenrule.pipelines.prepare import first_backbone, read_images
from goldenrule.report.figures.plot import plot
from goldenrule.runs.options import FitOptions
from goldenrule.storage.outputs import FIGURE, FIGURE_METADATA, check_output, write_output
from goldenrule.training.learner import Learner
from goldenrule.training.lr_finder import RangeTest, rising_rates
from goldenrule.training.plan import RATIO


def find_rate_of(
    source: Path | ImageTable,
    *,
    options: FitOptions,
    unfrozen: bool,
    live: bool,
    steps: int | None,
    lowest: float,
    highest: float,
    picture: Path,
    progress: Progress,
) -> RangeTest:
    """Return the curve of a fresh head (or the network of a run), and draw it into `picture`."""
    check_output(picture, FIGURE)
    rising_rates(2 if steps is None else steps, lowest=lowest, highest=highest)  # what can't be is told at once
    earlier = Classifier.load(options.start_from) if options.start_from else None
    table, seen = read_images(source, options, progress)
    learn = Learner(
        table,
        earlier.backbone if earlier else first_backbone(seen, progress),
        head=earlier.head if earlier else "linear",
        augment=options.augmentation,
        augmented_views=0,
        precompute=not (live or unfrozen),
        seed=options.seed,
        progress=progress,
    )
    if options.start_from:
        learn.load(options.start_from)
    if unfrozen:
        learn.unfreeze()
    test = learn.lr_find(rates=RATIO if unfrozen else 1.0, steps=steps, lowest=lowest, highest=highest)
    content = io.BytesIO()
    suffix = picture.suffix or ".svg"
    plot(test).savefig(content, format=suffix[1:], dpi=120, metadata=FIGURE_METADATA[suffix])
    write_output(picture, content.getvalue())
    return test
