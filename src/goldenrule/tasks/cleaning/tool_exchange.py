"""Labels of a run, carried to Label Studio or CVAT, and decisions made there carried back into its journal."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from goldenrule.analysis.label_issues import LabelIssues
from goldenrule.core.errors import OptionError, UnreadableImage, nearest
from goldenrule.data.pictures.header import header
from goldenrule.data.table import ImageTable
from goldenrule.runs.decided_labels import sha256_of, with_labels
from goldenrule.runs.finished import check_finished
from goldenrule.runs.review_journal import (
    DecidedImage,
    Verdict,
    journal_of,
    label_changes,
    opened_journal,
    read_journal,
    standing,
)
from goldenrule.runs.verified_files import run_images
from goldenrule.storage.outputs import Kind, check_output, write_output
from goldenrule.tasks.cleaning.label_tools import (
    CVAT_BEGINS,
    TOOLS,
    ToolLabel,
    cvat_text,
    is_label_studio_text,
    label_studio_text,
    read_tool_labels,
)

KINDS = {
    "label-studio": Kind(name="a JSON file", example="tasks.json", ours=is_label_studio_text),
    "cvat": Kind(
        name="an XML file",
        example="annotations.xml",
        ours=lambda content: content.startswith(CVAT_BEGINS.encode()),
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """What was taken from a tool's file.

    Images with another label, with the one that they had before a decision, and with labels that contradict each
    other; `same` have the label there that they have here, or are left out here: nothing was written about them.
    """

    tool: str
    relabelled: int
    kept: int
    unsure: int
    same: int
    journal: str


def check_export(tool: str, path: Path) -> None:
    """Raise `OptionError` for a tool that is not known, or a file that may not be written."""
    if tool not in TOOLS:
        raise OptionError(f"--export {tool}: wanted one of {', '.join(TOOLS)}, then the file to write.")
    check_output(path, KINDS[tool], option="--export")


def export_labels(run: Path, tool: str, path: Path, issues: LabelIssues) -> int:
    """Write the labels of a run, as they are decided by now, for a tool; return how many images.

    What contradicts its label goes along as a prediction, where the tool has such.
    """
    table = _single(run)
    journal = journal_of(run)
    held = standing(read_journal(journal)[0]) if journal.is_file() else {}
    images = with_labels(table, label_changes({uri: one for uri, (one, _) in held.items()})).table
    likely = {one.id: one for one in issues if one.probability_likely > one.probability_given}
    rows = [
        ToolLabel(
            uri=uri,
            label=images.classes[label] if label >= 0 else "",
            likely=likely[uri].likely if uri in likely else "",
            probability=likely[uri].probability_likely if uri in likely else 0.0,
        )
        for uri, label in zip(images.uris, images.targets, strict=True)
    ]
    text = (
        label_studio_text(rows) if tool == "label-studio" else cvat_text(rows, images.classes, partial(_size, images))
    )
    write_output(path, text)
    return len(rows)


def import_labels(run: Path, path: Path) -> Imported:
    """Write the labels of a tool's file into the journal of a run, as decisions, where they say something else.

    Raises `OptionError` for images or labels that are none of the run's: nothing is imported then.
    """
    table = _single(run)
    tool, labels = read_tool_labels(path, table.uris)
    for name in labels.values():
        if name and name not in table.classes:
            guess = nearest(name, table.classes, most=1)
            raise OptionError(
                f"--import {path}: {name!r} is no class of this run. Wanted one of {', '.join(table.classes[:8])}."
                f"{f' Did you mean {guess[0]}?' if guess else ''} Nothing was imported."
            )
    given = dict(zip(table.uris, table.targets, strict=True))
    wanted: dict[tuple[Verdict, str], list[DecidedImage]] = defaultdict(list)
    same = 0
    with opened_journal(run) as journal:
        held = standing(journal.decisions)
        for uri, name in labels.items():
            before = table.classes[given[uri]] if given[uri] >= 0 else ""
            now = held[uri][0] if uri in held else None
            if (now.to or before if now else before) == name or (now and now.verdict in ("remove", "unsure")):
                same += 1
                continue
            verdict: Verdict = "unsure" if not name else "keep" if name == before else "relabel"
            to = name if verdict == "relabel" else ""
            if not (sha256 := sha256_of(table, uri)):
                raise OptionError(f"{table.root / uri} can't be read: nothing was imported.")
            wanted[verdict, to].append(DecidedImage(uri=uri, sha256=sha256, label=before))
        for (verdict, to), images in wanted.items():
            journal.append(verdict, images, session=tool, to=to)
    counts = {verdict: sum(len(images) for (one, _), images in wanted.items() if one == verdict) for verdict in KEPT}
    return Imported(
        tool=tool,
        relabelled=counts["relabel"],
        kept=counts["keep"],
        unsure=counts["unsure"],
        same=same,
        journal=str(journal_of(run)),
    )


KEPT: tuple[Verdict, ...] = ("relabel", "keep", "unsure")


def _single(run: Path) -> ImageTable:
    check_finished(run)
    table = run_images(run)
    if table.task == "multi":
        raise OptionError(f"{run} has several labels an image: these tools' files are read for one label an image.")
    return table


def _size(images: ImageTable, uri: str) -> tuple[int, int]:
    """Return width and height of an image, 0 x 0 where it can't be read."""
    try:
        found = header(images.read(uri))
    except (OSError, UnreadableImage):
        return 0, 0
    return found.width, found.height
