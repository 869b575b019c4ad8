"""What the server says of why: by any head, and only what may be shown; what is missing is a sentence."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from goldenrule.core.errors import UnreadableImage
from goldenrule.deploy.web.batching import Served
from goldenrule.deploy.web.explainer import NOT_INSTALLED, NOT_SHOWN, Explainer
from goldenrule.engines import openvino
from goldenrule.models.backbone import backbone
from goldenrule.models.classifier import Classifier
from goldenrule.models.graphs.compiled import engine_kind
from goldenrule.models.heads import fresh_head
from goldenrule.pipelines.quick_fit import quick_fit

pytestmark = pytest.mark.usefixtures("core")


@pytest.fixture
def core(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let graphs be changed before they are compiled: those that tests share are not."""
    monkeypatch.setattr(openvino, "core", openvino.core._core)  # type: ignore[attr-defined]


@pytest.fixture
def run(cache: Path, picture_folder: Callable[..., Path], tmp_path: Path) -> Path:
    """A quick fit of `pictures`, which lie beside it."""
    return quick_fit(picture_folder(), out=tmp_path / "run").folder


def explainer(folder: Path, *, classifier: Classifier | None = None, training: bool = True) -> Explainer:
    served = Served(classifier or Classifier.load(folder), "name")
    return Explainer(served, folder, threads=1, training=training)


def test_the_nearest_is_the_file_itself_and_one_that_has_changed_is_not_shown(run: Path, tmp_path: Path) -> None:
    known = sorted((tmp_path / "pictures" / "red").iterdir())
    found = [explainer(run).explain(one.name, one.read_bytes(), k=3)["nearest"] for one in known]
    near = next(nearest for nearest in found if nearest[0]["same_file"])
    assert near[0]["similarity"] == pytest.approx(1, abs=0.01)
    assert near[0]["classes"] == ["red"]
    assert all(one["picture"].startswith("data:image/jpeg;base64,") for one in near)
    asked = (tmp_path / "pictures" / near[0]["path"]).read_bytes()
    Image.new("RGB", (40, 30)).save(tmp_path / "pictures" / near[0]["path"])
    [changed, *others] = explainer(run).explain("a", asked, k=3)["nearest"]
    assert changed["same_file"]
    assert changed["picture"] is None
    assert all(one["picture"] for one in others)


def test_what_is_missing_is_said_and_nothing_of_the_training_is_named(
    run: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = next((tmp_path / "pictures" / "red").iterdir()).read_bytes()
    hidden = explainer(run, training=False).explain("a", content)
    assert (hidden["nearest"], hidden["notes"]) == ([], [NOT_SHOWN])
    alone = explainer(run / "classifier").explain("a", content)
    assert alone["notes"] == ["Only the folder of a run knows its training images: none is shown."]
    with monkeypatch.context() as patch:
        patch.setattr("goldenrule.deploy.web.explainer.is_installed", lambda _: False)
        assert explainer(run).explain("a", content)["notes"] == [NOT_INSTALLED]
    shutil.rmtree(cache / "banks", ignore_errors=True)
    [note] = explainer(run).explain("a", content)["notes"]
    assert "not in the cache of this machine: goldenrule explain" in note
    with pytest.raises(UnreadableImage):
        explainer(run).explain("a", content[:100])


def test_another_head_is_explained_by_gradients_where_captum_is_installed(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("captum")
    network = backbone()
    draws = np.random.default_rng(0)
    head = fresh_head("gap-1024", features=network.spec.features, classes=2, draws=draws)
    classifier = Classifier(("blue", "red"), network, head, engine_kind(network))
    content = next((tmp_path / "pictures" / "red").iterdir()).read_bytes()
    found = explainer(run, classifier=classifier).explain("a", content, of="blue", k=2)
    assert found["heat_map"]["of"] == "blue"
    assert len(found["nearest"]) == 2
    assert found["notes"] == []
    monkeypatch.setitem(__import__("sys").modules, "captum.attr", None)
    without = explainer(run, classifier=classifier).explain("a", content)
    assert without["heat_map"] is None
    assert without["notes"] == ['Heat maps need captum: pip install "goldenrule[explain]".']
