"""Loggers: where the epochs of a fit are written beside its history: TensorBoard, MLflow, Weights & Biases.

A logger only looks: it is no part of what a fit is kept under. It knows a fit by its key (law 7), so a fit that was
killed, resumed or replayed is one run there, and each of its epochs is written once. Nothing leaves the machine (law
13) unless an address of a server was given.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import msgspec

from goldenrule.core.errors import MissingExtra, OptionError
from goldenrule.core.schema import Count, as_type
from goldenrule.models.trainable import GROUPS
from goldenrule.runs.history import EpochRow
from goldenrule.storage.files import read_digested_json, write_digested_json

Note = Callable[[EpochRow], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedFit:
    """What a logger is told of a fit: its key, the name of the images, its stage, and all that was set."""

    key: str
    images: str
    stage: str
    settings: Mapping[str, Any]

    @property
    def name(self) -> str:
        """Return a name that can be a folder's: the stage and the beginning of the key."""
        return f"{re.sub(r'[^a-z0-9]+', '-', self.stage.lower()).strip('-') or 'fit'}-{self.key[:8]}"


class Logger(Protocol):
    """Keeps the epochs of fits."""

    def on_fit_begin(self, fit: LoggedFit) -> frozenset[int]:
        """Open the log of a fit; give the epochs that it has already: they are not told again."""

    def on_epoch(self, row: EpochRow) -> None:
        """Keep an epoch."""

    def on_end(self, *, whole: bool) -> None:
        """Close the log of the fit; it is not `whole` where the fit was interrupted."""


def numbers(row: EpochRow) -> dict[str, float]:
    """Return the numbers of an epoch by their names.

    >>> row = EpochRow(stage="a", epoch=1, train_loss=1, valid_loss=.25, accuracy=.9, rates=(1e-3,), cycle_end=True)
    >>> numbers(row)
    {'loss/train': 1, 'loss/valid': 0.25, 'accuracy/valid': 0.9, 'rate/head': 0.001}
    """
    named = {
        "loss/train": row.train_loss,
        "loss/valid": row.valid_loss,
        "loss/valid_tempered": row.tempered_loss,
        "accuracy/valid": row.accuracy,
    }
    rates = zip(GROUPS[-len(row.rates) :], row.rates, strict=True)  # frozen groups have none
    metrics = {f"{name}/valid": value for name, value in row.metrics.items()}
    known = {name: value for name, value in named.items() if value is not None}
    return known | metrics | {f"rate/{group}": rate for group, rate in rates}


@contextlib.contextmanager
def logged(loggers: Sequence[Logger], fit: LoggedFit) -> Iterator[Note]:
    """Open the logs of a fit; give a function that tells them an epoch they do not have yet."""
    opened: list[tuple[Logger, set[int]]] = []
    whole = False

    def note(row: EpochRow) -> None:
        for logger, known in opened:
            if row.epoch not in known:
                logger.on_epoch(row)
                known.add(row.epoch)

    try:
        opened.extend((logger, set(logger.on_fit_begin(fit))) for logger in loggers)
        yield note
        whole = True
    finally:
        for logger, _ in opened:
            logger.on_end(whole=whole)


class TensorBoard:
    """Writes event files: FOLDER/IMAGES/STAGE-KEY holds those of one fit. See them by `tensorboard --logdir FOLDER`."""

    def __init__(self, folder: str | Path = "logs") -> None:
        _wanted("tensorboard", "tensorboard")
        self.folder = Path(folder)
        self._writer: Any = None
        self._fit: LoggedFit | None = None

    def on_fit_begin(self, fit: LoggedFit) -> frozenset[int]:
        """Return the epochs in the event files that are there already."""
        self._fit, self._writer = fit, None
        return _steps_in(self.folder / fit.images / fit.name)

    def on_epoch(self, row: EpochRow) -> None:
        """Write one event with all numbers: a killed fit has an epoch whole or not at all."""
        from tensorboard.compat.proto.summary_pb2 import Summary

        values = [Summary.Value(tag=name, simple_value=value) for name, value in numbers(row).items()]
        writer = self._opened()
        writer.file_writer.add_summary(Summary(value=values), row.epoch)
        writer.flush()

    def on_end(self, *, whole: bool) -> None:  # noqa: ARG002
        """Close the file."""
        if self._writer is not None:
            self._writer.close()

    def _opened(self) -> Any:
        from torch.utils.tensorboard import SummaryWriter

        if self._writer is None:
            assert self._fit is not None
            folder = self.folder / self._fit.images / self._fit.name
            new = not folder.exists()
            self._writer = SummaryWriter(str(folder))
            if new:
                self._writer.add_text("settings", f"```\n{json.dumps(dict(self._fit.settings), indent=2)}\n```")
        return self._writer


