"""What is explained is what is predicted; what can't be explained is said."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from goldenrule.core.errors import OptionError, SourceError
from goldenrule.data.table_file import table_content
from goldenrule.report.figures.heat import explanation_figure
from goldenrule.report.pages.explained_page import render_explained
from goldenrule.runs.verified_files import run_images
from goldenrule.storage.manifest import write_recorded
from goldenrule.tasks.explaining import NUMBERS, PAGE, explain


@pytest.fixture(scope="module")
def new(small_photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two new photos, one that was trained on, and a file that is no picture."""
    folder = tmp_path_factory.mktemp("asked") / "new"
    folder.mkdir()
    for label in ("cats", "dogs"):
        shutil.copy(sorted((small_photos / "test" / label).iterdir())[0], folder / f"{label}.jpg")
    shutil.copy(sorted((small_photos / "train" / "cats").iterdir())[0], folder / "known.jpg")
    (folder / "broken.jpg").write_bytes(b"no picture")
    return folder


@pytest.fixture(autouse=True)
def of_the_fit(really_fitted: Any, monkeypatch: Any) -> None:
    """The bank that the fit has filled."""
    monkeypatch.setenv("GOLDENRULE_CACHE", str(really_fitted.folder.parent / "cache"))


def test_predictions_are_those_of_predict_and_every_file_has_its_row(really_fitted: Any, new: Path) -> None:
    found = explain(really_fitted.folder, new, k=3)
    said = really_fitted.classifier.predict(new)
    assert (
        [explanation.id for explanation in found.explanations]
        == list(said.ids)
        == ["broken.jpg", "cats.jpg", "dogs.jpg", "known.jpg"]
    )
    assert [explanation.status for explanation in found.explanations] == said.status.tolist()
    for explanation, probabilities in zip(found.explanations[1:], said.probabilities[1:], strict=True):
        assert explanation.prediction == said.classes[int(probabilities.argmax())]
        assert explanation.probability == pytest.approx(probabilities.max(), abs=1e-9)
        assert len(explanation.nearest) == 3
        assert explanation.heat is not None
        assert explanation.heat.of == explanation.prediction
    assert found[3].nearest[0].copy == "same file"
    assert found.notes == ()


def test_what_can_not_be_read_says_why_and_has_no_explanation(really_fitted: Any, new: Path) -> None:
    (broken,) = explain(really_fitted.folder, new / "broken.jpg").explanations
    assert (broken.status, broken.prediction, broken.nearest, broken.heat) == ("unreadable", "", (), None)
    assert (broken.why or "").startswith("not a picture in any known format")


def test_all_neighbours_are_training_images(really_fitted: Any, new: Path) -> None:
    train = set(really_fitted.table.split("train").uris)
    found = explain(really_fitted.folder, new, k=10_000, heat=False)
    assert {one.id for one in found[1].nearest} == train
    similarities = [one.similarity for one in found[1].nearest]
    assert similarities == sorted(similarities, reverse=True)


def test_another_class_can_be_asked_for_and_must_exist(really_fitted: Any, new: Path) -> None:
    found = explain(really_fitted.folder, new, of="cats")
    assert {explanation.heat.of for explanation in found.explanations if explanation.heat} == {"cats"}
    assert found[2].prediction == "dogs"
    with pytest.raises(OptionError, match="There is no class 'horse'"):
        explain(really_fitted.folder, new, of="horse")


def test_the_page_and_its_numbers_are_written_and_nothing_else_is_overwritten(
    really_fitted: Any, new: Path, tmp_path: Path
) -> None:
    out = tmp_path / "explained"
    explain(really_fitted.folder, new, out=out)
    numbers = json.loads((out / NUMBERS).read_text())
    assert [one["path"] for one in numbers["images"]] == ["broken.jpg", "cats.jpg", "dogs.jpg", "known.jpg"]
    assert numbers["images"][0]["probability"] is None
    assert np.array(numbers["images"][1]["heat_map"]["values"]).shape == (7, 7)
    assert (out / PAGE).read_text().count("data:image/jpeg") == 3 * (2 + 5)
    explain(really_fitted.folder, new, out=out, k=2)  # the same question: a newer answer
    before = (out / PAGE).read_bytes()
    with pytest.raises(OptionError, match="explanation of other images"):
        explain(really_fitted.folder, new / "cats.jpg", out=out)
    assert (out / PAGE).read_bytes() == before
    with pytest.raises(OptionError, match="is a file"):
        explain(really_fitted.folder, new, out=new / "cats.jpg")


