"""The entry points of Python: options are keywords, the same as on the command line."""

from __future__ import annotations

from collections.abc import Callable
from inspect import signature
from pathlib import Path

import pytest

import goldenrule as gr
from goldenrule.core.errors import OptionError
from goldenrule.core.option import options_of
from goldenrule.runs.image_source import ImageSource
from goldenrule.runs.options import FitOptions
from goldenrule.runs.training_options import TrainingOptions

pytestmark = pytest.mark.usefixtures("cache")
SMALL = {"size": 32, "views": 0, "threads": 1}


def test_help_lists_every_option_with_its_default() -> None:
    found = signature(gr.fit).parameters
    for kind in (FitOptions, ImageSource):
        assert options_of(kind).keys() - {"folder"} <= found.keys()
    assert found["coverage"].default == 0.95
    assert options_of(TrainingOptions).keys() <= signature(gr.train).parameters.keys()
    assert "training" not in found


def test_a_quick_fit_takes_its_options_as_keywords(picture_folder: Callable[..., Path], tmp_path: Path) -> None:
    root = picture_folder(each=6)
    result = gr.fit(root, quick=True, metrics="f1", seed=3, exclude=["red/00.png"], out=tmp_path / "run", **SMALL)
    assert result.options.metrics == ("f1",)
    assert result.options.seed == 3
    assert len(result.table) == len(gr.from_folder(root)) - 1


def test_a_network_is_trained_by_keywords(picture_folder: Callable[..., Path], tmp_path: Path) -> None:
    how = {"backbone": "original", "type": "fromzero", "epochs": 1, "lr": 1e-3, "stop": "overfit:2"}
    result = gr.train(picture_folder(each=6), out=tmp_path / "run", size=32, threads=1, **how)
    assert result.options.training == TrainingOptions(type="fromzero", epochs=1, lr=1e-3, stop=("overfit:2",))


@pytest.mark.parametrize(
    ("said", "wanted"),
    [
        ({"view": 3}, "gr.fit has no option view. Did you mean views"),
        ({"model": "resnet18"}, "gr.fit has no option model. Did you mean backbone"),
        ({"cvs": "t.csv"}, "gr.fit has no option cvs. Did you mean csv"),
        ({"training": None}, "gr.fit has no option training"),
        ({"coverage": 2}, "coverage=2: wanted a share"),
    ],
)
def test_an_option_that_does_not_exist_is_named(
    picture_folder: Callable[..., Path], said: dict[str, object], wanted: str
) -> None:
    with pytest.raises(OptionError, match=wanted):
        gr.fit(picture_folder(each=3), quick=True, **said)


def test_a_table_of_images_has_its_labels_already(picture_folder: Callable[..., Path]) -> None:
    images = gr.from_folder(picture_folder(each=3))
    with pytest.raises(OptionError, match="csv: wanted with a folder"):
        gr.fit(images, quick=True, csv="t.csv")
