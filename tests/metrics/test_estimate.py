import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goldenrule.core.errors import FormatError, GoldenRuleError, OptionError
from goldenrule.core.schema import as_json, from_json
from goldenrule.metrics import Estimate, render, value_and_interval
from goldenrule.notebook import estimate_html

light = settings(deadline=None, max_examples=100)


def number(value, low, high, n=200, **fields):
    return Estimate(name="log loss", value=value, low=low, high=high, n=n, method="bootstrap 95 %", **fields)


@pytest.mark.parametrize(
    ("successes", "n", "printed"),
    [
        (199, 200, "99.5 % [97.2, 99.9] n=200"),
        (9, 9, "100 % [70, 100] n=9"),
        (0, 9, "0 % [0, 30] n=9"),
        (1, 2, "50 % [9, 91] n=2"),
        (98, 99, "99.0 % [94.5, 99.8] n=99"),
        (9_990, 10_000, "99.90 % [99.82, 99.95] n=10,000"),
        (999_999, 1_000_000, "99.9999 % [99.9994, 100.0000] n=1,000,000"),
        (0, 0, "n/a (n=0)"),
    ],
)
def test_a_share_is_printed_with_the_digits_its_images_can_carry(successes, n, printed):
    assert str(Estimate.of_share("accuracy", successes, n)) == printed


@pytest.mark.parametrize(
    ("estimate", "printed"),
    [
        (number(0.018, 0.0107, 0.0261), "0.018 [0.011, 0.026] n=200"),
        (number(0.00042, 0.00031, 0.00055), "0.00042 [0.00031, 0.00055] n=200"),
        (number(1.3, 0.4, 12.6), "1.300 [0.400, 12.600] n=200"),
        (number(-0.002, -0.0121, 0.01), "-0.002 [-0.012, 0.010] n=200"),
        (number(-0.0001, -0.012, 0.01), "0.000 [-0.012, 0.010] n=200"),
        (number(0.5, 0.5, 0.5, n=2), "0.500 [0.500, 0.500] n=2"),
        (number(0.02, 0.005, 0.035, kind="points"), "2.0 points [0.5, 3.5] n=200"),
        (number(0.018, 0.0107, 0.0261, basis="used for selection"), "0.018 [0.011, 0.026] n=200 (used for selection)"),
    ],
)
def test_a_plain_number_is_printed_with_three_decimals_or_more(estimate, printed):
    assert render(estimate) == printed


@light
@given(st.integers(0, 10**6), st.integers(1, 10**6))
def test_a_share_never_reads_as_perfect_unless_it_is(wrong, n):
    wrong = min(wrong, n)
    value = value_and_interval(Estimate.of_share("accuracy", n - wrong, n)).split(" %")[0]
    assert (float(value) == 100) == (wrong == 0)
    assert (float(value) == 0) == (wrong == n)


def test_undefined_never_prints_nan_and_becomes_null_in_json():
    nothing = Estimate.undefined("recall of cat", "Wilson 95 %", kind="share", basis="used for selection")
    assert not nothing.defined
    assert math.isnan(nothing.value)
    assert "nan" not in f"{nothing} {value_and_interval(nothing)} {estimate_html(nothing)}".lower()
    assert json.loads(json.dumps(as_json(nothing), allow_nan=False))["value"] is None


@light
@given(
    st.floats(-1e6, 1e6),
    st.floats(0, 1e3),
    st.integers(0, 10**9),
    st.sampled_from(["share", "points", "number"]),
    st.sampled_from(["held out", "used for selection"]),
)
def test_json_gives_the_same_estimate_back(value, half, n, kind, basis):
    before = number(value, value - half, value + half, n=n, kind=kind, basis=basis)
    after = from_json(json.loads(json.dumps(as_json(before), allow_nan=False)), Estimate)
    assert after == before
    assert hash(after) == hash(before)
    assert str(after) == str(before)


def test_undefined_estimates_of_the_same_thing_are_equal_and_of_others_not():
    assert Estimate.undefined("recall", "Wilson") == Estimate.undefined("recall", "Wilson")
    assert Estimate.undefined("recall", "Wilson") != Estimate.undefined("precision", "Wilson")
    assert Estimate.undefined("recall", "Wilson") != "recall"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"value": math.nan}, "wanted finite numbers"),
        ({"low": 0.6}, "low <= high"),
        ({"high": math.inf}, "wanted finite numbers"),
        ({"n": -1}, "wanted 0 or more"),
        ({"kind": "percent"}, "wanted one of"),
        ({"basis": "dirty"}, "wanted one of"),
    ],
)
def test_an_estimate_refuses_what_no_measurement_gives(fields, message):
    with pytest.raises(OptionError, match=message):
        number(**{"value": 0.5, "low": 0.4, "high": 0.55, **fields})


def test_json_of_something_else_is_a_format_error():
    with pytest.raises(FormatError, match="missing required field"):
        from_json({"value": 1.0}, Estimate)
    assert issubclass(FormatError, GoldenRuleError)


def test_html_escapes_the_name_and_tells_method_and_basis():
    shown = estimate_html(number(0.5, 0.4, 0.6, basis="used for selection"))
    assert "bootstrap 95 %, used for selection" in shown
    assert "&lt;b&gt;" in estimate_html(Estimate.of_share("recall of <b>", 1, 2))
