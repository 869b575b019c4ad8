"""Loggers: what is read back from TensorBoard's, MLflow's and W&B's own files is the history, each epoch once."""

from __future__ import annotations

import builtins
import importlib.util
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

import goldenrule as gr
from goldenrule.core.errors import MissingExtra, OptionError
from goldenrule.core.progress import Silent
from goldenrule.runs.history import EpochRow
from goldenrule.training import fitting, loggers
from goldenrule.training.loggers import Logger, logger_of, numbers

Curves = dict[str, dict[str, list[tuple[int, float]]]]
"""run -> number -> (epoch, value) as they were written."""


class Killed(BaseException):
    """Stands for SIGKILL inside one process."""


def tensorboard_curves(folder: Path) -> Curves:
    from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

    found: Curves = {}
    for file in sorted(folder.rglob("events.out.tfevents.*")):
        for event in EventFileLoader(str(file)).Load():
            for value in event.summary.value:
                if value.tag != "settings/text_summary":
                    run = found.setdefault(file.parent.name, {})
                    run.setdefault(value.tag, []).append((event.step, value.tensor.float_val[0]))
    # files of one second have names in no order: an epoch that is there twice is still seen
    return {name: {tag: sorted(curve) for tag, curve in item.items()} for name, item in found.items()}


def mlflow_curves(folder: Path) -> Curves:
    from mlflow.tracking import MlflowClient

    client = MlflowClient(tracking_uri=folder.as_uri(), registry_uri=folder.as_uri())
    return {
        run.info.run_name: {
            name: [(one.step, one.value) for one in client.get_metric_history(run.info.run_id, name)]
            for name in run.data.metrics
        }
        for run in client.search_runs([one.experiment_id for one in client.search_experiments()])
    }


def wandb_curves(folder: Path) -> Curves:
    from wandb.proto.wandb_internal_pb2 import Record

    found: Curves = {}
    for file in sorted(folder.glob("wandb/offline-run-*/*.wandb")):
        ours: dict[str, list[tuple[int, float]]] = {}
        name = ""
        for content in wandb_records(file.read_bytes()):
            record = Record()
            record.ParseFromString(content)
            name = record.run.display_name or name
            items = {"/".join(item.nested_key) or item.key: float(item.value_json) for item in record.history.item}
            for key, value in items.items():
                if not key.startswith("_"):
                    ours.setdefault(key, []).append((int(items["_step"]), value))
        assert name not in found, "a run is written once"
        found[name] = ours
    return found


def wandb_records(content: bytes) -> Iterator[bytes]:
    """Return the records of LevelDB's log format behind W&B's header: blocks of 32 KiB, records in one part or more."""
    at, parts = 7, b""
    while at + 7 <= len(content):
        if (left := 32768 - at % 32768) < 7:
            at += left
            continue
        _, length, kind = struct.unpack_from("<IHB", content, at)
        parts += content[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):
            yield parts
            parts = b""


TRACKERS: dict[str, tuple[Callable[[Path], Logger], Callable[[Path], Curves]]] = {
    "tensorboard": (gr.training.TensorBoard, tensorboard_curves),
    "mlflow": (gr.training.MLflow, mlflow_curves),
    "wandb": (lambda folder: gr.training.WandB("project", folder=folder), wandb_curves),
}


@pytest.fixture(params=TRACKERS)
def tracker(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Logger, Callable[[], Curves]]:
    """A logger that writes into tmp_path, and what reads that back."""
    if importlib.util.find_spec(request.param) is None:
        pytest.skip(f"{request.param} is not installed: pip install 'goldenrule[{request.param}]'")
    make, read = TRACKERS[request.param]
    folder = tmp_path / request.param

    def written() -> Curves:
        """Read it, waiting where a program beside ours, as W&B has one, is still writing on a busy machine."""
        deadline = time.monotonic() + 30
        while not all((found := read(folder)).values()) and time.monotonic() < deadline:
            time.sleep(0.2)
        return found

    return make(folder), written


@pytest.fixture
def learner(small_photos: Path, cache: Path, tmp_path: Path) -> Callable[..., gr.Learner]:
    """Make a learner with activations of 40 cats and dogs, five steps per epoch."""
    images = gr.from_folder(small_photos)

    def make(**options: Any) -> gr.Learner:
        usual = {"folder": tmp_path / "steps", "progress": Silent(), "precompute": True}
        return gr.Learner(images, **(usual | options))

    return make


def expected(history: gr.History) -> dict[str, list[tuple[int, float]]]:
    found: dict[str, list[tuple[int, float]]] = {}
    for row in history:
        for name, value in numbers(row).items():
            found.setdefault(name, []).append((row.epoch, pytest.approx(value, rel=1e-6)))
    return found


