"""`check_labels`: suspected label errors, mistakes and doubts of a finished run; as values, a page, JSON and CSV."""

from __future__ import annotations

import contextlib
import datetime
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from goldenrule.analysis.label_issues import LabelIssues, SuspectedLabel, label_errors_json
from goldenrule.analysis.mistakes import Wavering, most_confident_right, most_uncertain
from goldenrule.core.errors import OptionError, system_errors
from goldenrule.core.findings import plural
from goldenrule.core.progress import Progress, Silent
from goldenrule.core.schema import as_json
from goldenrule.data.table import ImageTable
from goldenrule.data.units import duplicate_units, is_alike
from goldenrule.metrics import Mistake, Predictions, most_confident_mistakes, value_and_interval
from goldenrule.models.classifier import Classifier
from goldenrule.report.pages.insight_page import Card, Section, render_insight
from goldenrule.report.sentences import sureness
from goldenrule.runs.verified_files import kept_predictions
from goldenrule.storage.files import write_atomic, write_json
from goldenrule.storage.lock import check_no_links
from goldenrule.tasks.reopened import reopened
from goldenrule.tasks.run_label_issues import SuspectedLabels, suspected, with_features

SCHEMA_VERSION = 2
FOLDER, PAGE, NUMBERS, LABELS = "labels", "labels.html", "labels.json", "label_errors.csv"
JUDGING = ("test", "valid")
MOST_PAIRS = 3


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LabelCheck:
    """What is found in a run: sections in their order, the labels' doubts, and where all of it is written.

    `opening_seconds`: reading the run and its features. `left_out`: labelled images that could not be read.
    `kept_csv`: a label_errors.csv that holds something else was there, and stays.
    """

    folder: Path
    sections: tuple[Section, ...]
    suspected: SuspectedLabels
    left_out: tuple[str, ...]
    opening_seconds: float
    kept_csv: bool = False

    @property
    def page(self) -> Path:
        """The page to look at."""
        return self.folder / PAGE

    @property
    def seconds(self) -> float:
        """What opening the run and all sections took."""
        return self.opening_seconds + sum(section.seconds for section in self.sections)

    @property
    def headline(self) -> str:
        """Return in one sentence how the labels stand."""
        return how_many(self.suspected.errors)

    def __repr__(self) -> str:
        return f"LabelCheck({self.headline}; look at {self.page})"

    def notes(self) -> list[str]:
        """Return what is missing."""
        if not self.left_out:
            return []
        names = ", ".join(self.left_out[:5]) + (", ..." if len(self.left_out) > 5 else "")
        return [f"{plural(len(self.left_out), 'labelled image')} could not be read and took no part: {names}."]


@system_errors()
def check_labels(
    run: str | Path, *, top: int = 20, threads: int | None = None, progress: Progress | None = None
) -> LabelCheck:
    """Look into a finished run: suspected label errors, confident mistakes, most uncertain and most confident right.

    Each list has `top` images. Written to RUN/labels: labels.html, labels.json, and label_errors.csv with all
    labelled images, ranked; nothing else of the run is changed. Features that the cache lacks are computed.
    Raises `SourceError` where there is no finished run, `OptionError` for a `top` below 1.
    """
    if top < 1:
        raise OptionError(f"--at-most {top}: wanted the number of images to list, 1 or more.")
    progress = progress or Silent()
    began = time.perf_counter()
    check_no_links(Path(run))
    opened = reopened(run, threads=threads, progress=progress)
    features = opened.features()
    images, left_out = with_features(opened.table, features)
    opening = time.perf_counter() - began
    if not len(images):
        raise OptionError(f"No image of {opened.folder} has a label and can be read: wanted labelled images.")
    began = time.perf_counter()
    found = suspected(images, features, seed=opened.options.seed, progress=progress)
    seconds = time.perf_counter() - began
    evaluated = _evaluated(opened.folder, found.predictions, opened.classifier)
    sections = (label_section(found, images, top, seconds), *looking_sections(evaluated, images, top))
    result = LabelCheck(
        folder=opened.folder / FOLDER,
        sections=sections,
        suspected=found,
        left_out=tuple(left_out),
        opening_seconds=opening,
    )
    return _written(result, images)


def _standing(suspect: SuspectedLabel) -> str:
    """Return how a label stands that is among the most doubtful."""
    if suspect.suspected:
        return "suspected"
    return "contradicted" if suspect.probability_likely > suspect.probability_given else "not contradicted"


