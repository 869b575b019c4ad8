"""`share`: a copy of a run's classifier that predicts the same, and says nothing of its maker and of single images."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from goldenrule.core.errors import OptionError
from goldenrule.models.classifier import Classifier

KEPT_PROVENANCE = ("goldenrule", "counts", "train_images", "candidate", "started_from")
KEPT_OPTIONS = (
    "backbone",
    "size",
    "crop",
    "decoding",
    "head",
    "seed",
    "quick",
    "coverage",
    "beta",
    "false_positive_rate",
)
"""Numbers and names of goldenrule's own: none that its maker chose."""


@dataclass(frozen=True, slots=True)
class Shared:
    """A copy to share: where it lies, and what it does not have."""

    folder: Path
    left_out: tuple[str, ...]


def share(run: str | os.PathLike[str], out: str | os.PathLike[str]) -> Shared:
    """Write a copy of a classifier to a new folder, without paths, names of files, and features of images.

    Classes and probabilities are bit for bit the same. Raises `SourceError` where there is no classifier, `OptionError`
    where something is in the place of the copy.
    """
    folder = Path(out)
    if folder.is_symlink() or (folder.exists() and not (folder.is_dir() and not any(folder.iterdir()))):
        raise OptionError(f"-o {folder} is there already. Nothing was changed: give a new folder.")
    whole = Classifier.load(Path(run))
    copy = without_maker(whole)
    copy.save(folder)
    left_out = ["paths", "names of files and folders", "where the weights came from", "options of the fit"]
    if whole.ood_detector:
        left_out.append(
            f"features of {whole.ood_detector.references.shape[0]:,} training images, so that images unlike the "
            "training images are not flagged"
        )
    return Shared(folder, tuple(left_out))


def without_maker(classifier: Classifier) -> Classifier:
    """Return the classifier without all that its predictions do not need."""
    spec = classifier.backbone.spec
    source: dict[str, Any] = {"from": "its maker's weights", "licence": spec.source.get("licence", "unknown")}
    if spec.source.get("public") is True:
        source = {
            name: spec.source[name] for name in ("from", "trained_on", "licence", "public") if name in spec.source
        }
    source |= {name: spec.source[name] for name in ("made_by", "trained") if name in spec.source}
    return replace(
        classifier,
        backbone=replace(classifier.backbone, spec=replace(spec, source=source)),
        provenance=_kept(classifier.provenance),
        ood_detector=None,
    )


def _kept(provenance: Mapping[str, Any]) -> dict[str, Any]:
    plain, options = (str, int, float, bool, type(None)), provenance.get("options", {})
    told = {name: options[name] for name in KEPT_OPTIONS if name in options and isinstance(options[name], plain)}
    return {name: provenance[name] for name in KEPT_PROVENANCE if name in provenance} | {
        "options": told,
        "shared": True,
    }
