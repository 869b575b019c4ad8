"""Files to a CSV of predictions: a row per image, whatever the image."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from goldenrule.core.errors import OptionError, SourceError
from goldenrule.deploy import bulk as batch
from goldenrule.deploy.bulk import predict_files
from goldenrule.metrics.predictions_csv import OUT
from goldenrule.models.classifier import Classifier


@pytest.fixture
def classifier(fitted: Any, monkeypatch: pytest.MonkeyPatch) -> Classifier:
    """The classifier of the session's fit, loaded from its folder."""
    monkeypatch.setenv("GOLDENRULE_CACHE", str(fitted.folder.parent / "cache"))
    return Classifier.load(fitted.folder)


@pytest.fixture
def new_photos(small_photos: Path, tmp_path: Path) -> Path:
    """Twelve photos, a text that calls itself one, and a truncated one."""
    folder = tmp_path / "new"
    for label in ("cats", "dogs"):
        shutil.copytree(small_photos / "test" / label, folder / label)
    (folder / "text.jpg").write_text("no picture")
    whole = sorted((folder / "cats").iterdir())[0].read_bytes()
    (folder / "truncated.jpg").write_bytes(whole[: len(whole) // 2])
    return folder


def rows_in(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_every_image_has_a_row_with_the_fixed_columns(classifier: Classifier, new_photos: Path, tmp_path: Path) -> None:
    predict_files(classifier, [new_photos], out=tmp_path / "out.csv")
    rows = rows_in(tmp_path / "out.csv")
    assert list(rows[0]) == [
        "path",
        "status",
        "prediction",
        "probability",
        "set",
        "ood",
        "distance",
        "p:cats",
        "p:dogs",
    ]
    assert [row["path"] for row in rows] == sorted(
        str(file.relative_to(new_photos)) for file in new_photos.rglob("*.jpg")
    )
    for row in rows:
        if row["status"] in ("ok", OUT):
            values = {"cats": float(row["p:cats"]), "dogs": float(row["p:dogs"])}
            assert sum(values.values()) == pytest.approx(1)
            assert row["prediction"] == max(values, key=values.__getitem__)
            assert float(row["probability"]) == values[row["prediction"]]
            assert row["set"].split(" | ")[0] == row["prediction"]
        else:
            assert (row["set"], row["ood"], row["distance"]) == ("", "", "")


def test_what_can_t_be_read_has_a_status_and_no_numbers(
    classifier: Classifier, new_photos: Path, tmp_path: Path
) -> None:
    result = predict_files(classifier, [new_photos], out=tmp_path / "out.csv")
    unread = [row for row in rows_in(tmp_path / "out.csv") if row["status"] == "unreadable"]
    assert [row["path"] for row in unread] == ["text.jpg", "truncated.jpg"] == list(result.unreadable)
    for row in unread:
        assert row["prediction"] == row["probability"] == row["p:cats"] == row["p:dogs"] == ""
    assert result.statuses == {"ok": 11, OUT: 1, "unreadable": 2}
    assert sum(result.counts.values()) == 12


def test_below_the_confidence_there_is_no_prediction(classifier: Classifier, new_photos: Path, tmp_path: Path) -> None:
    predict_files(classifier, [new_photos], out=tmp_path / "all.csv")
    everything = [row for row in rows_in(tmp_path / "all.csv") if row["status"] in ("ok", OUT)]
    middle = float(np.median([float(row["probability"]) for row in everything]))
    result = predict_files(classifier, [new_photos], out=tmp_path / "sure.csv", min_confidence=middle)
    for before, row in zip(
        everything, [r for r in rows_in(tmp_path / "sure.csv") if r["status"] != "unreadable"], strict=True
    ):
        sure = float(before["probability"]) >= middle
        assert row["status"] == (before["status"] if sure else "unsure")
        assert row["prediction"] == (before["prediction"] if sure else "")
        assert row["probability"] == before["probability"]
    assert 0 < result.statuses["unsure"] < 12
    assert result.unreadable == ("text.jpg", "truncated.jpg")


@pytest.mark.parametrize("value", [-0.1, 1.1])
def test_a_confidence_that_is_no_probability_is_refused(classifier: Classifier, new_photos: Path, value: float) -> None:
    with pytest.raises(OptionError, match="from 0 to 1"):
        predict_files(classifier, [new_photos], min_confidence=value)


def test_many_images_go_through_in_pieces_with_the_same_file(
    classifier: Classifier, new_photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = predict_files(classifier, [new_photos], out=tmp_path / "whole.csv")
    monkeypatch.setattr(batch, "PIECE", 5)
    pieces = predict_files(classifier, [new_photos], out=tmp_path / "pieces.csv")
    assert (tmp_path / "pieces.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()
    assert pieces == whole


def test_the_rows_are_those_of_the_python_interface(classifier: Classifier, new_photos: Path, tmp_path: Path) -> None:
    predict_files(classifier, [new_photos], out=tmp_path / "out.csv")
    predictions = classifier.predict(new_photos)
    rows = rows_in(tmp_path / "out.csv")
    assert list(predictions.ids) == [row["path"] for row in rows]
    for row, probabilities, status in zip(rows, predictions.probabilities, predictions.status, strict=True):
        assert row["status"] == (OUT if row["ood"] else status)
        if status == "ok":
            assert [float(row["p:cats"]), float(row["p:dogs"])] == pytest.approx(probabilities.tolist(), abs=1e-6)


def test_an_image_by_itself_gets_what_it_gets_among_others(classifier: Classifier, new_photos: Path) -> None:
    together = classifier.predict(new_photos)
    for place in (0, 5, 11):
        alone = classifier.predict(new_photos / together.ids[place])
        assert alone.logits.tobytes() == together.logits[place].tobytes()
        assert alone.distance is not None
        assert together.distance is not None
        assert alone.distance.tobytes() == together.distance[place].tobytes()


def test_a_folder_in_the_place_of_the_file_is_refused_before_the_work(
    classifier: Classifier, new_photos: Path, tmp_path: Path
) -> None:
    with pytest.raises(OptionError, match=r"predictions\.csv"):
        predict_files(classifier, [new_photos], out=tmp_path)


def test_a_file_that_does_not_exist_is_refused_and_an_old_file_stays(classifier: Classifier, tmp_path: Path) -> None:
    before = "path,status,prediction,probability\n"
    (tmp_path / "out.csv").write_text(before)
    with pytest.raises(SourceError, match="does not exist"):
        predict_files(classifier, [tmp_path / "nothing.jpg"], out=tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_text() == before
