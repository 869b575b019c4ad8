"""What is compared: a network, a way of training it, and the seconds it takes, counted across interruptions."""

from __future__ import annotations

import contextlib
import re
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from goldenrule.core.errors import OptionError, StorageError
from goldenrule.core.schema import from_json
from goldenrule.data.pictures.preprocess import Preprocessing
from goldenrule.models.catalog import DEFAULT_BACKBONE, canonical_name, check_known
from goldenrule.runs.training_options import WAYS, TrainingType
from goldenrule.storage.files import read_digested_json, write_digested_json

DEFAULT_MODELS = ("original", DEFAULT_BACKBONE)
TICK = 5.0
"""Seconds between two times that the stopwatch is written: so many are lost when a process is killed."""


@dataclass(frozen=True, slots=True)
class Network:
    """A network by name, the side of its input in px (None: its own) and its weights (None: where they are found)."""

    name: str
    size: int | None = None
    weights: Path | None = None

    @classmethod
    def named(cls, text: str, weights: Mapping[str, Path]) -> Network:
        """Return the network that NAME or NAME@PX stands for; `weights` are files by name.

        Raises `UnknownBackbone` for a name that nobody knows, `OptionError` for what is no size.

        >>> Network.named("resnet@96", {})
        Network(name='resnet50', size=96, weights=None)
        """
        name, at, size = text.partition("@")
        if at and not size.isdecimal():
            raise OptionError(f"-m {text}: wanted NAME, or NAME@PX such as {name}@96.")
        if at:
            Preprocessing(size=int(size))
        known = canonical_name(name)
        check_known(known)
        files = {canonical_name(word): path for word, path in weights.items()}
        return cls(known, int(size) if at else None, files.get(known))

    def __str__(self) -> str:
        return self.name if self.size is None else f"{self.name}@{self.size}"


@dataclass(frozen=True, slots=True)
class Entry:
    """A network and the way it is trained."""

    network: Network
    type: TrainingType

    @classmethod
    def of(cls, network: Network, training: TrainingType) -> Entry:
        """Return the entry of a network; weights say nothing of what begins with random ones.

        >>> Entry.of(Network("resnet18", weights=Path("r.pth")), "fromzero").network
        Network(name='resnet18', size=None, weights=None)
        """
        return cls(replace(network, weights=None) if training == "fromzero" else network, training)

    @classmethod
    def kept(cls, facts: Mapping[str, Any]) -> Entry:
        """Return the entry that was trained, by what was written down of it."""
        return cls.of(from_json(facts["network"], Network), facts["type"])

    @property
    def title(self) -> str:
        """What to call it.

        >>> Entry(Network("resnet18", 96), "fromzero").title
        'resnet18@96, from scratch'
        """
        return f"{self.network}, {WAYS[self.type]}"

    @property
    def name(self) -> str:
        """The name of its folder.

        >>> Entry(Network("resnet18", 96), "fromzero").name
        'resnet18@96-fromzero'
        """
        return f"{re.sub(r'[^A-Za-z0-9_.@-]', '_', str(self.network))}-{self.type}"


class Stopwatch:
    """Counts seconds into a JSON file while its block runs, on top of those that are there: a kill loses few."""

    def __init__(self, path: Path) -> None:
        self.path, self.facts = path, read_digested_json(path) if path.exists() else {}
        self._before, self._began = float(self.facts.get("seconds", 0.0)), time.monotonic()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._tick, daemon=True)

    @property
    def seconds(self) -> float:
        """The seconds so far."""
        return self._before + time.monotonic() - self._began

    def end(self, **facts: Any) -> None:
        """Stop, and write the seconds with these facts."""
        self._stop()
        self.facts |= facts
        self._write()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if not self._stopped.is_set():
            self._stop()
            with contextlib.suppress(StorageError):  # there is an error already
                self._write()

    def _stop(self) -> None:
        self._stopped.set()
        self._thread.join()

    def _tick(self) -> None:
        while not self._stopped.wait(TICK):
            with contextlib.suppress(StorageError):  # whoever needs that disk will say so
                self._write()

    def _write(self) -> None:
        write_digested_json(self.path, {**self.facts, "seconds": round(self.seconds, 2)})
