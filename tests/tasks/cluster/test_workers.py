"""What a worker makes of a block of files: to the bit what this process makes of them, in this process."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from goldenrule.core.errors import ClusterError, OptionError
from goldenrule.core.schema import as_json
from goldenrule.data.augmentation.augment import views
from goldenrule.data.augmentation.presets import side_on
from goldenrule.data.pictures.file_digests import with_digests
from goldenrule.data.sources.folders import from_folder
from goldenrule.data.sources.streams import pictures_of
from goldenrule.data.table import ImageTable
from goldenrule.features.extractor import FeatureExtractor
from goldenrule.metrics.predictions_csv import rows_of
from goldenrule.models.backbone import backbone
from goldenrule.models.classifier import Classifier
from goldenrule.tasks.cluster import picture_worker
from goldenrule.tasks.cluster.picture_worker import PictureWorker, predictions_on
from goldenrule.tasks.cluster.row_worker import ClusterRows, RowWorker

THREE_VIEWS = views(side_on(max_zoom=1.1), 2)


class OneProcess:
    """A cluster of one worker that lives here, and gets `size` images at a time."""

    where = "here"

    def __init__(self, size: int) -> None:
        self.size, self.blocks = size, 0

    def stream(
        self, table: Any, worker: type, told: Mapping[str, Any], *, files: Sequence[bytes], in_order: bool
    ) -> Iterator[Any]:
        assert all(Path(os.fsdecode(file)).is_absolute() for file in files)
        made = worker(**told, threads=1)
        for start in range(0, len(table), self.size):
            yield None
            self.blocks += 1
            yield made(table.slice(start, self.size))


@pytest.fixture
def folder(small_photos: Path, tmp_path: Path) -> Path:
    """Forty photos, two of them with the same bytes, a text that calls itself one, and a truncated one."""
    photos = tmp_path / "photos"
    shutil.copytree(small_photos / "train", photos)
    first, second = sorted((photos / "cats").iterdir())[:2]
    shutil.copy(first, photos / "cats" / "copy.jpg")
    (photos / "dogs" / "text.jpg").write_text("no picture")
    (photos / "dogs" / "half.jpg").write_bytes(second.read_bytes()[:3000])
    return photos


def features(table: ImageTable, cluster: Any = None) -> Any:
    elsewhere = ClusterRows(cluster) if cluster else None
    extractor = FeatureExtractor.of(backbone(), threads=2, elsewhere=elsewhere)
    return extractor.features(table, views=THREE_VIEWS, augmented=np.arange(len(table)) % 2 == 0)


def test_rows_of_a_worker_are_those_of_this_process_to_the_bit(
    folder: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = with_digests(from_folder(folder))
    here = features(table)
    rows = [
        here.rows([digest for digest in table.digests if digest in bank], view) for view, bank in enumerate(here.caches)
    ]
    shutil.rmtree(cache / "banks")
    monkeypatch.setenv("GOLDENRULE_CACHE", str(cache))
    cluster = OneProcess(16)
    there = features(table, cluster)
    assert cluster.blocks == 3
    assert (there.computed, there.reused, there.failures) == (here.computed, here.reused, here.failures)
    assert {*there.failures} == {"dogs/half.jpg", "dogs/text.jpg"}
    for view, bank in enumerate(there.caches):
        digests = [digest for digest in table.digests if digest in bank]
        assert there.rows(digests, view).tobytes() == rows[view].tobytes()
    assert features(table, OneProcess(16)).computed == (0, 0, 0)


@pytest.mark.usefixtures("cache")
def test_a_worker_whose_engine_is_not_that_of_the_key_computes_nothing() -> None:
    network = backbone()
    kind = FeatureExtractor.of(network).kind
    told = {"folder": str(network.folder), "views": [], "threads": 1, "cache": os.environ["GOLDENRULE_CACHE"]}
    with pytest.raises(OptionError, match=r"wanted openvino 0\.0"):
        RowWorker(backbone=as_json(network.spec), kind=as_json(replace(kind, version="0.0")), **told)


@pytest.fixture
def classifier(fitted: Any, monkeypatch: pytest.MonkeyPatch) -> Classifier:
    monkeypatch.setenv("GOLDENRULE_CACHE", str(fitted.folder.parent / "cache"))
    return Classifier.load(fitted.folder)


def test_predictions_of_a_worker_are_those_of_this_process_to_the_bit(classifier: Classifier, folder: Path) -> None:
    pictures = pictures_of([folder])
    here = list(classifier.stream((one.name, one.read) for one in pictures))
    there = list(predictions_on(OneProcess(16), classifier, pictures_of([folder]), rows=32))  # type: ignore[arg-type]
    assert [len(block.ids) for block in there] == [32, 11]
    assert [name for block in there for name in block.ids] == list(here[0].ids)
    for name in ("logits", "distance", "status"):
        values = np.concatenate([getattr(block, name) for block in there])
        assert values.tobytes() == getattr(here[0], name).astype(values.dtype).tobytes(), name
    assert [row["reason"] for block in there for row in rows_of(block, reasons=True)] == [
        row["reason"] for row in rows_of(here[0], reasons=True)
    ]


def test_what_has_come_is_given_on_after_some_seconds(
    classifier: Classifier, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(picture_worker, "LONGEST_SECONDS", 0.0)
    blocks = list(predictions_on(OneProcess(16), classifier, pictures_of([folder]), rows=2048))  # type: ignore[arg-type]
    assert [len(block.ids) for block in blocks] == [16, 16, 11]


def test_a_worker_that_would_predict_with_another_engine_predicts_nothing(classifier: Classifier) -> None:
    other = as_json(replace(classifier.engine, version="0.0"))
    with pytest.raises(ClusterError, match="nothing was predicted"):
        PictureWorker(
            cache=os.environ["GOLDENRULE_CACHE"], folder=str(classifier.folder), kind=other, of=100, threads=1
        )


def test_pictures_in_an_archive_are_refused_before_the_work(classifier: Classifier, folder: Path) -> None:
    packed = shutil.make_archive(str(folder.parent / "packed"), "zip", folder)
    with pytest.raises(OptionError, match="lies in an archive"):
        list(predictions_on(OneProcess(16), classifier, pictures_of([packed]), rows=32))  # type: ignore[arg-type]
