"""Files in archives by their paths: the same bytes as unpacked, whoever reads, and whatever an archive claims."""

from __future__ import annotations

import io
import os
import tarfile
import threading
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goldenrule.core.errors import SourceError
from goldenrule.data.containers import inside
from goldenrule.data.containers.inside import contents_of, is_file, is_folder, open_file, read_file, stamp_of

FILES = {"cats/1.jpg": b"one", "cats/deep/2.png": b"two" * 1000, "dogs/ü 3.jpg": b"", "labels.csv": b"id,label\n"}
MANY = 1 << 30
Pack = Callable[[Path, dict[str, bytes]], Path]


def in_tar(path: Path, files: dict[str, bytes], *, format: int = tarfile.PAX_FORMAT) -> Path:  # noqa: A002
    with tarfile.open(path, "w", format=format) as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def in_zip(path: Path, files: dict[str, bytes], *, method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


PACKERS: dict[str, Callable[[Path], Path]] = {
    "tar": lambda folder: in_tar(folder / "a.tar", FILES),
    "GNU tar": lambda folder: in_tar(folder / "a.tar", FILES, format=tarfile.GNU_FORMAT),
    "zip": lambda folder: in_zip(folder / "a.ZIP", FILES),
    "stored zip": lambda folder: in_zip(folder / "a.zip", FILES, method=zipfile.ZIP_STORED),
    "bzip2 zip": lambda folder: in_zip(folder / "a.zip", FILES, method=zipfile.ZIP_BZIP2),
}


@pytest.mark.parametrize("kind", PACKERS)
def test_a_path_goes_on_into_an_archive(kind: str, tmp_path: Path) -> None:
    archive = PACKERS[kind](tmp_path)
    for name, content in FILES.items():
        assert read_file(archive / name, most_bytes=MANY) == content
        with open_file(archive / name, most_bytes=MANY) as file:
            assert file.read() == content
        assert is_file(archive / name)
        assert not is_folder(archive / name)
    assert is_folder(archive)
    assert is_folder(archive / "cats" / "deep")
    assert not is_folder(archive / "birds")
    for missing in ("cats", "cats/2.jpg", "../a.tar", "labels.csv/x"):
        with pytest.raises(OSError, match=r"No such file|Not a directory|Is a directory"):
            read_file(archive / missing, most_bytes=MANY)


@pytest.mark.parametrize("kind", PACKERS)
def test_a_file_that_is_too_large_is_refused_before_it_is_read(kind: str, tmp_path: Path) -> None:
    with pytest.raises(OSError, match="too large"):
        read_file(PACKERS[kind](tmp_path) / "cats/deep/2.png", most_bytes=2_999)


@given(files=st.dictionaries(st.from_regex(r"\A[a-z]{1,2}(/[a-z]{1,2}){0,2}\.jpg\Z"), st.binary(max_size=50)))
def test_what_is_packed_comes_back(files: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("packed")
    for archive in (in_tar(folder / "a.tar", files), in_zip(folder / "a.zip", files)):
        assert set(contents_of(archive).files) == files.keys()
        assert {name: read_file(archive / name, most_bytes=MANY) for name in files} == files


def test_threads_read_one_archive_at_once(tmp_path: Path) -> None:
    files = {f"{number}.jpg": os.urandom(5_000) for number in range(200)}
    for archive in (in_tar(tmp_path / "a.tar", files), in_zip(tmp_path / "a.zip", files)):
        together = threading.Barrier(8)

        def first_together(name: str, archive: Path = archive, together: threading.Barrier = together) -> bytes:
            if int(name.partition(".")[0]) < 8:
                together.wait(10)
            return read_file(archive / name, most_bytes=MANY)

        with ThreadPoolExecutor(8) as pool:
            assert dict(zip(files, pool.map(first_together, files), strict=True)) == files


def test_an_archive_that_was_changed_is_indexed_anew(tmp_path: Path) -> None:
    archive = in_tar(tmp_path / "a.tar", {"1.jpg": b"one", "2.jpg": b"two"})
    assert read_file(archive / "2.jpg", most_bytes=MANY) == b"two"
    before = stamp_of(archive / "2.jpg")
    in_tar(tmp_path / "new.tar", {"0.jpg": b"another" * 500, "2.jpg": b"changed"}).replace(archive)
    assert read_file(archive / "2.jpg", most_bytes=MANY) == b"changed"
    assert stamp_of(archive / "2.jpg") != before
    archive.write_bytes(b"no archive any more")
    with pytest.raises(OSError, match="can't be read any more"):
        read_file(archive / "2.jpg", most_bytes=MANY)


def test_an_archive_is_indexed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive, scans = in_tar(tmp_path / "a.tar", FILES), []
    scan = inside.scanned_tar
    monkeypatch.setattr(inside, "scanned_tar", lambda file: scans.append(1) or scan(file))
    for name in FILES:
        read_file(archive / name, most_bytes=MANY)
    assert len(scans) == 1


HOSTILE = ("../out.jpg", "/etc/passwd", "cats/../../out.jpg", "C:/out.jpg", "C:out.jpg")


@pytest.mark.parametrize("pack", [in_tar, in_zip])
def test_names_that_lead_out_of_an_archive_are_refused(pack: Pack, tmp_path: Path) -> None:
    (tmp_path / "out.jpg").write_bytes(b"outside")
    archive = pack(tmp_path / ("a.tar" if pack is in_tar else "a.zip"), {**dict.fromkeys(HOSTILE, b"x"), **FILES})
    contents = contents_of(archive)
    assert contents.files == list(FILES)
    assert contents.refused.keys() == {*HOSTILE}
    (finding,) = contents.findings("a")
    assert finding.code == "archive-refused"
    assert "a: 5 entries are left out" in str(finding)
    for name in HOSTILE[:1]:
        with pytest.raises(OSError, match=r"No such file|Not a directory"):
            read_file(archive / name, most_bytes=MANY)


@pytest.mark.parametrize("pack", [in_tar, in_zip])
def test_a_name_that_is_a_file_and_a_folder_is_refused(pack: Pack, tmp_path: Path) -> None:
    archive = pack(tmp_path / ("a.tar" if pack is in_tar else "a.zip"), {"cats": b"x", "cats/1.jpg": b"one"})
    contents = contents_of(archive)
    assert contents.files == ["cats/1.jpg"]
    assert contents.refused == {"cats": "a file and a folder have this name"}


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("pack", [in_tar, in_zip])
def test_of_a_name_that_stands_there_twice_the_last_file_counts_as_unpacked(pack: Pack, tmp_path: Path) -> None:
    archive = pack(tmp_path / ("a.tar" if pack is in_tar else "a.zip"), {"1.jpg": b"first"})
    if pack is in_tar:
        with tarfile.open(archive, "a") as more:
            member = tarfile.TarInfo("./1.jpg")
            member.size = 4
            more.addfile(member, io.BytesIO(b"last"))
    else:
        with zipfile.ZipFile(archive, "a") as more_of_zip:
            more_of_zip.writestr("1.jpg", b"last")
    contents = contents_of(archive)
    assert contents.files == ["1.jpg"]
    assert [finding.code for finding in contents.findings("a")] == ["archive-twice"]
    assert read_file(archive / "1.jpg", most_bytes=MANY) == b"last"


def test_links_and_devices_in_a_tar_are_refused_but_hard_links_within_it_are_files(tmp_path: Path) -> None:
    archive = in_tar(tmp_path / "a.tar", {"1.jpg": b"one"})
    with tarfile.open(archive, "a") as more:
        for name, kind, target in (
            ("same.jpg", tarfile.LNKTYPE, "1.jpg"),
            ("out.jpg", tarfile.LNKTYPE, "/etc/passwd"),
            ("link.jpg", tarfile.SYMTYPE, "1.jpg"),
            ("pipe.jpg", tarfile.FIFOTYPE, ""),
            ("device.jpg", tarfile.CHRTYPE, ""),
        ):
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, target
            more.addfile(member)
    contents = contents_of(archive)
    assert contents.files == ["1.jpg", "same.jpg"]
    assert contents.refused.keys() == {"out.jpg", "link.jpg", "pipe.jpg", "device.jpg"}
    assert read_file(archive / "same.jpg", most_bytes=MANY) == b"one"


def test_links_passwords_and_strange_methods_in_a_zip_are_refused(tmp_path: Path) -> None:
    archive = tmp_path / "a.zip"
    with zipfile.ZipFile(archive, "w") as made:
        link = zipfile.ZipInfo("link.jpg")
        link.external_attr = 0o120777 << 16
        made.writestr(link, "1.jpg")
        made.writestr("1.jpg", b"one")
        made.writestr("lzma.jpg", b"two", zipfile.ZIP_LZMA)
    content = bytearray(in_zip(tmp_path / "locked.zip", {"locked.jpg": b"x"}).read_bytes())
    content[content.index(b"PK\x01\x02") + 8] |= 1
    (tmp_path / "locked.zip").write_bytes(content)
    assert contents_of(archive).files == ["1.jpg"]
    assert contents_of(archive).refused == {
        "link.jpg": "it is a link",
        "lzma.jpg": "it is packed by method 14 of zip; wanted 8, deflate",
    }
    assert contents_of(tmp_path / "locked.zip").refused == {"locked.jpg": "it is locked by a password"}


def test_a_zip_bomb_of_files_over_each_other_is_refused(tmp_path: Path) -> None:
    archive = in_zip(tmp_path / "a.zip", {"1.jpg": b"x" * 5_000, "2.jpg": b"y"}, method=zipfile.ZIP_STORED)
    content = bytearray(archive.read_bytes())
    second = content.index(b"PK\x01\x02", content.index(b"PK\x01\x02") + 4)
    content[second + 42 : second + 46] = (10).to_bytes(4, "little")  # where the second file begins: within the first
    archive.write_bytes(content)
    assert contents_of(archive).refused == {"2.jpg": "it lies over another file in the archive"}


def test_no_more_is_unpacked_than_a_zip_says_there_is(tmp_path: Path) -> None:
    archive = in_zip(tmp_path / "a.zip", {"bomb.jpg": bytes(50_000_000)})
    content = bytearray(archive.read_bytes())
    at = content.index(b"PK\x01\x02")
    content[at + 24 : at + 28] = (1_000).to_bytes(4, "little")
    archive.write_bytes(content)
    with pytest.raises(OSError, match="checksum"):
        read_file(archive / "bomb.jpg", most_bytes=MANY)


def test_damage_in_a_zip_is_found_by_the_checksum(tmp_path: Path) -> None:
    archive = in_zip(tmp_path / "a.zip", {"1.jpg": b"one two three"}, method=zipfile.ZIP_STORED)
    archive.write_bytes(archive.read_bytes().replace(b"two", b"TWO"))
    with pytest.raises(OSError, match="checksum"):
        read_file(archive / "1.jpg", most_bytes=MANY)


def test_a_tar_that_is_cut_off_says_so_and_gives_what_is_whole(tmp_path: Path) -> None:
    archive = in_tar(tmp_path / "a.tar", {"1.jpg": b"one", "2.jpg": b"2" * 4_000, "3.jpg": b"three"})
    archive.write_bytes(archive.read_bytes()[:4_000])
    contents = contents_of(archive)
    assert [finding.code for finding in contents.findings("a")] == ["archive-damaged"]
    assert read_file(archive / "1.jpg", most_bytes=MANY) == b"one"
    if "2.jpg" in contents.files:
        with pytest.raises(OSError, match="ends within it"):
            read_file(archive / "2.jpg", most_bytes=MANY)


def test_rubbish_in_the_middle_of_a_tar_is_no_end_of_it(tmp_path: Path) -> None:
    archive = in_tar(tmp_path / "a.tar", {"1.jpg": b"one", "2.jpg": b"two"})
    content = bytearray(archive.read_bytes())
    content[1024:1536] = b"\xff" * 512
    archive.write_bytes(content)
    assert contents_of(archive).files == ["1.jpg"]
    assert "no header at byte 1,024" in contents_of(archive).damaged


@pytest.mark.parametrize("name", ["a.zip", "a.tar"])
def test_a_file_that_is_no_archive_says_so(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"GIF89a" * 500)
    with pytest.raises(SourceError, match=rf"{name} is no archive that can be read"):
        contents_of(tmp_path / name)


def test_a_folder_may_be_called_like_an_archive(tmp_path: Path) -> None:
    (tmp_path / "photos.zip" / "cats").mkdir(parents=True)
    (tmp_path / "photos.zip" / "cats" / "1.jpg").write_bytes(b"one")
    assert read_file(tmp_path / "photos.zip" / "cats" / "1.jpg", most_bytes=MANY) == b"one"
    assert is_folder(tmp_path / "photos.zip" / "cats")


@given(content=st.binary(max_size=3_000), start=st.sampled_from([b"", b"PK\x03\x04", b"PK\x05\x06"]))
def test_whatever_bytes_are_called_an_archive_are_read_or_refused(
    content: bytes, start: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("bytes")
    for name in ("a.zip", "a.tar"):
        (folder / name).write_bytes(start + content)
        try:
            found = contents_of(folder / name)
        except SourceError:
            continue
        for file in found.files:
            try:
                read_file(folder / name / file, most_bytes=MANY)
            except OSError:
                continue
