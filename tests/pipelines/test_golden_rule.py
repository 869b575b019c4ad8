"""All seven steps, on real photos: what is chosen, what is written, what the clock may do."""

from __future__ import annotations

import datetime
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

import goldenrule as gr
from goldenrule.cli.fit_summary import summary
from goldenrule.core.errors import OptionError
from goldenrule.metrics import Predictions, log_loss
from goldenrule.metrics import selection_rules as choice
from goldenrule.pipelines import golden_rule as recipe
from goldenrule.pipelines.clock import Clock
from goldenrule.pipelines.golden_rule import golden_rule
from goldenrule.pipelines.quick_fit import quick_fit
from goldenrule.report.figures.plots import figure_svg
from goldenrule.runs.listed import listed_runs
from goldenrule.runs.options import FitOptions
from goldenrule.storage.manifest import write_recorded_json
from goldenrule.tasks.fit_plan import plan_for
from goldenrule.training.plan import LiveStep, live_plan

SHORT = {
    "training.plan.MOST_PASSES": {2: 10_000},
    "training.plan.HEAD_CYCLES": 1,
    "metrics.selection_rules.HIGH_SHIFT_BELOW": 0.0,  # the tiny network is taken to know such pictures well
    "metrics.selection_rules.LOW_SHIFT_ABOVE": -1.0,
}


