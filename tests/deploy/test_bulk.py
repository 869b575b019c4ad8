"""Files to a CSV of predictions: a row per image, whatever the image."""

from __future__ import annotations

import contextlib
import csv
import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from goldenrule.core.errors import OptionError, SourceError
from goldenrule.data.sources import streams
from goldenrule.deploy import bulk as batch
from goldenrule.deploy.bulk import RowRules, predict_files
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
        "reason",
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
    assert "not a picture in any known format; wanted" in unread[0]["reason"]
    assert "truncated" in unread[1]["reason"]
    assert result.statuses["unreadable"] == 2
    assert sum(result.statuses.values()) == 14
    assert sum(result.counts.values()) == 12


def test_below_the_confidence_there_is_no_prediction(classifier: Classifier, new_photos: Path, tmp_path: Path) -> None:
    predict_files(classifier, [new_photos], out=tmp_path / "all.csv")
    everything = [row for row in rows_in(tmp_path / "all.csv") if row["status"] in ("ok", OUT)]
    middle = float(np.median([float(row["probability"]) for row in everything]))
    result = predict_files(classifier, [new_photos], out=tmp_path / "sure.csv", rules=RowRules(min_confidence=middle))
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
        predict_files(classifier, [new_photos], rules=RowRules(min_confidence=value))


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
    frame = predictions.to_frame()
    assert set(frame.columns) == set(rows[0])
    assert frame["ood"].tolist() == [row["ood"] == "yes" for row in rows]
    assert [" | ".join(names) for names in frame["set"]] == [row["set"] for row in rows]
    assert frame["reason"].tolist() == [row["reason"] for row in rows]
    assert [one.reason for one in predictions] == [row["reason"] for row in rows]


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


# --- going on

KILLED = """
import sys, time
from pathlib import Path
from goldenrule.deploy import bulk
from goldenrule.models.classifier import Classifier

bulk.PIECE = 4
stream = Classifier.stream

def slowly(*arguments, **options):
    for block in stream(*arguments, **options):
        yield block
        time.sleep(0.05)

Classifier.stream = slowly
print("begun", flush=True)
bulk.predict_files(Classifier.load(sys.argv[1]), sys.argv[3:], out=Path(sys.argv[2]))
"""


def killed_and_gone_on(start: Any, fitted: Any, photos: Path, out: Path, moments: int) -> int:
    """Kill a prediction at random moments until it comes to its end; return how often it was killed."""
    rng, kills = np.random.default_rng(len(out.name)), 0
    while True:
        process = start("-c", KILLED, fitted.folder, out, photos)
        assert process.stdout.readline() == "begun\n"
        if kills < moments:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(rng.uniform(0.05, 0.6))
            process.kill()
        if process.wait() == 0:
            return kills
        assert kills < moments, process.stderr.read()
        kills += 1


@pytest.fixture
def many(small_photos: Path, tmp_path: Path) -> Path:
    shutil.copytree(small_photos, tmp_path / "many")
    return tmp_path / "many"


def assert_killed_is_only_paused(
    classifier: Classifier, start: Any, fitted: Any, many: Path, ending: str, moments: int
) -> None:
    out = many.parent / f"out{ending}"
    kills = killed_and_gone_on(start, fitted, many, out, moments)
    assert kills, "it was killed at least once"
    whole = many.parent / f"whole{ending}"
    predict_files(classifier, [many], out=whole)
    if ending == ".parquet":
        import pyarrow.parquet as pq

        assert pq.read_table(out).equals(pq.read_table(whole))
    else:
        assert out.read_bytes() == whole.read_bytes()
    assert not out.with_name(f".{out.name}.parts").exists()


def test_a_killed_prediction_goes_on_to_the_same_file(
    classifier: Classifier, start: Any, fitted: Any, many: Path
) -> None:
    assert_killed_is_only_paused(classifier, start, fitted, many, ".csv", 3)


@pytest.mark.exhaustive
@pytest.mark.parametrize("ending", [".csv", ".jsonl", ".parquet"])
def test_a_prediction_killed_at_twenty_moments_goes_on_to_the_same_file(
    classifier: Classifier, start: Any, fitted: Any, many: Path, ending: str
) -> None:
    assert_killed_is_only_paused(classifier, start, fitted, many, ending, 20)


def stopped_after(blocks: int, classifier: Classifier, monkeypatch: pytest.MonkeyPatch, *words: Any, out: Path) -> None:
    """Predict in small pieces, and stop after some of them, as Ctrl-C does."""
    original, count = batch._Parts.add, [0]

    def add(self: Any, *arguments: Any) -> None:
        original(self, *arguments)
        count[0] += 1
        if count[0] == blocks:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(batch._Parts, "add", add)
        with pytest.raises(KeyboardInterrupt):
            predict_files(classifier, list(words), out=out)


