"""A finished run, opened again: its classifier, its images, and the features that its linear head stands on."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from goldenrule.core.errors import OptionError, SourceError
from goldenrule.core.progress import Progress, Silent
from goldenrule.core.schema import as_type
from goldenrule.data.pictures.deep_pixels import levels_text
from goldenrule.data.table import ImageTable
from goldenrule.engines import EngineKind
from goldenrule.features.extractor import FeatureExtractor, Features
from goldenrule.models.backbone import Backbone
from goldenrule.models.classifier import Classifier
from goldenrule.models.graphs.compiled import check_device
from goldenrule.pipelines.prepare import first_backbone
from goldenrule.runs.finished import check_finished
from goldenrule.runs.options import FitOptions
from goldenrule.runs.verified_files import run_about, run_images, run_result


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Reopened:
    """A finished run. `backbone` is the one it began with, which has learned from none of its labels.

    Where the head stands on whole feature maps, `backbone` gives their averages.
    """

    folder: Path
    table: ImageTable
    options: FitOptions
    classifier: Classifier
    extractor: FeatureExtractor
    progress: Progress

    @property
    def backbone(self) -> Backbone:
        """The backbone that the run began with."""
        return self.extractor.backbone

    @property
    def kind(self) -> EngineKind:
        """The engine that the run's features are kept under."""
        return self.extractor.kind

    @property
    def device(self) -> str:
        """Where its features are computed: on the run's own device, on the CPU where this machine has no such one."""
        return self.kind.device

    @property
    def threads(self) -> int:
        """How many processors are used."""
        return self.extractor.threads

    def features(self, backbone: Backbone | None = None) -> Features:
        """Return the plain features of all images by a backbone (default: the one the run began with).

        They are in the cache where the run has used that backbone; else they are computed, with a progress bar.
        """
        return (self.extractor_of(backbone) if backbone else self.extractor).features(self.table)

    def extractor_of(self, backbone: Backbone) -> FeatureExtractor:
        """Return the extractor of another backbone, on the device that the run's features are computed on."""
        return FeatureExtractor.of(backbone, device=self.device, threads=self.threads, progress=self.progress)


def reopened(
    run: str | Path, *, threads: int | None = None, progress: Progress | None = None, gone: bool = False
) -> Reopened:
    """Open a finished run to look into it; nothing of it is changed.

    Raises `SourceError` where the folder holds no finished run, or its images are gone; with `gone` they may be.
    """
    folder, progress = Path(run), progress or Silent()
    check_finished(folder)
    table = run_images(folder)
    if not gone and not table.is_there:
        raise SourceError(f"The images of {folder} are no longer in {table.root}. Put them back, or fit again.")
    options = _options(run_about(folder).options, threads)
    if options.candidates and (backbones := run_result(folder).backbones):
        options = replace(options, backbone=backbones.chosen)
    classifier = Classifier.load(folder)
    options = replace(options, levels=levels_text(classifier.preprocessing.levels))
    pooled = replace(options, head="linear") if options.pooling == "flattened" else options
    backbone = first_backbone(
        pooled, progress
    )  # what looks into a run likens pictures, place by place they are all apart
    _check_beginning(options, classifier, backbone)
    return Reopened(
        folder=folder,
        table=table,
        options=options,
        classifier=classifier,
        extractor=_extractor_here(backbone, options, progress),
        progress=progress,
    )


def _check_beginning(options: FitOptions, classifier: Classifier, backbone: Backbone) -> None:
    """Raise `SourceError` where a file or run that a run began with holds other weights by now."""
    given = options.weights or options.start_from
    if given and classifier.provenance.get("started_from", backbone.spec.weights) != backbone.spec.weights:
        raise SourceError(f"{given} holds other weights than when the run began with it. Put them back, or fit again.")


def _extractor_here(backbone: Backbone, options: FitOptions, progress: Progress) -> FeatureExtractor:
    """Return the extractor of a run; that of the CPU where its device is not there, under a key of its own."""
    device = options.device
    try:
        device = check_device(device)
    except OptionError:
        progress.say(f"This machine has no {device}, on which the run was made: features are computed on the CPU.")
        device = "cpu"
    return FeatureExtractor.of(backbone, device=device, threads=options.threads, progress=progress)


def _options(given: dict[str, Any], threads: int | None) -> FitOptions:
    """Return the options of a run, but for what does not change a run.

    No function is run that a run names, which may be a stranger's: the augmentation is not made again here.
    """
    known = {field.name for field in fields(FitOptions)}
    values = {name: value for name, value in given.items() if name in known}
    if ":" in str(values.get("augment", "")):
        values["augment"] = "auto"
    found = as_type(values, FitOptions, what="the options of this run", optional=known)
    return replace(found, threads=threads)
