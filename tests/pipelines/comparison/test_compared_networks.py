"""Which network is taken: the quickest that no slower one clearly beats on validation."""

from __future__ import annotations

import io
import shlex
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from goldenrule.cli.compare_models import networks_table
from goldenrule.metrics import Predictions
from goldenrule.pipelines.comparison.compared_networks import Choice, ComparedNetworks, Row, choose
from goldenrule.pipelines.comparison.comparison_report import against, asked, next_steps
from goldenrule.runs.training_options import TrainingType

CLASSES = ("cat", "dog")
N = 60


def row(name: str, right: int, seconds: float, *, training: TrainingType = "fromzero", margin: float = 2.0) -> Row:
    """A network that is right on the first `right` of the same 60 images, each as sure as all others."""
    truth = np.arange(N) % 2
    called = np.where(np.arange(N) < right, truth, 1 - truth)
    logits = np.where(called[:, np.newaxis] == np.arange(2), margin, 0.0)
    said = Predictions.from_logits(logits, CLASSES, truth=truth)
    return Row(
        network=name,
        type=training,
        folder=Path(name),
        valid=said,
        test=said,
        epochs=1,
        seconds=seconds,
        activation_seconds=0.0,
        parameters=10,
        trained_parameters=10,
    )


def compared(*rows: Row, choice: Choice | None = None) -> ComparedNetworks:
    return ComparedNetworks(
        folder=Path(),
        images=Path(),
        counts={},
        rows=rows,
        choice=choice or choose(rows),
        left_out={},
        seed=0,
        beta=1.0,
    )


def test_a_slower_network_is_taken_where_it_is_clearly_better() -> None:
    found = compared(row("quick", 40, 1), row("slow", 58, 100))
    assert found.chosen.network == "slow"
    assert "slow, from scratch is selected" in " ".join(found.sentences)


def test_of_equals_the_quickest_is_taken_and_the_others_are_called_ties() -> None:
    found = compared(row("slow", 50, 100), row("quick", 50, 1))
    assert found.chosen.network == "quick"
    assert found.valid_pairs["slow, from scratch"].verdict == "tie"
    assert "Tied with it there: slow, from scratch." in found.sentences


def test_one_more_photo_is_no_reason_to_wait() -> None:
    assert compared(row("slow", 51, 100), row("quick", 50, 1)).chosen.network == "quick"


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.integers(20, 60), st.integers(1, 1000)), min_size=1, max_size=5, unique_by=lambda p: p[1]))
def test_the_front_is_what_nothing_beats_in_seconds_and_accuracy(pairs: list[tuple[int, int]]) -> None:
    found = compared(*(row(f"net{place}", right, seconds) for place, (right, seconds) in enumerate(pairs)))
    for one in found.rows:
        beaten = any(
            other.seconds < one.seconds and found.quality(other.valid).value >= found.quality(one.valid).value
            for other in found.rows
        )
        assert (one in found.front) == (not beaten)


@settings(max_examples=25, deadline=None)
@given(st.permutations([(30, 5.0), (45, 20.0), (59, 60.0), (58, 90.0)]))
def test_the_order_in_which_networks_are_named_does_not_matter(order: list[tuple[int, float]]) -> None:
    rows = [row(f"net{right}", right, seconds) for right, seconds in order]
    assert choose(rows).chosen == "net59, from scratch"


def test_every_row_stands_against_the_taken_one_with_a_p_value_for_so_many_rows() -> None:
    found = compared(row("quick", 30, 1), row("middle", 32, 2), row("slow", 59, 3))
    assert found.chosen.network == "slow"
    pair = found.test_pairs["quick, from scratch"]
    assert pair.verdict == "worse"
    assert pair.right is not None
    assert pair.right.p_value < pair.adjusted <= 2 * pair.right.p_value
    assert pair.points is not None
    assert round(100 * pair.points.gain.value) == -48


def labelled(name: str, seconds: float, draws: np.random.Generator, truth: npt.NDArray[np.int8]) -> Row:
    """A network that is as good as any other made so, on images with several labels."""
    logits = (2 * truth - 1 + draws.normal(0, 1, truth.shape)).astype(np.float32)
    said = Predictions.from_logits(logits, CLASSES, truth=truth, task="multi")
    return replace(row(name, N, seconds), valid=said, test=said)


def test_of_many_equal_networks_for_several_labels_hardly_one_is_called_clearly_better_or_worse() -> None:
    """Twelve are asked against the taken one: at 5 % each, nearly every second table would have a false alarm."""
    draws, alarms = np.random.default_rng(0), 0
    for _ in range(12):
        truth = draws.integers(0, 2, (N, 2)).astype(np.int8)
        rows = [labelled(f"net{place}", place, draws, truth) for place in range(13)]
        found = compared(*rows, choice=Choice(chosen=rows[0].name, verdicts={}))
        alarms += any(pair.verdict != "tie" for pair in found.test_pairs.values())
    assert alarms <= 2


def test_for_several_labels_the_log_loss_is_asked_and_named() -> None:
    draws = np.random.default_rng(1)
    truth = draws.integers(0, 2, (N, 2)).astype(np.int8)
    good = labelled("good", 1, draws, truth)
    bad = replace(labelled("bad", 2, draws, 1 - truth), valid=good.valid, test=None)
    said = Predictions.from_logits(-good.valid.logits[:, 0], CLASSES, truth=truth, task="multi")
    found = compared(good, replace(bad, valid=said, test=said))
    pair = found.test_pairs["bad, from scratch"]
    assert pair.verdict == "worse"
    assert pair.p_value == 2 / 10_001, "no less than 10,000 resamples can tell"
    assert against(found, found.rows[1]).startswith("worse: log loss -")
    assert "worse: log loss -" in against(found, found.rows[1])
    assert "log loss" in asked(found)
    assert "McNemar" in asked(compared(row("quick", 30, 1), row("slow", 31, 2)))


def test_a_slower_one_that_was_taken_is_not_said_to_be_no_better() -> None:
    found = compared(row("quick", 30, 1), row("taken", 58, 10), row("slowest", 58, 100))
    assert found.chosen.network == "taken"
    assert "slowest, from scratch takes longer still and is not clearly better." in found.sentences
    more = compared(*found.rows, row("slowest of all", 58, 1000))
    assert "None of the 2 that take longer still is clearly better." in more.sentences
    assert not any("slower one is not" in sentence for sentence in (*found.sentences, *more.sentences))


def test_the_commands_that_follow_can_be_copied_where_names_have_spaces() -> None:
    found = compared(row("my net", 58, 1))
    words = [shlex.split(step) for step in next_steps(found)]
    assert [step[2] for step in words] == ["my net", "my net"]


def test_a_terminal_of_80_columns_breaks_no_word_of_the_table() -> None:
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(networks_table(compared(row("efficientnet_lite0", 30, 1), row("original@32", 33, 128))))
    words = console.export_text().split()
    for word in ("accuracy", "epochs", "parameters", "against", "selected", "points", "efficientnet_lite0,"):
        assert word in words


def test_in_python_a_comparison_is_one_line() -> None:
    found = compared(row("quick", 40, 1), row("slow", 41, 100))
    assert repr(found) == "ComparedNetworks(.: Take quick, from scratch, of 2 rows)"
