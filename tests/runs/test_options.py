"""What a user may say about a fit is checked at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from goldenrule.core.errors import OptionError
from goldenrule.runs.options import FitOptions


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        ({"size": -1}, "32 to 2048"),
        ({"size": 0}, "32 to 2048"),
        ({"views": -1}, "0 to 64"),
        ({"views": 65}, "0 to 64"),
        ({"threads": 0}, "at least 1"),
        ({"sample": 0}, "at least 1"),
        ({"min_per_class": 0}, "at least 1"),
        ({"head": "deep"}, "linear, root, concat-pool, gap-1024 or flatten-64"),
        ({"fold": "6/5"}, "from 1/5 to 5/5"),
        ({"fold": "second"}, "wanted NUMBER/FOLDS"),
        ({"augment": "sideways"}, "none, basic, side_on, top_down, keras, trivial"),
    ],
)
def test_a_value_that_can_t_be_is_refused_with_what_can(value: dict[str, Any], wanted: str) -> None:
    with pytest.raises(OptionError, match=wanted) as error:
        FitOptions(**value)
    assert str(next(iter(value.values()))) in str(error.value)


def test_the_story_leaves_out_what_only_changes_how_fast_it_is_told() -> None:
    assert FitOptions(threads=1).kept_under() == FitOptions(threads=2).kept_under()
    assert FitOptions(seed=1).kept_under() != FitOptions(seed=2).kept_under()
    assert FitOptions(fold="1/5").kept_under() != FitOptions(fold="2/5").kept_under()
    assert FitOptions(backbone="tf_efficientnet_lite0").kept_under() == FitOptions().kept_under()
    assert FitOptions(weights=Path("w.safetensors")).kept_under()["weights"] == "w.safetensors"


def test_no_augmentation_means_no_views() -> None:
    assert FitOptions(augment="none", views=None).most_views == 0
    assert FitOptions(views=None).most_views is None
    assert FitOptions(views=3).most_views == 3


@pytest.mark.parametrize("other", [{"weights": Path("w.safetensors")}, {"backbone": "efficientnet_lite1"}], ids=str)
def test_an_earlier_run_and_another_network_are_not_taken_together(other: dict[str, Any]) -> None:
    with pytest.raises(OptionError, match="wanted one of them"):
        FitOptions(start_from=Path("runs/photos"), **other)
