"""The lessons on evaluating and on networks run in an empty folder, draw their figures, and say what is so."""

from __future__ import annotations

import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

LESSONS = Path(__file__).parents[2] / "lessons"
Learn = Callable[[str], dict[str, Any]]


@pytest.fixture
def learn(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Learn:
    """Run a lesson with the tiny network, in a folder of its own, and give its names; all its figures must be drawn."""
    return learning_in(tmp_path, monkeypatch)


@pytest.fixture
def real_learn(real_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Learn:
    """Run a lesson with the real backbone."""
    return learning_in(tmp_path, monkeypatch)


def learning_in(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Learn:
    def run(name: str) -> dict[str, Any]:
        monkeypatch.chdir(folder)
        script = LESSONS / f"{name}.py"
        names = runpy.run_path(str(script), run_name="__main__")
        drawn = sorted((folder / name).glob("*.svg"))
        assert len(drawn) == script.read_text(encoding="utf-8").count('FIGURES / "')
        assert all(path.read_text(encoding="utf-8").rstrip().endswith("</svg>") for path in drawn)
        return names

    return run


@pytest.mark.parametrize("name", ["calibration"])
def test_a_lesson_on_networks_runs_with_any_network_and_draws_its_figures(learn: Learn, name: str) -> None:
    assert learn(name)


def test_nine_of_nine_goes_with_an_accuracy_of_seventy_percent(learn: Learn) -> None:
    names = learn("nine_images")
    assert names["nine"].low == pytest.approx(9 / (9 + 1.959964**2))  # Wilson's lower end, where all are right
    assert names["best_perfect"].low < 1 - (1 - 0.8**9) ** 7 < names["best_perfect"].high
    assert names["needed"] == {0.9: 35, 0.95: 73, 0.99: 381}
    assert names["widest"].p_value == pytest.approx(2 / 2**5)
    assert names["exercise"].p_value == pytest.approx(58 / 128)  # 7 coins, 5 or more alike
    assert names["exercise"].better == "neither"


@pytest.mark.exhaustive
def test_over_fitting_shows_in_validation_alone_and_more_images_cure_it(real_learn: Learn) -> None:
    names = real_learn("overfitting")
    plain = names["plain"]
    assert plain["train"][-1] < 0.01 < 1.2 * min(plain["valid"]) < plain["valid"][-1]
    assert (
        names["gr"].metrics.paired_bootstrap(names["evaluated"]["none"], names["evaluated"]["600 images"]).better == "b"
    )
    assert [sorted(one) for one in names["draws"]] == [sorted(names["evaluated"])] * 5


@pytest.mark.exhaustive
def test_digits_are_read_best_in_the_middle_of_the_network_and_better_from_pixels(real_learn: Learn) -> None:
    names = real_learn("layers")
    assert names["best"] in {"stage 4", "stage 5", "stage 6"}
    assert names["exercise"].better == "b"
    assert [len(predictions) for predictions in names["probed"].values()] == [600] * 9


@pytest.mark.exhaustive
def test_precomputed_epochs_train_the_same_network_from_rows_computed_once(real_learn: Learn) -> None:
    names = real_learn("precompute")
    assert names["features"].computed == (400,)
    assert names["again"].computed == (0,)
    assert names["again"].reused == (400,)
    assert names["difference"] < 1e-3
    assert sum(names["kept_seconds"]) < sum(names["live_seconds"])
    assert names["without"] == 30 * 201


@pytest.mark.exhaustive
def test_looking_again_helps_the_head_that_has_learned_from_views(real_learn: Learn) -> None:
    names = real_learn("tta")
    compare = names["gr"].metrics.paired_bootstrap
    verdicts = {name: compare(by_looks[1], by_looks[5]).better for name, by_looks in names["answers"].items()}
    assert verdicts == {"learned plain pictures": "a", "learned views too": "b"}
    assert len(names["test"]) == 480


@pytest.mark.exhaustive
def test_a_temperature_takes_back_over_confidence_and_changes_no_answer(real_learn: Learn) -> None:
    names = real_learn("calibration")
    before, after = names["before"], names["after"]
    error = names["gr"].metrics.calibration_error
    assert names["temperature"].value > 1.2
    assert (before.predicted == after.predicted).all()
    assert error(after).value < error(before).low
    log_loss = names["gr"].metrics.log_loss
    assert log_loss(names["timid"]).value > log_loss(before).value
