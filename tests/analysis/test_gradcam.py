"""Heat maps: against class activation maps, the logit itself, and what happens where the hottest place is covered."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from goldenrule.analysis.gradcam import HeatMap, HeatMaps, heatmap, window
from goldenrule.core.errors import BackboneError, MissingExtra, OptionError
from goldenrule.data.pictures.decode import decode
from goldenrule.data.pictures.preprocess import Preprocessing


@pytest.fixture(scope="module")
def dogs(small_photos: Path) -> list[Path]:
    return sorted((small_photos / "valid" / "dogs").iterdir())


def test_on_averaged_maps_under_a_linear_head_it_is_the_class_activation_map(
    really_fitted: Any, dogs: list[Path]
) -> None:
    """Zhou et al. 2016, equation 2, and Selvaraju et al. 2017, section 3.1: the same but for the number of places."""
    classifier = really_fitted.classifier
    found = heatmap(classifier, dogs[0], of="dogs")
    pixels = torch.from_numpy(classifier.preprocessing.pixels(decode(dogs[0].read_bytes())))[None]
    with torch.no_grad():
        maps = classifier.backbone.module.get_submodule("model").forward_features(pixels)[0].numpy()
    label = classifier.classes.index("dogs")
    wanted = np.einsum("c,chw->hw", classifier.head.tensors["weight"][label], maps) / maps[0].size
    assert found.values.shape == (7, 7)
    np.testing.assert_allclose(found.values, wanted, atol=1e-5)
    with torch.no_grad():
        logit = float(classifier.network()(pixels)[0, label])
    assert found.values.sum() + classifier.head.tensors["bias"][label] == pytest.approx(logit, abs=1e-3)


def test_of_two_classes_what_speaks_for_one_speaks_against_the_other(really_fitted: Any, dogs: list[Path]) -> None:
    cats, other = (heatmap(really_fitted.classifier, dogs[1], of=name).values for name in ("cats", "dogs"))
    assert np.corrcoef(cats.ravel(), other.ravel())[0, 1] < -0.99


def test_covering_the_hottest_place_costs_more_than_covering_the_coldest(really_fitted: Any, dogs: list[Path]) -> None:
    classifier = really_fitted.classifier
    network, label = classifier.network(), classifier.classes.index("dogs")
    costs = []
    for path, found in zip(dogs, HeatMaps(classifier).of([p.read_bytes for p in dogs], ["dogs"] * 8), strict=True):
        pixels = torch.from_numpy(classifier.preprocessing.pixels(decode(path.read_bytes())))
        batch = pixels.repeat(3, 1, 1, 1)
        for number, place in ((1, found.values.argmax()), (2, found.values.argmin())):
            row, column = (32 * int(one) for one in np.unravel_index(place, found.values.shape))
            batch[number, :, max(row - 16, 0) : row + 48, max(column - 16, 0) : column + 48] = 0
        with torch.no_grad():
            logits = network(batch)[:, label]
        costs.append([float(logits[0] - logits[1]), float(logits[0] - logits[2])])
    hottest, coldest = np.mean(costs, axis=0)
    assert hottest > coldest + 0.3, costs


def test_without_a_class_it_is_of_the_one_with_the_highest_logit(really_fitted: Any, dogs: list[Path]) -> None:
    assert heatmap(really_fitted.classifier, dogs[0].read_bytes()).of == "dogs"


def test_many_at_once_are_those_of_each_alone_and_the_classifier_is_left_as_it_was(
    really_fitted: Any, dogs: list[Path]
) -> None:
    before = {name: value.clone() for name, value in really_fitted.classifier.backbone.module.state_dict().items()}
    together = HeatMaps(really_fitted.classifier).of([path.read_bytes for path in dogs], ["dogs"] * len(dogs))
    alone = heatmap(really_fitted.classifier, dogs[3], of="dogs")
    np.testing.assert_allclose(together[3].values, alone.values, atol=1e-5)
    after = really_fitted.classifier.backbone.module.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())


def test_a_class_that_does_not_exist_is_refused_with_those_that_do(really_fitted: Any, dogs: list[Path]) -> None:
    with pytest.raises(OptionError, match="did you mean dogs"):
        heatmap(really_fitted.classifier, dogs[0], of="dogg")


def test_without_captum_the_error_names_the_extra(really_fitted: Any, dogs: list[Path], monkeypatch: Any) -> None:
    monkeypatch.setitem(sys.modules, "captum.attr", None)
    with pytest.raises(MissingExtra, match=r"goldenrule\[explain\]"):
        heatmap(really_fitted.classifier, dogs[0])


def test_an_own_body_without_places_has_no_heat_map(dogs: list[Path], tmp_path: Path, monkeypatch: Any) -> None:
    import goldenrule as gr
    from goldenrule.engines import EngineKind
    from goldenrule.models.heads import linear_head

    monkeypatch.setenv("GOLDENRULE_CACHE", str(tmp_path))

    def flat() -> torch.nn.Module:
        return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 32 * 32, 4))

    backbone = gr.models.custom_backbone(flat, preprocessing=gr.data.Preprocessing(size=32), key="flat")
    head = linear_head(np.ones((2, 4), np.float32), np.zeros(2, np.float32))
    kind = EngineKind(name="torch", precision="fp32", version=torch.__version__)
    with pytest.raises(BackboneError, match="no feature maps"):
        heatmap(gr.Classifier(("a", "b"), backbone, head, kind), dogs[0])


@settings(deadline=None, max_examples=60)
@given(
    st.integers(20, 3000), st.integers(20, 3000), st.sampled_from(["shorter", "squish"]), st.sampled_from([0.875, 1.0])
)
def test_the_window_is_what_the_centre_crop_leaves(height: int, width: int, resize: Any, crop: float) -> None:
    left, top, right, bottom = window(Preprocessing(size=224, resize=resize, crop_fraction=crop), height, width)
    assert 0 <= left < right <= 1
    assert 0 <= top < bottom <= 1
    shorter = (bottom - top) if height <= width or resize == "squish" else (right - left)
    assert shorter == pytest.approx(crop, abs=0.01)
    assert (left + right) / 2 == pytest.approx(0.5, abs=0.01)


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 400), st.integers(1, 400), st.integers(1, 9), st.integers(1, 9))
def test_over_a_picture_it_lies_in_the_window_and_nowhere_else(
    height: int, width: int, rows: int, columns: int
) -> None:
    values = np.random.default_rng(rows).normal(size=(rows, columns)).astype(np.float32)
    over = HeatMap(of="a", values=values, window=(0.25, 0.1, 0.75, 0.9)).over(height, width)
    assert over.shape == (height, width)
    seen = ~np.isnan(over)
    assert seen.sum() == len(np.flatnonzero(seen.any(axis=1))) * len(np.flatnonzero(seen.any(axis=0))) > 0
    assert 0 <= np.nanmin(over) <= np.nanmax(over) <= 1


def test_where_nothing_speaks_for_the_class_there_is_no_heat() -> None:
    assert HeatMap(of="a", values=np.full((2, 2), -1, np.float32), window=(0, 0, 1, 1)).heat.max() == 0


def test_a_turned_photo_has_the_heat_map_of_the_upright_one(
    really_fitted: Any, dogs: list[Path], tmp_path: Path
) -> None:
    upright = Image.fromarray(decode(dogs[2].read_bytes()))
    exif = Image.Exif()
    exif[0x0112] = 6  # stored a quarter turn to the left
    stored, plain = io.BytesIO(), io.BytesIO()
    upright.transpose(Image.Transpose.ROTATE_90).save(stored, "PNG", exif=exif)
    upright.save(plain, "PNG")
    turned, heat_map = (heatmap(really_fitted.classifier, file.getvalue(), of="dogs") for file in (stored, plain))
    assert turned.window == heat_map.window
    np.testing.assert_allclose(turned.values, heat_map.values, atol=1e-5)
