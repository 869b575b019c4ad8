"""One cycle: up within a quarter, down to nearly nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goldenrule.training.schedule import OneCycle

cycles = st.builds(OneCycle, peak=st.floats(1e-6, 10))
shares = st.floats(0, 1)


@given(cycles)
def test_it_starts_peaks_and_ends_where_it_says(cycle: OneCycle) -> None:
    assert cycle.rate(0) == pytest.approx(cycle.peak / 25)
    assert cycle.rate(0.25) == pytest.approx(cycle.peak)
    assert cycle.rate(1) == pytest.approx(cycle.peak / 1e5, rel=1e-6, abs=1e-12)
    assert [cycle.momentum(at) for at in (0, 0.25, 1)] == pytest.approx([0.95, 0.85, 0.95])


@given(cycles, shares, shares)
def test_it_rises_to_the_peak_and_falls_from_there(cycle: OneCycle, one: float, other: float) -> None:
    first, second = sorted((one, other))
    rising = second <= cycle.warm_share
    falling = first >= cycle.warm_share
    if rising:
        assert cycle.rate(first) <= cycle.rate(second) + 1e-12
        assert cycle.momentum(first) >= cycle.momentum(second) - 1e-12
    if falling:
        assert cycle.rate(first) >= cycle.rate(second) - 1e-12
        assert cycle.momentum(first) <= cycle.momentum(second) + 1e-12
    assert 0 < cycle.rate(one) <= cycle.peak * (1 + 1e-9)