def test_rows_that_are_there_are_not_made_again(
    classifier: Classifier, many: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch, "PIECE", 4)
    whole = predict_files(classifier, [many], out=tmp_path / "whole.csv")
    stopped_after(3, classifier, monkeypatch, many, out=tmp_path / "out.csv")
    assert not (tmp_path / "out.csv").exists(), "a file is whole or not there"
    read: list[Path] = []
    original = streams.read_picture
    monkeypatch.setattr(streams, "read_picture", lambda path: read.append(path) or original(path))
    found = predict_files(classifier, [many], out=tmp_path / "out.csv")
    assert (found.went_on, len(read)) == (12, whole.images - 12)
    assert (tmp_path / "out.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()
    assert replace(found, went_on=0) == whole, "what is told is of all rows"


@pytest.mark.parametrize("change", ["more images", "another image", "other rules", "a damaged part"])
def test_what_has_changed_since_is_made_anew(
    classifier: Classifier, many: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    monkeypatch.setattr(batch, "PIECE", 4)
    stopped_after(3, classifier, monkeypatch, many, out=tmp_path / "out.csv")
    images, rules = sorted(many.rglob("*.jpg")), RowRules()
    if change == "more images":
        shutil.copy(images[-1], images[0].with_name("0.jpg"))
    elif change == "another image":
        shutil.copy(images[-1], images[0])
    elif change == "other rules":
        rules = RowRules(top=2)
    else:
        part = tmp_path / ".out.csv.parts" / "part-000001"
        part.write_bytes(part.read_bytes()[:-5])
    found = predict_files(classifier, [many], out=tmp_path / "out.csv", rules=rules)
    assert found.went_on == (4 if change == "a damaged part" else 0)
    predict_files(classifier, [many], out=tmp_path / "whole.csv", rules=rules)
    assert (tmp_path / "out.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()


def test_parts_of_somebody_else_are_not_touched(classifier: Classifier, many: Path, tmp_path: Path) -> None:
    (tmp_path / ".out.csv.parts").mkdir()
    (tmp_path / ".out.csv.parts" / "thesis.txt").write_text("mine")
    with pytest.raises(OptionError, match=r"thesis\.txt"):
        predict_files(classifier, [many], out=tmp_path / "out.csv")
    assert (tmp_path / ".out.csv.parts" / "thesis.txt").read_text() == "mine"


def test_all_formats_hold_the_same_rows(classifier: Classifier, new_photos: Path, tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    for ending in (".csv", ".jsonl", ".parquet"):
        predict_files(classifier, [new_photos], out=tmp_path / f"out{ending}", rules=RowRules(top=2))
    rows = rows_in(tmp_path / "out.csv")
    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    table = pq.read_table(tmp_path / "out.parquet").to_pylist()
    for row, line, record in zip(rows, lines, table, strict=True):
        for name in ("path", "status", "prediction", "class_1", "class_2"):
            assert row[name] == line[name] == record[name]
        for name in ("probability", "distance", "probability_1", "probability_2"):
            number = float(row[name]) if row[name] else None
            assert line[name] == number
            assert record[name] == (pytest.approx(number) if number is not None else None)
        chosen = {name: float(row[f"p:{name}"]) for name in classifier.classes if row[f"p:{name}"]}
        assert (line["probabilities"] or {}) == chosen
        assert row["set"] == " | ".join(line["set"])
        assert line["ood"] == record["ood"] == (row["ood"] == "yes")
        assert line.get("reason", "") == (record["reason"] or "") == row["reason"]
        assert ("reason" in line) == (row["status"] == "unreadable")


def test_a_format_that_there_is_not_is_said(classifier: Classifier, new_photos: Path, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"\.csv, \.jsonl, \.parquet"):
        predict_files(classifier, [new_photos], out=tmp_path / "out.xlsx")


def test_rows_go_into_a_pipe_as_they_come(process: Any, fitted: Any, new_photos: Path, tmp_path: Path) -> None:
    done = process("predict", fitted.folder, new_photos, "-o", "-")
    assert done.returncode == 0, done.stderr
    predict_files(Classifier.load(fitted.folder), [new_photos], out=tmp_path / "out.csv")
    assert done.stdout == (tmp_path / "out.csv").read_text()


def test_photos_of_another_kind_are_a_finding(classifier: Classifier, many: Path, tmp_path: Path) -> None:
    from PIL import Image

    for number in range(30):
        Image.effect_noise((80, 80), 20 + number).convert("RGB").save(tmp_path / "many" / f"noise{number}.png")
    (tmp_path / "noise").mkdir()
    for path in (tmp_path / "many").glob("noise*.png"):
        path.rename(tmp_path / "noise" / path.name)
    assert "drift" in {finding.code for finding in predict_files(classifier, [tmp_path / "noise"]).findings}
    assert "drift" not in {finding.code for finding in predict_files(classifier, [many / "test"]).findings}
