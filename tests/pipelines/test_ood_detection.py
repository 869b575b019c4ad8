"""Images unlike anything seen, with real photos: flagged, counted, kept with the classifier."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import goldenrule as gr
from goldenrule.core.errors import FormatError, OptionError
from goldenrule.core.schema import as_json
from goldenrule.data.units import duplicate_units
from goldenrule.metrics import OODDetector
from goldenrule.metrics.predictions_csv import to_csv
from goldenrule.models.graphs.compiled import engine_kind
from goldenrule.models.heads import fresh_head
from goldenrule.pipelines.ood_detection import fitted_ood_detector
from goldenrule.pipelines.prepare import prepared_fit
from goldenrule.pipelines.quick_fit import quick_fit
from goldenrule.runs.options import FitOptions
from goldenrule.storage.files import file_digest


@pytest.fixture(scope="module")
def cats_and_dogs(
    photos: Callable[[str], Path], pretrained_cache: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[gr.FitResult]:
    """The answer on 150 photos to train and 60 to validate, of each of two classes."""
    folder = tmp_path_factory.mktemp("cats_and_dogs")
    shutil.copytree(pretrained_cache, folder / "cache")
    for split, each in (("train", 150), ("valid", 60)):
        for label in ("cats", "dogs"):
            (folder / "images" / split / label).mkdir(parents=True)
            for file in sorted((photos("dogscats") / split / label).iterdir())[:each]:
                shutil.copy(file, folder / "images" / split / label)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GOLDENRULE_CACHE", str(folder / "cache"))
        yield quick_fit(folder / "images", out=folder / "run", options=FitOptions(views=0))


@pytest.fixture
def run_copy(fitted: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the session's run, with its cache."""
    monkeypatch.setenv("GOLDENRULE_CACHE", str(fitted.folder.parent / "cache"))
    return Path(shutil.copytree(fitted.folder, tmp_path / "run"))


