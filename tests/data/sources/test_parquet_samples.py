"""Images in Parquet files, as Hugging Face's `datasets` writes them, and as others do."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from goldenrule.core.errors import OptionError, SourceError
from goldenrule.data.containers import in_parquet
from goldenrule.data.sources.folders import from_folder
from goldenrule.data.sources.label_tables import from_source
from goldenrule.data.sources.streams import pictures_of
from goldenrule.data.table_file import table_content, table_of

Write = Callable[..., Path]
BYTES = [f"GIF89a {number}".encode() for number in range(7)]


@pytest.fixture
def hugging_face(tmp_path: Path) -> Write:
    """Write a data set of pictures by `datasets`, with two rows in a group."""

    def write(name: str, labels: list[Any], kind: Any = None, names: tuple[str, ...] = ("cat", "dog")) -> Path:
        features = datasets.Features({"image": datasets.Image(), "label": kind or datasets.ClassLabel(names=[*names])})
        images = [{"bytes": one, "path": f"x/{at}.jpg"} for at, one in zip(range(len(labels)), BYTES, strict=False)]
        path = tmp_path / "data" / name
        path.parent.mkdir(exist_ok=True)
        made = datasets.Dataset.from_dict({"image": images, "label": labels}, features=features)
        made.to_parquet(path, batch_size=2)
        return path

    return write


def test_images_and_class_names_of_hugging_face_are_read(hugging_face: Write) -> None:
    path = hugging_face("a.parquet", [1, 0, 1, -1, None])
    table = from_source(path)
    assert table.classes == ("cat", "dog")
    assert table.targets.tolist() == [1, 0, 1, -1, -1]
    assert table.uris[:2] == ["image/0000000-0.jpg", "image/0000001-1.jpg"]
    assert [table.read(uri) for uri in table.uris] == BYTES[:5]
    with table.open(table.uris[4]) as file:
        assert file.read() == BYTES[4]
    assert table.name == "a"
    assert [one.code for one in table.findings] == ["label-empty"]


@pytest.mark.parametrize("given", ["data", "data/*.parquet"])
def test_files_are_a_folder_or_a_pattern_and_their_names_say_splits(
    hugging_face: Write, given: str, tmp_path: Path
) -> None:
    hugging_face("train-00000-of-00002.parquet", [0, 1])
    hugging_face("train-00001-of-00002.parquet", [1, 0, 1], names=("dog", "cat"))
    hugging_face("validation-00000-of-00001.parquet", [0])
    table = from_source(tmp_path / given)
    assert table.splits == ["train"] * 5 + ["valid"]
    assert [table.classes[label] for label in table.targets] == ["cat", "dog", "cat", "dog", "cat", "cat"]
    assert table.read("train-00001-of-00002.parquet/image/0000002-2.jpg") == BYTES[2]


def test_several_labels_of_an_image_are_a_list(hugging_face: Write) -> None:
    kinds = datasets.Sequence(datasets.ClassLabel(names=["sea", "sky"]))
    table = from_source(hugging_face("a.parquet", [[0, 1], [1], []], kind=kinds))
    assert table.task == "multi"
    assert table.truth.tolist() == [[1, 1], [0, 1], [-1, -1]]


PLAIN = {
    "binary and names": {"picture": pa.array(BYTES[:4]), "label": pa.array(["a", "b", "a", "b"])},
    "large binary and numbers": {
        "x": pa.array(BYTES[:4], pa.large_binary()),
        "category": pa.array([0, 1, 0, 1], pa.int8()),
        "score": pa.array([0.5] * 4),
    },
    "a dictionary": {"x": pa.array(BYTES[:4]), "species": pa.array(["a", "b", "a", "b"]).dictionary_encode()},
    "a struct without paths": {
        "img": pa.array([{"bytes": one} for one in BYTES[:4]]),
        "label": pa.array(["a", "b", "a", "b"]),
    },
}


@pytest.mark.parametrize("kind", PLAIN)
def test_plain_columns_of_bytes_are_read(kind: str, tmp_path: Path) -> None:
    pq.write_table(pa.table(PLAIN[kind]), tmp_path / "a.parquet", row_group_size=3)
    table = from_source(tmp_path / "a.parquet")
    assert table.targets.tolist() == [0, 1, 0, 1]
    assert [table.read(uri) for uri in table.uris] == BYTES[:4]


def test_a_column_is_asked_for_where_several_could_be_meant(tmp_path: Path) -> None:
    columns = {"front": pa.array(BYTES[:3]), "back/side": pa.array(BYTES[3:6]), "tags": pa.array(["a", "b", "b"])}
    pq.write_table(pa.table({**columns, "species": pa.array(["x", "x", "y"])}), path := tmp_path / "a.parquet")
    with pytest.raises(SourceError, match=r"the columns front, back/side hold bytes.*id=front"):
        from_source(path)
    with pytest.raises(SourceError, match=r"several labels.*which differ.*label=tags.*label=species"):
        from_source(path, id="front")
    table = from_source(path, id="back/side", label="species")
    assert table.targets.tolist() == [0, 0, 1]
    assert [table.read(uri) for uri in table.uris] == BYTES[3:6]
    with pytest.raises(OptionError, match=r"has no such column of bytes, only front, back/side"):
        from_source(path, id="tags")
    with pytest.raises(OptionError, match=r"label=colour: .* has no such column"):
        from_source(path, id="front", label="colour")
    with pytest.raises(OptionError, match=r"label=back/side: .* has binary there"):
        from_source(path, id="front", label="back/side")


def test_a_row_without_bytes_is_unreadable_and_its_path_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "secret.jpg").write_bytes(b"elsewhere")
    rows = [{"bytes": BYTES[0], "path": None}, {"bytes": None, "path": str(tmp_path / "secret.jpg")}, None]
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"image": pa.array(rows, kind), "label": pa.array(["a", "b", "b"])}), path)
    table = from_source(path)
    assert table.read(table.uris[0]) == BYTES[0]
    for uri in table.uris[1:]:
        with pytest.raises(OSError, match="holds no bytes"):
            table.read(uri)


def test_one_row_group_is_read_at_a_time_and_once_for_all_of_its_rows(
    hugging_face: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = from_source(hugging_face("a.parquet", [0, 1, 0, 1, 0, 1, 0]))
    reads: list[int] = []
    read = in_parquet.ParquetMembers._read
    monkeypatch.setattr(
        in_parquet.ParquetMembers,
        "_read",
        lambda self, file, group, column: reads.append(group) or read(self, file, group, column),
    )
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(table.read, table.uris)) == BYTES
    assert sorted(reads) == [0, 1, 2, 3]
    monkeypatch.setattr(in_parquet, "KEPT_BYTES", 1)
    monkeypatch.setattr(in_parquet, "_kept", OrderedDict())
    assert [table.read(uri) for uri in reversed(table.uris)] == BYTES[::-1]
    assert len(in_parquet._kept) == 1


def test_a_row_group_that_is_too_large_says_what_to_do(hugging_face: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    from goldenrule.data.sources import parquet_samples

    path = hugging_face("a.parquet", [0, 1])
    monkeypatch.setattr(parquet_samples, "LARGEST_GROUP_BYTES", 10)
    with pytest.raises(SourceError, match=r"a row group holds .* Write the file anew.*row_group_size=100"):
        from_source(path)


def test_a_run_finds_its_rows_again(hugging_face: Write, tmp_path: Path) -> None:
    table = from_source(hugging_face("a.parquet", [0, 1, 0]))
    again = table_of(table_content(table), tmp_path / "images.arrow")
    assert again.is_there
    assert [again.read(uri) for uri in again.uris] == BYTES[:3]


def test_rows_are_predicted(hugging_face: Write) -> None:
    path = hugging_face("a.parquet", [0, 1, 0])
    assert [(picture.name, picture.read()) for picture in pictures_of([path])] == [
        (f"image/{row:07d}-{row}.jpg", BYTES[row]) for row in range(3)
    ]


def test_what_is_no_such_file_says_so(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_bytes(b"PAR1 no more")
    with pytest.raises(SourceError, match=r"a\.parquet is no Parquet file that can be read"):
        from_source(tmp_path / "a.parquet")
    pq.write_table(pa.table({"path": ["1.jpg"], "label": ["a"]}), tmp_path / "b.parquet")
    with pytest.raises(SourceError, match=r"b\.parquet has no column with the bytes of images, only path, label"):
        from_source(tmp_path / "b.parquet")
    with pytest.raises(SourceError, match=r"holds rows and no folders.*gr\.from_shards"):
        from_folder(tmp_path / "b.parquet")
    pq.write_table(pa.table({"image": pa.array(BYTES)}), tmp_path / "c.parquet")
    with pytest.raises(SourceError, match=r"no labels beside them"):
        from_source(tmp_path / "c.parquet")
