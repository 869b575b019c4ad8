"""The lessons run on anyone's folder, cost seconds a second time, and their pages are what they are."""

from __future__ import annotations

import re
import runpy
import shutil
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LESSONS = sorted((ROOT / "lessons").glob("*.py"))
sys.path.insert(0, str(ROOT / "docs"))
from make_lessons import WITH_PICTURES, index, page_name  # noqa: E402

from goldenrule.demo.lessons import cells, find_lessons  # noqa: E402


@pytest.mark.parametrize(
    ("lesson", "photos"),
    [*((lesson, None) for lesson in LESSONS), (ROOT / "lessons" / "lesson2.py", Path("dogscats"))],
    ids=lambda path: path.stem if path else "",
)
def test_a_page_has_the_words_the_code_and_the_figures_of_its_lesson(lesson: Path, photos: Path | None) -> None:
    name = page_name(lesson, photos)
    page = (ROOT / "docs" / "lessons" / f"{name}.md").read_text(encoding="utf-8")
    for kind, content in cells(lesson.read_text(encoding="utf-8")):
        assert (content if kind == "text" else f"```python\n{content}\n```") in page, "run python docs/make_lessons.py"
    figures = re.findall(r"!\[.*?\]\((.*?)\)", page)
    written = re.findall(r'FIGURES / "([\w-]+\.svg)"', lesson.read_text(encoding="utf-8"))
    left_out = {f"{figure}.svg" for figure in WITH_PICTURES} if photos else set()
    assert sorted(figures) == sorted(f"{name}-{figure}" for figure in written if figure not in left_out)
    undescribed = [figure for text, figure in re.findall(r"!\[(.*?)\]\((.*?)\)", page) if len(text) < 30]
    assert lesson.stem == "lesson2" or not undescribed, "those who can't see it are told what it shows"
    for figure in figures:
        assert (ROOT / "docs" / "lessons" / figure).read_text(encoding="utf-8").lstrip().startswith("<?xml")
        assert not photos or "<image" not in (ROOT / "docs" / "lessons" / figure).read_text(encoding="utf-8")


def test_the_list_of_lessons_has_them_all() -> None:
    page = (ROOT / "docs" / "lessons" / "README.md").read_text(encoding="utf-8")
    assert page == index(find_lessons(ROOT / "lessons")), "run python docs/make_lessons.py"


def test_lesson_2_runs_on_photos_and_a_second_time_all_is_replayed(
    cache: Path,
    small_photos: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    few = tmp_path / "few"
    for folder in small_photos.glob("*/*"):
        (few / folder.relative_to(small_photos)).mkdir(parents=True)
        for file in sorted(folder.iterdir())[:6]:
            shutil.copy(file, few / folder.relative_to(small_photos))
    script = ROOT / "lessons" / "lesson2.py"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [str(script), str(few)])
    texts, told = [], []
    for _ in range(2):
        runpy.run_path(str(script), run_name="__main__")
        out, err = capsys.readouterr()
        texts.append(out)
        told.append(out + err)
    assert "test, plain: " in texts[0]
    results = [[line for line in text.splitlines() if line.startswith("test, ")] for text in texts]
    assert results[0] == results[1]
    assert told[1].count("replayed") == 5, "two curves of the finder, three fits"
    assert {path.name for path in (tmp_path / "lesson2").glob("*.svg")} >= {"finder.svg", "history.svg", "cycles.svg"}
    assert (tmp_path / "lesson2" / "classifier" / "classifier.json").is_file()
