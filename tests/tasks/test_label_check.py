"""Insight into a real run: wrong labels stand first, what is written is the same twice, and nothing else is touched."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from goldenrule.core.errors import OptionError, SourceError
from goldenrule.pipelines.quick_fit import quick_fit
from goldenrule.runs.options import FitOptions
from goldenrule.tasks.label_check import LabelCheck, check_labels

Told = tuple[LabelCheck, Path, set[str]]


@pytest.fixture(scope="module")
def told(
    photos: Callable[[str], Path], pretrained_cache: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Told]:
    """What is found in 160 photos of cats and dogs of which eight have wrong labels, and one is no picture."""
    folder = tmp_path_factory.mktemp("told")
    wrong = set()
    for split, count in (("train", 60), ("valid", 20)):
        for label, other in (("cats", "dogs"), ("dogs", "cats")):
            for number, file in enumerate(sorted((photos("dogscats") / split / label).iterdir())[:count]):
                given = other if number % 30 == 5 else label
                (folder / "photos" / split / given).mkdir(parents=True, exist_ok=True)
                shutil.copy(file, folder / "photos" / split / given)
                if given == other:
                    wrong.add(f"{split}/{given}/{file.name}")
    (folder / "photos/train/cats/broken.jpg").write_bytes(b"no picture")
    shutil.copytree(pretrained_cache, folder / "cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GOLDENRULE_CACHE", str(folder / "cache"))
        run = quick_fit(folder / "photos", options=FitOptions(views=0), out=folder / "run").folder
        yield check_labels(run, top=8), run, wrong


def test_wrong_labels_of_all_parts_stand_first(told: Told) -> None:
    found, _, wrong = told
    assert len(wrong) == 6
    first = [suspect.id for suspect in found.suspected.errors.first(8)]
    assert len(wrong & set(first)) >= 5
    assert {uri.split("/")[0] for uri in wrong & set(first)} == {"train", "valid"}
    assert len(found.suspected.errors) == 160
    assert found.suspected.wrong.low <= len(wrong) / 160 <= found.suspected.wrong.high
    assert found.left_out == ("train/cats/broken.jpg",)


def test_page_numbers_and_list_say_what_was_found(told: Told) -> None:
    found, run, _ = told
    page = (run / "labels/labels.html").read_text(encoding="utf-8")
    numbers = json.loads((run / "labels/labels.json").read_text())
    lines = (run / "labels/label_errors.csv").read_text().splitlines()
    assert list(numbers["sections"]) == ["labels", "mistakes", "uncertain", "best"]
    assert all(section["seconds"] >= 0 for section in numbers["sections"].values())
    assert lines[0] == "path,given,likely,probability_given,probability_likely,doubted"
    assert len(lines) == 161
    for suspect in found.suspected.errors.first(8):
        assert suspect.id in page
    assert [row["id"] for row in numbers["sections"]["labels"]["rows"]] == [line.split(",")[0] for line in lines[1:9]]
    assert page.count("data:image/jpeg") == sum(len(section.cards) for section in found.sections)
    assert "train/cats/broken.jpg" in page
    assert "http:" not in page
    assert "https:" not in page


def test_the_classifier_is_looked_at_on_images_it_has_not_learned_from(told: Told) -> None:
    found, _, _ = told
    for section in found.sections[1:]:
        assert "on 40 images that it has not learned from (valid)" in section.sentences[0]
        assert {card.split for card in section.cards} <= {"valid"}


def test_the_same_again_gives_the_same_and_touches_nothing_else(told: Told) -> None:
    first, run, _ = told

    def rest() -> dict[Path, tuple[int, bytes]]:
        files = [path for path in run.rglob("*") if path.is_file() and path.parent != run / "labels"]
        return {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in files}

    before, labels = rest(), (run / "labels/label_errors.csv").read_bytes()
    again = check_labels(run, top=8)
    assert not again.kept_csv
    assert (run / "labels/label_errors.csv").read_bytes() == labels
    assert [section.cards for section in again.sections] == [section.cards for section in first.sections]
    assert rest() == before


def test_a_list_with_remarks_is_not_overwritten(told: Told) -> None:
    _, run, _ = told
    path = run / "labels/label_errors.csv"
    before = path.read_bytes()
    path.write_bytes(before + b"seen until here\n")
    try:
        assert check_labels(run, top=3).kept_csv
        assert path.read_bytes().endswith(b"seen until here\n")
    finally:
        path.write_bytes(before)


def test_what_is_no_run_and_a_list_of_nothing_are_clear_errors(told: Told, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no finished run"):
        check_labels(tmp_path)
    with pytest.raises(OptionError, match="top=0"):
        check_labels(told[1], top=0)


def test_the_page_interprets_nothing(told: Told) -> None:
    from goldenrule.report.pages.insight_page import Card, Section, render_insight

    card = Card(uri="<script>x</script>.jpg", split="", label="<b>", other='"><img src=x>')
    section = Section(key="own", title="<i>", sentences=("<u>",), seconds=0.1, cards=(card,))
    page = render_insight("<t>", "now", "<h>", [section], image=lambda uri: None)
    for text in ("<script>x", "<b>", "<img src=x", "<i>", "<u>", "<t>", "<h>"):
        assert text not in page


def test_the_command_prints_the_labels_and_where_the_rest_is(told: Told, capsys: Any) -> None:
    from goldenrule.cli.labels import labels

    asked = {"run": told[1], "top": 4, "threads": None, "apply": None, "export": None, "import_": None}
    labels(context=None, json=None, quiet=False, **asked)
    out = capsys.readouterr().out
    for words in (
        "Label errors",
        "Look:",
        "labels.html",
        "labels.json",
    ):
        assert words in out
    assert "Most uncertain" not in out
