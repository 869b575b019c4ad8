"""The entry points of Python: options are keywords, the same as on the command line."""

from __future__ import annotations

from collections.abc import Callable
from inspect import signature
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from PIL import Image

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


@pytest.fixture
def labelled(picture_folder: Callable[..., Path], tmp_path: Path) -> pd.DataFrame:
    """Absolute paths and labels of some images, also in the file labels.csv."""
    files = sorted(picture_folder(each=6).rglob("*.png"))
    frame = pd.DataFrame({"file": list(map(str, files)), "colour": [file.parent.name for file in files]})
    frame.to_csv(tmp_path / "labels.csv", index=False)
    return frame


def test_a_data_frame_or_a_table_s_path_is_fitted_and_evaluated(labelled: pd.DataFrame, tmp_path: Path) -> None:
    of_frame = gr.fit(labelled, quick=True, out=tmp_path / "frame", **SMALL)
    of_file = gr.fit(tmp_path / "labels.csv", quick=True, out=tmp_path / "file", **SMALL)
    assert of_frame.table.digests == of_file.table.digests
    assert of_frame.table.classes == ("blue", "red")
    assert len(gr.audit_images(csv=tmp_path / "labels.csv").table) == len(labelled)


def test_a_classifier_is_evaluated_on_a_data_frame(labelled: pd.DataFrame, tmp_path: Path) -> None:
    run = gr.fit(labelled, quick=True, out=tmp_path / "run", **SMALL)
    (tmp_path / "new").mkdir()
    for place, colour in enumerate(("red", "blue", "red")):
        Image.new("RGB", (40, 40 + place), colour).save(tmp_path / "new" / f"{place}.png")
    files = [str(tmp_path / "new" / f"{place}.png") for place in range(3)]
    new = pd.DataFrame({"file": files, "colour": ["rouge", "blue", "rouge"]})
    with pytest.raises(OptionError, match=r"does not know 'rouge'.*\(rename='rouge=red'\).*skip_unknown=True"):
        gr.evaluate(run, new)
    for first in ("photos", Path("photos")):
        with pytest.raises(OptionError, match=r"run comes first. Give: gr.evaluate\('.*run', 'photos'\)"):
            gr.evaluate(first, run)
        with pytest.raises(OptionError, match=r"run comes first. Give: gr.explain\('.*run', 'photos'\)"):
            gr.explain(first, run)
    with pytest.raises(OptionError, match=r"run comes first. Give: gr.evaluate\('.*run', images\)"):
        gr.evaluate(new, tmp_path / "run")  # type: ignore[arg-type]  # a mistake
    with pytest.raises(OptionError, match="classifier comes first"):
        gr.evaluate("photos", gr.Classifier.load(run))
    found = gr.evaluate(run, new, rename="rouge=red", out=tmp_path / "found")
    assert (found.quality.n, found.folder) == (3, tmp_path / "found")
    new.to_csv(tmp_path / "new.csv")
    again = gr.evaluate(gr.Classifier.load(run), csv=tmp_path / "new.csv", rename={"rouge": "red"})
    assert (again.predictions.logits == found.predictions.logits).all()
    shown = found.predictions.to_frame()
    assert shown["ood"].dtype == bool
    assert gr.plot(found).axes
    assert gr.plot(run).axes
    assert found.predictions.to_csv(tmp_path / "rows.csv") == (tmp_path / "rows.csv").read_text()
    (tmp_path / "mine.csv").write_text("mine")
    with pytest.raises(OptionError, match="goldenrule did not write"):
        found.predictions.to_csv(tmp_path / "mine.csv")


def test_relative_paths_of_a_data_frame_lead_from_here(
    picture_folder: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = picture_folder(each=3)
    monkeypatch.chdir(root.parent)
    names = [str(file.relative_to(root.parent)) for file in sorted(root.rglob("*.png"))]
    frame = pd.DataFrame({"path": names, "kind": ["a", "b"] * 3, "caption": ["long " * 100] * 6})
    assert len(gr.from_dataframe(frame, label="kind")) == 6


@pytest.mark.parametrize(
    ("source", "options", "wanted"),
    [
        (None, {}, "Wanted images: a folder, an ImageTable, a data frame, or csv=FILE"),
        ([1, 2], {}, "list: wanted a folder"),
        (pd.DataFrame({"file": ["a"], "kind": ["b"]}), {"labels_from": "parent"}, "labels_from: wanted with a folder"),
    ],
    ids=["nothing", "a list", "folders of a frame"],
)
def test_what_has_no_images_says_what_is_wanted(source: Any, options: dict[str, Any], wanted: str) -> None:
    for function in (gr.fit, gr.audit_images):
        with pytest.raises(gr.GoldenRuleError, match=wanted):
            function(source, **options)
    with pytest.raises(OptionError, match=r"gr.evaluate has no option exlude. Did you mean exclude"):
        gr.evaluate("run", "photos", exlude="x")
