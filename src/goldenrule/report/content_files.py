"""A report's content as files, so that a finished run's page can be made again in another language.

FOLDER/content.json          all plain values, with `schema_version`
FOLDER/predictions.arrow     the predictions of the headline's split, to the last bit
FOLDER/uncalibrated.arrow    the same without the temperature, where one was applied

Images are not kept: they are read again from where they lie.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields, replace
from pathlib import Path
from typing import Any, get_type_hints

import msgspec

from goldenrule.core.errors import FormatError, OptionError
from goldenrule.core.findings import Finding
from goldenrule.core.messages import Message
from goldenrule.core.schema import as_json, as_type, from_json
from goldenrule.metrics import Estimate, Predictions
from goldenrule.metrics.arrow import from_arrow, to_arrow
from goldenrule.report.content import LiveContent, Promised, ReportContent, SuspectedLabelErrors
from goldenrule.runs.history import History, epoch_row
from goldenrule.storage.files import atomic_folder, write_json
from goldenrule.storage.manifest import Sealed, seal
from goldenrule.training.lr_finder import RangeTest

SCHEMA_VERSION = 5
CONTENT, PREDICTIONS, UNCALIBRATED = "content.json", "predictions.arrow", "uncalibrated.arrow"
_NOT_JSON = ("predictions", "uncalibrated", "image", "growth")
_APART = (
    *_NOT_JSON,
    "headline",
    "estimates",
    "candidates",
    "backbones",
    "findings",
    "live",
    "bases",
    "promises",
    "labels",
    "quick",
    "left_out",
)


def keep_content(folder: Path, content: ReportContent) -> None:
    """Write a report's content as a folder, whole or not at all."""
    value = {field.name: getattr(content, field.name) for field in fields(content) if field.name not in _NOT_JSON}
    with atomic_folder(folder, known_by=(CONTENT, PREDICTIONS)) as path:
        write_json(path / CONTENT, as_json({"schema_version": SCHEMA_VERSION, **value}))
        _write_predictions(path / PREDICTIONS, content.predictions)
        if content.uncalibrated is not None:
            _write_predictions(path / UNCALIBRATED, content.uncalibrated)
        seal(path)


def kept_content(folder: Path, image: Callable[[str], bytes | None]) -> ReportContent:
    """Return the content that `keep_content` wrote; `image` gives the bytes of an image by its id.

    Raises `FormatError` where a file is missing, damaged, or of a newer version.
    """
    files = Sealed(folder)
    value = files.json(CONTENT, schema=SCHEMA_VERSION)
    plain = {name: field for name, field in value.items() if name not in (*_APART, "schema_version")}
    as_type(plain, _plain_fields(), what=str(folder / CONTENT))
    try:
        content = ReportContent(
            **plain,
            headline=from_json(value["headline"], Estimate),
            estimates={split: _estimates(estimate) for split, estimate in value["estimates"].items()},
            candidates=[_candidate(candidate) for candidate in value["candidates"]],
            backbones=[_candidate(backbone) for backbone in value["backbones"]],
            findings=[from_json(finding, Finding) for finding in value["findings"]],
            live=_live(value["live"]) if value["live"] else None,
            bases={split: from_json(message, Message) for split, message in value["bases"].items()},
            promises=[from_json(one, Promised) for one in value.get("promises", ())],  # absent before version 4
            labels=from_json(value["labels"], SuspectedLabelErrors) if value.get("labels") else None,
            quick=value.get("quick") is True,
            left_out=as_type(value.get("left_out", []), tuple[str, ...], what="left_out"),
            predictions=_read_predictions(files, PREDICTIONS),
            image=image,
        )
    except FormatError as error:
        raise FormatError(f"{folder / CONTENT} is not the content of a report: {error} Fit again.") from error
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise FormatError(f"{folder / CONTENT} is not the content of a report ({error}). Fit again.") from error
    if UNCALIBRATED not in files:
        return content
    return replace(content, uncalibrated=_read_predictions(files, UNCALIBRATED))


@functools.cache
def _plain_fields() -> type[msgspec.Struct]:
    """Return the type of all fields of a report that stand in its JSON as they are.

    Those with a default may be absent: reports of earlier versions lack what is newer.
    """
    hints = get_type_hints(ReportContent)
    typed: list[tuple[str, Any] | tuple[str, Any, Any]] = [
        (one.name, hints[one.name]) if one.default is MISSING else (one.name, hints[one.name], one.default)
        for one in fields(ReportContent)
        if one.name not in _APART
    ]
    return msgspec.defstruct("PlainFields", typed, kw_only=True, forbid_unknown_fields=True)


def _estimates(value: Mapping[str, Any]) -> dict[str, Estimate]:
    return {name: from_json(estimate, Estimate) for name, estimate in value.items()}


def _candidate(value: Mapping[str, Any]) -> dict[str, Any]:
    return {**value, "estimates": _estimates(value["estimates"])}


def _live(value: Mapping[str, Any]) -> LiveContent:
    return LiveContent(
        curves={name: from_json(curve, RangeTest) for name, curve in value["curves"].items()},
        history=History(tuple(map(epoch_row, value["history"]))),
        notes=tuple(value["notes"]),
    )


def _write_predictions(path: Path, predictions: Predictions) -> None:
    import pyarrow as pa

    table = to_arrow(predictions)
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table)


def _read_predictions(files: Sealed, name: str) -> Predictions:
    import pyarrow as pa

    content = files.read(name)
    try:
        return from_arrow(pa.ipc.open_file(pa.BufferReader(content)).read_all())
    except (OSError, pa.ArrowException, FormatError, OptionError) as error:
        raise FormatError(f"{files.folder / name} can't be read as predictions: {error}. Fit again.") from error
