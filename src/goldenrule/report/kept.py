"""A report's content as files, so that a finished run's page can be made again in another language.

FOLDER/content.json          all plain values, with `schema_version`
FOLDER/predictions.arrow     the predictions of the headline's part, to the last bit
FOLDER/uncalibrated.arrow    the same without the temperature, where one was applied

Images are not kept: they are read again from where they lie.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any, get_type_hints

import msgspec

from goldenrule.evaluation import Estimate, Predictions
from goldenrule.evaluation.arrow import from_arrow, to_arrow
from goldenrule.foundation.errors import FormatError, OptionError
from goldenrule.foundation.files import atomic_folder, write_json
from goldenrule.foundation.findings import Finding
from goldenrule.foundation.manifest import Sealed, seal
from goldenrule.foundation.schema import as_type
from goldenrule.report.content import LiveContent, ReportContent
from goldenrule.training.history import EpochRow, History
from goldenrule.training.range_test import RangeTest

SCHEMA_VERSION = 1
CONTENT, PREDICTIONS, UNCALIBRATED = "content.json", "predictions.arrow", "uncalibrated.arrow"
_APART = (
    "predictions",
    "uncalibrated",
    "image",
    "headline",
    "estimates",
    "candidates",
    "backbones",
    "findings",
    "live",
)


def keep_content(folder: Path, content: ReportContent) -> None:
    """Write a report's content as a folder, whole or not at all."""
    plain = {field.name: getattr(content, field.name) for field in fields(content) if field.name not in _APART}
    value = {
        "schema_version": SCHEMA_VERSION,
        **plain,
        "headline": content.headline.to_json(),
        "estimates": {part: _estimates_json(own) for part, own in content.estimates.items()},
        "candidates": [_candidate_json(own) for own in content.candidates],
        "backbones": [_candidate_json(own) for own in content.backbones],
        "findings": [finding.to_json() for finding in content.findings],
        "live": _live_json(content.live) if content.live else None,
    }
    with atomic_folder(folder, known_by=(CONTENT, PREDICTIONS)) as own:
        write_json(own / CONTENT, _plain(value))
        _write_predictions(own / PREDICTIONS, content.predictions)
        if content.uncalibrated is not None:
            _write_predictions(own / UNCALIBRATED, content.uncalibrated)
        seal(own)


def kept_content(folder: Path, image: Callable[[str], bytes | None]) -> ReportContent:
    """Give the content that `keep_content` wrote; `image` gives the bytes of an image by its id.

    Raises `FormatError` where a file is missing, damaged, or of a newer version.
    """
    files = Sealed(folder)
    value = files.json(CONTENT, newest_schema=SCHEMA_VERSION)
    plain = {name: own for name, own in value.items() if name not in (*_APART, "schema_version")}
    as_type(plain, _plain_fields(), what=str(folder / CONTENT))
    try:
        content = ReportContent(
            **plain,
            headline=Estimate.from_json(value["headline"]),
            estimates={part: _estimates(own) for part, own in value["estimates"].items()},
            candidates=[_candidate(own) for own in value["candidates"]],
            backbones=[_candidate(own) for own in value["backbones"]],
            findings=[Finding(**{**own, "evidence": tuple(own["evidence"])}) for own in value["findings"]],
            live=_live(value["live"]) if value["live"] else None,
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
    """Return the type of all fields of a report that stand in its JSON as they are."""
    hints = get_type_hints(ReportContent)
    own = [(field.name, hints[field.name]) for field in fields(ReportContent) if field.name not in _APART]
    return msgspec.defstruct("PlainFields", own, kw_only=True, forbid_unknown_fields=True)


def _plain(value: Any) -> Any:
    """Give a value as JSON has it; other mappings and sequences become dicts and lists."""
    match value:
        case None | bool() | int() | float():
            return value
        case str():  # a path may hold bytes that are no text
            return value.encode("utf-8", "backslashreplace").decode("utf-8")
        case Mapping():
            return {str(name): _plain(own) for name, own in value.items()}
        case Sequence():
            return [_plain(own) for own in value]
        case _:
            return str(value)


def _estimates_json(estimates: Mapping[str, Estimate]) -> dict[str, Any]:
    return {name: own.to_json() for name, own in estimates.items()}


def _estimates(value: Mapping[str, Any]) -> dict[str, Estimate]:
    return {name: Estimate.from_json(own) for name, own in value.items()}


def _candidate_json(candidate: Mapping[str, Any]) -> dict[str, Any]:
    return {**candidate, "estimates": _estimates_json(candidate["estimates"])}


def _candidate(value: Mapping[str, Any]) -> dict[str, Any]:
    return {**value, "estimates": _estimates(value["estimates"])}


def _live_json(live: LiveContent) -> dict[str, Any]:
    return {
        "curves": {name: asdict(test) for name, test in live.curves.items()},
        "history": [asdict(row) for row in live.history],
        "notes": list(live.notes),
    }


def _live(value: Mapping[str, Any]) -> LiveContent:
    tuples = ("rates", "losses", "smoothed", "ratio")
    return LiveContent(
        curves={
            name: RangeTest(**{**own, **{key: tuple(own[key]) for key in tuples}})
            for name, own in value["curves"].items()
        },
        history=History(tuple(EpochRow.from_json(row) for row in value["history"])),
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
