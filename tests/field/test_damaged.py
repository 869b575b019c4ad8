"""Files of a run and its classifier that were damaged, changed or swapped: the same answer, or a clear error."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from goldenrule.core.errors import FormatError, GoldenRuleError
from goldenrule.core.schema import as_json
from goldenrule.models.classifier import Classifier
from goldenrule.pipelines.quick_fit import quick_fit
from goldenrule.runs.options import FitOptions
from goldenrule.runs.store import read_outcome
from goldenrule.runs.verified_files import known_split, run_choice, run_result
from goldenrule.storage.manifest import MANIFEST, seal
from goldenrule.tasks.reopened import reopened
from goldenrule.tasks.report_again import report_again
from goldenrule.tasks.run_comparison import compare_runs

EACH = 12
"""So many mutants of each file; benchmarks/mutants.py makes thousands."""


def pictures(folder: Path) -> Path:
    draws = np.random.default_rng(0)
    for hue, label in enumerate(("cats", "dogs")):
        (folder / label).mkdir(parents=True)
        for number in range(14):
            pixels = draws.integers(0, 120, size=(40, 40, 3))
            pixels[:, :, hue] += 90
            Image.fromarray(pixels.astype(np.uint8)).save(folder / label / f"{number:02d}.png")
    return folder


def fit(root: Path, **options: Any) -> Any:
    return quick_fit(root / "photos", out=root / "run", options=FitOptions(views=0, threads=1, quick=True, **options))


@pytest.fixture
def fresh(cache: Path, tmp_path: Path) -> Path:
    """A folder with `photos` and the run of their fit."""
    pictures(tmp_path / "photos")
    fit(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def whole(prepared_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    shutil.copytree(prepared_cache, folder / "cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GOLDENRULE_CACHE", str(folder / "cache"))
        pictures(folder / "photos")
        fit(folder)
    return folder


@pytest.fixture
def root(whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a copy of a run, made once: to be damaged, and read."""
    shutil.copytree(whole / "run", tmp_path / "run")
    monkeypatch.setenv("GOLDENRULE_CACHE", str(whole / "cache"))
    return tmp_path


def look(root: Path) -> Any:
    opened = reopened(root / "run", threads=1)
    compared = compare_runs(root / "run", root / "run")
    run = root / "run"
    return (
        opened.table.rows,
        opened.options,
        str(compared.estimates),
        known_split(run),
        run_choice(run),
        run_result(run),
    )


def page(root: Path) -> str:
    (root / "again.html").unlink(missing_ok=True)
    return report_again(root / "run", out=root / "again.html").read_text()


def load(root: Path) -> Any:
    loaded = Classifier.load(root / "run")
    features = np.random.default_rng(0).normal(size=(4, loaded.backbone.spec.features))
    return as_json(loaded), loaded.logits(features).tobytes(), loaded.distances(features).tobytes()


def again(root: Path) -> Any:
    found = fit(root)
    return as_json(found.headline), found.predictions["test"].logits.tobytes()


def mutants(content: bytes, draws: random.Random) -> Iterator[bytes]:
    for number in range(EACH):
        at = draws.randrange(len(content))
        changed = bytearray(content)
        if number < EACH // 2:
            changed[at] ^= 1 << draws.randrange(8)
            yield bytes(changed)
        elif number < EACH - 3:
            changed[at : at + 8] = draws.randbytes(8)
            yield bytes(changed)
        else:
            yield (content[:at], content + b"\0", b"")[number - EACH + 3]


READERS: tuple[tuple[str, Callable[[Path], Any]], ...] = (
    ("classifier/*", load),
    ("*.json", look),
    ("split.csv", look),
    ("images.arrow", look),
    ("predictions/*", look),
    ("report/*", page),
)


@pytest.mark.parametrize(("files", "read"), READERS)
def test_a_damaged_file_is_a_clear_error_or_changes_nothing(
    root: Path, files: str, read: Callable[[Path], Any]
) -> None:
    wanted, draws, refused = read(root), random.Random(0), 0
    paths = [path for path in sorted((root / "run").glob(files)) if path.is_file()]
    assert paths
    for path in paths:
        content = path.read_bytes()
        for mutant in mutants(content, draws):
            path.write_bytes(mutant)
            try:
                assert read(root) == wanted, f"{path.name} was believed"
            except GoldenRuleError:
                refused += 1
            path.write_bytes(content)
    assert refused, "nothing was looked at"


def test_a_damaged_step_is_made_anew_with_the_same_outcome(fresh: Path) -> None:
    root, draws = fresh, random.Random(0)
    wanted = again(root)
    for path in sorted((root / "run" / "steps").iterdir()):
        content = path.read_bytes()
        for mutant in list(mutants(content, draws))[::4]:
            path.write_bytes(mutant)
            assert again(root) == wanted
            assert read_outcome(path), "it is whole again"


