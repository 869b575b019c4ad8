"""Heads with a hidden layer, from the command to the prediction: gap-1024 on averages, flatten-64 on whole maps."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

import goldenrule as gr
from goldenrule.core.errors import BackboneError, OptionError
from goldenrule.core.progress import Silent
from goldenrule.core.schema import as_json, from_json
from goldenrule.models.backbone import BackboneSpec, backbone, resized
from goldenrule.models.classifier import Classifier
from goldenrule.models.layers import HeadKind
from goldenrule.pipelines.fit_result import FitResult
from goldenrule.pipelines.named_training import train
from goldenrule.runs.history import EpochRow
from goldenrule.runs.options import FitOptions
from goldenrule.runs.training_options import TrainingOptions
from goldenrule.tasks.explaining import explain
from goldenrule.tasks.reopened import reopened

HEADS = ("gap-1024", "flatten-64")
SIZE = 64


@pytest.fixture(scope="module")
def world(prepared_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a cache of its own for all that is trained here."""
    folder = tmp_path_factory.mktemp("heads")
    shutil.copytree(prepared_cache, folder / "cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GOLDENRULE_CACHE", str(folder / "cache"))
        yield folder


@pytest.fixture(scope="module", params=HEADS)
def trained(request: pytest.FixtureRequest, world: Path, small_photos: Path) -> FitResult:
    """`goldenrule train photos --head KIND`, nothing else said; read only."""
    options = FitOptions(
        head=request.param, size=SIZE, threads=1, training=TrainingOptions(type="transfer_learning"), views=1
    )
    return train(small_photos, options=options, out=world / request.param)


def test_transfer_learning_trains_the_head_that_was_asked_for(trained: FitResult) -> None:
    assert trained.chosen.startswith(f"{trained.options.head} head")
    assert trained.classifier.head.kind == trained.options.head
    channels = trained.classifier.backbone.spec.averaged(
        np.zeros((1, trained.classifier.backbone.spec.features))
    ).shape[1]
    features = {"gap-1024": channels, "flatten-64": channels * 2 * 2}[trained.options.head]
    units = int(trained.options.head.partition("-")[2])
    assert trained.classifier.head.tensors["weight_1"].shape == (units, features)
    assert "out-of-fold" in trained.predictions
    assert len(trained.predictions["out-of-fold"]) == 40


def test_the_saved_classifier_says_of_the_files_what_the_run_said_of_them(trained: FitResult) -> None:
    test = trained.table.split("test")
    said = Classifier.load(trained.folder).predict_table(test, threads=1)
    wanted = trained.predictions["test"]
    np.testing.assert_allclose(said.probabilities, wanted.probabilities, atol=1e-4)
    assert said.distance is not None
    assert wanted.distance is not None
    np.testing.assert_allclose(said.distance, wanted.distance, atol=1e-4)


def test_familiar_images_are_kept_as_averages_not_as_whole_maps(trained: FitResult) -> None:
    ood_detector = trained.classifier.ood_detector
    assert ood_detector is not None
    assert ood_detector.references.shape == (40, backbone(size=SIZE).spec.features)


def test_the_run_can_be_explained_and_looked_into(trained: FitResult, small_photos: Path) -> None:
    photo = sorted((small_photos / "test" / "cats").iterdir())[0]
    (found,) = explain(trained.folder, photo, k=2, progress=Silent()).explanations
    assert found.heat is not None
    assert len(found.nearest) == 2
    assert reopened(trained.folder).backbone.spec.features == backbone(size=SIZE).spec.features


def test_done_again_it_is_replayed_to_the_same_bits(trained: FitResult, small_photos: Path) -> None:
    again = train(small_photos, options=trained.options, out=trained.folder)
    for name, value in trained.classifier.head.tensors.items():
        np.testing.assert_array_equal(again.classifier.head.tensors[name], value)
    assert again.features["computed"] == 0


class Cut(Exception):
    """The power goes."""


