"""A named network trained one way: from scratch, the head alone, all of it; the answer is what was asked for."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from goldenrule.core.errors import OptionError, WeightsUnavailable
from goldenrule.core.progress import Silent
from goldenrule.models.classifier import Classifier
from goldenrule.pipelines.fit_result import FitResult
from goldenrule.pipelines.named_training import train
from goldenrule.runs.options import FitOptions
from goldenrule.runs.training_options import TrainingOptions, stopping
from goldenrule.tasks.reopened import reopened

NAMES = {
    "original": 32,
    "resnet": 32,
    "resnext": 32,
    "efficientnet": 32,
    "mobilenet": 32,
    "xception": 96,
    "convnext": 32,
    "vit": 224,
    "alexnet": 64,
    "resnet18": 32,
    "efficientnet_b0": 32,
}
"""Each with the smallest side in px that it takes, or nearly."""
QUICK = ("original",)
"""The others are trained by `make test-all`."""
FROM_SCRATCH = FitOptions(
    backbone="original", size=32, threads=1, training=TrainingOptions(type="fromzero", epochs=2, lr=1e-3)
)


@pytest.fixture(scope="module")
def from_scratch(
    small_photos: Path, prepared_cache: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[FitResult, FitResult]:
    """The same training twice: done, and done before; read only."""
    folder = tmp_path_factory.mktemp("train")
    shutil.copytree(prepared_cache, folder / "cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GOLDENRULE_CACHE", str(folder / "cache"))
        first = train(small_photos, options=FROM_SCRATCH, out=folder / "run")
        return first, train(small_photos, options=FROM_SCRATCH, out=folder / "run")


def test_a_run_from_scratch_has_all_that_a_fit_has(from_scratch: tuple[FitResult, FitResult]) -> None:
    result, _ = from_scratch
    stated = json.loads((result.folder / "result.json").read_text())
    assert stated["chosen"] == "trained from scratch"
    assert stated["out_of_fold"] is None
    assert stated["headline"]["split"] == "test"
    assert [row["stage"] for row in stated["live"]["history"]] == ["from scratch"] * 2
    assert result.report.is_file()
    assert (result.folder / "predictions" / "test.csv").is_file()
    saved = Classifier.load(result.folder)
    assert saved.backbone.spec.name == "original"
    assert saved.backbone.spec.source["trained"]


def test_validation_that_has_chosen_says_so(from_scratch: tuple[FitResult, FitResult]) -> None:
    result, _ = from_scratch
    assert result.predictions["valid"].basis == "used for selection"
    assert result.predictions["test"].basis == "held out"
    assert result.headline_split == "test"


def test_done_again_it_is_replayed_to_the_same_bits(from_scratch: tuple[FitResult, FitResult]) -> None:
    one, other = from_scratch
    assert one.classifier.backbone.spec.weights == other.classifier.backbone.spec.weights
    assert one.live is not None
    assert other.live is not None
    assert one.live.history == other.live.history


def test_the_run_can_be_looked_into_later(
    from_scratch: tuple[FitResult, FitResult], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the default backbone: the one it began with knows nothing."""
    del cache, monkeypatch
    run = reopened(from_scratch[0].folder, progress=Silent())
    assert run.options == FROM_SCRATCH or run.options.training == FROM_SCRATCH.training
    assert run.backbone.spec.name == "efficientnet_lite0"


def test_another_way_of_training_is_another_story(
    from_scratch: tuple[FitResult, FitResult], small_photos: Path, cache: Path
) -> None:
    from goldenrule.core.errors import RunMismatch

    del cache
    longer = TrainingOptions(type="fromzero", epochs=3, lr=1e-3)
    with pytest.raises(RunMismatch, match=r"other options \(training "):
        train(
            small_photos, options=FitOptions(backbone="original", size=32, training=longer), out=from_scratch[0].folder
        )


