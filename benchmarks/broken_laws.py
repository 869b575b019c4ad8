"""Break each law of docs/design.md in a copy of the code and look whether a test fails.

    python benchmarks/broken_laws.py [LAW ...]

Each break changes one place of the code as a careless change might. The tests that are named for it must pass before
and fail after. The table in docs/decisions/0030-a-suite-that-takes-minutes.md is what this prints.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True, kw_only=True)
class Break:
    """One way to break a law: `old` stands once in `file` and becomes `new`; then `test` must fail."""

    law: int
    name: str
    how: str
    file: str
    old: str
    new: str
    test: str


BREAKS = (
    Break(
        law=1,
        name="Same pixels everywhere",
        how="pixels are rounded before they are normalised",
        file="data/pictures/preprocess.py",
        old="np.multiply(picture[:, :, channel],",
        new="np.multiply(np.rint(picture[:, :, channel]),",
        test="tests/data/pictures/test_preprocess.py::test_numpy_gives_the_pixels_of_pytorchs_antialiased_resize",
    ),
    Break(
        law=1,
        name="Same pixels everywhere",
        how="predict crops a picture otherwise than the scores did",
        file="models/seen.py",
        old="batches(jobs, views, scorer.preprocessing, batch_size",
        new="batches(jobs, views, type(scorer.preprocessing)(size=scorer.preprocessing.size, resize='squish'), "
        "batch_size",
        test="tests/pipelines/test_quick_fit.py::"
        "test_the_numbers_are_those_of_the_prediction_files_and_of_the_saved_classifier",
    ),
    Break(
        law=2,
        name="Classes by name",
        how="each split numbers its own classes",
        file="data/sources/folders.py",
        old="labels=[[] if label is None else [index[label]] for _, label, _ in found],",
        new="labels=[[] if label is None else [sorted({o for p, o, _ in found if p == split and o}).index(label)]"
        " for split, label, _ in found],",
        test="tests/data/sources/test_folders.py::test_a_class_that_only_valid_knows_is_a_finding_and_shifts_nothing",
    ),
    Break(
        law=2,
        name="Classes by name",
        how="a classifier takes the class numbers of other images for its own",
        file="data/classes.py",
        old="    new = [index.get(name) for name in table.classes]\n    named = {name: None",
        new="    new = list(range(len(table.classes)))\n    named = {name: None",
        test="tests/field/test_scoring_by_name.py::test_two_of_three_classes_are_scored_by_name",
    ),
    Break(
        law=3,
        name="The bank can't be stale",
        how="the preprocessing is no part of a bank's key",
        file="features/extractor.py",
        old='        "preprocessing": spec.preprocessing,\n',
        new="",
        test="tests/features/test_cache.py::test_whatever_a_row_depends_on_changes_the_bank",
    ),
    Break(
        law=4,
        name="Looking changes nothing",
        how="the finder leaves PyTorch's generator where its last step put it",
        file="training/loop.py",
        old="        torch.random.set_rng_state(before)\n",
        new="        pass\n",
        test="tests/training/test_learner.py::test_looking_changes_nothing",
    ),
    Break(
        law=4,
        name="Looking changes nothing",
        how="what is trained shares its tensors with the learner's head",
        file="models/network.py",
        old="torch.from_numpy(value.copy())",
        new="torch.from_numpy(value)",
        test="tests/training/test_lr_find_leaves_no_trace.py",
    ),
    Break(
        law=5,
        name="Frozen is frozen",
        how="BatchNorms of frozen layers follow the batches",
        file="models/trainable.py",
        old='        return self._bn_frozen == "all" or self._bn_frozen == group == "early" or self._frozen(group)\n',
        new="        return False\n",
        test="tests/models/graphs/test_folding.py::test_frozen_is_frozen",
    ),
    Break(
        law=6,
        name="Killed is only paused",
        how="a fit goes on with a new optimizer",
        file="training/fitting.py",
        old="    saving.restore_optimizer(optimizer, before.optimizer)\n",
        new="",
        test="tests/training/test_learner.py::test_a_killed_fit_goes_on_where_it_stopped",
    ),
    Break(
        law=7,
        name="Asking twice is free",
        how="the seed is no part of a run's key",
        file="training/verb_runner.py",
        old='            "seed": data.seed,\n',
        new="",
        test="tests/training/test_learner.py::test_another_story_is_not_replayed",
    ),
    Break(
        law=7,
        name="Asking twice is free",
        how="a finished step is computed again",
        file="runs/store.py",
        old="        if path.exists():\n            with contextlib.suppress(FormatError):\n",
        new="        if False:\n            with contextlib.suppress(FormatError):\n",
        test="tests/pipelines/test_quick_fit.py::test_a_second_fit_computes_nothing_and_changes_nothing",
    ),
    Break(
        law=8,
        name="No pickle",
        how="a .pth may run code",
        file="models/weights.py",
        old='map_location="cpu", weights_only=True)',
        new='map_location="cpu", weights_only=False)',
        test="tests/models/test_weights.py::test_a_pickle_that_wants_to_run_code_is_refused_and_not_run",
    ),
    Break(
        law=9,
        name="No silent answer",
        how="a file that can't be read is a black picture",
        file="data/loader.py",
        old="            batch.failures[slot] = reason\n",
        new="            pass\n",
        test="tests/deploy/test_bulk.py::test_what_can_t_be_read_has_a_status_and_no_numbers",
    ),
    Break(
        law=10,
        name="Honest estimates",
        how="validation that has chosen is called held out",
        file="pipelines/finalize.py",
        old='replace(predictions["valid"], basis=Basis.USED_FOR_SELECTION)',
        new='replace(predictions["valid"], basis=Basis.HELD_OUT)',
        test="tests/pipelines/test_named_training.py::test_validation_that_has_chosen_says_so",
    ),
    Break(
        law=10,
        name="Honest estimates",
        how="the test split is opened before the choice is written",
        file="pipelines/finalize.py",
        old='("test", "valid") if final else ("valid",)',
        new='("test", "valid")',
        test="tests/pipelines/test_golden_rule.py::"
        "test_the_answer_in_seconds_stood_before_the_live_steps_and_did_not_open_the_test_part",
    ),
    Break(
        law=10,
        name="Honest estimates",
        how="folds are evaluated on classes that they have not learned",
        file="data/splits/evaluated_classes.py",
        old="        if learned(trait):\n            continue\n",
        new="        continue\n",
        test="tests/field/test_nothing_lost.py",
    ),
    Break(
        law=10,
        name="Honest estimates",
        how="rows without a label train",
        file="data/table.py",
        old="LabelledTable(**_fields(self.where(self.labelled)))",
        new="LabelledTable(**_fields(self))",
        test="tests/field/test_unlabelled_rows.py::test_a_labelled_table_holds_no_row_without_a_label",
    ),
    Break(
        law=11,
        name="Writes are atomic",
        how="a file is written where it stands",
        file="storage/files.py",
        old="    with atomic_path(path) as temporary:\n        temporary.write_bytes(data)\n",
        new="    path.write_bytes(data)\n",
        test="tests/storage/test_files.py",
    ),
    Break(
        law=12,
        name="Memory does not grow",
        how="every batch of pixels is kept",
        file="features/extractor.py",
        old="    for batch in decoded:\n        yield batch, batch.pixels\n",
        new="    for batch in decoded:\n        _KEPT.append(batch)\n        yield batch, batch.pixels\n\n\n"
        "_KEPT: list[Batch] = []\n",
        test="tests/pipelines/test_laws.py::test_the_peak_of_memory_does_not_grow_with_the_number_of_images",
    ),
    Break(
        law=13,
        name="Nothing leaves the machine",
        how="OpenVINO may import its telemetry",
        file="engines/openvino.py",
        old='sys.modules.setdefault("openvino_telemetry", None)',
        new="None",
        test="tests/engines/test_openvino.py::test_neither_goldenrule_nor_openvino_through_it_imports_the_telemetry",
    ),
    Break(
        law=13,
        name="Nothing leaves the machine",
        how="weights that are packaged are asked of the hub",
        file="models/backbone.py",
        old="    if name in EMBEDDED:\n        return reading.embedded_state(name)",
        new="    if not name:\n        return reading.embedded_state(name)",
        test="tests/pipelines/test_laws.py::test_preparing_a_backbone_a_fit_and_its_predictions_need_no_network",
    ),
)


def outcome(tests: Sequence[str], source: Path) -> int:
    """Run tests on the code in a folder and give pytest's exit code: 0 where all pass, 1 where some fail."""
    environment = os.environ | {"PYTHONPATH": str(source), "OMP_WAIT_POLICY": "PASSIVE"}
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-m", "not exhaustive", *tests]
    return subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, check=False).returncode


