"""Labelled images in an archive: the same table as of the folder that was packed."""

from __future__ import annotations

import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from goldenrule.core.errors import SourceError
from goldenrule.data.sources.archive_listing import whole_of
from goldenrule.data.sources.label_tables import from_csv, from_source
from goldenrule.data.sources.listing import listing

Make = Callable[..., Path]
GIF = b"GIF89a"
LAYOUTS = {
    "classes": ["cats/1.jpg", "cats/deep/2.jpg", "dogs/1.jpg"],
    "splits": ["train/cats/1.jpg", "train/dogs/1.jpg", "val/cats/1.jpg", "val/dogs/2.jpg", "test/9.jpg"],
    "train alone": ["train/cats/1.jpg", "train/dogs/1.jpg"],
    "what systems leave": ["cats/1.jpg", "cats/._1.jpg", "dogs/1.jpg", "__MACOSX/cats/1.jpg", "dogs/Thumbs.db"],
    "other files": ["cats/1.jpg", "dogs/1.jpg", "dogs/notes.txt", "cats/1.jpg_large", "birds/film.mp4", "README.md"],
    "a flat folder beside": ["cats/1.jpg", "dogs/1.jpg", "3.jpg"],
}


@pytest.fixture
def folder(tmp_path: Path) -> Make:
    def make(names: list[str], name: str = "photos", **texts: str) -> Path:
        for one in names:
            path = tmp_path / name / one
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(GIF + one.encode())
        for one, text in texts.items():
            (tmp_path / name / f"{one}.csv").write_text(text)
        return tmp_path / name

    return make


def packed(folder: Path, kind: str, *, within: str = "") -> Path:
    archive = folder.with_name(f"{folder.name}.{kind}")
    every = [(path, f"{within}{path.relative_to(folder).as_posix()}") for path in sorted(folder.rglob("*"))]
    if kind == "tar":
        with tarfile.open(archive, "w") as tar:
            for path, name in every:
                tar.add(path, name, recursive=False)
    else:
        with zipfile.ZipFile(archive, "w") as made:
            for path, name in every:
                made.write(path, name)
    return archive


@pytest.mark.parametrize("within", ["", "photos/", "a/b/c/"])
@pytest.mark.parametrize("kind", ["tar", "zip"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_an_archive_gives_the_table_of_its_folder(folder: Make, layout: str, kind: str, within: str) -> None:
    root = folder(LAYOUTS[layout])
    known, found = from_source(root), from_source(packed(root, kind, within=within))
    assert found.rows.equals(known.rows)
    assert found.classes == known.classes
    assert list(map(str, found.findings)) == list(map(str, known.findings))
    assert [found.read(uri) for uri in found.uris] == [known.read(uri) for uri in known.uris]
    with found.open(found.uris[0]) as file:
        assert file.read() == known.read(known.uris[0])
    assert found.name == (within.rstrip("/").rpartition("/")[2] or "photos")
    assert found.is_there


@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_a_table_in_an_archive_or_beside_it_says_the_labels(folder: Make, kind: str) -> None:
    lines = "file,species\n1.jpg,cat\n2.jpg,dog\n3.jpg,cat\n"
    root = folder(["images/1.jpg", "images/2.jpg", "images/3.jpg"], labels=lines)
    archive, known = packed(root, kind), from_source(root)
    assert from_source(archive).rows.equals(known.rows)
    beside = from_csv(root / "labels.csv", images=archive)
    assert beside.rows.equals(known.rows)
    inside = from_csv(archive / "labels.csv", images=archive)
    assert inside.rows.equals(known.rows)


def test_metadata_of_hugging_face_in_an_archive_says_the_labels(folder: Make, tmp_path: Path) -> None:
    root = folder([f"{split}/{name}" for split in ("train", "test") for name in ("1.jpg", "2.jpg")])
    for split in ("train", "test"):
        (root / split / "metadata.csv").write_text("file_name,label\n1.jpg,cat\n2.jpg,dog\n")
    assert from_source(packed(root, "zip")).rows.equals(from_source(root).rows)


@pytest.mark.parametrize("exclude", [("deep",), ("*.png",), ("cats/1.jpg",), ("nothing",)])
def test_what_is_excluded_of_a_folder_is_excluded_of_its_archive(folder: Make, exclude: tuple[str, ...]) -> None:
    root = folder(["cats/1.jpg", "cats/deep/2.jpg", "dogs/1.jpg", "dogs/2.png", "dogs/3.jpg"])
    known, found = from_source(root, exclude=exclude), from_source(packed(root, "zip"), exclude=exclude)
    assert found.rows.equals(known.rows)
    assert [one.code for one in found.findings] == [one.code for one in known.findings]


def test_the_class_folders_may_lie_anywhere_in_an_archive(folder: Make) -> None:
    archive = packed(
        folder(["sets/a/cats/1.jpg", "sets/a/dogs/1.jpg", "sets/b/cats/2.jpg", "sets/b/pigs/2.jpg"]), "tar"
    )
    assert from_source(archive / "sets" / "b").classes == ("cats", "pigs")


@pytest.mark.parametrize(
    ("names", "whole"),
    [
        (["photos/cats/1.jpg", "photos/dogs/1.jpg"], "photos"),
        (["photos/cats/1.jpg", "photos/dogs/1.jpg", "README.md", "__MACOSX/photos/cats/._1.jpg"], "photos"),
        (["photos/cats/1.jpg", "photos/dogs/1.jpg", "3.jpg"], ""),
        (["photos/cats/1.jpg", "photos/dogs/1.jpg", "labels.csv"], ""),
        (["train/cats/1.jpg", "train/dogs/1.jpg"], ""),
        (["images/1.jpg", "images/2.jpg"], ""),
        (["a/train/cats/1.jpg", "a/train/dogs/1.jpg"], "a"),
    ],
)
def test_the_folder_that_holds_everything_is_found(folder: Make, names: list[str], whole: str) -> None:
    archive = packed(folder(names), "zip")
    assert whole_of(archive) == archive / whole


def test_a_packed_tar_is_refused_with_what_to_do(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "photos.tar.gz", "w:gz"):
        pass
    with pytest.raises(SourceError, match=r"photos\.tar\.gz is packed as a whole.*gunzip.* make .*photos\.tar"):
        from_source(tmp_path / "photos.tar.gz")


def test_a_damaged_archive_and_hostile_names_are_findings_of_the_table(folder: Make, tmp_path: Path) -> None:
    root = folder([f"{label}/{number}.jpg" for label in ("cats", "dogs") for number in range(9)])
    archive = packed(root, "zip")
    with zipfile.ZipFile(archive, "a") as more:
        more.writestr("../../out.jpg", GIF)
    found = from_source(archive)
    assert [one.code for one in found.findings] == ["archive-refused"]
    assert len(found) == 18
    assert not (tmp_path.parent / "out.jpg").exists()
    cut = packed(root, "tar")
    cut.write_bytes(cut.read_bytes()[:15_000])
    assert "archive-damaged" in [one.code for one in from_source(cut).findings]


def test_nothing_of_an_archive_is_written_to_the_disk(folder: Make, tmp_path: Path) -> None:
    archive = packed(folder(["cats/1.jpg", "dogs/1.jpg"]), "zip").rename(tmp_path / "alone.zip")
    before = listing(tmp_path)
    table = from_source(archive)
    assert [table.read(uri) for uri in table.uris]
    assert listing(tmp_path) == before