def label_section(found: SuspectedLabels, images: ImageTable, top: int, seconds: float) -> Section:
    """Return what is found of labels, with the images to look at first."""
    errors, splits = found.errors, _splits(images)
    cards = tuple(
        Card(
            uri=suspect.id,
            split=splits.get(suspect.id, ""),
            label=suspect.given,
            other=suspect.likely,
            joined="rather",
            shares=(small(suspect.probability_given), sureness(suspect.probability_likely)),
            standing=_standing(suspect),
            note=_said_of(copies) if copies else "",
        )
        for suspect, copies in without_copies(errors, images, top)
    )
    pairs = "; ".join(
        f"{count:,} labelled {given}, rather {likely}" for given, likely, count in errors.pairs[:MOST_PAIRS]
    )
    if others := errors.number_suspected - sum(count for _, _, count in errors.pairs[:MOST_PAIRS]):
        pairs += f"; and {others:,} of other kinds"
    sentences = [f"{how_many(errors)}." + (f" Suspected: {pairs}." if pairs else "")]
    method = (
        "Each label is evaluated by heads that were fitted without the image, its copies and its series, on features "
        "of the backbone that the run began with, which has learned from none of these labels. Images of all splits "
        "take part alike: nothing is chosen for the classifier by this. The most doubtful label stands first, copies "
        "of an image share its place.",
        "A label is contradicted where the heads find another class likelier. It is suspected where confident learning "
        "counts it as wrong too, and at most as many are as look like labels given at random: the others are more "
        "often mistakes of the heads. Wrong labels that come in copies may be contradicted alone.",
        "Errors between classes that look alike are not among those made on purpose, and where classes are hard to "
        "tell many of the suspected are the heads' own mistakes: only looking tells.",
    )
    if found.wrong.defined:
        sentences.append(
            f"{plural(found.planted, 'label')} {'was' if found.planted == 1 else 'were'} made wrong on purpose, and "
            f"the heads fitted again: as many as {value_and_interval(found.wrong)} of the other labels look like "
            "those."
        )
    return Section(
        key="labels",
        title="Label errors",
        sentences=tuple(sentences),
        seconds=seconds,
        cards=cards,
        method=method,
        numbers=label_errors_json(errors, top)
        | {"wrong": as_json(found.wrong), "planted": found.planted, "l2": found.l2},
    )


def how_many(errors: LabelIssues) -> str:
    """Return how many labels are suspected to be wrong, and how many are contradicted."""
    count = errors.number_suspected
    verb = "is" if count == 1 else "are"
    return (
        f"{count:,} of {plural(len(errors), 'label')} {verb} suspected to be wrong; {errors.number_contradicted:,} "
        "contradicted by heads that have not seen the image"
    )


def without_copies(errors: LabelIssues, images: ImageTable, top: int) -> list[tuple[SuspectedLabel, list[str]]]:
    """Return up to `top` of the most doubtful labels, each with the ids of its copies that have the same label.

    Copies are files of equal bytes, and near duplicates as the fit found them.
    """
    unit = copies_of(images)
    found: dict[tuple[bytes, str], tuple[SuspectedLabel, list[str]]] = {}
    for suspect in errors.first(len(errors)):
        key = unit[suspect.id], suspect.given
        if key in found:
            found[key][1].append(suspect.id)
        elif len(found) < top:
            found[key] = suspect, []
    return list(found.values())


def copies_of(images: ImageTable) -> dict[str, bytes]:
    """Return for each image the name that it shares with its copies."""
    groups = images.rows["group"].to_pylist()
    near = images.with_groups([group if is_alike(group) else None for group in groups])
    return dict(zip(images.uris, duplicate_units(near), strict=True))


