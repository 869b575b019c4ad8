"""A classifier as one file that other programs run, compared with Python on the run's own images before it is kept."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from goldenrule.core.errors import BackboneError, OptionError, UnreadableImage
from goldenrule.core.extras import need
from goldenrule.core.progress import Progress, Silent
from goldenrule.data.pictures.decode import decode
from goldenrule.data.sample_photos import sample_photos
from goldenrule.data.splits.stretches import with_blocks
from goldenrule.data.table import ImageTable
from goldenrule.deploy.classifier_graph import DISTANCE, LOGITS, PROBABILITIES, check_exportable, custom_sentence
from goldenrule.deploy.export_formats import Format, Outputs, Picture, Runner, format_named
from goldenrule.engines import as_halves
from goldenrule.metrics import Basis, Estimate
from goldenrule.metrics.headline import quality
from goldenrule.models.classifier import FILES, Classifier
from goldenrule.runs.verified_files import is_run, run_images, run_result
from goldenrule.storage.files import read_json
from goldenrule.storage.outputs import check_output, write_output

NAME = FILES[0]
MOST_SCORED, FEWEST_COMPARED = 200, 16
"""So many images of the test or validation split are scored, and so many pictures are compared in any case."""
LIMITS: Mapping[str, float] = {PROBABILITIES: 1e-4, DISTANCE: 1e-3}
"""By how much a file may differ from Python in fp32. A distance moves more where a feature is rounded the other way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """What was exported, and how it compares with Python.

    `compared` pictures, of `sizes` different sizes, gave a largest `difference` per output. `quality` is the file's
    accuracy (of many labels F-beta) on images of the `split`, `quality_in_python` that of the classifier as it was
    scored, with its own engine, precision and views; None where there were no such images. `same` is the share of them
    that both call alike.
    """

    files: tuple[Path, ...]
    format: str
    bytes: int
    outputs: Mapping[str, tuple[int, ...]]
    compared: int
    sizes: int
    difference: Mapping[str, float]
    split: str | None = None
    quality: Estimate | None = None
    quality_in_python: Estimate | None = None
    same: Estimate | None = None
    notes: tuple[str, ...] = ()


def export(
    run: str | Path,
    out: Path | None = None,
    *,
    format: str = "",  # noqa: A002
    progress: Progress | None = None,
) -> Exported:
    """Write the classifier of a run as a file in a format: "onnx", "openvino" or "torch"; default: by its ending.

    The file is run beside Python on pictures of the run, and kept only where both agree. Raises `OptionError` for a
    classifier or a name that can't be exported, `BackboneError` where the file computes something else.
    """
    progress, folder = progress or Silent(), Path(run)
    chosen = format_named(format, out)
    target = out or Path("exports", f"{folder.resolve().name or 'classifier'}{chosen.ending}")
    _check_place(target, chosen)
    need("onnx" if chosen.needs_onnx else "fit", what=f"goldenrule export --format {chosen.name}")
    _refuse_custom(folder)
    classifier = Classifier.load(folder)
    check_exportable(classifier)
    progress.say(f"Making {target.name} (some seconds) ...")
    content = chosen.make(classifier)
    with tempfile.TemporaryDirectory(prefix="goldenrule-") as temporary:
        for ending, each in content.items():
            Path(temporary, f"classifier{ending}").write_bytes(each)
        runner = chosen.runner(Path(temporary, f"classifier{chosen.ending}"), classifier)
        found = _compared(classifier, runner, chosen, _images(folder), progress)
    files = tuple(target if ending == chosen.ending else target.with_suffix(ending) for ending in content)
    for file, each in zip(reversed(files), reversed(content.values()), strict=True):  # what others name comes last
        file.parent.mkdir(parents=True, exist_ok=True)
        write_output(file, each)
    return replace(found, files=files, bytes=sum(map(len, content.values())))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Images:
    """Images of a run: those that are scored, in `split`, and those that are only compared."""

    scored: ImageTable
    others: ImageTable
    split: str
    basis: Basis


def _images(folder: Path) -> _Images | None:
    """Return the images of the run that a classifier belongs to; None where there is none, or they are gone."""
    inside = folder.resolve().name == "classifier" and not is_run(folder)
    run = folder.resolve().parent if inside else folder
    if not is_run(run) or not (run / "result.json").is_file():
        return None
    table, result = run_images(run), run_result(run)
    if not table.root.is_dir():
        return None
    splits = np.array([split or "" for split in table.splits])
    split = next((name for name in ("test", "valid") if (splits == name).any()), "test")
    scored = table.where((splits == split) & table.labelled)
    others = table.where(splits != split)
    numbers = result.numbers(split)
    return _Images(
        scored=scored.where(_spread(len(scored), MOST_SCORED)),
        others=others.where(_spread(len(others), FEWEST_COMPARED)),
        split=split,
        basis=numbers.basis if numbers else Basis.HELD_OUT,
    )


