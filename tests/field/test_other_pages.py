"""Pages beside the report: names under pictures, sizes, what next; copies share a card; other classes, the crop."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from html import unescape
from pathlib import Path

import pytest
from PIL import Image

from goldenrule.report.figures.page_width import PAGE_INCHES
from goldenrule.report.figures.training_figures import history_figure
from goldenrule.runs.history import History
from goldenrule.tasks.auditing import audit_images
from goldenrule.tasks.explaining import explain
from goldenrule.tasks.label_check import check_labels

Command = Callable[..., subprocess.CompletedProcess[str]]
Draw = Callable[..., Path]


def text(html: str) -> str:
    bare = re.sub(r"<(style|script)>.*?</\1>", "", html, flags=re.DOTALL)
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", bare)).split())


@pytest.fixture
def audited(draw_classes: Draw, tmp_path: Path) -> str:
    root = draw_classes(tmp_path / "my photos", ("cats", "dogs"), each=6)
    with Image.open(root / "cats" / "00.png") as image:
        image.resize((400, 300)).save(root / "cats" / "large.png")
    audit_images(root, out=tmp_path / "found")
    return (tmp_path / "found" / "audit.html").read_text()


def test_an_audit_names_every_picture_below_it(audited: str) -> None:
    pictures = re.findall(r"<figure[^>]*>(.*?)</figure>", audited, re.DOTALL)
    assert len(pictures) >= 12
    for picture in pictures:
        named = re.search(r'alt="([^"]*)".*<figcaption class="path"><bdi>([^<]*)</bdi>', picture, re.DOTALL)
        assert named
        assert named[1] == named[2]


def test_an_audit_of_one_folder_counts_once_shows_sizes_and_says_what_next(audited: str) -> None:
    heads = re.findall(r"<th scope=\"col\"[^>]*>([^<]*)<", audited)
    assert "all" not in heads
    assert "13 images in 2 classes." in text(audited)
    sizes = text(audited[audited.index("Shorter side") :])
    assert re.search(r"32–63 12 64–127 0 128–255 0 256–511 1", sizes)
    following = re.findall(r"<code>([^<]*)</code>", audited[audited.index('<section id="next">') :])
    assert [unescape(one) for one in following] == [
        "goldenrule split 'my photos' 'my photos-split'",
        "goldenrule fit 'my photos' --quick",
        "goldenrule fit 'my photos'",
    ]


def test_copies_of_an_image_share_a_card_in_every_list_of_labels(run: Path, tmp_path: Path, command: Command) -> None:
    photos = tmp_path / "copied"
    shutil.copytree(tmp_path / "set", photos)
    for label in ("cats", "dogs"):
        for number in range(8):
            shutil.copy(photos / label / f"{number:02d}.png", photos / label / f"copy of {number:02d}.png")
    assert command("fit", photos, "--quick", "--out", tmp_path / "again").returncode == 0
    found = check_labels(tmp_path / "again", top=4)
    for section in found.sections:
        names = [Path(card.uri).name.removeprefix("copy of ") + card.label for card in section.cards]
        assert len(set(names)) == len(names), section.key
    (best,) = [section for section in found.sections if section.key == "best"]
    assert any("; with 1 copy: " in card.note for card in best.cards)


def test_an_explanation_has_the_other_classes_and_what_the_crop_cuts_away(run: Path, tmp_path: Path) -> None:
    with Image.open(next((tmp_path / "set" / "cats").iterdir())) as image:
        image.resize((200, 100)).save(tmp_path / "wide.png")
    found = explain(run, tmp_path / "wide.png", heat=False, out=tmp_path / "explained")
    (one,) = found.explanations
    ((other, chance),) = one.others
    assert {one.prediction, other} == {"cats", "dogs"}
    assert one.probability + chance == pytest.approx(1)
    assert one.cut_away >= 0.5  # half of a picture twice as wide as high, at least
    page = text((tmp_path / "explained" / "explained.html").read_text())
    assert re.search(rf"{other} (< )?[\d.]+\s%\s?\. The centre crop cuts away \d+\s% of the picture", page)
    said = json.loads((tmp_path / "explained" / "explained.json").read_text())
    row = (
        said["images"][0] if "images" in said else next(value for value in said.values() if isinstance(value, list))[0]
    )
    assert row["others"][0]["class"] == other
    assert row["cut_away"] == pytest.approx(one.cut_away)


def test_figures_of_pages_are_as_wide_as_a_phone() -> None:
    assert history_figure(History(())).get_size_inches()[0] == PAGE_INCHES
    style = (Path(__file__).parents[2] / "src/goldenrule/report/pages/templates/style.css").read_text()
    assert "min-width: 30rem" not in style