def looking_sections(evaluated: tuple[str, Predictions], images: ImageTable, top: int) -> tuple[Section, ...]:
    """Return sections of the most confident mistakes, the most uncertain and the most confident right images."""
    about, predictions = evaluated
    splits, unit = _splits(images), copies_of(images)

    def wrong(mistake: Mistake) -> Card:
        note = f"{sureness(mistake.probability)} confident"
        other = mistake.predicted if mistake.predicted != mistake.truth else ""
        return Card(uri=mistake.id, split=splits.get(mistake.id, ""), label=mistake.truth, other=other, note=note)

    def between(image: Wavering) -> Card:
        note = f"{image.first} {sureness(image.probability)}, {image.second} {sureness(image.second_probability)}"
        return Card(uri=image.id, split=splits.get(image.id, ""), label=image.truth, note=note)

    kinds: tuple[tuple[str, str, str, Any, Any], ...] = (
        (
            "mistakes",
            "Most confident mistakes",
            "Taken for another class, the most confident first",
            most_confident_mistakes,
            wrong,
        ),
        ("uncertain", "Most uncertain", "The two likeliest classes are closest", most_uncertain, between),
        ("best", "Best", "Recognised, the most confident first", most_confident_right, wrong),
    )
    sections = []
    for key, title, what, of, card in kinds:
        began = time.perf_counter()
        every = of(predictions, len(predictions))
        rows, copies = _first_of_copies(every, unit, top)
        sections.append(
            Section(
                key=key,
                title=title,
                sentences=(f"{what}: {about}." if rows else f"There are none: {about}.",),
                seconds=time.perf_counter() - began,
                cards=tuple(_with_copies(card(row), copies[row.id]) for row in rows),
                numbers={"of": len(predictions.scored), "rows": [as_json(row) for row in rows]},
            )
        )
    return tuple(sections)


def _first_of_copies(
    rows: Sequence[Any], unit: Mapping[str, bytes], top: int
) -> tuple[list[Any], dict[str, list[str]]]:
    """Return up to `top` rows, one for all copies of an image, and the ids of the copies of each."""
    first: dict[bytes, Any] = {}
    copies: dict[str, list[str]] = {}
    for row in rows:
        name = unit.get(row.id, row.id.encode("utf-8", "surrogateescape"))
        if name in first:
            copies[first[name].id].append(row.id)
        elif len(first) < top:
            first[name] = row
            copies[row.id] = []
    return list(first.values()), copies


def _with_copies(card: Card, copies: Sequence[str]) -> Card:
    return replace(card, note=f"{card.note}; {_said_of(copies)}") if copies else card


def _said_of(copies: Sequence[str]) -> str:
    more = ", ..." if len(copies) > MOST_PAIRS else ""
    return f"with {plural(len(copies), 'copy', 'copies')}: {', '.join(copies[:MOST_PAIRS])}{more}"


def small(probability: float) -> str:
    """Return a probability in percent that never reads as impossible.

    >>> small(0.034), small(0.00012), small(1e-9)
    ('3.4 %', '0.012 %', '< 0.01 %')
    """
    return f"{100 * probability:.2g} %" if probability >= 1e-4 else "< 0.01 %"


def _evaluated(folder: Path, held_out: Predictions, classifier: Classifier) -> tuple[str, Predictions]:
    """Return what the run's classifier said of images that it has not learned from, in words and as predictions."""
    said = {}
    for split in JUDGING:
        predictions = kept_predictions(folder, split, task=classifier.task)
        if predictions is not None and len(predictions.scored):
            said[split] = (
                classifier.thresholds.apply(predictions.scored) if classifier.thresholds else predictions.scored
            )
    if not said:
        return f"{plural(len(held_out), 'image')}, each by heads fitted without it", held_out
    count = sum(map(len, said.values()))
    about = f"the run's classifier, on {plural(count, 'image')} that it has not learned from ({' and '.join(said)})"
    return about, Predictions.concatenate(list(said.values()))


def _splits(images: ImageTable) -> dict[str, str]:
    return {uri: split or "" for uri, split in zip(images.uris, images.splits, strict=True)}


def _written(result: LabelCheck, images: ImageTable) -> LabelCheck:
    """Write the three files; a list of labels that somebody has worked on stays as it is."""
    text = result.suspected.errors.to_csv()
    path = result.folder / LABELS
    kept = path.exists() and path.read_bytes() != text.encode("utf-8", "surrogateescape")
    if not kept:
        write_atomic(path, text.encode("utf-8", "surrogateescape"))
    created = datetime.datetime.now().astimezone()
    numbers = {section.key: {"seconds": round(section.seconds, 3), **section.numbers} for section in result.sections}
    write_json(
        result.folder / NUMBERS,
        {
            "schema_version": SCHEMA_VERSION,
            "created": created.isoformat(timespec="seconds"),
            "images": len(images),
            "left_out": list(result.left_out),
            "opening_seconds": round(result.opening_seconds, 3),
            "sections": numbers,
        },
    )

    def image(uri: str) -> bytes | None:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            return images.read(uri)
        return None

    name = images.name
    write_atomic(
        result.page,
        render_insight(
            name,
            f"{created:%Y-%m-%d %H:%M %Z}",
            result.headline,
            result.sections,
            image=image,
            notes=result.notes(),
        ),
    )
    return replace(result, kept_csv=kept)