def broken(one: Break, source: Path) -> int:
    """Break a copy of the code, run the test that watches, mend the copy; give pytest's exit code."""
    file = source / "goldenrule" / one.file
    whole = file.read_text(encoding="utf-8")
    assert whole.count(one.old) == 1, f"{one.file} has changed: {one.old!r}"
    file.write_text(whole.replace(one.old, one.new), encoding="utf-8")
    try:
        return outcome([one.test], source)
    finally:
        file.write_text(whole, encoding="utf-8")


def main() -> None:
    """Break what was asked for, print a table, and fail where a broken law was not noticed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("laws", nargs="*", type=int, help="their numbers; all without any")
    asked = parser.parse_args().laws
    breaks = [one for one in BREAKS if not asked or one.law in asked]
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder)
        shutil.copytree(ROOT / "src" / "goldenrule", source / "goldenrule")
        if outcome(sorted({one.test for one in breaks}), source):
            sys.exit("The tests fail already where nothing is broken.")
        unnoticed = 0
        print("| law | broken by | the test that fails |\n| --- | --- | --- |")
        for one in breaks:
            noticed = broken(one, source) == 1
            unnoticed += not noticed
            where, _, test = one.test.partition("::")
            shown = f"`{where}`" + f" `{test}`" * bool(test)
            print(f"| {one.law}. {one.name} | {one.how} | {shown if noticed else '**none**'} |", flush=True)
    sys.exit(f"{unnoticed} broken laws were not noticed." if unnoticed else 0)


if __name__ == "__main__":
    main()
