"""How a fit looks at pictures is its user's choice: crops, decoding, views by a function of one's own."""

from __future__ import annotations

import csv
import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from goldenrule.core.schema import as_json
from goldenrule.features.cache import stored
from goldenrule.models.classifier import Classifier

Command = Callable[..., subprocess.CompletedProcess[str]]
FOGGY = """
def foggy(picture, random):
    share = random.uniform(0.2, 0.7)
    return (1 - share) * picture + share * 255

def broken(picture, random):
    return picture[:7]
"""


def test_a_squished_scaled_classifier_looks_the_same_way_when_it_predicts(
    command: Command, small_photos: Path, tmp_path: Path
) -> None:
    large = tmp_path / "large"
    for file in sorted(small_photos.glob("*/*/*.jpg")):
        copy = large / file.relative_to(small_photos)
        copy.parent.mkdir(parents=True, exist_ok=True)
        with Image.open(file) as image:
            image.resize((2 * image.width, 2 * image.height)).save(copy, quality=95)
    found = command("fit", "--quick", large, "--crop", "squish", "--decoding", "scaled", "--views", "0")
    assert found.returncode == 0, found.stderr
    run = tmp_path / "runs" / "large"
    classifier = Classifier.load(run)
    preprocessing = classifier.preprocessing
    assert (preprocessing.name, preprocessing.resize, preprocessing.crop_fraction) == ("scaled", "squish", 1.0)
    (cache,) = [cache for cache in stored() if cache["rows"] == 68]
    assert cache["key"]["preprocessing"] == as_json(preprocessing)
    with (run / "predictions" / "valid.csv").open() as file:
        kept = {row["path"]: float(row["p:cats"]) for row in csv.DictReader(file)}
    seen = classifier.predict(large / "valid")
    found_now = {f"valid/{name}": float(row[0]) for name, row in zip(seen.ids, seen.probabilities, strict=True)}
    assert len(kept) == 16
    assert found_now == pytest.approx(kept, abs=1e-4)


def test_views_by_an_own_function_are_kept_under_its_file(command: Command, small_photos: Path, tmp_path: Path) -> None:
    file = tmp_path / "changes.py"
    file.write_text(FOGGY)
    asked = ("fit", "--quick", small_photos, "-v", "--augment", "changes.py:foggy", "--views", "1", "--crop", "resized")
    first, again = (command(*asked) for _ in range(2))
    assert first.returncode == again.returncode == 0, first.stderr + again.stderr
    assert "Features: 108 computed" in first.stdout, "68 plain, 40 foggy"
    assert "Features: 0 computed, 108 reused" in again.stdout
    options = json.loads((tmp_path / "runs" / "dogscats" / "run.json").read_text())["options"]
    assert options["custom"]["name"] == "foggy"
    file.write_text(FOGGY.replace("0.7", "0.6"))
    changed = command(*asked)
    assert "Features: 40 computed, 68 reused" in changed.stdout
    assert (tmp_path / "runs" / "dogscats-2").is_dir(), "another function is another run"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (
            ["--augment", "changes.py:broken", "--views", "1"],
            "broken gave uint8 of shape (7, 64, 3); wanted a picture",
        ),
        (["--augment", "changes.py:smoky"], "has no 'smoky'; it has broken, foggy"),
        (["--augment", "nowhere.py:foggy"], "there is no file nowhere.py"),
        (["--crop", "corner"], "--crop corner: wanted one of random, centre, resized, squish"),
        (["--decoding", "fast"], "--decoding fast: wanted one of canonical, scaled"),
        (["--crop", "resized", "--augment", "none"], "--augment none makes none"),
    ],
)
def test_what_can_not_be_done_ends_with_what_to_do(
    command: Command, small_photos: Path, tmp_path: Path, arguments: list[str], says: str
) -> None:
    (tmp_path / "changes.py").write_text(FOGGY)
    found = command("fit", "--quick", small_photos, *arguments)
    assert found.returncode == 2
    assert says in found.stderr
    assert "Traceback" not in found.stderr