def test_without_captum_all_but_the_heat_maps_is_there_and_a_note_says_so(
    really_fitted: Any, new: Path, monkeypatch: Any
) -> None:
    monkeypatch.setitem(sys.modules, "captum.attr", None)
    found = explain(really_fitted.folder, new)
    assert [explanation.heat for explanation in found.explanations] == [None] * 4
    assert len(found[1].nearest) == 5
    assert found.notes == ('Heat maps need captum: pip install "goldenrule[explain]".',)


def test_where_the_training_images_are_gone_they_are_named(really_fitted: Any, new: Path, tmp_path: Path) -> None:
    run = shutil.copytree(really_fitted.folder, tmp_path / "run")
    kept = run_images(run)
    write_recorded(run, "images.arrow", table_content(type(kept)(tmp_path / "gone", kept.classes, kept.rows)))
    found = explain(run, new, heat=False, out=tmp_path / "out")
    assert found[1].nearest[0].id.startswith("train/")
    assert "no longer in" in found.notes[0]
    assert found[1].nearest[0].id in (tmp_path / "out" / PAGE).read_text()


def test_a_classifier_that_looks_through_several_views_is_explained_too(
    really_fitted: Any, new: Path, tmp_path: Path
) -> None:
    from dataclasses import replace

    import goldenrule as gr
    from goldenrule.data.augmentation.augment import views

    run = shutil.copytree(really_fitted.folder, tmp_path / "run")
    shutil.rmtree(run / "classifier")
    several = replace(really_fitted.classifier, views=tuple(views(gr.data.side_on(), 1)))
    several.save(run / "classifier")
    found = explain(run, new / "dogs.jpg", heat=False)
    said = several.predict(new / "dogs.jpg")
    assert found[0].probability == pytest.approx(said.probabilities.max(), abs=1e-9)
    assert found[0].probability != explain(really_fitted.folder, new / "dogs.jpg", heat=False)[0].probability


def test_a_folder_that_is_no_run_and_a_k_of_nothing_are_clear_errors(
    really_fitted: Any, new: Path, tmp_path: Path
) -> None:
    with pytest.raises(SourceError, match="no finished run"):
        explain(tmp_path, new)
    with pytest.raises(OptionError, match="at least 1"):
        explain(really_fitted.folder, new, k=0)


def test_in_a_notebook_it_is_a_figure(really_fitted: Any, new: Path) -> None:
    found = explain(really_fitted.folder, new / "dogs.jpg", k=2)
    figure = explanation_figure(found[0], found.train.read)
    assert [axes.get_title().partition("\n")[0] for axes in figure.axes][:2] == ["dogs", "speaks for"]
    assert len(figure.axes) == 4
    assert all(axes.images for axes in figure.axes)
    figure.canvas.draw()
    unnamed = explanation_figure(found[0])
    assert [bool(axes.images) for axes in unnamed.axes] == [True, True, False, False]


def test_a_picture_unlike_any_seen_is_flagged_as_predict_flags_it(
    really_fitted: Any, photos: Any, small_photos: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "both"
    folder.mkdir()
    shutil.copy(next((photos("surface_crack") / "Negative").glob("*.jpg")), folder / "wall.jpg")
    shutil.copy(next((small_photos / "test" / "cats").iterdir()), folder / "cat.jpg")
    found = explain(really_fitted.folder, folder, heat=False)
    assert [(explanation.id, explanation.ood) for explanation in found.explanations] == [
        ("cat.jpg", False),
        ("wall.jpg", True),
    ]
    said = really_fitted.classifier.predict(folder)
    assert really_fitted.classifier.ood_detector.is_ood(said).tolist() == [False, True]
    assert "Unlike anything seen" in render_explained(found, "now")
