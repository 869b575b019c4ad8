"""Shards of WebDataset: labels beside the images, taken where they are proved, and asked for where they are not."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from goldenrule.core.errors import OptionError, SourceError
from goldenrule.data.sources.label_tables import from_source
from goldenrule.data.sources.shards import from_shards
from goldenrule.data.sources.streams import pictures_of

Shard = Callable[..., Path]
Beside = Mapping[str, Any]


@pytest.fixture
def shard(tmp_path: Path) -> Shard:
    """Write a shard: for each image what stands beside it, by the ending; a value that is no text becomes JSON."""

    def write(name: str, *samples: Beside, image: str = "jpg") -> Path:
        path = tmp_path / "shards" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with tarfile.open(path, "w") as archive:
            for number, beside in enumerate(samples):
                key = f"{path.stem}-{number:02d}"
                files = {f"{key}.{image}": f"GIF89a {key}".encode()}
                for ending, value in beside.items():
                    content = value if isinstance(value, bytes) else str(value).encode()
                    files[f"{key}.{ending}"] = json.dumps(value).encode() if ending == "json" else content
                for file, content in files.items():
                    member = tarfile.TarInfo(file)
                    member.size = len(content)
                    archive.addfile(member, io.BytesIO(content))
        return path

    return write


KINDS: dict[str, list[Beside]] = {
    "a number": [{"cls": 1}, {"cls": 0}, {"cls": "1\n"}],
    "a text": [{"cls": "dog"}, {"cls": "cat"}, {"cls": "dog"}],
    "JSON": [{"json": {"label": "dog"}}, {"json": {"label": "cat"}}, {"json": {"label": "dog", "w": 7}}],
    "JSON with cls": [{"json": {"cls": 1}}, {"json": {"cls": 0}}, {"json": {"cls": 1}}],
    "JSON alone": [{"json": "dog"}, {"json": "cat"}, {"json": "dog"}],
    "a class in a text": [{"txt": "dog"}, {"txt": "cat"}, {"txt": "dog"}, {"txt": "cat"}],
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_label_stands_beside_the_image(shard: Shard, kind: str) -> None:
    path = shard("a.tar", *KINDS[kind])
    table = from_source(path)
    assert len(table.classes) == 2
    assert table.targets.tolist() == [1, 0, 1, 0][: len(KINDS[kind])]
    assert table.uris[0] == "a-00.jpg"
    assert table.read("a-01.jpg") == b"GIF89a a-01"
    assert table.name == "a"
    assert from_shards(path).rows.equals(table.rows)


def test_several_labels_of_an_image_stand_in_a_list(shard: Shard) -> None:
    path = shard("a.tar", {"json": {"label": ["sea", "sky"]}}, {"json": {"label": ["sky"]}}, {"json": {"label": []}})
    table = from_source(path)
    assert table.task == "multi"
    assert table.truth.tolist() == [[1, 1], [0, 1], [-1, -1]]
    assert [one.code for one in table.findings] == ["label-empty"]


@pytest.mark.parametrize("given", ["shards", "shards/*.tar", "shards/t*.tar"])
def test_shards_are_a_folder_or_a_pattern_and_their_names_say_splits(shard: Shard, given: str, tmp_path: Path) -> None:
    shard("train-000000.tar", {"cls": "dog"}, {"cls": "cat"})
    shard("train-000001.tar", {"cls": "cat"})
    shard("test-000000.tar", {"cls": "dog"})
    table = from_source(tmp_path / given)
    assert table.root == tmp_path / "shards"
    assert table.name == "shards"
    assert dict(zip(table.uris, table.splits, strict=True)) == {
        "test-000000.tar/test-000000-00.jpg": "test",
        "train-000000.tar/train-000000-00.jpg": "train",
        "train-000000.tar/train-000000-01.jpg": "train",
        "train-000001.tar/train-000001-00.jpg": "train",
    }
    assert table.read("train-000001.tar/train-000001-00.jpg") == b"GIF89a train-000001-00"


def test_shards_that_say_no_split_have_none(shard: Shard, tmp_path: Path) -> None:
    shard("0.tar", {"cls": "dog"}, {"cls": "cat"})
    shard("test.tar", {"cls": "cat"})
    assert from_source(tmp_path / "shards").splits == [None] * 3


def test_a_shard_beside_train_that_says_nothing_is_asked_for(shard: Shard, tmp_path: Path) -> None:
    shard("train-0.tar", {"cls": "dog"}, {"cls": "cat"})
    shard("more.tar", {"cls": "cat"})
    with pytest.raises(SourceError, match=r"train-0\.tar says by its name that it trains, and more\.tar says nothing"):
        from_source(tmp_path / "shards")


def test_of_labels_that_say_the_same_the_names_are_taken_before_the_numbers(shard: Shard) -> None:
    path = shard("a.tar", *({"cls": number, "json": {"label": name}} for number, name in ((0, "cat"), (1, "dog"))))
    assert from_source(path).classes == ("cat", "dog")
    assert from_source(path, label="cls").classes == ("0", "1")


def test_labels_that_differ_are_asked_for(shard: Shard) -> None:
    path = shard("a.tar", {"cls": 0, "json": {"label": "cat", "mood": "sad"}}, {"cls": 0, "json": {"label": "dog"}})
    with pytest.raises(SourceError, match=r"several labels.*which differ.*label=cls \(1 different, such as 0\)"):
        from_source(path)
    assert from_source(path, label="label").classes == ("cat", "dog")
    assert from_source(path, label="mood").classes == ("sad",)
    with pytest.raises(OptionError, match=r"has no such labels, only cls, label"):
        from_source(path, label="colour")


def test_a_caption_is_no_class(shard: Shard) -> None:
    path = shard("a.tar", {"txt": "a dog at sea"}, {"txt": "a cat in a box"}, {"txt": "a cat in a box"})
    with pytest.raises(SourceError, match=r"'a dog at sea', may be captions and no classes.*label=txt"):
        from_source(path)
    assert len(from_source(path, label="txt").classes) == 2
    beside = shard(
        "b.tar", {"txt": "a dog at sea", "cls": 1}, {"txt": "a cat in a box", "cls": 0}, {"cls": 1, "txt": "x"}
    )
    assert from_source(beside).classes == ("0", "1")


def test_images_without_labels_are_no_guess(shard: Shard, tmp_path: Path) -> None:
    path = shard("a.tar", {}, {}, {"exif": "x"})
    for given in (path, tmp_path / "shards", tmp_path / "shards" / "*.tar"):
        with pytest.raises(SourceError, match=r"no class folders|no labels beside them: wanted key\.cls"):
            from_source(given)


def test_class_folders_and_other_labels_beside_are_asked_for(tmp_path: Path) -> None:
    def write(name: str, *labels: str) -> Path:
        path = tmp_path / name
        with tarfile.open(path, "w") as archive:
            for number, (folder, label) in enumerate(zip(("cats", "dogs", "cats", "dogs"), labels, strict=True)):
                for file, content in ((f"{number}.jpg", b"GIF89a"), (f"{number}.cls", label.encode())):
                    member = tarfile.TarInfo(f"{folder}/{file}")
                    member.size = len(content)
                    archive.addfile(member, io.BytesIO(content))
        return path

    assert from_source(write("same.tar", "0", "1", "0", "1")).classes == ("cats", "dogs")
    other = write("other.tar", "0", "0", "1", "1")
    with pytest.raises(SourceError, match=r"lie in class folders, and cls beside them says otherwise"):
        from_source(other)
    assert from_source(other, label="cls").classes == ("0", "1")
    assert from_source(other, labels_from="folder").classes == ("cats", "dogs")


def test_several_images_of_a_key_are_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w") as archive:
        for number in range(2):
            for ending in ("left.jpg", "right.jpg", "cls"):
                member = tarfile.TarInfo(f"{number}.{ending}")
                member.size = 1
                archive.addfile(member, io.BytesIO(str(number).encode()))
    with pytest.raises(SourceError, match=r"the key 0 has several images, left\.jpg and right\.jpg.*id=left\.jpg"):
        from_shards(path)
    assert from_shards(path, id="left.jpg").uris == ["0.left.jpg", "1.left.jpg"]


@pytest.mark.parametrize("damaged", [{"cls": b"\xff\xfe\x00"}, {"json": {"label": {"a": 1}}}])
def test_a_damaged_label_is_named_and_no_reason_to_stop(shard: Shard, damaged: Beside) -> None:
    good: list[Beside] = [
        {kind: (value if kind == "cls" else {"label": value})} for value in "abab" for kind in damaged
    ]
    table = from_source(shard("a.tar", *good, damaged))
    assert table.classes == ("a", "b")
    assert table.targets.tolist() == [0, 1, 0, 1, -1]
    (first, *_) = table.findings
    assert first.code == "sidecars-damaged"
    assert first.evidence[0].startswith("a-04.")


def test_what_is_excluded_of_shards_is_named(shard: Shard) -> None:
    path = shard("a.tar", {"cls": "dog"}, {"cls": "cat"}, {"cls": "dog"})
    table = from_source(path, exclude=("*-02*", "nothing"))
    assert table.uris == ["a-00.jpg", "a-01.jpg"]
    assert [one.code for one in table.findings] == ["excluded", "exclude-idle"]


def test_shards_are_predicted_by_a_folder_or_a_pattern(shard: Shard, tmp_path: Path) -> None:
    one, two = shard("0.tar", {"cls": 1}, {"cls": 0}), shard("1.tar", {"cls": 1})
    names = [f"{one}/0-00.jpg", f"{one}/0-01.jpg", f"{two}/1-00.jpg"]
    for given in ("shards", "shards/*.tar"):
        assert [picture.name for picture in pictures_of([tmp_path / given])] == names
