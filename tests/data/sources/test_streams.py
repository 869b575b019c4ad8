"""Pictures one after another: whatever holds them, the same pictures in the same order."""

from __future__ import annotations

import io
import json
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from goldenrule.core.errors import SourceError
from goldenrule.data.sources import streams
from goldenrule.data.sources.streams import pictures_of

CONTENTS = {"a/1.jpg": b"one", "a/2.png": b"two", "b/3.JPG": b"three"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, content in CONTENTS.items():
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    (tmp_path / "photos" / "notes.txt").write_text("not a picture")
    return tmp_path / "photos"


def tarred(folder: Path, mode: str) -> Path:
    path = folder.parent / {"w": "s.tar", "w:gz": "s.tar.gz", "w:xz": "s.txz"}[mode]
    with tarfile.open(path, mode) as archive:
        for file in sorted(folder.rglob("*")):
            archive.add(file, file.relative_to(folder).as_posix(), recursive=False)
    return path


def zipped(folder: Path) -> Path:
    path = folder.parent / "s.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(folder.rglob("*")):
            archive.write(file, file.relative_to(folder).as_posix())
    return path


def listed(folder: Path) -> Path:
    path = folder.parent / "s.txt"
    path.write_text("".join(f"{folder / name}\n" for name in CONTENTS))
    return path


def in_csv(folder: Path) -> Path:
    path = folder.parent / "s.csv"
    path.write_text("id,file\n" + "".join(f"7,photos/{name}\n" for name in CONTENTS))
    return path


def in_csv_with_semicolons(folder: Path) -> Path:
    path = folder.parent / "s2.csv"
    path.write_text("bild;klasse\n" + "".join(f"{folder / name};x\n" for name in CONTENTS))
    return path


def in_json_lines(folder: Path) -> Path:
    path = folder.parent / "s.jsonl"
    path.write_text("".join(json.dumps({"n": 1, "image": f"photos/{name}"}) + "\n" for name in CONTENTS))
    return path


HOLDERS: dict[str, Callable[[Path], object]] = {
    "a folder": lambda folder: folder,
    "a pattern": lambda folder: f"{folder}/*/*",
    "tar": lambda folder: tarred(folder, "w"),
    "tar.gz": lambda folder: tarred(folder, "w:gz"),
    "txz": lambda folder: tarred(folder, "w:xz"),
    "zip": zipped,
    "a list": listed,
    "CSV": in_csv,
    "CSV with semicolons": in_csv_with_semicolons,
    "JSON lines": in_json_lines,
}


@pytest.mark.parametrize("holder", sorted(HOLDERS))
def test_whatever_holds_them_the_same_pictures_come_in_the_same_order_twice(folder: Path, holder: str) -> None:
    pictures = pictures_of([str(HOLDERS[holder](folder))])
    for _ in range(2):
        found = {one.name: one.read() for one in pictures}
        assert [name[-len("a/1.jpg") :] for name in found] == list(CONTENTS)
        assert list(found.values()) == list(CONTENTS.values())


def test_the_list_on_standard_input_comes_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(listed(folder).read_text()))
    pictures = pictures_of(["-"])
    assert [one.read() for one in pictures] == list(CONTENTS.values())
    assert not pictures.again
    assert pictures.total is None


def test_names_of_several_archives_begin_with_them(folder: Path) -> None:
    first, second = tarred(folder, "w"), zipped(folder)
    names = [one.name for one in pictures_of([first, second])]
    assert names == [*(f"{first}/{name}" for name in CONTENTS), *(f"{second}/{name}" for name in CONTENTS)]


def test_what_is_no_picture_is_left_out_and_counted(folder: Path) -> None:
    for archive in (tarred(folder, "w"), zipped(folder)):
        pictures = pictures_of([archive])
        list(pictures)
        assert [(one.code, one.fields["n"]) for one in pictures.findings] == [("archive-others", 1)]


@pytest.mark.parametrize("make", [lambda folder: tarred(folder, "w"), lambda folder: tarred(folder, "w:gz"), zipped])
def test_a_damaged_archive_gives_what_can_be_read_and_says_so(folder: Path, make: Callable[[Path], Path]) -> None:
    archive = make(folder)
    content = archive.read_bytes()
    archive.write_bytes(content[: len(content) // 3])
    pictures = pictures_of([archive])
    for one in pictures:
        try:
            assert one.read() in CONTENTS.values()
        except OSError:
            continue
    assert "archive-damaged" in {one.code for one in pictures.findings}


def test_a_packed_picture_that_is_too_large_is_not_unpacked(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "LARGEST_PICTURE_BYTES", 4)
    for archive in (tarred(folder, "w"), tarred(folder, "w:gz"), zipped(folder)):
        *small, large = pictures_of([archive])
        assert [one.read() for one in small] == [b"one", b"two"]
        with pytest.raises(OSError, match="too large"):
            large.read()


def test_links_in_an_archive_are_no_pictures(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "s.tar", "w") as archive:
        link = tarfile.TarInfo("a.jpg")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    assert list(pictures_of([tmp_path / "s.tar"])) == []


def test_one_file_of_a_list_that_is_gone_has_its_row_and_none_is_an_error(folder: Path, tmp_path: Path) -> None:
    path = listed(folder)
    path.write_text(f"{path.read_text()}gone.jpg\n")
    *_, last = pictures_of([path])
    with pytest.raises(OSError, match="No such file"):
        last.read()
    path.write_text("gone.jpg\nalso.jpg\n")
    with pytest.raises(SourceError, match="none of its lines is a file"):
        list(pictures_of([path]))
    (tmp_path / "t.csv").write_text("a,b\n1,2\n")
    with pytest.raises(SourceError, match="no column of paths"):
        list(pictures_of([tmp_path / "t.csv"]))


@pytest.mark.parametrize("word", ["nowhere", "nowhere/*.jpg"])
def test_what_is_not_there_is_an_error_before_anything_is_read(word: str) -> None:
    with pytest.raises(SourceError):
        pictures_of([word])
