"""Class activation maps: what the places add up to is the logit, and without gradients they are Grad-CAM's."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from goldenrule.analysis.class_activation import ClassActivation
from goldenrule.analysis.gradcam import HeatMaps
from goldenrule.core.errors import BackboneError
from goldenrule.engines import openvino
from goldenrule.models.classifier import Classifier
from goldenrule.models.heads import LayeredHead, fresh_head


@pytest.fixture
def classifier(really_fitted: Any, real_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Classifier:
    monkeypatch.setattr(openvino, "core", openvino.core._core)  # type: ignore[attr-defined]
    return Classifier.load(really_fitted.folder)


@pytest.fixture
def pictures(small_photos: Path) -> list[Path]:
    return [sorted((small_photos / "valid" / label).iterdir())[0] for label in ("cats", "dogs")]


def test_the_places_add_up_to_the_logit(classifier: Classifier, pictures: list[Path]) -> None:
    activation = ClassActivation(classifier)
    for picture, logits in zip(pictures, classifier.predict(pictures).logits, strict=True):
        seen = activation.of(picture.read_bytes())
        for label, name in enumerate(classifier.classes):
            found = activation.heat(seen, name).values.sum() + classifier.head.tensors["bias"][label]
            assert found == pytest.approx(logits.ravel()[label], abs=0.02 * float(np.abs(logits).max()))


def test_the_places_add_up_to_the_logit_on_square_roots_too(classifier: Classifier, pictures: list[Path]) -> None:
    rooted = replace(classifier, head=LayeredHead("root", classifier.head.tensors))
    activation = ClassActivation(rooted)
    for picture in pictures:
        seen = activation.of(picture.read_bytes())
        logits = rooted.head.logits(seen.features.reshape(1, -1))[0]
        for label, name in enumerate(rooted.classes):
            found = activation.heat(seen, name).values.sum() + rooted.head.tensors["bias"][label]
            assert found == pytest.approx(logits[label], abs=0.02 * float(np.abs(logits).max()))


def test_they_are_what_gradients_give(classifier: Classifier, pictures: list[Path]) -> None:
    pytest.importorskip("captum")
    activation = ClassActivation(classifier)
    near = 0.1 if str(classifier.engine).endswith("bf16") else 0.03  # bf16 has three digits, and many layers
    wanted = HeatMaps(classifier).of([partial(Path.read_bytes, one) for one in pictures], ["cats", "cats"])
    for picture, one in zip(pictures, wanted, strict=True):
        found = activation.heat(activation.of(picture.read_bytes()), "cats")
        assert found.window == one.window
        np.testing.assert_allclose(found.values, one.values, atol=near * np.abs(one.values).max())


def test_a_head_that_does_not_add_up_places_is_refused(classifier: Classifier) -> None:
    hidden = fresh_head("gap-1024", features=1280, classes=2, draws=np.random.default_rng(0))
    with pytest.raises(BackboneError, match="gap-1024"):
        ClassActivation(replace(classifier, head=hidden))
