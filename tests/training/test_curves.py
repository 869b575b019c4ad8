"""Curves are drawn whatever the numbers are."""

from __future__ import annotations

import io

import pytest

from goldenrule.training.curves import history_figure
from goldenrule.training.history import EpochRow, History


@pytest.mark.parametrize("rates", [[1e-3] * 3, [1e-3, 9.999999999999998e-4, 1e-3], [1e-3, 1e-5, 1e-8]])
def test_a_history_is_drawn_also_where_rates_differ_by_their_last_bit(rates: list[float]) -> None:
    rows = [
        EpochRow(stage="s", epoch=n, train_loss=0.5, valid_loss=0.4, accuracy=1.0, rates=(rate,), cycle_end=True)
        for n, rate in enumerate(rates, start=1)
    ]
    file = io.BytesIO()
    history_figure(History(tuple(rows))).savefig(file, format="svg")  # a warning is an error here
    assert file.getvalue().count(b"<path") > 10
