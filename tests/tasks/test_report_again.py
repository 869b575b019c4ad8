"""A finished run's report can be made again, in another language, from what the run has kept."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from goldenrule.core.errors import FormatError, OptionError, SourceError, StorageError
from goldenrule.data.table_file import table_content
from goldenrule.runs.verified_files import run_images
from goldenrule.storage.manifest import seal, write_recorded
from goldenrule.tasks.report_again import report_again


@pytest.fixture
def run(fitted: Any, tmp_path: Path) -> Path:
    return Path(shutil.copytree(fitted.folder, tmp_path / "run"))


def test_the_english_page_again_is_the_same_to_the_last_byte(run: Path, tmp_path: Path) -> None:
    again = report_again(run, out=tmp_path / "again.html")
    assert again.read_bytes() == (run / "report.html").read_bytes()


@pytest.mark.parametrize(
    ("language", "html_language", "heading", "claim"),
    [("ja", "ja", "誤分類", "枚を正しく識別。"), ("zh", "zh-Hans", "分错的图像", "张识别正确；")],
)
def test_a_page_in_another_language_has_the_same_numbers_and_loads_nothing(
    run: Path, language: str, html_language: str, heading: str, claim: str
) -> None:
    english, path = (run / "report.html").read_text(), report_again(run, language=language)
    page = path.read_text()
    assert path == run / f"report.{language}.html"
    assert f'<html lang="{html_language}">' in page
    assert f"<h2>{heading}</h2>" in page
    assert claim in page.split("</h1>")[0]
    assert re.findall(r'<span class="est">.*?</span>', page) == [
        value.replace("(used for selection)", f"({'選択に使用' if language == 'ja' else '参与过选择'})")
        for value in re.findall(r'<span class="est">.*?</span>', english)
    ]
    assert page.count("data:image/jpeg") == english.count("data:image/jpeg")
    assert "https://" not in page
    assert "http://" not in page.replace("http://www.w3.org/", "")
    assert page.split("<style>")[0].count("default-src 'none'") == 1
    assert (run / "report.html").read_text() == english


def test_a_page_is_made_again_over_its_own_and_over_nothing_else(run: Path, tmp_path: Path) -> None:
    first = report_again(run, language="ja")
    first.write_text(first.read_text() + "<!-- of yesterday -->")
    assert "of yesterday" not in report_again(run, language="ja").read_text()
    for path, out in ((first, None), (tmp_path / "notes.html", tmp_path / "notes.html")):
        path.write_text("my own notes")
        with pytest.raises((StorageError, OptionError), match=r"holds something else|did not write"):
            report_again(run, language="ja", out=out)
        assert path.read_text() == "my own notes"
    with pytest.raises(OptionError, match="wanted the name of an HTML file"):
        report_again(run, out=tmp_path)


def test_without_its_images_a_report_has_places_that_say_so(run: Path, fitted: Any, tmp_path: Path) -> None:
    table = run_images(run)
    object.__setattr__(table, "root", tmp_path / "gone")
    write_recorded(run, "images.arrow", table_content(table))
    page = report_again(run, language="zh").read_text()
    assert "data:image/jpeg" not in page
    assert "<h2>评分</h2>" in page


def test_what_is_no_run_or_an_old_one_or_a_newer_one_is_a_clear_error(run: Path, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="holds no finished run"):
        report_again(tmp_path, language="ja")
    with pytest.raises(OptionError, match="wanted one of en, ja, zh"):
        report_again(run, language="fr")
    content, predictions = run / "report" / "content.json", run / "report" / "predictions.arrow"
    whole = predictions.read_bytes()
    for broken in (b"broken", whole[: len(whole) // 2]):
        predictions.write_bytes(broken)
        with pytest.raises(FormatError, match="was changed or damaged"):
            report_again(run, language="ja")
        seal(run / "report")
        with pytest.raises(FormatError, match="can't be read as predictions"):
            report_again(run, language="ja")
    predictions.write_bytes(whole)
    content.write_text(content.read_text().replace('"schema_version": 5', '"schema_version": 6', 1))
    seal(run / "report")
    with pytest.raises(FormatError, match="Update goldenrule"):
        report_again(run, language="ja")
    content.write_text('{"schema_version": 5}')
    seal(run / "report")
    with pytest.raises(FormatError, match="can't be read: object missing required field"):
        report_again(run, language="ja")
    shutil.rmtree(run / "report")
    with pytest.raises(SourceError, match=r"Give the same `goldenrule fit` command again"):
        report_again(run, language="ja")
