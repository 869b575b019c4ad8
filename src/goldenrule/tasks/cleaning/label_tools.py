"""Labels as Label Studio (JSON) and CVAT ("CVAT for images 1.1", XML) write and read them.

Formats: https://labelstud.io/guide/task_format and https://docs.cvat.ai/docs/dataset_management/formats/format-cvat/.
A file of a stranger is read without trust: JSON of bounded depth; XML in which no document type, and so no entity, is
taken.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal, get_args
from urllib.parse import parse_qs, quote, unquote, urlsplit
from xml.parsers import expat
from xml.sax.saxutils import escape, quoteattr

from goldenrule.core.errors import FormatError, OptionError
from goldenrule.core.findings import plural
from goldenrule.core.schema import parse_json
from goldenrule.storage.regular_files import LARGEST_TABLE_BYTES, read_regular

Tool = Literal["label-studio", "cvat"]
TOOLS: tuple[Tool, ...] = get_args(Tool)
CONTROL, OBJECT, MADE_BY = "label", "image", "goldenrule"
PATH = "path"
CVAT_BEGINS = (
    f'<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n<version>1.1</version>\n<meta><task><name>{MADE_BY}</name>'
)
"""How our file begins; CVAT's own are indented."""
SHOWN = 3
_UPLOADED = re.compile(r"[0-9a-f]{8}-(?=.)")
"""What Label Studio puts before the name of an uploaded file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolLabel:
    """An image with its label, the label it rather has ("" for none), and the probability of that."""

    uri: str
    label: str
    likely: str = ""
    probability: float = 0.0


def label_studio_text(rows: Sequence[ToolLabel]) -> str:
    """Return tasks of Label Studio: the label as annotation, the likelier one as prediction with its probability.

    Its labelling configuration has `<Choices name="label" toName="image">` with the classes.
    """
    tasks = [
        {
            "id": number,
            "data": {OBJECT: f"/data/local-files/?d={quote(row.uri)}", PATH: row.uri},
            "annotations": [{"result": [_choice(row.label)]}] if row.label else [],
            "predictions": [{"model_version": MADE_BY, "score": row.probability, "result": [_choice(row.likely)]}]
            if row.likely
            else [],
        }
        for number, row in enumerate(rows, 1)
    ]
    return json.dumps(tasks, ensure_ascii=False, indent=1) + "\n"


def is_label_studio_text(content: bytes) -> bool:
    """Return whether `label_studio_text` wrote a file: annotations of people have an author and a time."""
    try:
        tasks = parse_json(content)
    except ValueError:
        return False
    keys = {"id", "data", "annotations", "predictions"}
    return (
        isinstance(tasks, list)
        and bool(tasks)
        and all(isinstance(task, dict) and task.keys() == keys for task in tasks)
        and all(isinstance(one, dict) and one.keys() == {"result"} for task in tasks for one in task["annotations"])
    )


def cvat_text(rows: Sequence[ToolLabel], classes: Sequence[str], size: Callable[[str], tuple[int, int]]) -> str:
    """Return annotations of CVAT: a tag for each image; `size` gives width and height of a file in px."""
    labels = "".join(f"<label><name>{escape(name)}</name><type>tag</type></label>" for name in classes)
    lines = [f"{CVAT_BEGINS}<size>{len(rows)}</size><labels>{labels}</labels></task></meta>"]
    for number, row in enumerate(rows):
        width, height = size(row.uri)
        tag = f'<tag label={quoteattr(row.label)} source="manual"></tag>' if row.label else ""
        lines.append(f'<image id="{number}" name={quoteattr(row.uri)} width="{width}" height="{height}">{tag}</image>')
    return "\n".join([*lines, "</annotations>", ""])


def read_tool_labels(path: Path, uris: Sequence[str]) -> tuple[Tool, dict[str, str]]:
    """Return which tool wrote a file, and the labels that it gives to images of `uris`; "" where they contradict.

    Images that were not annotated are left out. Raises `OptionError` for a file that can't be read, or is about images
    that are none of these; `FormatError` for one that neither tool writes.
    """
    try:
        content = read_regular(path, most_bytes=LARGEST_TABLE_BYTES)
    except OSError as error:
        raise OptionError(f"--import {path} can't be read: {error.strerror or error}.") from error
    tool: Tool = "cvat" if content.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<") else "label-studio"
    named = _of_cvat(content, path) if tool == "cvat" else _of_label_studio(content, path)
    find = _finder(uris)
    found: dict[str, set[str]] = defaultdict(set)
    strange: list[str] = []
    for name, labels in named:
        uri = find(name)
        if uri is None:
            strange.append(name)
        else:
            found[uri] |= labels
    if strange:
        raise OptionError(
            f"--import {path}: {plural(len(strange), 'annotated image')} can't be told among those of the run: "
            f"{', '.join(strange[:SHOWN])}{', ...' if strange[SHOWN:] else ''}. Nothing was imported: export from the "
            "project that goldenrule labels --export was imported into."
        )
    if not found:
        raise OptionError(f"--import {path} holds no annotated image: nothing was imported.")
    return tool, {uri: next(iter(labels)) if len(labels) == 1 else "" for uri, labels in found.items()}


def _choice(label: str) -> dict[str, Any]:
    return {"from_name": CONTROL, "to_name": OBJECT, "type": "choices", "value": {"choices": [label]}}


def _of_label_studio(content: bytes, path: Path) -> list[tuple[str, set[str]]]:
    try:
        tasks = parse_json(content)
    except ValueError as error:
        raise FormatError(f"--import {path} is neither JSON nor XML: {error}.") from error
    if not isinstance(tasks, list) or not all(isinstance(task, dict) and "data" in task for task in tasks):
        raise FormatError(
            f"--import {path} is no export of Label Studio: wanted a list of tasks with their data and annotations "
            "(format JSON, not JSON-MIN)."
        )
    found = []
    for task in tasks:
        try:
            labels = {
                label
                for annotation in task.get("annotations", ())
                if not annotation.get("was_cancelled")
                for one in annotation["result"]
                if one["type"] == "choices"
                for label in one["value"]["choices"]
            }
            data = task["data"]
            name = data.get(PATH) or data.get(OBJECT) or next(value for value in data.values() if "." in str(value))
            if not isinstance(name, str) or not all(isinstance(label, str) for label in labels):
                raise TypeError("a name or a choice is no text")
        except (KeyError, TypeError, AttributeError, StopIteration) as error:
            raise FormatError(
                f"--import {path}: task {task.get('id')} is not as Label Studio writes it ({type(error).__name__}: "
                f"{error})."
            ) from error
        if labels:
            found.append((name, labels))
    return found


def _of_cvat(content: bytes, path: Path) -> list[tuple[str, set[str]]]:
    found: list[tuple[str, set[str]]] = []
    inside: list[str] = []

    def begin(tag: str, attributes: Mapping[str, str]) -> None:
        inside.append(tag)
        if inside == ["annotations", "image"]:
            found.append((attributes.get("name", ""), set()))
        elif inside == ["annotations", "image", "tag"]:
            found[-1][1].add(attributes.get("label", ""))

    def doctype(*_: object) -> None:
        raise FormatError(f"--import {path} declares a document type, which CVAT does not: it is not read.")

    parser = expat.ParserCreate()
    parser.StartElementHandler = begin
    parser.EndElementHandler = lambda _: inside.pop()
    parser.StartDoctypeDeclHandler = doctype
    try:
        parser.Parse(content, True)
    except expat.ExpatError as error:
        raise FormatError(f"--import {path} can't be read as XML: {error}.") from error
    if not found:
        raise FormatError(f"--import {path} is no export of CVAT: wanted <annotations> with <image> (CVAT for images).")
    return [(name, labels) for name, labels in found if labels]


def _finder(uris: Sequence[str]) -> Callable[[str], str | None]:
    """Return what finds the image that a tool's name means; None where that is none, or can be several."""
    known = set(uris)
    of_name: dict[str, list[str]] = defaultdict(list)
    for uri in uris:
        of_name[PurePosixPath(uri).name].append(uri)

    def find(name: str) -> str | None:
        if name in known:
            return name
        address = urlsplit(name)
        plain = parse_qs(address.query).get("d", [unquote(address.path)])[0]
        last = PurePosixPath(plain).name
        for candidate in (last, _UPLOADED.sub("", last, count=1)):
            same = of_name.get(candidate, [])
            ends = [uri for uri in same if f"/{plain}".endswith(f"/{uri}")]
            if len(ends) == 1 or len(same) == 1:
                return (ends if len(ends) == 1 else same)[0]
        return None

    return find