def test_transfer_learning_by_epochs_trains_the_head_alone(
    small_photos: Path, real_cache: Path, tmp_path: Path
) -> None:
    del real_cache
    how = TrainingOptions(type="transfer_learning", epochs=3, lr=1e-2, optimizer="adam", stop=("converged:2",))
    result = train(small_photos, options=FitOptions(views=0, training=how), out=tmp_path / "run")
    assert result.chosen == "trained head"
    assert result.classifier.backbone.spec.weights == result.candidates[0].backbone.spec.weights
    verdict = result.candidates[-1].verdict
    assert verdict is not None
    assert "trained head was asked for" in verdict.sentence
    assert result.headline.value > 0.7


@pytest.mark.slow
def test_fine_tuning_moves_the_body_and_stands_beside_the_solved_head(
    small_photos: Path, cache: Path, tmp_path: Path
) -> None:
    del cache
    how = TrainingOptions(type="fine_tuning", epochs=1, lr=1e-4)
    options = FitOptions(views=0, size=96, training=how)
    result = train(small_photos, options=options, out=tmp_path / "run")
    assert result.chosen == "fine-tuned network"
    assert result.classifier.backbone.spec.weights != result.candidates[0].backbone.spec.weights
    assert result.headline_split == "test"


@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.exhaustive) for name in NAMES]
)
def test_every_name_trains_from_scratch(name: str, photos: Callable[[str], Path], cache: Path, tmp_path: Path) -> None:
    del cache
    options = FitOptions(
        backbone=name,
        size=NAMES[name],
        sample=5,
        min_per_class=2,
        training=TrainingOptions(type="fromzero", epochs=1, lr=1e-4),
    )
    result = train(photos("cifar10_cat_dog_horse"), options=options, out=tmp_path / "run")
    assert result.live is not None
    assert len(result.live.history) == 1
    assert Classifier.load(tmp_path / "run").classes == ("cat", "dog", "horse")


@pytest.mark.parametrize("inside", ["", "train", "train/cats"])
def test_no_run_is_written_among_the_images(inside: str, small_photos: Path, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    shutil.copytree(small_photos, photos)
    before = sorted(photos.rglob("*"))
    with pytest.raises(OptionError, match="the images lie there"):
        train(photos, options=FROM_SCRATCH, out=photos / inside)
    assert sorted(photos.rglob("*")) == before


def test_a_network_that_takes_no_such_size_leaves_no_run(small_photos: Path, cache: Path, tmp_path: Path) -> None:
    del cache
    options = FitOptions(backbone="test_coatnet", size=40, training=TrainingOptions(type="fromzero", epochs=1))
    with pytest.raises(OptionError, match="does not take pictures of 40 x 40 px"):
        train(small_photos, options=options, runs=tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"type": "from_scratch"}, "-t from_scratch: wanted one of fromzero"),
        ({"type": "fromzero", "epochs": 0}, "--epochs 0"),
        ({"type": "fromzero", "lr": -1.0}, "--lr -1"),
        ({"type": "fromzero", "batch_size": 1}, "--batch-size 1"),
        ({"type": "fromzero", "optimizer": "adamant"}, "adamant"),
    ],
)
def test_mistakes_are_told(said: dict[str, object], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        TrainingOptions(**said)  # type: ignore[arg-type]


@pytest.mark.parametrize("said", ["converged", "overfit:0", "bored:3", "converged:x"])
def test_a_rule_to_stop_by_has_a_name_and_a_number(said: str) -> None:
    with pytest.raises(OptionError, match="wanted converged:EPOCHS or overfit:EPOCHS"):
        stopping([said])


def test_weights_of_ones_own_are_not_from_scratch() -> None:
    with pytest.raises(OptionError, match="omit --weights"):
        FitOptions(weights=Path("x.safetensors"), training=TrainingOptions(type="fromzero"))


def test_without_learned_weights_the_message_names_what_there_is(
    small_photos: Path, cache: Path, tmp_path: Path
) -> None:
    del cache
    options = FitOptions(backbone="original", training=TrainingOptions(type="transfer_learning", epochs=1))
    with pytest.raises(WeightsUnavailable, match=r"weights=FILE.*fromzero.*efficientnet_lite0"):
        train(small_photos, options=options, out=tmp_path / "run")