def test_flowers_cracks_and_signs_are_flagged_and_hardly_any_new_cats_and_dogs(
    cats_and_dogs: gr.FitResult, photos: Callable[[str], Path]
) -> None:
    ood_detector = cats_and_dogs.classifier.ood_detector
    assert ood_detector is not None
    new = cats_and_dogs.ood_measured["valid"]
    assert (new.n, ood_detector.n) == (120, 300)
    assert new.low <= ood_detector.rate, f"{new}: more than was promised"
    for name in ("flowers_128/rose", "surface_crack/Positive", "GTSRB/test"):
        files = sorted(file for file in photos("").joinpath(name).rglob("*") if file.suffix in (".jpg", ".ppm"))
        foreign = cats_and_dogs.classifier.predict(files[:: len(files) // 20][:20])
        assert ood_detector.flagged(foreign).value >= 0.9, name


def test_the_distances_from_the_bank_are_those_of_predicting(cats_and_dogs: gr.FitResult) -> None:
    table = cats_and_dogs.table.split("valid")
    some = table.where(np.arange(len(table)) % 8 == 0)
    seen = cats_and_dogs.classifier.predict_table(some)
    stored = cats_and_dogs.predictions["valid"].select(np.arange(len(table)) % 8 == 0)
    assert seen.distance is not None
    assert stored.distance is not None
    np.testing.assert_array_equal(seen.distance, stored.distance)


def test_the_references_are_the_training_images_and_the_threshold_leaves_each_out(fitted: Any, run_copy: Path) -> None:
    train = fitted.table.split("train")
    _, features = gr.features_of(train, gr.backbone())
    wanted = OODDetector.fit(features.rows(train.digests), duplicate_units(train))
    kept = gr.Classifier.load(run_copy).ood_detector
    assert kept is not None
    np.testing.assert_array_equal(kept.references, wanted.references)
    assert as_json(kept) == as_json(wanted)
    assert (kept.n, kept.rate) == (40, 1 / 41), "too few for 2 %: what is farther than all"


def test_the_numbers_stand_in_the_report_and_in_the_result(fitted: Any, run_copy: Path) -> None:
    stated = json.loads((run_copy / "result.json").read_text())["ood"]
    assert set(stated["measured"]) == {"test", "valid"}
    ood_detector = gr.Classifier.load(run_copy).ood_detector
    assert ood_detector is not None
    assert stated["measured"]["test"] == as_json(ood_detector.flagged(fitted.predictions["test"]))
    assert stated["threshold"] == ood_detector.threshold
    assert (
        "An image is flagged as OOD if it is farther from the training images" in (run_copy / "report.html").read_text()
    )


def test_another_rate_is_the_same_story_with_another_threshold(run_copy: Path, small_photos: Path) -> None:
    again = quick_fit(small_photos, out=run_copy, options=FitOptions(false_positive_rate=0.2))
    assert again.features["computed"] == 0
    one, other = again.classifier.ood_detector, gr.Classifier.load(run_copy).ood_detector
    assert one is not None
    assert other is not None
    assert other.rate == 8 / 41
    assert one.threshold == other.threshold < one.held_out[0]


def test_a_network_that_was_trained_on_the_images_is_calibrated_on_validation(
    small_photos: Path, cache: Path, tmp_path: Path
) -> None:
    quick_fit(small_photos, out=tmp_path / "first", options=FitOptions(views=0))
    options = FitOptions(start_from=tmp_path / "first", views=0)
    again = quick_fit(small_photos, out=tmp_path / "second", options=options)
    ood_detector = again.classifier.ood_detector
    assert ood_detector is not None
    assert (ood_detector.n, len(ood_detector.references), ood_detector.basis) == (16, 40, "used for selection")
    assert set(again.ood_measured) == {"test"}, "on validation it was calibrated"
    assert "all 16 validation ones" in again.about_ood()


@pytest.mark.slow
def test_the_distances_of_a_trained_network_are_those_of_its_own_body(
    small_photos: Path, cache: Path, tmp_path: Path
) -> None:
    with prepared_fit(small_photos, options=FitOptions(views=0), out=tmp_path / "run") as (work, features):
        backbone = slightly_changed(work.backbone, tmp_path / "changed")
        head = fresh_head("linear", features=backbone.spec.features, classes=2, draws=np.random.default_rng(0))
        trained = gr.Classifier(work.table.classes, backbone, head, engine_kind(backbone))
        computed = work.state.computed
        ood_detector = fitted_ood_detector(work, trained, features)
        assert ood_detector is not None
        assert (ood_detector.n, ood_detector.basis) == (16, "used for selection"), "its validation images"
        assert work.state.computed == computed + 40 + 16
        seen = replace(trained, ood_detector=ood_detector).predict_table(work.table.split("valid"))
        assert seen.distance is not None
        np.testing.assert_array_equal(np.sort(seen.distance)[::-1], ood_detector.held_out)
        assert as_json(fitted_ood_detector(work, trained, features)) == as_json(ood_detector)
        assert work.state.computed == computed + 40 + 16, "the second time they come from the bank"


def slightly_changed(backbone: gr.models.Backbone, folder: Path) -> gr.models.Backbone:
    """Return a backbone with its last convolution a little changed, as training would."""
    tensors = load_file(backbone.weights_file)
    tensors["conv_head.weight"] *= (
        np.random.default_rng(0).normal(1, 0.1, tensors["conv_head.weight"].shape).astype("f4")
    )
    folder.mkdir()
    save_file(tensors, folder / "backbone.safetensors")
    return gr.models.Backbone(replace(backbone.spec, weights=file_digest(folder / "backbone.safetensors")), folder)


def test_a_classifier_without_a_detector_flags_nothing(run_copy: Path, small_photos: Path, tmp_path: Path) -> None:
    replace(gr.Classifier.load(run_copy), ood_detector=None).save(tmp_path / "without")
    classifier = gr.Classifier.load(tmp_path / "without")
    assert classifier.ood_detector is None
    predictions = classifier.predict(small_photos / "test" / "cats")
    assert predictions.distance is None
    assert (
        to_csv(predictions, ood_detector=classifier.ood_detector).splitlines()[0].endswith("probability,p:cats,p:dogs")
    )


def test_damaged_or_missing_familiar_images_are_told(run_copy: Path) -> None:
    path = run_copy / "classifier" / "ood_detector.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(FormatError, match=r"ood_detector\.safetensors was changed or damaged"):
        gr.Classifier.load(run_copy)
    path.unlink()
    with pytest.raises(FormatError, match=r"ood_detector\.safetensors is missing"):
        gr.Classifier.load(run_copy)


@pytest.mark.parametrize("share", [0.0, 1.0, 2.0, np.nan])
def test_a_rate_of_false_alarms_is_a_share(share: float) -> None:
    with pytest.raises(OptionError, match=r"--false-positive-rate .*: wanted a share between 0 and 1"):
        FitOptions(false_positive_rate=share)
