"""Curves are drawn whatever the numbers are, and show what they are named for."""

from __future__ import annotations

import io
import sys

import pytest

from goldenrule.core.errors import MissingExtra
from goldenrule.report.figures.plot import plot
from goldenrule.report.figures.training_figures import history_figure, range_figure, rate_figure, schedule_figure
from goldenrule.runs.history import COLUMNS, EpochRow, History
from goldenrule.training.lr_finder import read_curve, rising_rates
from goldenrule.training.schedule import Constant, OneCycle, Schedule, Sgdr


@pytest.mark.parametrize("rates", [[1e-3] * 3, [1e-3, 9.999999999999998e-4, 1e-3], [1e-3, 1e-5, 1e-8]])
def test_a_history_is_drawn_also_where_rates_differ_by_their_last_bit(rates: list[float]) -> None:
    rows = [
        EpochRow(stage="s", epoch=n, train_loss=0.5, valid_loss=0.4, accuracy=1.0, rates=(rate,), cycle_end=True)
        for n, rate in enumerate(rates, start=1)
    ]
    file = io.BytesIO()
    history_figure(History(tuple(rows))).savefig(file, format="svg")  # a warning is an error here
    assert file.getvalue().count(b"<path") > 10


def history(*accuracies: float | None) -> History:
    return History(
        tuple(
            EpochRow(
                stage="s",
                epoch=epoch,
                train_loss=1 / epoch,
                valid_loss=None if share is None else 1.1 / epoch,
                accuracy=share,
                rates=(1e-4, 1e-3),
                cycle_end=True,
            )
            for epoch, share in enumerate(accuracies, start=1)
        )
    )


def test_a_history_shows_losses_accuracy_and_rates() -> None:
    losses, shares, rates = history_figure(history(0.5, 0.75, 1.0)).axes
    assert [line.get_label() for line in losses.lines] == ["train", "valid", "end of a cycle"]
    assert list(losses.lines[0].get_ydata()) == [1, 1 / 2, 1 / 3]
    assert list(shares.lines[0].get_ydata()) == [0.5, 0.75, 1.0]
    assert list(rates.lines[0].get_ydata()) == [1e-3] * 3


def test_no_mark_of_a_loss_is_cut_in_two_by_the_upper_edge() -> None:
    losses = history_figure(history(0.5)).axes[0]
    assert losses.get_ylim() == (0, pytest.approx(1.08 * 1.1))


def test_no_accuracy_above_one_stands_on_the_axis() -> None:
    figure = history_figure(history(0.94, 1.0))
    figure.draw_without_rendering()
    assert max(figure.axes[1].get_yticks()) <= 1
    assert figure.axes[1].get_ylim() == (pytest.approx(0.89), 1.02)


@pytest.mark.parametrize("accuracies", [(), (0.5,), (1.0,), (None, None), (0.0, 1.0)])
def test_epochs_are_whole_numbers_and_shares_stay_shares_however_few_there_are(
    accuracies: tuple[float | None, ...],
) -> None:
    figure = history_figure(history(*accuracies))
    figure.savefig(io.BytesIO(), format="png")
    for axes in figure.axes:
        low, high = axes.get_xlim()
        assert all(tick == round(tick) for tick in axes.get_xticks() if low <= tick <= high)
    assert figure.axes[1].get_ylim()[0] >= 0
    assert figure.axes[1].get_ylim()[1] <= 1.02


def test_a_range_test_shows_the_loss_over_the_rate_and_the_rate_over_the_steps() -> None:
    rates = rising_rates(40)
    losses = [0.7 - 0.5 * step / 30 if step <= 30 else 0.2 + (step - 30) ** 2 / 20 for step in range(40)]
    test = read_curve(rates, losses, chance=0.7)
    (axes,) = range_figure(test).axes
    assert axes.get_xscale() == "log"
    assert tuple(axes.lines[0].get_xdata()) == test.rates
    assert axes.get_ylim()[0] < min(test.losses), "no step falls below the frame"
    assert plot(test).axes[0].get_xlabel() == "learning rate"
    (axes,) = rate_figure(test).axes
    assert tuple(axes.lines[0].get_ydata()) == test.rates
    assert plot(test, show="rate").axes[0].get_xlabel() == "step"


@pytest.mark.parametrize("schedule", [Constant(epochs=1), Sgdr(cycles=3, mult=2), OneCycle(epochs=4)])
def test_a_schedule_shows_rate_and_momentum_over_its_epochs(schedule: Schedule) -> None:
    rates, momenta = schedule_figure(schedule, 1e-2).axes
    assert rates.get_xlim() == (0, schedule.epochs)
    assert max(rates.lines[0].get_ydata()) == pytest.approx(1e-2)
    assert [rates.get_ylabel(), momenta.get_ylabel()] == ["rate", "momentum"]
    assert plot(schedule).axes[0].get_ylabel() == "share of the full rate"


def test_a_history_is_a_data_frame_with_the_columns_of_its_csv() -> None:
    pytest.importorskip("pandas", reason="pandas is not installed: pip install pandas")
    ours = history(0.5, None)
    frame = ours.to_frame()
    assert tuple(frame.columns) == COLUMNS
    assert list(frame["train_loss"]) == [1.0, 0.5]
    assert frame["rates"][0] == (1e-4, 1e-3)
    assert frame["accuracy"].isna().tolist() == [False, True]
    assert tuple(History().to_frame().columns) == COLUMNS
    assert ours.to_csv().splitlines()[0] == ",".join(COLUMNS)


def test_without_pandas_a_frame_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(MissingExtra, match="pip install pandas"):
        history(0.5).to_frame()
