"""Checkpoints of a fit: two are kept, and damage to one or both of them changes no bit of the outcome."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

import goldenrule as gr
from goldenrule.core.progress import Silent
from goldenrule.training import checkpoint, fitting


class Told(Silent):
    """Keeps what was said."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, message: str) -> None:
        self.lines.append(message)


class Killed(BaseException):
    """Stands for SIGKILL inside one process."""


Script = Callable[[str], gr.Learner]


@pytest.fixture
def script(small_photos: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Script:
    """A fit of the head in two epochs of five steps, a checkpoint after each step, in a folder of that name."""
    monkeypatch.setattr(fitting, "CHECKPOINT_SECONDS", 0.0)
    images = gr.from_folder(small_photos)

    def run(name: str) -> gr.Learner:
        learn = gr.Learner(images, precompute=True, batch_size=8, folder=tmp_path / name, progress=Told())
        learn.fit(1e-2, 2, keep="best", cycle_len=1, ema=0.9)
        return learn

    return run


def outcome(learn: gr.Learner) -> tuple[dict[str, bytes], list[dict[str, Any]]]:
    return {name: tensor.tobytes() for name, tensor in learn.state.head.tensors.items()}, [
        asdict(e) for e in learn.history
    ]


def said(learn: gr.Learner) -> str:
    told = learn.data.progress
    assert isinstance(told, Told)
    return "\n".join(told.lines)


@pytest.fixture
def killed(script: Script, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """The checkpoints, newest first, of a fit that was killed after its eighth step."""
    real = fitting.train

    def until_killed(*arguments: Any, **options: Any) -> Iterator[Any]:
        for number, event in enumerate(real(*arguments, **options)):
            if number == 9:
                raise Killed
            yield event

    with monkeypatch.context() as patch:
        patch.setattr(fitting, "train", until_killed)
        with pytest.raises(Killed):
            script("broken")
    newest, before = sorted((tmp_path / "broken").rglob("*.checkpoint"), key=lambda path: ".before." in path.name)
    return newest, before


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-100] ^= 4
    path.write_bytes(content)


DAMAGES: dict[str, Callable[[Path], object]] = {
    "a flipped bit": flip,
    "cut": lambda path: path.write_bytes(path.read_bytes()[:-7]),
    "empty": lambda path: path.write_bytes(b""),
    "gone": Path.unlink,
}


def test_the_newest_is_one_step_further_than_the_one_before(killed: tuple[Path, Path]) -> None:
    positions = [ours.position for path in killed if (ours := checkpoint.load(path, pytest.fail))]
    assert [(position.epoch, position.step) for position in positions] == [(1, 3), (1, 2)]


def test_the_newest_whole_one_is_gone_on_from(killed: tuple[Path, Path], script: Script) -> None:
    broken = script("broken")
    assert "damaged" not in said(broken)
    assert outcome(broken) == outcome(script("whole"))
    assert not list(killed[0].parent.glob("*.checkpoint"))


@pytest.mark.parametrize("damage", DAMAGES)
def test_where_the_newest_is_damaged_the_one_before_is_gone_on_from(
    killed: tuple[Path, Path], script: Script, damage: str
) -> None:
    DAMAGES[damage](killed[0])
    broken = script("broken")
    assert ("is damaged: going on from the checkpoint before it." in said(broken)) == (damage != "gone")
    assert outcome(broken) == outcome(script("whole"))
    assert not list(killed[0].parent.glob("*.checkpoint"))


@pytest.mark.parametrize("damage", DAMAGES)
def test_where_both_are_damaged_the_fit_starts_again(killed: tuple[Path, Path], script: Script, damage: str) -> None:
    for path in killed:
        DAMAGES[damage](path)
    broken = script("broken")
    assert ("this fit starts again." in said(broken)) == (damage != "gone")
    assert outcome(broken) == outcome(script("whole"))
    assert not list(killed[0].parent.glob("*.checkpoint"))


def test_a_damaged_one_never_takes_the_place_of_the_whole_one_before(killed: tuple[Path, Path]) -> None:
    newest, before = killed
    flip(newest)
    found = checkpoint.load(newest, lambda _: None)
    assert found is not None
    checkpoint.save(newest, found)
    flip(newest)
    again = checkpoint.load(newest, lambda _: None)
    assert again is not None
    assert again.position == found.position
    assert before.exists()


def test_there_are_never_more_than_two(killed: tuple[Path, Path]) -> None:
    newest, before = killed
    found = checkpoint.load(newest, pytest.fail)
    assert found is not None
    for _ in range(4):
        checkpoint.save(newest, found)
    assert sorted(newest.parent.glob("*.checkpoint")) == sorted(killed)
    assert checkpoint.load(before, pytest.fail) is not None


def at_a_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """Press Ctrl-C while the fourth step is made."""
    real = fitting.train

    def interrupted(*arguments: Any, **options: Any) -> Iterator[Any]:
        for number, event in enumerate(real(*arguments, **options)):
            if number == 3:
                signal.raise_signal(signal.SIGINT)
            yield event

    monkeypatch.setattr(fitting, "train", interrupted)


def at_validation(monkeypatch: pytest.MonkeyPatch) -> None:
    """Press Ctrl-C while the first epoch is validated: the network has the averaged weights then."""
    real = fitting._validated

    def interrupted(*arguments: Any) -> Any:
        signal.raise_signal(signal.SIGINT)
        return real(*arguments)

    monkeypatch.setattr(fitting, "_validated", interrupted)


@pytest.mark.parametrize(("moment", "step"), [(at_a_step, 4), (at_validation, 5)])
def test_ctrl_c_saves_before_it_is_raised(
    script: Script,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    moment: Callable[[pytest.MonkeyPatch], None],
    step: int,
) -> None:
    whole = script("whole")
    with monkeypatch.context() as patch:
        patch.setattr(fitting, "CHECKPOINT_SECONDS", 120.0)
        moment(patch)
        with pytest.raises(KeyboardInterrupt):
            script("broken")
        (newest,) = (tmp_path / "broken").rglob("*.checkpoint")
        found = checkpoint.load(newest, pytest.fail)
        assert found is not None
        assert (found.position.epoch, found.position.step) == (0, step)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert outcome(script("broken")) == outcome(whole)


@pytest.mark.parametrize("moment", [at_a_step, at_validation])
def test_where_somebody_else_answers_ctrl_c_the_fit_goes_on(
    script: Script, monkeypatch: pytest.MonkeyPatch, moment: Callable[[pytest.MonkeyPatch], None]
) -> None:
    whole, asked = script("whole"), []
    before = signal.signal(signal.SIGINT, lambda number, _: asked.append(number))
    try:
        moment(monkeypatch)
        assert outcome(script("asked")) == outcome(whole)
    finally:
        signal.signal(signal.SIGINT, before)
    assert asked