@pytest.mark.parametrize("head", HEADS)
def test_a_fit_that_is_cut_short_goes_on_to_the_same_bits(
    head: HeadKind, world: Path, small_photos: Path, tmp_path: Path
) -> None:
    del world

    def learner(folder: Path) -> gr.Learner:
        pretrained = backbone(size=SIZE, pooling="flattened" if head == "flatten-64" else "average")
        images = gr.from_folder(small_photos)
        return gr.Learner(images, pretrained, head=head, precompute=True, threads=1, folder=folder, progress=Silent())

    def cut(row: EpochRow) -> bool:
        if row.epoch == 2:
            raise Cut
        return False

    with pytest.raises(Cut):
        learner(tmp_path / "cut").fit(1e-3, 4, out_of_time=cut)
    broken, whole = learner(tmp_path / "cut"), learner(tmp_path / "whole")
    whole.lr_find(steps=4)  # leaves no trace, though flatten-64 draws what it drops out
    for learn in (broken, whole):
        learn.fit(1e-3, 4)
    assert broken.history == whole.history
    for name, value in whole.state.head.tensors.items():
        np.testing.assert_array_equal(broken.state.head.tensors[name], value)
    loaded = Classifier.load(whole.save(tmp_path / "saved"))
    np.testing.assert_array_equal(loaded.predict(small_photos / "test").logits, whole.evaluate("test").logits)


ALSO = pytest.mark.exhaustive


@pytest.mark.parametrize(
    ("head", "way"),
    [
        ("gap-1024", "fine_tuning"),
        pytest.param("flatten-64", "fromzero", marks=ALSO),
        pytest.param("gap-1024", "fromzero", marks=ALSO),
        pytest.param("flatten-64", "fine_tuning", marks=ALSO),
    ],
)
def test_the_whole_network_is_trained_under_either(
    head: HeadKind, way: str, world: Path, small_photos: Path, tmp_path: Path
) -> None:
    del world
    how = TrainingOptions(type=way, epochs=2, lr=1e-3, save_every=1)  # type: ignore[arg-type]
    name = "original" if way == "fromzero" else "efficientnet"
    options = FitOptions(backbone=name, head=head, size=SIZE, views=0, threads=1, training=how)
    result = train(small_photos, options=options, out=tmp_path / "run")
    said = Classifier.load(result.folder).predict_table(result.table.split("test"), threads=1)
    np.testing.assert_allclose(said.probabilities, result.predictions["test"].probabilities, atol=1e-4)
    last = Classifier.load(tmp_path / "run" / "epochs" / "epoch-002")
    assert last.head.kind == head
    np.testing.assert_array_equal(last.head.tensors["weight_1"], result.classifier.head.tensors["weight_1"])


def test_several_labels_are_learned_too(world: Path, photos: Callable[[str], Path]) -> None:
    scenes = photos("scenes_multilabel")
    options = FitOptions(
        head="gap-1024", size=SIZE, sample=12, views=0, threads=1, training=TrainingOptions(type="transfer_learning")
    )
    result = train(scenes, options=options, out=world / "scenes")
    assert result.classifier.task == "multi"
    assert result.classifier.head.kind == "gap-1024"
    assert result.classifier.thresholds is not None


def test_a_flattened_map_belongs_to_its_size(world: Path) -> None:
    del world
    pretrained = backbone(size=SIZE, pooling="flattened")
    assert (pretrained.spec.features, pretrained.spec.places) == (4 * backbone(size=SIZE).spec.features, 4)
    assert from_json(as_json(pretrained.spec), BackboneSpec) == pretrained.spec
    assert "places" not in as_json(backbone(size=SIZE).spec)
    one = pretrained.spec.features // 4
    with pytest.raises(OptionError, match=f"gives {9 * one} features at 96 px, {4 * one} at 64 px"):
        resized(pretrained, 96)


def test_averaged_maps_are_the_features_that_average_pooling_gives(world: Path) -> None:
    import torch

    del world
    flat, pooled = backbone(size=SIZE, pooling="flattened"), backbone(size=SIZE)
    pixels = torch.rand(2, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        averaged = flat.spec.averaged(flat.module(pixels).numpy())
        np.testing.assert_allclose(averaged, pooled.module(pixels).numpy(), atol=1e-5)


def test_tokens_are_no_map_to_flatten(world: Path) -> None:
    del world
    with pytest.raises(BackboneError, match="head=flatten-64 needs a backbone with feature maps"):
        backbone("vit_tiny_patch16_224", pooling="flattened", drawn=0)
