"""`--backbone auto`: chosen once, written down, obeyed ever after."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from goldenrule.core.errors import OptionError, RunMismatch
from goldenrule.data.table import image_table
from goldenrule.pipelines.backbone_selection import sampled
from goldenrule.pipelines.quick_fit import quick_fit
from goldenrule.runs.options import FitOptions
from goldenrule.tasks.fit_plan import plan_for
from goldenrule.tasks.reopened import reopened

TWO = "auto:tf_efficientnet_lite1,efficientnet_lite0"


@pytest.fixture(scope="module")
def world(small_photos: Path, pretrained_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A quick fit that chose between two backbones."""
    folder = tmp_path_factory.mktemp("auto")
    shutil.copytree(pretrained_cache, folder / "cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GOLDENRULE_CACHE", str(folder / "cache"))
        yield quick_fit(small_photos, options=FitOptions(backbone=TWO, augment="none"), out=folder / "run")


def test_the_one_that_was_chosen_is_the_classifiers_and_stands_in_result_and_report(world: Any) -> None:
    choice = world.backbones
    assert [one.name for one in choice.candidates] == ["efficientnet_lite0", "efficientnet_lite1"]  # by their cost
    assert world.classifier.backbone.spec.name == choice.chosen
    assert (choice.images, choice.of) == (40, 40)
    result = json.loads((world.folder / "result.json").read_text())
    assert result["backbones"]["chosen"] == choice.chosen
    assert result["backbones"]["candidates"][0]["quality"]["basis"] == "used for selection"
    assert result["options"]["backbone"] == "auto:efficientnet_lite1,efficientnet_lite0"
    assert 'id="backbones"' in world.report.read_text()


def test_it_was_chosen_on_training_images_only(world: Any) -> None:
    chosen = {one.name: one.log_loss.n for one in world.backbones.candidates}
    assert set(chosen.values()) == {world.table.counts()["train"]["cats"] + world.table.counts()["train"]["dogs"]}


def test_asked_again_it_is_obeyed_and_nothing_is_computed(world: Any, small_photos: Path, monkeypatch: Any) -> None:
    def never(*arguments: object, **options: object) -> None:
        raise AssertionError("it was chosen again")

    monkeypatch.setattr("goldenrule.pipelines.backbone_selection.evaluated_backbones", never)
    before = (world.folder / "classifier" / "head.safetensors").read_bytes()
    options = FitOptions(backbone=TWO, augment="none")
    again = quick_fit(small_photos, options=options, out=world.folder)
    assert again.backbones == world.backbones
    assert again.features["computed"] == 0
    assert (world.folder / "classifier" / "head.safetensors").read_bytes() == before


def test_what_follows_is_what_a_fit_with_that_name_does(world: Any, small_photos: Path, tmp_path: Path) -> None:
    options = FitOptions(backbone=world.backbones.chosen, augment="none")
    named = quick_fit(small_photos, options=options, out=tmp_path / "named")
    assert named.features["computed"] == 0
    np.testing.assert_array_equal(named.classifier.head.tensors["weight"], world.classifier.head.tensors["weight"])


def test_another_list_of_candidates_is_another_story(world: Any, small_photos: Path) -> None:
    options = FitOptions(backbone="auto:efficientnet_lite0,efficientnet_lite2", augment="none")
    with pytest.raises(RunMismatch, match=r"other options \(backbone="):
        quick_fit(small_photos, options=options, out=world.folder)


def test_the_run_is_opened_again_with_what_was_chosen(world: Any) -> None:
    assert reopened(world.folder).backbone.spec == world.classifier.backbone.spec


def test_a_plan_says_that_a_choice_is_made(world: Any, small_photos: Path) -> None:
    plan = plan_for(small_photos, FitOptions(backbone=TWO, augment="none", quick=True))
    choosing = next(step for step in plan.steps if step.name.startswith("choose among"))
    assert "efficientnet_lite1, efficientnet_lite0" in choosing.name
    assert choosing.stored_bytes == 0  # all rows are there


@pytest.mark.parametrize("name", ["auto:resnet18", "auto:", "auto:resnet18,resnet18"])
def test_a_choice_among_less_than_two_is_refused(name: str) -> None:
    with pytest.raises(OptionError, match="two or more"):
        FitOptions(backbone=name)


def test_weights_of_one_network_are_no_choice_among_several() -> None:
    with pytest.raises(OptionError, match="several networks"):
        FitOptions(backbone="auto", weights=Path("x.safetensors"))


def test_of_many_images_a_sample_is_asked_that_has_every_class_in_its_share() -> None:
    count = 9_000
    labels = [[0] if row % 10 else [1 + row % 3] for row in range(count)]
    table = image_table(
        Path("/"),
        ("a", "b", "c", "d"),
        uris=[f"{n}.jpg" for n in range(count)],
        splits=["train"] * count,
        labels=labels,
    )
    found = sampled(table, 2_000, seed=0)
    assert abs(len(found) - 2_000) <= 3
    shares = np.bincount(found.targets) / len(found)
    np.testing.assert_allclose(shares, np.bincount(table.targets) / count, atol=2e-3)
    assert sampled(table, 2_000, seed=0).uris == found.uris
    assert sampled(table, 2_000, seed=1).uris != found.uris
    assert sampled(table, count, seed=0) is table