def test_the_head_of_another_classifier_is_refused(fresh: Path) -> None:
    root = fresh
    other = root / "other"
    shutil.copytree(root / "run" / "classifier", other)
    tensors = (other / "head.safetensors").read_bytes()
    shutil.rmtree(root / "run")
    (root / "photos" / "cats" / "00.png").unlink()
    fit(root)
    assert (root / "run" / "classifier" / "head.safetensors").read_bytes() != tensors
    (root / "run" / "classifier" / "head.safetensors").write_bytes(tensors)
    with pytest.raises(FormatError, match=r"head\.safetensors was changed or damaged"):
        Classifier.load(root / "run")


def test_swapped_classes_are_refused(root: Path) -> None:
    path = root / "run" / "classifier" / "classifier.json"
    path.write_text(path.read_text().replace("cats", "d-gs").replace("dogs", "cats").replace("d-gs", "dogs"))
    with pytest.raises(FormatError, match=r"classifier\.json was changed or damaged"):
        Classifier.load(root / "run")


def test_without_a_manifest_nothing_is_believed(root: Path) -> None:
    (root / "run" / "classifier" / MANIFEST).unlink()
    with pytest.raises(FormatError, match=f"has no {MANIFEST}"):
        Classifier.load(root / "run")
    (root / "run" / MANIFEST).unlink()
    with pytest.raises(FormatError, match=f"has no {MANIFEST}"):
        look(root)


def test_a_damaged_run_is_not_gone_on_with_and_the_fit_goes_to_another_folder(
    fresh: Path, command: Callable[..., Any]
) -> None:
    root = fresh
    command("fit", "photos", "--quick", "--views", "0")
    run = root / "runs" / "photos"
    (run / "run.json").write_text((run / "run.json").read_text().replace('"seed": 0', '"seed": 7'))
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    done = command("fit", "photos", "--quick", "--views", "0")
    assert done.returncode == 0, done.stderr
    assert "run.json was changed or damaged" in done.stderr
    assert (root / "runs" / "photos-2" / "result.json").is_file()
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before


STRANGE: tuple[tuple[str, Any], ...] = (
    ("classes", ["cats"]),
    ("classes", ["cats", "cats"]),
    ("classes", ["cats", 3]),
    ("task", "many"),
    ("head", "../../head"),
    ("engine", {"name": "openvino", "precision": "fp32", "version": ""}),
    ("engine", {"name": "sh", "precision": "fp32", "version": "1"}),
    ("views", []),
    ("views", [{"kind": "augmented", "by": {"version": 3}, "index": 1, "seed": 0}]),
    ("sets", {"threshold": float(10**300)}),
    ("ood_detector", {"neighbour": 10**9}),
    ("provenance", {"counts": {"train": {"cats": "many"}}}),
    ("backbone.features", 10**15),
    ("backbone.features", -1),
    ("backbone.weights", "0" * 63),
    ("backbone.groups", {"a": 1}),
    ("backbone.preprocessing.size", 10**9),
    ("backbone.preprocessing.mean", [0.5, 0.5]),
    ("backbone.preprocessing.std", [0.5, 0.5, 0]),
    ("backbone.preprocessing.interpolation", "magic"),
    ("backbone.preprocessing.crop_fraction", 0),
    ("backbone.more", 1),
    ("more", 1),
)


@pytest.mark.parametrize(("field", "value"), STRANGE)
def test_what_no_classifier_says_is_refused_also_where_the_manifest_fits(root: Path, field: str, value: Any) -> None:
    folder = root / "run" / "classifier"
    whole = json.loads((folder / "classifier.json").read_text())
    *parents, name = field.split(".")
    holder = whole
    for parent in parents:
        holder = holder[parent]
    holder[name] = value
    (folder / "classifier.json").write_text(json.dumps(whole))
    seal(folder)
    with pytest.raises(GoldenRuleError):
        Classifier.load(root / "run")


@pytest.mark.parametrize(
    "content",
    [
        b"[" * 200_000,
        b'{"a":' * 200_000,
        b'{"schema_version": ' + b"9" * 5_000 + b"}",
        b'{"schema_version": NaN}',
        b'{"schema_version": 1e999}',
        b"\xff\xfe",
        b"",
        b"3",
    ],
)
def test_json_is_bounded_in_depth_and_in_the_length_of_numbers(root: Path, content: bytes) -> None:
    folder = root / "run" / "classifier"
    (folder / "classifier.json").write_bytes(content)
    seal(folder)
    with pytest.raises(FormatError, match=r"classifier\.json"):
        Classifier.load(root / "run")
