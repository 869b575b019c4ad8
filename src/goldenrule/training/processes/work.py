"""`Work`: all that another process needs to take part in a fit, and how it is sent there.

It goes through memory and sockets of the user's own processes, never through a file (law 8): a function or class is
sent by its name, so that it has to stand in a module which the other process can import.
"""

from __future__ import annotations

import importlib.util
import inspect
import io
import pickle
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch

from goldenrule.core.errors import OptionError
from goldenrule.core.progress import Silent
from goldenrule.features.extractor import Extraction
from goldenrule.training.inputs.batches import BankRows, InParts, Pixels, Source, Validate
from goldenrule.training.inputs.parts import Part


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Work:
    """A network with its optimizer, where its batches come from, what it is validated on, and `loop.train`'s rest."""

    network: torch.nn.Module
    optimizer: torch.optim.Optimizer
    source: Source
    validate: InParts | None
    how: Mapping[str, Any]


def part_of(source: Source, part: Part, threads: int) -> Source:
    """Return the source of this part of every batch, read by so many threads; `OptionError` where parts are empty."""
    if not isinstance(source, BankRows | Pixels):
        raise TypeError(f"{type(source).__name__} is not shared between processes.")
    if source.batch_size < part.world:
        raise OptionError(
            f"A batch of {source.batch_size} images for {part.world} processes: wanted at least one for each. Give "
            "fewer --devices or a larger --batch-size."
        )
    return replace(source, part=part) if isinstance(source, BankRows) else replace(source, part=part, threads=threads)


def shared(validate: Validate | None) -> InParts | None:
    """Return the validation without what it keeps, None where it can't be shared."""
    return replace(validate) if isinstance(validate, InParts) else None


def packed(work: Work | Extraction) -> bytes:
    """Return the work as bytes for `unpacked`; `OptionError` for a function that no other process can import."""
    if isinstance(work, Extraction):
        work = replace(work, extractor=replace(work.extractor, progress=Silent(), elsewhere=None))
    elif isinstance(work.source, Pixels):
        work = replace(work, source=replace(work.source, canvases=None))
    buffer = io.BytesIO()
    try:
        _Packer(buffer).dump(work)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise OptionError(
            f"This work can't be shared with another process ({error}): give --devices 1, or functions and classes of "
            "a module that can be imported."
        ) from error
    return buffer.getvalue()


def unpacked(content: bytes) -> Work | Extraction:
    """Return the work that `packed` made in a process of the same team."""
    work: Work | Extraction = pickle.loads(content)  # noqa: S301  # of the process that this one belongs to
    return work


class _Packer(pickle.Pickler):
    """A pickler that refuses functions and classes which only this program knows."""

    def reducer_override(self, value: Any) -> Any:
        if inspect.isfunction(value) or inspect.isclass(value):
            module = value.__module__
            if module == "__main__" or "<" in value.__qualname__ or not _importable(module):
                raise OptionError(
                    f"{value.__qualname__} is known to this program alone, and several processes train: put it into a "
                    "module of its own that can be imported, or give --devices 1."
                )
        return NotImplemented


def _importable(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError, AttributeError):
        return False