@pytest.fixture(scope="module")
def told(small_photos: Path, prepared_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A golden rule on `small_photos` with two cycles, and the answer that stood after step 1; read only."""
    folder = tmp_path_factory.mktemp("told")
    shutil.copytree(prepared_cache, folder / "cache")
    firsts: list[Any] = []

    def first(quick: Any) -> None:
        stated = json.loads((quick.folder / "result.json").read_text())
        classifier = gr.Classifier.load(quick.folder)
        firsts.append((quick, stated, classifier))

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GOLDENRULE_CACHE", str(folder / "cache"))
        for name, value in SHORT.items():
            patch.setattr(f"goldenrule.{name}", value)
        patch.setattr("goldenrule.report.training_curves.figure_svg", figure_svg)  # drawn, for once
        result = golden_rule(small_photos, out=folder / "run", on_result=first)
    assert len(firsts) == 1
    return result, *firsts[0]


def result_of(result: Any) -> dict[str, Any]:
    value: dict[str, Any] = json.loads((result.folder / "result.json").read_text())
    return value


def test_every_step_left_its_trace(told: Any) -> None:
    result = told[0]
    live = result_of(result)["live"]
    assert set(live["lr_find"]) == {"fresh head", "whole network"}
    stages = [row["stage"] for row in live["history"]]
    assert stages == [*["head, precomputed"] * 2, "head, live", *["whole network"] * (len(stages) - 3)]
    assert 1 <= stages.count("whole network") <= 3
    names = [candidate["name"] for candidate in result_of(result)["candidates"]]
    assert names[0] == "linear head"
    assert {"trained head", "whole network"} <= set(names)
    page = result.report.read_text()
    assert "Live training" in page
    assert "Learning rate: whole network" in page
    assert page.count("<svg") >= 3
    assert page.count("<path") > 20, "curves are drawn"


def test_the_answer_in_seconds_stood_before_the_live_steps_and_did_not_open_the_test_part(told: Any) -> None:
    _, first, result, classifier = told
    assert first.live is None
    assert "test" not in first.predictions
    assert result["test"] is None
    assert classifier.classes == ("cats", "dogs")


def test_a_later_stage_stays_only_where_it_is_clearly_better(told: Any) -> None:
    result = told[0]
    best = "linear head"
    for candidate in result.candidates[1:]:
        assert candidate.verdict is not None
        assert candidate.verdict.replaced == (candidate.verdict.comparison.probability_better >= 0.9)
        best = candidate.name if candidate.verdict.replaced else best
    assert result.chosen == best


def test_numbers_say_what_was_chosen_on_and_test_is_clean(told: Any) -> None:
    result = told[0]
    chosen = next(one for one in result.candidates if one.name == result.chosen)
    trained = chosen.evaluated_split == "valid"
    assert result.predictions["valid"].basis == ("used for selection" if trained else "held out"), (
        "a linear head's was measured first"
    )
    assert result.predictions["test"].basis == "held out"
    assert result.headline_split == "test"
    assert result.headline.basis == "held out"


def test_the_saved_classifier_gives_the_predictions_that_were_scored(told: Any) -> None:
    result = told[0]
    loaded = gr.Classifier.load(result.folder)
    again = loaded.predict_table(result.table.split("valid"))
    assert np.allclose(again.logits, result.predictions["valid"].logits, atol=1e-6)
    assert loaded.views == result.classifier.views


@pytest.fixture
def run_copy(told: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the run, with the session's cache, and the same short plan."""
    monkeypatch.setenv("GOLDENRULE_CACHE", str(told[0].folder.parent / "cache"))
    for name, value in SHORT.items():
        monkeypatch.setattr(f"goldenrule.{name}", value)
    return Path(shutil.copytree(told[0].folder, tmp_path / "run"))


def test_the_second_time_everything_is_replayed(told: Any, run_copy: Path, small_photos: Path) -> None:
    again = golden_rule(small_photos, out=run_copy)
    assert again.live is not None
    assert again.live.history == told[0].live.history
    assert again.chosen == told[0].chosen
    names = ("backbone.safetensors", "head.safetensors")
    for name in names:
        assert (run_copy / "classifier" / name).read_bytes() == (told[0].folder / "classifier" / name).read_bytes()
    assert again.stages == told[0].stages, "the report says how long it took the first time, not this"


@pytest.mark.exhaustive
def test_where_the_body_knows_little_late_layers_come_first_and_their_batchnorms_follow(
    told: Any, run_copy: Path, small_photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("goldenrule.metrics.selection_rules.HIGH_SHIFT_BELOW", 2.0)  # everything is far
    monkeypatch.setattr("goldenrule.training.plan.MOST_PASSES", {})
    monkeypatch.setattr("goldenrule.training.plan.FEWEST_LATE_EPOCHS", 1)
    monkeypatch.setattr("goldenrule.training.plan.LATE_EPOCHS", 1)
    monkeypatch.setattr("goldenrule.training.verb_runner.STEPS_LIVE", 6)
    monkeypatch.setattr("goldenrule.training.learner.Learner.blend", lambda _: 1.0)
    result = golden_rule(small_photos, out=run_copy)
    assert result.live is not None
    assert f"{recipe.HIGH_SHIFT} {recipe.VARIED}" in result.live.notes
    assert [row.stage for row in result.live.history][-2:] == ["late layers", "whole network"]
    backbone, late, network = (
        load_file(candidate.backbone.weights_file)
        for candidate in result.candidates
        if candidate.name in ("linear head", "late layers", "whole network")
    )
    groups = result.candidates[0].backbone.spec.groups
    assert {groups[name] for name in groups if not np.array_equal(backbone[name], late[name])} == {"late"}
    assert {groups[name] for name in groups if not np.array_equal(backbone[name], network[name])} == {"early", "late"}
    means = [name for name in backbone if name.endswith("running_mean")]
    followed = {name for name in means if network[name].any()}  # those that are folded only add a bias
    assert {groups[name.replace("running_mean", "weight")] for name in followed} == {"late"}
    assert all(not np.array_equal(backbone[name], network[name]) for name in followed)


def test_what_the_body_knows_partly_has_its_late_layers_trained_from_the_bank_first(
    told: Any, run_copy: Path, small_photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("goldenrule.metrics.selection_rules.LOW_SHIFT_ABOVE", 2.0)  # nothing is known well
    monkeypatch.setattr("goldenrule.training.plan.MOST_PASSES", {})
    monkeypatch.setattr("goldenrule.training.plan.FEWEST_LATE_EPOCHS", 1)
    monkeypatch.setattr("goldenrule.training.plan.LATE_EPOCHS", 1)
    monkeypatch.setattr("goldenrule.training.verb_runner.STEPS_LIVE", 6)
    result = golden_rule(small_photos, out=run_copy)
    assert result.live is not None
    assert recipe.MODERATE_SHIFT in result.live.notes
    rows = [row for row in result.live.history if row.stage == "late layers"]
    assert [max(row.rates) for row in rows] == [choice.MODERATE_SHIFT_RATE]
    linear, late = (
        load_file(candidate.backbone.weights_file)
        for candidate in result.candidates
        if candidate.name in ("linear head", "late layers")
    )
    groups = result.candidates[0].backbone.spec.groups
    assert {groups[name] for name in groups if not np.array_equal(linear[name], late[name])} == {"late"}
    means = [name for name in late if name.endswith("running_mean")]
    followed = {groups[name.replace("running_mean", "weight")] for name in means if late[name].any()}
    assert followed <= {"early"}, "late BatchNorms are folded: they follow nothing"


def test_a_finished_run_is_at_no_moment_replaced_by_less(
    told: Any, run_copy: Path, small_photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finals: list[bool] = []
    original = recipe.concluded

    def watched(*arguments: Any, final: bool = True, **options: Any) -> Any:
        finals.append(final)
        return original(*arguments, final=final, **options)

    monkeypatch.setattr(recipe, "concluded", watched)
    golden_rule(small_photos, out=run_copy, on_result=lambda _: pytest.fail("the first answer is not needed again"))
    assert finals == [True]


def test_with_a_single_validation_image_live_training_is_left_out(
    small_photos: Path, cache: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(small_photos, tmp_path / "few"))
    for file in [*sorted(folder.glob("valid/*/*"))[1:]]:
        file.unlink()
    result = golden_rule(folder, out=tmp_path / "run", options=FitOptions(views=0))
    assert result.live is None
    assert result.predictions["valid"].basis == "held out"


@pytest.fixture
def quick_run(run_copy: Path, small_photos: Path) -> Path:
    """A run that had a quick fit, and lies beside the steps of a whole one, to be replayed."""
    steps = run_copy.rename(run_copy.with_name("whole")) / "steps"
    quick_fit(small_photos, out=run_copy)
    shutil.copytree(steps, run_copy / "steps", dirs_exist_ok=True)
    return run_copy


def test_a_whole_fit_goes_on_in_the_run_of_the_quick_one_which_stays_usable(
    told: Any, quick_run: Path, small_photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick = json.loads((quick_run / "result.json").read_text())
    files = {path: path.read_bytes() for path in sorted((quick_run / "classifier").rglob("*")) if path.is_file()}

    def stopped(*_: Any) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(recipe, "seven_steps", stopped)
        with pytest.raises(KeyboardInterrupt):
            golden_rule(small_photos, out=quick_run, on_result=lambda _: pytest.fail("it stands there already"))
    assert {path: path.read_bytes() for path in files} == files
    assert json.loads((quick_run / "result.json").read_text()) == quick
    assert quick["test"]["n"] == 12
    found = golden_rule(small_photos, out=quick_run)
    assert found.chosen == told[0].chosen
    for split, said in told[0].predictions.items():
        assert np.array_equal(found.predictions[split].logits, said.logits)


def test_a_quick_fit_of_a_run_that_went_through_all_steps_is_their_result(
    told: Any, run_copy: Path, small_photos: Path
) -> None:
    before = {path: path.read_bytes() for path in sorted((run_copy / "classifier").rglob("*")) if path.is_file()}
    found = quick_fit(small_photos, out=run_copy, options=FitOptions(quick=True))
    assert found.chosen == told[0].chosen
    assert found.live is not None
    assert not result_of(found)["quick"]
    assert {path: path.read_bytes() for path in before} == before


def test_quick_and_whole_fits_of_one_folder_are_one_run(
    told: Any, quick_run: Path, small_photos: Path, tmp_path: Path
) -> None:
    runs = tmp_path / "runs"
    shutil.copytree(quick_run, runs / small_photos.name)
    for quick in (True, False, True):
        assert gr.fit(small_photos, quick=quick, runs=runs).folder == runs / small_photos.name


def test_the_test_split_is_scored_once_per_selected_classifier_each_time_with_its_day(
    quick_run: Path, small_photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def scored() -> list[str]:
        return [one["chosen"] for one in json.loads((quick_run / "choice.json").read_text())["test_scored"]]

    quick_fit(small_photos, out=quick_run, options=FitOptions(quick=True))
    assert scored() == ["linear head"]
    stays = golden_rule(small_photos, out=quick_run)
    assert stays.chosen == "linear head"
    assert scored() == ["linear head"]
    assert "test-scored-again" not in {finding.code for finding in stays.findings}
    for needed in ("NEEDED_PROBABILITY", "LEAST_GAIN"):
        monkeypatch.setattr(f"goldenrule.metrics.selection_rules.{needed}", -1000.0)  # whatever comes is better
    replaced = golden_rule(small_photos, out=quick_run)
    assert scored() == ["linear head", replaced.chosen]
    [finding] = [finding for finding in replaced.findings if finding.code == "test-scored-again"]
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    assert finding.evidence == (f"linear head, {today}", f"{replaced.chosen}, {today}")
    again = golden_rule(small_photos, out=quick_run)
    assert scored() == ["linear head", again.chosen]


def test_minutes_may_be_given_to_the_fit_that_goes_on_from_a_quick_one(quick_run: Path, small_photos: Path) -> None:
    found = golden_rule(small_photos, out=quick_run, options=FitOptions(minutes=600))
    assert found.live is not None
    less = golden_rule(small_photos, out=quick_run, options=FitOptions(minutes=0.01))
    assert (less.chosen, less.left_out) == (found.chosen, ()), "fewer minutes take nothing back"
    assert quick_fit(small_photos, out=quick_run, options=FitOptions(quick=True)).chosen == found.chosen


def test_a_quick_run_of_an_earlier_version_is_gone_on_with(quick_run: Path, small_photos: Path) -> None:
    """It had kept `quick` among the options that make a run another one."""
    about = json.loads((quick_run / "run.json").read_text())
    del about["quick"]
    about["options"]["quick"] = True
    write_recorded_json(quick_run, "run.json", about)
    assert golden_rule(small_photos, out=quick_run, options=FitOptions(minutes=600)).live is not None


def test_minutes_end_the_fit_with_the_best_so_far_and_the_decision_is_kept(
    small_photos: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = FitOptions(minutes=0.01, views=0)
    result = golden_rule(small_photos, out=tmp_path / "run", options=options)
    assert result.chosen == "linear head"
    assert result.live is not None
    assert len(result.live.history) == 0
    kept = json.loads((tmp_path / "run" / "steps" / "clock.json").read_text())
    assert kept["minutes"] == 0.01
    assert not any(kept["decided"].values())
    assert {"head", "whole network", "test-time augmentation"} <= kept["decided"].keys()
    assert [one.step for one in result.left_out] == list(kept["decided"])
    [run] = listed_runs(tmp_path)
    assert run.kind == f"{len(result.left_out)} of the steps left out"
    assert any(note.startswith("Left out to end within 0.01 minutes: head, ") for note in result.live.notes)
    monkeypatch.setattr("goldenrule.pipelines.clock.time.monotonic", lambda: -1e9)  # all the time in the world
    assert len(golden_rule(small_photos, out=tmp_path / "run", options=options).live.history) == 0


@pytest.mark.exhaustive
def test_a_fit_that_the_clock_ended_goes_on_to_the_same_end_where_it_is_given_more_time(
    told: Any, run_copy: Path, small_photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cycle of the whole network is cut short; with all the time in the world it is as if it had never been."""
    run = run_copy.with_name("fresh")
    with monkeypatch.context() as patch:
        patch.setattr(Clock, "out_of_time", lambda *_, **__: lambda row: row.stage == "whole network")
        short = golden_rule(small_photos, out=run, options=FitOptions(minutes=600))
    assert [str(one) for one in short.left_out] == ["whole network after epoch 4", "test-time augmentation"]
    assert "all steps but whole network after epoch 4, test-time augmentation" in str(
        next(summary(short, "goldenrule fit photos"))
    )
    assert [str(line) for line in summary(short, "goldenrule fit photos")][-1].startswith("  Better?  goldenrule fit")
    same = golden_rule(small_photos, out=run, options=FitOptions(minutes=600))
    assert same.left_out == short.left_out, "the decision is kept"
    longer = golden_rule(small_photos, out=run)
    assert longer.folder == run
    assert longer.left_out == ()
    assert longer.live is not None
    rows = [(row.stage, row.epoch, row.train_loss, row.valid_loss) for row in longer.live.history]
    assert rows == [(row.stage, row.epoch, row.train_loss, row.valid_loss) for row in told[0].live.history]
    assert longer.chosen == told[0].chosen
    for split, said in told[0].predictions.items():
        assert np.array_equal(longer.predictions[split].logits, said.logits)


def test_averaging_views_is_left_out_where_the_training_before_it_was(
    quick_run: Path, small_photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    allows = Clock.allows
    monkeypatch.setattr(
        Clock, "allows", lambda clock, step, seconds, **how: allows(clock, step, 1e9 * (step != LiveStep.TTA), **how)
    )
    found = golden_rule(small_photos, out=quick_run, options=FitOptions(minutes=600))
    assert "test-time augmentation" in [one.step for one in found.left_out]
    assert found.chosen == "linear head"


def test_a_fit_from_an_earlier_run_starts_from_its_body_and_may_have_new_classes(
    told: Any, run_copy: Path, picture_folder: Callable[..., Path], tmp_path: Path
) -> None:
    trained = replace_body(told[0], run_copy)
    result = golden_rule(
        picture_folder(classes=("blue", "green", "red")),
        out=tmp_path / "next",
        options=FitOptions(quick=True, views=0, start_from=run_copy),
    )
    assert result.classifier.backbone.spec.weights == trained
    assert result.classifier.classes == ("blue", "green", "red")
    shutil.rmtree(run_copy)
    assert gr.Classifier.load(result.folder).predict_table(result.table).classes == result.classifier.classes


def replace_body(result: Any, run: Path) -> str:
    """Return the run a classifier whose backbone was trained, and the identity of that backbone."""
    learn = gr.Learner(result.table, replay=False)
    learn.freeze_to(1)
    learn.fit(1e-4, 1)
    shutil.rmtree(run / "classifier")
    learn.save(run / "classifier")
    return learn.state.backbone.spec.weights


def test_two_starts_at_once_are_a_mistake() -> None:
    with pytest.raises(OptionError, match="--from and --weights"):
        FitOptions(start_from=Path("a"), weights=Path("b"))
    with pytest.raises(OptionError, match="--minutes"):
        FitOptions(minutes=-1)


@pytest.mark.parametrize("count", [2, 60, 300, 800, 1763, 4000, 100_000])
def test_the_plan_of_the_live_steps_is_a_pure_function_of_counts(count: int) -> None:
    slow = live_plan(train_images=count, valid_images=count // 10, images_per_second=5.0)
    fast = live_plan(train_images=count, valid_images=count // 10, images_per_second=500.0)
    assert (slow.cycles, slow.head_epochs, slow.live_cycles) == (fast.cycles, fast.head_epochs, fast.live_cycles)
    assert slow.network_seconds > fast.network_seconds
    assert slow.ratio == tuple(sorted(slow.ratio))


@pytest.mark.parametrize("count", [2, 300, 1763, 100_000])
def test_far_pictures_get_no_fewer_epochs_and_in_one_cycle(count: int) -> None:
    near, partly, far, unknown = (
        live_plan(train_images=count, shift=shift) for shift in ("low", "moderate", "high", None)
    )
    assert far.network_epochs >= near.network_epochs == partly.network_epochs
    assert far.cycles == 1
    late = [any("late layers" in step.name for step in plan.steps()) for plan in (near, partly, far, unknown)]
    assert late == [False, True, True, True]
    assert [bool(step.condition) for step in far.steps() if "late layers" in step.name] == [False]


def test_a_thousand_photos_are_planned_for_about_five_minutes() -> None:
    plan = live_plan(train_images=800, valid_images=100, images_per_second=20.0, views_per_second=250.0)
    assert 150 < sum(step.seconds for step in plan.steps()) < 400


def test_the_plan_counts_the_live_steps_unless_it_is_quick(small_photos: Path, cache: Path) -> None:
    whole = plan_for(small_photos, FitOptions())
    quick = plan_for(small_photos, FitOptions(quick=True))
    assert whole.seconds > quick.seconds
    assert [step.name for step in whole.steps][: len(quick.steps)] == [step.name for step in quick.steps]


def test_test_time_augmentation_stays_where_it_helps(told: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from goldenrule.pipelines.probe import LinearHeads
    from goldenrule.pipelines.selection import ModelSelection

    result, first, *_ = told
    selection = ModelSelection(
        LinearHeads(
            candidates=result.candidates[:1],
            chosen=result.candidates[0],
            begins=result.candidates[0],
            features=None,  # type: ignore[arg-type]
            views=0,
        ),
        first.predictions["valid"],
    )
    better = sharper(first.predictions["valid"], 3.0)
    assert log_loss(better).value < log_loss(first.predictions["valid"]).value
    assert selection._evaluate(replace(result.candidates[0], name="better"), better)
    assert selection.best.name == "better"
    assert not selection._evaluate(replace(result.candidates[0], name="worse"), sharper(better, 0.1))
    assert selection.best.name == "better"


def sharper(predictions: Predictions, factor: float) -> Predictions:
    """Return predictions whose true class is surer by a factor in logits."""
    logits = predictions.logits.copy()
    logits[np.arange(len(logits)), 0, predictions.truth] += np.float32(np.log(factor))
    return replace(predictions, logits=logits)