def _spread(count: int, most: int) -> npt.NDArray[np.bool_]:
    """Return a mask of at most so many, from everywhere alike."""
    mask = np.zeros(count, np.bool_)
    mask[np.linspace(0, count - 1, min(count, most)).astype(int) if count else []] = True
    return mask


def _compared(
    classifier: Classifier, run: Runner, chosen: Format, images: _Images | None, progress: Progress
) -> Exported:
    """Return how a file compares with Python; raises `BackboneError` where it differs by more than `LIMITS`."""
    largest: dict[str, float] = {}
    sizes: set[tuple[int, ...]] = set()
    compared = 0

    def differing(picture: Picture) -> Outputs:
        nonlocal compared
        found = run(picture)
        for name, value in in_python(classifier, picture, rounded=chosen.rounds).items():
            if name in found:
                apart = float(np.abs(found[name].reshape(value.shape) - value).max())
                largest[name] = max(largest.get(name, 0.0), np.inf if np.isnan(apart) else apart)
        compared += 1
        sizes.add(picture.shape)
        return found

    seen: dict[str, Outputs] = {}
    with progress.task("compare", len(images.scored) if images else 0, "images") as task:
        for name, picture in _pictures(classifier, images.scored if images else None):
            seen[name] = differing(picture)
            if compared < 2 * FEWEST_COMPARED:
                differing(_part(picture, compared))
            task.advance(1)
        if compared < FEWEST_COMPARED:
            for _, picture in _pictures(classifier, images.others if images else None):
                differing(picture)
        if compared < FEWEST_COMPARED:
            for number in range(FEWEST_COMPARED):
                differing(_part(sample_photos()[number % 2], number))
    _check_close(largest, chosen)
    outputs = {name: value.shape for name, value in run(sample_photos()[0]).items()}
    about = Exported(
        files=(),
        format=chosen.name,
        bytes=0,
        outputs=outputs,
        compared=compared,
        sizes=len(sizes),
        difference=largest,
        notes=_notes(classifier, chosen, images),
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
    halves = as_halves(features, classifier.name)
    logits = classifier.logits(halves) if rounded else classifier.head.logits(features)
    found = {LOGITS: logits, PROBABILITIES: classifier.predictions(logits, ids=["0"]).probabilities.astype(np.float32)}
    return {**found, DISTANCE: classifier.distances(halves)} if classifier.ood_detector else found


def _pictures(classifier: Classifier, table: ImageTable | None) -> Iterator[tuple[str, Picture]]:
    """Yield the pictures of a table that can be read, with their names."""
    if table is None:
        return
    for uri in table.uris:
        try:
            yield uri, decode(table.read(uri), levels=classifier.preprocessing.levels)
        except (UnreadableImage, OSError):
            continue


def _part(picture: Picture, number: int) -> Picture:
    """Return a part of a picture, of another size for each number."""
    height, width = (max(1, side * (number % 16 + 2) // 18) for side in picture.shape[:2])
    return np.ascontiguousarray(picture[:height, : max(1, width - number)])


def _scored(about: Exported, classifier: Classifier, images: _Images, seen: Mapping[str, Outputs]) -> Exported:
    """Return with it how good the file is on the images that it has seen, and how good the classifier as scored."""
    table = images.scored.where(np.array([uri in seen for uri in images.scored.uris]))
    before = with_blocks(classifier.predict_table(table), table)
    logits = np.concatenate([seen[uri][LOGITS] for uri in table.uris])
    after = with_blocks(classifier.predictions(logits, ids=table.uris, truth=before.truth), table)
    ok = before.ok  # not those whose bytes are others than the run's
    before, after = (replace(said.select(ok), basis=images.basis) for said in (before, after))
    same = (before.called == after.called).all(axis=1)
    return replace(
        about,
        split=images.split,
        quality=quality(after),
        quality_in_python=quality(before),
        same=Estimate.of_right("same prediction", same),
    )


def _check_close(largest: Mapping[str, float], chosen: Format) -> None:
    for name, limit in LIMITS.items():
        if largest.get(name, 0.0) > limit:
            raise BackboneError(
                f"The {chosen.name} file gives other {name} than Python: up to {largest[name]:.1e} apart, wanted "
                f"{limit:g} at most. Nothing was written. Take another --format, or fit with another --backbone."
            )


def _notes(classifier: Classifier, chosen: Format, images: _Images | None) -> tuple[str, ...]:
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
