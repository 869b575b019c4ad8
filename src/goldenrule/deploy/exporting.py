"""A classifier as one file that other programs run, compared with Python on the run's own images before it is kept."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from goldenrule.core.errors import BackboneError, OptionError
from goldenrule.core.extras import need
from goldenrule.core.progress import Progress, Silent
from goldenrule.core.schema import as_json
from goldenrule.data.sample_photos import sample_photos
from goldenrule.data.splits.stretches import with_blocks
from goldenrule.deploy.classifier_graph import (
    DISTANCE,
    FEATURES,
    LOGITS,
    PROBABILITIES,
    check_exportable,
    custom_sentence,
)
from goldenrule.deploy.export_formats import Format, Outputs, Runner, format_named
from goldenrule.deploy.precision_cost import PrecisionCost, precision_cost
from goldenrule.deploy.quantizing import MOST_CALIBRATED, Quantized, check_precision, quantized
from goldenrule.deploy.run_pictures import Picture, RunPictures, part, pictures, run_pictures, spread
from goldenrule.engines import as_halves
from goldenrule.metrics import Estimate, Predictions
from goldenrule.metrics.headline import quality
from goldenrule.models.classifier import FILES, Classifier
from goldenrule.storage.files import read_json
from goldenrule.storage.outputs import check_output, write_output

NAME = FILES[0]
MOST_SCORED: Mapping[str, int] = {"fp32": 200, "int8": 500}
"""So many images of the test or validation split are scored, by precision: more where a loss is to be seen."""
FEWEST_COMPARED = 16
"""So many pictures are compared in any case."""
FROM_FEATURES = "probabilities_of_features"
"""What the file says, beside what Python makes of the features that the file computes."""
LIMITS: Mapping[str, Mapping[str, float]] = {
    "fp32": {FEATURES: 1e-4, FROM_FEATURES: 1e-4, PROBABILITIES: 1e-4, DISTANCE: 1e-3},
    "int8": {PROBABILITIES: 1.0, DISTANCE: 2.0},
}
"""By how much a file may differ from Python; features relative to the largest of the picture. In int8 the difference is
measured, and only what is no number is refused."""
ROUNDED_OTHERWISE = 0.01
"""So far probabilities may be apart where features and all that comes after them agree: features that lie between two
numbers of float16 are rounded one way here and the other way there, and a steep head tells the two apart."""
Pair = tuple[Outputs, Outputs]
"""What a file and Python say of a picture."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """What was exported, and how it compares with Python.

    `compared` pictures, of `sizes` different sizes, gave a largest `difference` per output. `quality` is the file's
    accuracy (multi-label: F-beta) on images of the `split`, `quality_in_python` that of the classifier as it was
    scored, with its own engine, precision and views; None where there were no such images. `same` is the share of them
    that both call alike.
    In int8 the backbone was `calibrated` on so many images, and `cost` has what that costs beside fp32; None where
    there were no images to measure it on.
    """

    files: tuple[Path, ...]
    format: str
    precision: str
    bytes: int
    outputs: Mapping[str, tuple[int, ...]]
    compared: int
    sizes: int
    difference: Mapping[str, float]
    split: str | None = None
    quality: Estimate | None = None
    quality_in_python: Estimate | None = None
    same: Estimate | None = None
    calibrated: int | None = None
    cost: PrecisionCost | None = None
    notes: tuple[str, ...] = ()


def export(
    run: str | Path,
    out: Path | None = None,
    *,
    format: str = "",  # noqa: A002
    precision: str = "fp32",
    progress: Progress | None = None,
) -> Exported:
    """Write the classifier of a run as a file in a format: "onnx", "openvino" or "torch"; default: by its ending.

    The file is run beside Python on pictures of the run, and kept only where both agree; in the `precision` "int8" the
    difference is measured. Raises `OptionError` for a classifier or a name that can't be exported, `SourceError` where
    int8 lacks images, `BackboneError` where the file computes something else.
    """
    progress, folder = progress or Silent(), Path(run)
    chosen = format_named(format, out)
    check_precision(precision, needs_onnx=chosen.needs_onnx)
    mark = "" if precision == "fp32" else f"-{precision}"
    target = out or Path("exports", f"{folder.resolve().name or 'classifier'}{mark}{chosen.ending}")
    _check_place(target, chosen)
    need("onnx" if chosen.needs_onnx else "fit", what=f"goldenrule export --format {chosen.name}")
    _refuse_custom(folder)
    classifier = Classifier.load(folder)
    check_exportable(classifier)
    progress.say(f"Making {target.name} (some seconds, a minute for several backbones) ...")
    images = run_pictures(folder)
    made = quantized(classifier, images.train if images else None, progress) if precision == "int8" else None
    content = chosen.make(classifier, made)
    with tempfile.TemporaryDirectory(prefix="goldenrule-") as temporary:
        for ending, each in content.items():
            Path(temporary, f"classifier{ending}").write_bytes(each)
        runner = chosen.runner(Path(temporary, f"classifier{chosen.ending}"), classifier)
        found = _compared(classifier, runner, chosen, images, progress, precision=precision)
    if made:
        found = replace(found, calibrated=made.images, notes=(*_notes_of_int8(found, made), *found.notes))
        measured = {"split": found.split, "cost": found.cost} if found.cost else {}
        content = chosen.make(classifier, replace(made, measured=as_json(measured)))
    files = tuple(target if ending == chosen.ending else target.with_suffix(ending) for ending in content)
    for file, each in zip(reversed(files), reversed(content.values()), strict=True):  # what others name comes last
        file.parent.mkdir(parents=True, exist_ok=True)
        write_output(file, each)
    return replace(found, files=files, bytes=sum(map(len, content.values())))


def _compared(
    classifier: Classifier,
    run: Runner,
    chosen: Format,
    images: RunPictures | None,
    progress: Progress,
    *,
    precision: str = "fp32",
) -> Exported:
    """Return how a file compares with Python; raises `BackboneError` where it differs by more than its limits."""
    largest: dict[str, float] = {}
    sizes: set[tuple[int, ...]] = set()
    compared = 0

    def differing(picture: Picture) -> Pair:
        nonlocal compared
        found, wanted = run(picture), in_python(classifier, picture, rounded=chosen.rounds)
        pairs = {name: (found[name], value) for name, value in wanted.items() if name in found}
        if FEATURES in found:
            pairs[FROM_FEATURES] = found[PROBABILITIES], said_of(classifier, found[FEATURES])[PROBABILITIES]
        for name, (value, other) in pairs.items():
            apart = float(np.abs(value.reshape(other.shape) - other).max())
            apart /= max(float(np.abs(other).max()), 1e-12) if name == FEATURES else 1.0
            largest[name] = max(largest.get(name, 0.0), np.inf if np.isnan(apart) else apart)
        compared += 1
        sizes.add(picture.shape)
        return found, wanted

    seen: dict[str, Pair] = {}
    scored = spread(images.scored, MOST_SCORED[precision]) if images else None
    with progress.task("compare", len(scored) if scored else 0, "images") as task:
        for name, picture in pictures(classifier, scored):
            seen[name] = differing(picture)
            if compared < 2 * FEWEST_COMPARED:
                differing(part(picture, compared))
            task.advance(1)
        if compared < FEWEST_COMPARED:
            for _, picture in pictures(classifier, spread(images.others, FEWEST_COMPARED) if images else None):
                differing(picture)
        if compared < FEWEST_COMPARED:
            for number in range(FEWEST_COMPARED):
                differing(part(sample_photos()[number % 2], number))
    _check_close(largest, chosen, precision)
    outputs = {name: value.shape for name, value in run(sample_photos()[0]).items()}
    about = Exported(
        files=(),
        format=chosen.name,
        precision=precision,
        bytes=0,
        outputs=outputs,
        compared=compared,
        sizes=len(sizes),
        difference=largest,
        notes=(*_notes_of_rounding(largest, precision), *_notes(classifier, chosen, images)),
    )
    return _scored(about, classifier, images, seen) if images and seen else about


def in_python(classifier: Classifier, picture: Picture, *, rounded: bool = True) -> Outputs:
    """Return what a classifier says of a picture through its plain view, the network in fp32 by PyTorch.

    With `rounded` the features are rounded to float16, as they are everywhere (law 1).
    """
    import torch

    pixels = classifier.preprocessing.pixels(picture)[np.newaxis]
    with torch.no_grad():
        features = classifier.backbone.module(torch.from_numpy(pixels)).numpy()
    return {FEATURES: features, **said_of(classifier, features, rounded=rounded)}


def said_of(classifier: Classifier, features: npt.NDArray[np.float32], *, rounded: bool = True) -> Outputs:
    """Return what a classifier says of features (1, features) of a picture."""
    halves = as_halves(features, classifier.name)
    logits = classifier.logits(halves) if rounded else classifier.head.logits(features)
    found = {LOGITS: logits, PROBABILITIES: classifier.predictions(logits, ids=["0"]).probabilities.astype(np.float32)}
    return {**found, DISTANCE: classifier.distances(halves)} if classifier.ood_detector else found


def _scored(about: Exported, classifier: Classifier, images: RunPictures, seen: Mapping[str, Pair]) -> Exported:
    """Return with it how good the file is on the images that it has seen, and how good the classifier as scored."""
    table = images.scored.where(np.array([uri in seen for uri in images.scored.uris]))
    before = with_blocks(classifier.predict_table(table), table)
    ok = before.ok  # not those whose bytes are others than the run's

    def said(place: int) -> Predictions:
        found = [seen[uri][place] for uri in table.uris]
        logits = np.concatenate([one[LOGITS] for one in found])
        distance = np.concatenate([one[DISTANCE] for one in found]) if DISTANCE in found[0] else None
        plain = classifier.predictions(logits, ids=table.uris, truth=before.truth, distance=distance)
        return replace(with_blocks(plain, table).select(ok), basis=images.basis)

    before, after = replace(before.select(ok), basis=images.basis), said(0)
    detector = classifier.ood_detector
    return replace(
        about,
        split=images.split,
        quality=quality(after),
        quality_in_python=quality(before),
        same=Estimate.of_right("same prediction", (before.called == after.called).all(axis=1)),
        cost=precision_cost(said(1), after, detector) if about.precision != "fp32" else None,
    )


def _check_close(largest: Mapping[str, float], chosen: Format, precision: str) -> None:
    limits = dict(LIMITS[precision])
    if FROM_FEATURES in largest:
        limits[PROBABILITIES] = max(limits[PROBABILITIES], ROUNDED_OTHERWISE)
    for name, limit in limits.items():
        if largest.get(name, 0.0) > limit:
            what = PROBABILITIES if name == FROM_FEATURES else name
            raise BackboneError(
                f"The {chosen.name} file gives other {what} than Python: up to {largest[name]:.1e} apart, wanted "
                f"{limit:g} at most. Nothing was written. Take another --format, or fit with another --backbone."
            )


def _notes_of_rounding(largest: Mapping[str, float], precision: str) -> tuple[str, ...]:
    """Return why probabilities differ by more than the limit in fp32, though features agree."""
    if precision != "fp32" or largest[PROBABILITIES] <= LIMITS["fp32"][PROBABILITIES]:
        return ()
    return (
        f"Features agree to {largest[FEATURES]:.0e} of the largest, and what the head makes of them to "
        f"{largest[FROM_FEATURES]:.0e}. Probabilities differ where a feature is rounded to float16 the other way: the "
        "weights of this head are large.",
    )


def _notes_of_int8(found: Exported, made: Quantized) -> tuple[str, ...]:
    """Return what is to be known of an export in int8."""
    notes = []
    if found.cost and found.cost.worse:
        notes.append("int8 is worse than fp32 here, and not by chance: see above. --precision fp32 loses nothing.")
    if found.cost is None:
        notes.append("There are no labelled images outside training: what int8 costs was not measured.")
    if made.images < MOST_CALIBRATED:
        notes.append(
            f"Calibrated on {made.images:,} training images, all that could be used: {MOST_CALIBRATED} are usual."
        )
    return tuple(notes)


def _notes(classifier: Classifier, chosen: Format, images: RunPictures | None) -> tuple[str, ...]:
    """Return what is otherwise than in Python."""
    views, preprocessing = len(classifier.views), classifier.preprocessing
    notes = []
    if views > 1:
        notes.append(f"In Python it averages {views} views of an image; the file looks at the plain one alone.")
    if preprocessing.name == "scaled":
        notes.append("In Python large JPEGs are decoded at a part of their size; the file takes whole pictures.")
    if preprocessing.levels is not None:
        low, high = preprocessing.levels
        notes.append(f"Pictures of more than 8 bits: bring {low:g}..{high:g} to 0..255 before.")
    if classifier.ood_detector and chosen.needs_onnx:
        count = len(classifier.ood_detector.references)
        notes.append(
            f"It holds features of {count:,} training images. To leave them out: goldenrule share, then export."
        )
    if not chosen.needs_onnx:
        notes.append("It is the network alone: pixels as `preprocessing` in its metadata says, and no OOD distance.")
    if images is None:
        notes.append("There were no images of its run: compared on parts of two photos, accuracy not measured.")
    return tuple(notes)


def _check_place(target: Path, chosen: Format) -> None:
    """Check the file, and the one beside it, whose content does not say whose it is: it goes with the first."""
    check_output(target, chosen.kind)
    if chosen.beside:
        beside = target.with_suffix(chosen.beside)
        if beside.is_dir() or (beside.exists() and not target.exists()):
            raise OptionError(f"-o {target}: {beside} is there already and would be written too. Give another name.")


def _refuse_custom(folder: Path) -> None:
    """Raise `OptionError` for a classifier with a function of its owner's, before loading asks for that function."""
    files = [file for file in (folder / "classifier" / NAME, folder / NAME) if file.is_file()]
    if not files:
        return
    said: Mapping[str, Any] = read_json(files[0])
    backbone = said.get("backbone")
    source = backbone.get("source") if isinstance(backbone, dict) else None
    is_own = {"head": said.get("head") == "custom", "backbone": isinstance(source, dict) and "made_by" in source}
    if own := [name for name, true in is_own.items() if true]:
        raise OptionError(custom_sentence(own))