def test_what_was_logged_is_the_history_and_a_replay_adds_nothing(
    learner: Callable[..., gr.Learner], tracker: tuple[Logger, Callable[[], Curves]]
) -> None:
    logger, read = tracker

    def script() -> gr.Learner:
        learn = learner(loggers=[logger])
        learn.fit(1e-2, 3, stage="The head")
        learn.fit(1e-3, 2, stage="The head, slower")
        return learn

    learn = script()
    found = read()
    assert sorted(name.rpartition("-")[0] for name in found) == ["the-head", "the-head-slower"]
    history = learn.history.rows
    assert found == {
        name: expected(
            gr.History(history[:3] if name.startswith("the-head-") and "slower" not in name else history[3:])
        )
        for name in found
    }
    script()
    assert read() == found


def test_each_epoch_of_a_killed_fit_is_logged_once(
    learner: Callable[..., gr.Learner],
    tracker: tuple[Logger, Callable[[], Curves]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    logger, read = tracker
    real = fitting.train
    monkeypatch.setattr(fitting, "CHECKPOINT_SECONDS", 0.0)

    def killed_after(steps: int) -> Callable[..., Iterator[Any]]:
        def events(*arguments: Any, **options: Any) -> Iterator[Any]:
            for number, event in enumerate(real(*arguments, **options)):
                yield event
                if number == steps:
                    raise Killed

        return events

    for steps in (13, 8):
        monkeypatch.setattr(fitting, "train", killed_after(steps))
        with pytest.raises(Killed):
            learner(loggers=[logger]).fit(1e-2, 5)
        assert len(next(iter(read().values()))["loss/train"]) >= 2
    monkeypatch.setattr(fitting, "train", real)
    learn = learner(loggers=[logger])
    learn.fit(1e-2, 5)
    (found,) = read().values()
    assert found == expected(learn.history)


def test_a_fit_that_was_made_without_a_logger_is_logged_when_it_is_replayed(
    learner: Callable[..., gr.Learner], tracker: tuple[Logger, Callable[[], Curves]]
) -> None:
    logger, read = tracker
    learner().fit(1e-2, 2)
    learn = learner(loggers=[logger])
    learn.fit(1e-2, 2)
    (found,) = read().values()
    assert found == expected(learn.history)


def test_loggers_are_no_part_of_the_story(learner: Callable[..., gr.Learner], tmp_path: Path) -> None:
    plain, logged = learner(), learner(loggers=[gr.training.TensorBoard(tmp_path / "logs")], folder=tmp_path / "other")
    for learn in (plain, logged):
        learn.fit(1e-2, 2)
    assert plain.state.key == logged.state.key
    assert (plain.state.head.tensors["weight"] == logged.state.head.tensors["weight"]).all()


def test_logging_leaves_the_random_state_alone(learner: Callable[..., gr.Learner], tmp_path: Path) -> None:
    learn = learner(
        loggers=[gr.training.TensorBoard(tmp_path / "logs"), gr.training.MLflow(tmp_path / "mlruns")], replay=False
    )
    before = torch.random.get_rng_state()
    learn.fit(1e-2, 1)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_every_logger_is_closed_where_a_fit_is_interrupted() -> None:
    told: list[str] = []

    class Noted:
        def __init__(self, name: str) -> None:
            self.name = name

        def on_fit_begin(self, fit: loggers.LoggedFit) -> frozenset[int]:
            if self.name == "broken":
                raise OSError
            return frozenset({1})

        def on_epoch(self, row: EpochRow) -> None:
            told.append(f"{self.name} {row.epoch}")

        def on_end(self, *, whole: bool) -> None:
            told.append(f"{self.name} {'whole' if whole else 'cut off'}")

    fit = loggers.LoggedFit(key="0" * 64, images="photos", stage="fit", settings={})
    rows = [
        EpochRow(stage="s", epoch=n, train_loss=1.0, valid_loss=None, accuracy=None, rates=(0.1,), cycle_end=True)
        for n in (1, 2, 2)
    ]
    with loggers.logged([Noted("a")], fit) as note:
        for row in rows:
            note(row)
    with pytest.raises(Killed), loggers.logged([Noted("b")], fit):
        raise Killed
    with pytest.raises(OSError), loggers.logged([Noted("c"), Noted("broken")], fit):  # noqa: PT011
        pass
    assert told == ["a 2", "a whole", "b cut off", "c cut off"]


@pytest.mark.parametrize("name", TRACKERS)
def test_a_missing_extra_is_named_before_anything_is_trained(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(MissingExtra, match=rf"pip install 'goldenrule\[{name}\]'"):
        logger_of(f"{name}:somewhere")


def test_a_target_is_a_kind_and_a_place() -> None:
    board = logger_of("tensorboard:some/where")
    assert isinstance(board, gr.training.TensorBoard)
    assert board.folder == Path("some/where")
    assert isinstance(logger_of("mlflow:sqlite:///a.db"), gr.training.MLflow)
    with pytest.raises(OptionError, match="--log comet: wanted tensorboard:FOLDER"):
        logger_of("comet")


def test_trackers_are_imported_only_where_they_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def refuse(name: str, *arguments: Any, **options: Any) -> Any:
        assert name.partition(".")[0] not in TRACKERS, name
        return real(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", refuse)
    for name in TRACKERS:
        if importlib.util.find_spec(name):
            logger_of(name)