class MLflow:
    """Writes to MLflow: an experiment for the images, a run per fit. See them by `mlflow ui --backend-store-uri …`.

    `store` is a folder, or another tracking address of MLflow's (a data base needs the whole package mlflow).
    """

    def __init__(self, store: str | Path = "mlruns") -> None:
        _wanted("mlflow", "mlflow")
        self.store = store
        self._client: Any = None
        self._run, self._has = "", set[tuple[str, int]]()

    def on_fit_begin(self, fit: LoggedFit) -> frozenset[int]:
        """Open the run that has the fit's key, or a new one."""
        for name in ("MLFLOW_DISABLE_TELEMETRY", "DO_NOT_TRACK", "MLFLOW_ALLOW_FILE_STORE"):
            os.environ.setdefault(name, "true")
        from mlflow.tracking import MlflowClient

        address = str(self.store) if "://" in str(self.store) else Path(self.store).resolve().as_uri()
        self._client = client = MlflowClient(tracking_uri=address, registry_uri=address)
        experiment = client.get_experiment_by_name(fit.images)
        experiment_id = experiment.experiment_id if experiment else client.create_experiment(fit.images)
        found = client.search_runs([experiment_id], f"tags.`goldenrule.key` = '{fit.key}'")
        run = (
            found[0] if found else client.create_run(experiment_id, run_name=fit.name, tags={"goldenrule.key": fit.key})
        )
        self._run = run.info.run_id
        for name, value in fit.settings.items():
            client.log_param(self._run, name, value if isinstance(value, str) else json.dumps(value))
        names = run.data.metrics
        self._has = {(name, one.step) for name in names for one in client.get_metric_history(self._run, name)}
        client.update_run(self._run, status="RUNNING")
        return frozenset()

    def on_epoch(self, row: EpochRow) -> None:
        """Write the numbers that the run does not have."""
        for name, value in numbers(row).items():
            if (name, row.epoch) not in self._has:
                self._client.log_metric(self._run, name, value, step=row.epoch)

    def on_end(self, *, whole: bool) -> None:
        """Close the run."""
        self._client.set_terminated(self._run, status="FINISHED" if whole else "KILLED")


class WandB:
    """Writes runs of Weights & Biases offline to FOLDER/wandb: `wandb sync` sends them, if you want that.

    A fit is one run, its id the beginning of the key. A run that was cut off is written anew, whole.
    """

    def __init__(self, project: str = "goldenrule", *, folder: str | Path = ".") -> None:
        _wanted("wandb", "wandb")
        self.project, self.folder = project, Path(folder)
        self._run: Any = None
        self._done, self._epochs = Path(), list[int]()

    def on_fit_begin(self, fit: LoggedFit) -> frozenset[int]:
        """Return the epochs of the run if it was finished; else begin it."""
        self._run, self._epochs = None, []
        identity = fit.key[:16]
        self._done = self.folder / "wandb" / "goldenrule" / f"{identity}.json"
        if self._done.exists():
            return frozenset(as_type(read_digested_json(self._done), _Done, what=str(self._done)).epochs)
        for cut_off in (self.folder / "wandb").glob(f"offline-run-*-{identity}"):
            shutil.rmtree(cut_off)
        for name, value in {"DO_NOT_TRACK": "true", "WANDB_ERROR_REPORTING": "false", "WANDB_SILENT": "true"}.items():
            os.environ.setdefault(name, value)
        import wandb

        self.folder.mkdir(parents=True, exist_ok=True)
        self._run = wandb.init(
            project=self.project,
            dir=str(self.folder),
            id=identity,
            name=fit.name,
            group=fit.images,
            config=dict(fit.settings),
            mode="offline",
            settings=wandb.Settings(
                silent=True, console="off", x_disable_stats=True, x_disable_meta=True, disable_git=True, save_code=False
            ),
        )
        return frozenset()

    def on_epoch(self, row: EpochRow) -> None:
        """Write the numbers."""
        self._run.log(numbers(row), step=row.epoch)
        self._epochs.append(row.epoch)

    def on_end(self, *, whole: bool) -> None:
        """Finish the run, and note down which epochs it has if it is whole."""
        if self._run is not None:
            self._run.finish()
            if whole:
                write_digested_json(self._done, {"epochs": self._epochs})


class _Done(msgspec.Struct, forbid_unknown_fields=True):
    """Which epochs were logged."""

    epochs: list[Count]


KINDS: Mapping[str, Callable[..., Logger]] = {"tensorboard": TensorBoard, "mlflow": MLflow, "wandb": WandB}


def logger_of(text: str) -> Logger:
    """Return the logger that `--log` names: tensorboard:FOLDER, mlflow:FOLDER or wandb:PROJECT."""
    kind, _, where = text.partition(":")
    if kind not in KINDS:
        raise OptionError(f"--log {text}: wanted tensorboard:FOLDER, mlflow:FOLDER or wandb:PROJECT.")
    if kind != "wandb" and where and Path(where).is_file():
        raise OptionError(f"--log {text}: {where} is a file, and stays; wanted a folder for the log.")
    return KINDS[kind](where) if where else KINDS[kind]()


def _wanted(module: str, extra: str) -> None:
    if importlib.util.find_spec(module) is None:
        raise MissingExtra(f"Logging to {extra} needs the extra `{extra}`: pip install 'goldenrule[{extra}]'.")


def _steps_in(folder: Path) -> frozenset[int]:
    """Return the epochs in the event files of a folder; what was cut off while it was written is none."""
    from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

    return frozenset(
        event.step
        for file in sorted(folder.glob("events.out.tfevents.*"))
        for event in EventFileLoader(str(file)).Load()
        if any(value.tag == "loss/train" for value in event.summary.value)
    )
