"""Folders as disks, cameras and downloads leave them: what is left out is named, and nothing hangs or falls over."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import goldenrule as gr
from goldenrule.core.errors import OptionError, SourceError
from goldenrule.core.findings import Finding
from goldenrule.core.progress import Silent, Task
from goldenrule.data.sources import picture_files
from goldenrule.data.sources.folders import from_folder, image_files
from goldenrule.data.sources.label_tables import from_csv, from_source
from goldenrule.data.sources.listing import listing
from goldenrule.data.table import ImageTable
from goldenrule.deploy.bulk import predict_files

Draw = Callable[..., Path]
Command = Callable[..., subprocess.CompletedProcess[str]]


def numbered(*folders: str, each: int = 4) -> list[str]:
    return [f"{folder}/{number}.png" for folder in folders for number in range(each)]


def told(table: ImageTable) -> dict[str, Finding]:
    return {finding.code: finding for finding in table.findings}


def lost(table: ImageTable) -> tuple[str, ...]:
    finding = told(table).get("class-without-images")
    return finding.evidence if finding and finding.severity == "warning" else ()


# A class none of whose images can be used


@pytest.mark.parametrize(
    ("files", "why"),
    [
        ([], "an empty folder"),
        (["a.dcm", "b.dcm"], "2 .dcm: scans/a.dcm, ..."),
        (["deep/er/a.txt"], "1 .txt: scans/deep/er/a.txt"),
        ([".hidden.jpg"], "hidden or system files"),
        (["@eaDir/a.jpg"], "hidden or system files"),
    ],
)
def test_a_class_folder_without_an_image_is_a_warning_by_name(draw: Draw, files: list[str], why: str) -> None:
    root = draw(numbered("cats", "dogs"))
    (root / "scans").mkdir()
    for name in files:
        (root / "scans" / name).parent.mkdir(parents=True, exist_ok=True)
        (root / "scans" / name).write_text("not a picture")
    table = from_source(root)
    assert table.classes == ("cats", "dogs")
    assert lost(table) == (f"scans: {why}",)


def test_a_class_folder_without_an_image_is_named_in_parts_too(draw: Draw) -> None:
    root = draw(numbered("train/cats", "train/dogs", "valid/cats", "valid/dogs"))
    (root / "train" / "horses").mkdir()
    (root / "valid" / "dogs" / "notes.txt").touch()
    assert lost(from_source(root)) == ("horses: an empty folder",)


def test_what_goldenrule_wrote_beside_class_folders_is_no_lost_class(draw: Draw) -> None:
    root = draw(numbered("cats", "dogs"))
    for name in ("runs/cats/run.json", "audits/cats/audit.json"):
        (root / name).parent.mkdir(parents=True)
        (root / name).write_text("{}")
    assert lost(from_source(root)) == ()


def test_a_class_whose_every_line_of_a_table_leads_to_nothing_is_named(draw: Draw) -> None:
    root = draw(numbered("images", each=6))
    (root / "images" / "scan.dcm").write_bytes(b"\0" * 200)
    lines = [f"images/{n}.png,{'xy'[n % 2]}" for n in range(6)] + ["images/gone.png,z", "images/scan.dcm,d"]
    (root / "labels.csv").write_text("\n".join(["image,label", *lines]) + "\n")
    table = from_source(root)
    assert lost(table) == ("d: 1 line, none of an image", "z: 1 line, none of an image")
    assert told(table)["images-missing"].evidence == ("images/gone.png",)
    assert told(table)["named-no-picture"].evidence == ("images/scan.dcm",)


def broken_class(root: Path, says: str = "not a picture") -> None:
    (root / "horses").mkdir()
    for number in range(4):
        (root / "horses" / f"{number}.jpg").write_text(f"{says} {number}")


def test_a_class_that_can_not_be_read_is_named_by_fit_audit_split_and_evaluate(draw: Draw, command: Command) -> None:
    root = draw(numbered("cats", "dogs", each=8))
    done = command("fit", "--quick", "--views", 0, root, "--out", "run")
    broken_class(root)
    says = "1 class has no image that can be used (horses: 4 images, none can be read)"
    assert says in (again := command("fit", "--quick", "--views", 0, root, "--out", "second")).stdout, again.stdout
    assert done.returncode == again.returncode == 0
    audited = command("audit", root)
    assert "1 class has no image that can be used (horses: 4 images, none can be read)" in audited.stdout
    assert says in command("split", root, "splits", "--test", 0).stdout
    others = draw([f"{name}/new{number}.png" for name in ("cats", "dogs") for number in range(4)], folder="others")
    broken_class(others, says="no picture either")
    evaluated = command("evaluate", "second", others)
    assert "horses: 4 images, none can be read" in evaluated.stdout, evaluated.stdout


# Endings that no picture has


@pytest.fixture
def camera(draw: Draw) -> Path:
    """Pictures under the names that cameras, browsers and downloaders give, and what lies beside them."""
    root = draw([f"cats/{number}.jpg" for number in range(9)])
    names = ("a.mpo", "b.jpg_large", "c.jpeg.1", "d.jpg?w=300", "e.webp-2", "f.dat", "g.JPG (1)", "h", "i.v2")
    for number, name in enumerate(names):
        (root / "cats" / f"{number}.jpg").rename(root / "cats" / name)
    for name in ("scan.dcm", "a.jpg.json", "notes.txt", "Thumbs.db", ".DS_Store", "film.mp4", "half.jpg.part"):
        (root / "cats" / name).write_text("{}")
    shutil.copy(root / "cats" / "a.mpo", root / "cats" / "a.jpg_original")
    shutil.copy(root / "cats" / "a.mpo", root / "cats" / "a.jpg~")
    (root / "cats" / "raw.cr2").write_bytes(b"II*\0" + bytes(40))
    (root / "cats" / "cut.jpeg.2").write_bytes(b"")
    return root


def test_pictures_of_odd_names_are_taken_by_content_and_what_is_left_out_is_counted(camera: Path) -> None:
    found = {name.removeprefix("cats/") for name, _ in image_files([camera])}
    assert found == {
        *("a.mpo", "b.jpg_large", "c.jpeg.1", "d.jpg?w=300", "e.webp-2", "f.dat", "g.JPG (1)", "h", "i.v2"),
        "cut.jpeg.2",  # meant as a picture: it has its row, which says that it can't be read
    }
    ours = told(from_folder(camera))
    assert len(ours["by-content"].evidence) == 9
    assert ours["by-content"].severity == "note"
    assert ours["not-images"].sentence == "beside the 10 images there are 8 files that are no picture"
    assert "1 .dcm: cats/scan.dcm" in ours["not-images"].evidence
    assert ours["system-files"].evidence == ("cats/.DS_Store", "cats/Thumbs.db")


def test_predict_has_a_row_for_all_that_is_meant_as_a_picture_and_names_the_rest(
    draw: Draw, command: Command, camera: Path
) -> None:
    command("fit", "--quick", "--views", 0, draw(numbered("cats", "dogs", each=8), folder="learned"), "--out", "run")
    (camera / "gone.jpg").symlink_to("nowhere.jpg")
    done = command("predict", "run", camera, "-o", "rows.csv")
    assert done.returncode == 0, done.stderr
    rows = [line.split(",")[:2] for line in (camera.parent / "rows.csv").read_text().splitlines()[1:]]
    status = dict(rows)
    assert len(rows) == 11
    for name in ("cats/a.mpo", "cats/b.jpg_large", "cats/c.jpeg.1"):
        assert status[name] in ("ok", "out-of-distribution")
    assert status["cats/cut.jpeg.2"] == status["gone.jpg"] == "unreadable"
    assert "9 images have names that do not end like a picture's (cats/b.jpg_large, " in done.stdout
    assert "there are 8 files that are no picture (1 .cr2: cats/raw.cr2, 1 .dcm: " in done.stdout
    assert "1 .dcm: cats/scan.dcm" in done.stdout
    assert "2 entries that systems make, or that are hidden: left out" in done.stdout


def test_only_names_that_do_not_tell_are_looked_into_and_few_bytes_of_each(
    camera: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (camera / "cats" / "long.dat").write_bytes(b"\xff\xd8\xff" + bytes(1_000_000))
    ends: dict[str, int] = {}
    regular = picture_files.open_picture

    @contextlib.contextmanager
    def counted(path: Path, **more: Any) -> Iterator[Any]:
        with regular(path, **more) as file:
            yield file
            ends[path.name] = file.tell()

    monkeypatch.setattr("goldenrule.data.sources.picture_files.open_picture", counted)
    listing(camera)
    untold = {"f.dat", "h", "i.v2", "long.dat"}
    assert set(ends) == untold | {"b.jpg_large", "c.jpeg.1", "d.jpg?w=300", "e.webp-2", "g.JPG (1)", "cut.jpeg.2"}
    assert max(ends.values()) == 16


# Folders of systems, and folders that are excluded


STREAM = "[ZoneTransfer]\r\nZoneId=3\r\n"


def odd_names(root: Path) -> None:
    """Names of an old camera or archive, in bytes that are no UTF-8: hidden, of a system, excluded, of an image."""
    digest = os.fsencode(root)
    for name in (b"cats/._caf\xe9.jpg", b".tr\xe9sh/a.jpg", b"cats/notes\xe9.txt", b"cats/caf\xe9.jpg"):
        path = os.path.join(digest, name)  # noqa: PTH118 - a Path is no bytes
        os.makedirs(os.path.dirname(path), exist_ok=True)  # noqa: PTH103, PTH120
        shutil.copy(os.fsencode(root / "dogs" / "0.png"), path)


def test_names_that_are_not_utf_8_are_named_and_left_out_by_every_command(
    draw: Draw, command: Command, tmp_path: Path
) -> None:
    draw(numbered("cats", "dogs", each=8), folder="photos")
    root = tmp_path / os.fsdecode(b"photos \xe9")
    (tmp_path / "photos").rename(root)
    odd_names(root)
    for words in (
        ("fit", "-v", "--quick", "--views", 0, root, "--out", "run"),
        ("audit", root, "-o", "audit"),
        ("evaluate", "run", root),
        ("predict", "run", root, "-o", "rows.csv"),
        ("split", root, "splits", "--test", 0),
    ):
        done = command(*words, "--exclude", "notes*")
        assert done.returncode == 0, (words, done.stdout, done.stderr)
        assert "1 entry has a name that is not UTF-8 (cats/caf\\udce9.jpg)" in done.stdout, (words, done.stdout)
        assert "1 entry is excluded (cats/notes\\udce9.txt)" in done.stdout, (words, done.stdout)


def test_what_windows_leaves_beside_downloads_is_no_image(draw: Draw) -> None:
    root = draw(numbered("cats", "dogs"))
    for name in ("0.png:Zone.Identifier", "0.png\uf03aZone.Identifier", "1.png:com.dropbox.attrs"):
        (root / "cats" / name).write_text(STREAM)
    for name in ("c.jpg!note", "b.jpg&c", "img.jpg_1_mask", "img.jpg_2020_caption", "P1", "slides.jpg?w=2"):
        (root / "cats" / name).write_text("P1 notes of the first visit")
    shutil.copy(root / "cats" / "0.png", root / "cats" / "d.jpg:large")
    (root / "cats" / "e.jpg?w=300").touch()
    table = from_source(root)
    assert set(table.uris) == {*numbered("cats", "dogs"), "cats/d.jpg:large", "cats/e.jpg?w=300"}
    assert len(told(table)["system-files"].evidence) == 3
    assert "6 files that are no picture" in told(table)["not-images"].sentence


@pytest.mark.parametrize("name", ["recycled", "Recycler"])
def test_a_class_that_is_called_as_a_bin_of_windows_is_a_class_and_the_bin_is_none(draw: Draw, name: str) -> None:
    root = draw(numbered(name, "waste"))
    assert from_source(root).classes == tuple(sorted((name, "waste")))
    other = draw([*numbered("glass", "waste"), f"{name}/S-1-5-21-7/Dc1.png", "glass/0/1.png"], folder="other")
    table = from_source(other)
    assert table.classes == ("glass", "waste")
    assert told(table)["system-files"].evidence == (f"{name}/",)
    assert told(table)["system-classes"].evidence == (f"{name}/",)


def test_a_folder_among_classes_that_a_system_may_have_made_and_that_holds_pictures_is_a_warning(draw: Draw) -> None:
    root = draw([*numbered("cats", "dogs"), "temporary items/a/0.png", "@eaDir/0.png", "cats/lost+found/0.png"])
    (root / "lost+found").mkdir()
    found = told(from_source(root))["system-classes"]
    assert found.severity == "warning"
    assert found.evidence == ("temporary items/",)


SYSTEM = (
    *("@eaDir", "#recycle", "lost+found", "__MACOSX", ".Trash-1000", "$RECYCLE.BIN", "System Volume Information"),
    *(
        ".ipynb_checkpoints",
        ".git",
        ".thumbnails",
        ".picasaoriginals",
        "Previews.lrdata",
        "@Recycle",
        "[Originals]",
        "LOST.DIR",
    ),
)


@pytest.mark.parametrize("name", SYSTEM)
def test_folders_that_systems_make_are_left_out_at_any_depth_with_a_note(draw: Draw, name: str) -> None:
    root = draw([*numbered("cats", "dogs"), f"cats/{name}/0.png", f"{name}/deep/1.png", f"dogs/a/b/{name}/c/2.png"])
    table = from_source(root)
    assert table.uris == sorted(numbered("cats", "dogs"))
    assert table.classes == ("cats", "dogs")
    assert told(table)["system-files"].severity == "note"
    assert told(table)["system-files"].evidence == (f"3 {name}",)
    assert sorted(name for name, _ in image_files([root])) == table.uris


def test_originals_that_picasa_keeps_and_apple_doubles_are_no_images(draw: Draw) -> None:
    root = draw([*numbered("cats", "dogs"), "cats/Originals/0.png", "dogs/Originals/9.png"])
    (root / "cats" / "Picasa.ini").touch()
    (root / "cats" / "._0.jpg").write_bytes(b"\0\x05\x16\x07")
    assert from_source(root).uris == sorted([*numbered("cats", "dogs"), "dogs/Originals/9.png"])


def test_a_folder_that_may_not_be_read_is_named_and_the_others_are_used(
    draw: Draw, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = draw([*numbered("cats", "dogs"), "cats/secret/0.png", "horses/0.png"])
    scan = os.scandir

    def refuse(path: Path) -> Any:
        if Path(path).name in ("secret", "horses"):
            raise PermissionError(13, "Permission denied")
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    table = from_source(root)
    assert table.uris == sorted(numbered("cats", "dogs"))
    assert told(table)["folder-closed"].evidence == ("cats/secret: Permission denied", "horses: Permission denied")


@pytest.mark.parametrize(
    ("patterns", "left"),
    [
        (["small"], ["cats/0.png", "cats/1_small.png", "dogs/0.png"]),
        (["small/"], ["cats/0.png", "cats/1_small.png", "dogs/0.png"]),
        (["*_small.png"], ["cats/0.png", "cats/small/2.png", "dogs/0.png", "dogs/small/1.png"]),
        (["cats/small"], ["cats/0.png", "cats/1_small.png", "dogs/0.png", "dogs/small/1.png"]),
        (["small", "**/*_small*"], ["cats/0.png", "dogs/0.png"]),
    ],
)
def test_what_is_excluded_is_left_out_of_every_way_to_read_a_folder(
    draw: Draw, patterns: list[str], left: list[str]
) -> None:
    root = draw(["cats/0.png", "cats/1_small.png", "cats/small/2.png", "dogs/0.png", "dogs/small/1.png"])
    assert gr.from_folder(root, exclude=patterns).uris == left
    assert sorted(name for name, _ in image_files([root], exclude=patterns)) == left
    table = root.parent / "labels.csv"
    table.write_text("image,label\ncats/0.png,x\ncats/1_small.png,y\ncats/small/2.png,y\ndogs/0.png,y\n")
    assert from_csv(table, images=root, exclude=patterns).uris == [uri for uri in left if uri != "dogs/small/1.png"]


def test_an_excluded_class_is_named_and_a_pattern_that_nothing_has_too(draw: Draw) -> None:
    root = draw(numbered("cats", "dogs", "horses"))
    table = from_source(root, exclude=["horses", "hoses"])
    assert table.classes == ("cats", "dogs")
    assert lost(table) == ()
    assert told(table)["excluded-classes"].evidence == ("horses",)
    assert told(table)["excluded"].evidence == ("horses/",)
    assert told(table)["exclude-idle"].severity == "warning"
    assert "'hoses'" in told(table)["exclude-idle"].sentence
    with pytest.raises(OptionError, match="exclude=''"):
        from_source(root, exclude=[""])


def test_every_command_that_reads_a_folder_excludes(draw: Draw, command: Command, tmp_path: Path) -> None:
    root = draw([*numbered("cats", "dogs", each=8), *numbered("cats/bad", each=3)])
    bad = ("--exclude", "bad")
    fitted = command("fit", "-v", "--quick", "--views", 0, root, "--out", "run", *bad)
    assert "1 entry is excluded (cats/bad/)" in fitted.stdout, fitted.stderr
    assert "cats/bad" not in (tmp_path / "run" / "split.csv").read_text()
    refused = command("fit", "--quick", "--views", 0, root, "--out", "run")
    assert refused.returncode == 2, "with other images it is another data set"
    assert "--exclude" in command("train", "--help").stdout
    for words in (
        ("audit", root),
        ("split", root, "splits"),
        ("evaluate", "run", root),
        ("predict", "run", root),
        ("explain", "run", root, "--no-heat"),
        ("show-augment", root, "--num-images", 1, "--views", 1),
        ("lr-find", root, "--steps", 2),
    ):
        done = command(*words, *bad)
        assert "1 entry is excluded (cats/bad/)" in done.stdout, (words, done.stdout, done.stderr)
    assert not list((tmp_path / "splits").rglob("bad"))
    (tmp_path / "sample.csv").write_text("id,cats\n0,0.5\n")
    draw(["test/0.png", "test/bad/0.png"], folder="contest")
    done = command("submit", "run", tmp_path / "contest" / "test", "--sample-submission", "sample.csv", *bad)
    assert "1 entry is excluded (bad/)" in done.stdout, done.stderr


# Links and special files


def circles(root: Path) -> None:
    (root / "cats" / "a.jpg").symlink_to("b.jpg")
    (root / "cats" / "b.jpg").symlink_to("a.jpg")
    (root / "cats" / "self.png").symlink_to("self.png")
    (root / "cats" / "up").symlink_to("..")
    (root / "cats" / "here").symlink_to(".")
    (root / "cats" / "gone.jpg").symlink_to("nowhere")
    (root / "dogs" / "x").symlink_to("y")
    (root / "dogs" / "y").symlink_to("x")


def test_links_round_in_a_circle_are_findings_of_fit_audit_and_predict(draw: Draw, command: Command) -> None:
    root = draw(numbered("cats", "dogs", each=8))
    circles(root)
    found = told(from_source(root))
    names = ("cats/a.jpg", "cats/b.jpg", "cats/here", "cats/self.png", "cats/up", "dogs/x", "dogs/y")
    assert found["link-loop"].evidence == names
    assert found["link-broken"].evidence == ("cats/gone.jpg",)
    for words in (("fit", "--quick", "--views", 0, root, "--out", "run"), ("audit", root), ("predict", "run", root)):
        done = command(*words)
        assert done.returncode == 0, done.stderr
        assert "7 links: each leads back to a folder it lies in, or round in a circle" in done.stdout, done.stdout


def test_folders_that_link_to_each_other_have_an_end(draw: Draw) -> None:
    names = [f"class{number}" for number in range(8)]
    root = draw(numbered(*names, each=1))
    for name in names:
        for other in names:
            if other != name:
                (root / name / f"to_{other}").symlink_to(root / other)
    found = listing(root)
    assert found.loops
    assert found.often
    assert len(found.pictures) < 1100
    assert all(f"{name}/0.png" in found.pictures for name in names)


def test_links_of_twenty_classes_to_one_folder_form_no_circle(draw: Draw) -> None:
    root = draw(["shared/0.png"], folder="elsewhere").parent
    for number in range(20):
        (root / "set" / f"class{number:02}").mkdir(parents=True)
        (root / "set" / f"class{number:02}" / "more").symlink_to(root / "elsewhere" / "shared")
    table = from_source(root / "set")
    assert len(table.classes) == len(table) == 20
    assert not {"link-loop", "link-often", "class-without-images"} & told(table).keys()


@pytest.mark.parametrize(
    ("name", "pattern"),
    [("img [1].png", "img [1].png"), ("cafe\u0301.png", "caf\u00e9.png"), ("caf\u00e9.png", "cafe\u0301*")],
)
def test_a_name_that_is_given_as_it_stands_is_excluded(draw: Draw, name: str, pattern: str) -> None:
    root = draw([*numbered("cats", "dogs"), f"cats/{name}"])
    assert from_source(root, exclude=[pattern]).uris == sorted(numbered("cats", "dogs"))


def test_a_class_of_one_image_that_can_not_be_read_has_that_as_its_reason(draw: Draw, command: Command) -> None:
    root = draw(numbered("cats", "dogs", each=8))
    (root / "birds").mkdir()
    (root / "birds" / "0.png").touch()
    done = command("fit", "--quick", root, "--out", "run")
    assert done.returncode == 2
    assert "'birds' has 1 image, of which 1 can't be read (birds/0.png: the file is empty)" in done.stderr


def special_files(root: Path) -> list[str]:
    os.mkfifo(root / "cats" / "pipe.jpg")
    with socket.socket(socket.AF_UNIX) as ours:
        here = os.getcwd()  # noqa: PTH109 - the name of a socket may not be long
        os.chdir(root / "cats")
        ours.bind("socket.jpg")
        os.chdir(here)
    (root / "cats" / "zero.jpg").symlink_to("/dev/zero")
    return ["cats/pipe.jpg: a named pipe", "cats/socket.jpg: a socket", "cats/zero.jpg: a device"]


def test_pipes_sockets_and_devices_in_a_folder_are_named_and_never_opened(draw: Draw, command: Command) -> None:
    root = draw(numbered("cats", "dogs", each=8))
    names = special_files(root)
    assert list(told(from_source(root))["special-files"].evidence) == names
    for words in (("fit", "--quick", "--views", 0, root, "--out", "run"), ("predict", "run", root), ("audit", root)):
        done = command(*words)
        assert done.returncode == 0, done.stderr
        assert "3 entries are no files, and not opened (cats/pipe.jpg: a named pipe" in done.stdout, done.stdout
    assert command("split", root, "splits").returncode == 0


def test_a_pipe_or_device_that_is_named_is_an_error_and_nothing_waits(
    process: Command, draw: Draw, command: Command, tmp_path: Path
) -> None:
    root = draw(numbered("cats", "dogs", each=8))
    command("fit", "--quick", "--views", 0, root, "--out", "run")
    os.mkfifo(tmp_path / "pipe")
    os.mkfifo(tmp_path / "labels.csv")
    for words, says in (
        (("predict", "run", "/dev/zero"), "/dev/zero is a device"),
        (("predict", "run", "pipe"), "pipe is a named pipe"),
        (("fit", "pipe"), "pipe is a named pipe"),
        (("audit", "/dev/zero"), "/dev/zero is a device"),
        (("fit", root, "--csv", "labels.csv"), "labels.csv can't be read: it is a named pipe"),
        (("fit", root, "--rename-file", "pipe"), "it is a named pipe"),
        (("submit", "run", root, "--sample-submission", "pipe"), "it is a named pipe"),
        (("predict", "run", root / "nowhere.jpg"), "does not exist"),
    ):
        done = command(*words)
        assert done.returncode == 2, (words, done.stdout, done.stderr)
        assert says in done.stderr.replace("\n", " "), (words, done.stderr)


def huge(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(10_000_000_000)


def test_a_file_of_ten_gigabytes_is_refused_by_its_size(draw: Draw, command: Command, tmp_path: Path) -> None:
    root = draw(numbered("cats", "dogs", each=8))
    huge(root / "cats" / "huge.jpg")
    huge(tmp_path / "huge.csv")
    says = "cats/huge.jpg: it has 10.0 GB; at most 1.1 GB are read"
    fitted = command("fit", "--quick", "--views", 0, root, "--out", "run")
    assert fitted.returncode == 0
    assert f"1 file can't be read ({says})" in fitted.stdout
    assert says in command("audit", root).stdout
    predicted = command("predict", "run", root / "cats" / "huge.jpg")
    assert "huge.jpg: unreadable: " in predicted.stdout
    refused = command("fit", root, "--csv", "huge.csv")
    assert refused.returncode == 2
    assert "huge.csv can't be read: it has 10.0 GB" in refused.stderr.replace("\n", " ")


# Files that change while somebody works with them


class Meddler(Silent):
    """A progress that changes files when a task of a certain name begins: the first, the second ... of that name."""

    def __init__(self, *plans: tuple[str, int, Callable[[], object]]) -> None:
        self.plans, self.seen = plans, Counter[str]()

    @contextlib.contextmanager
    def task(self, name: str, total: int, unit: str) -> Iterator[Task]:
        self.seen[name] += 1
        for text, number, change in self.plans:
            if (text, number) == (name, self.seen[name]):
                change()
        with super().task(name, total, unit) as task:
            yield task


def other_picture(path: Path) -> None:
    Image.fromarray(np.random.default_rng(7).integers(0, 255, size=(40, 48, 3)).astype(np.uint8)).save(path)


def pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


CHANGES: dict[str, Callable[[Path], object]] = {
    "deleted": Path.unlink,
    "cut": lambda path: path.write_bytes(path.read_bytes()[:100]),
    "another picture": other_picture,
    "renamed": lambda path: path.rename(path.with_name("new_name.png")),
    "a pipe": pipe,
}


@pytest.fixture
def splits(draw: Draw) -> Path:
    return draw(
        [
            *numbered("train/cats", "train/dogs", each=12),
            *numbered("valid/cats", "valid/dogs", "test/cats", "test/dogs", each=8),
        ]
    )


def named(result: Any, code: str) -> set[str]:
    return {line.partition(": ")[0] for one in result.findings if one.code == code for line in one.evidence}


@pytest.mark.parametrize(
    ("how", "when"),
    [
        *((how, ("precompute", 2)) for how in CHANGES),
        ("deleted", ("precompute", 1)),
        ("another picture", ("fit linear head", 2)),
    ],
)
def test_files_that_change_during_a_quick_fit_are_named_and_left_out(
    splits: Path, cache: Path, tmp_path: Path, how: str, when: tuple[str, int]
) -> None:
    gone = ("train/cats/0.png", "train/dogs/3.png", "valid/cats/1.png", "test/dogs/2.png")
    meddler = Meddler((*when, lambda: [CHANGES[how](splits / uri) for uri in gone]))
    result = gr.fit(splits, quick=True, views=2, threads=1, out=tmp_path / "run", progress=meddler)
    assert meddler.seen[when[0]] >= when[1], "or nothing was changed"
    assert named(result, "changed") == set(gone)
    lost = named(result, "unreadable") == set(gone)
    assert lost == (when == ("precompute", 1)), "what was read before it changed stays in what was learned of it"
    assert len(result.scored["test"].scored) == 16 - lost


@pytest.mark.exhaustive
def test_files_that_change_during_the_live_steps_stop_nothing(
    splits: Path, cache: Path, short_plan: None, tmp_path: Path
) -> None:
    train = [f"train/{name}/{number}.png" for number in range(3) for name in ("cats", "dogs")]
    valid = [f"valid/{name}/{number}.png" for number in range(3) for name in ("cats", "dogs")]
    every = list(zip(train, valid, strict=True))
    plans = []
    for (task, number), uris, how in zip(
        (("fit linear head", 1), ("train", 1), ("predict", 1), ("lr_find", 2), ("train", 3), ("predict", 2)),
        every,
        ("another picture", "deleted", "cut", "a pipe", "deleted", "another picture"),
        strict=True,
    ):
        plans.append((task, number, lambda value=uris, do=CHANGES[how]: [do(splits / uri) for uri in value]))
    meddler = Meddler(*plans)
    result = gr.fit(splits, views=0, threads=1, out=tmp_path / "run", progress=meddler)
    assert all(meddler.seen[task] >= number for task, number, _ in plans), meddler.seen
    assert named(result, "changed") == {*train, *valid}
    assert {candidate.name.split(",")[0] for candidate in result.candidates} >= {"trained head", "whole network"}
    again = gr.fit(splits, quick=True, views=0, threads=1, out=tmp_path / "second")
    assert not named(again, "changed")


def test_of_two_files_with_equal_bytes_one_may_go(splits: Path, cache: Path, tmp_path: Path) -> None:
    shutil.copy(splits / "train/cats/0.png", splits / "train/cats/copy.png")
    meddler = Meddler(("precompute", 1, lambda: (splits / "train/cats/0.png").unlink()))
    result = gr.fit(splits, quick=True, views=0, threads=1, out=tmp_path / "run", progress=meddler)
    assert named(result, "changed") == {"train/cats/0.png"}
    assert not named(result, "unreadable")


def test_files_that_change_during_audit_evaluate_predict_and_split_are_named(
    splits: Path, cache: Path, tmp_path: Path
) -> None:
    result = gr.fit(splits, quick=True, views=0, threads=1, out=tmp_path / "run")
    victims = [splits / f"test/cats/{number}.png" for number in range(4)]
    audited = gr.audit_images(splits, progress=Meddler(("look", 1, victims[0].unlink)))
    assert named(audited, "unreadable") == {"test/cats/0.png"}
    evaluated = gr.evaluate(tmp_path / "run", splits / "test", progress=Meddler(("predict", 1, victims[1].unlink)))
    assert named(evaluated, "unreadable") == {"cats/1.png"}
    predicted = predict_files(
        result.classifier, [splits / "test"], progress=Meddler(("predict", 1, lambda: pipe(victims[2])))
    )
    assert predicted.unreadable == ("cats/2.png",)
    victims[2].unlink()
    meddler = Meddler(("copy", 1, victims[3].unlink))
    with pytest.raises(SourceError, match=r"test/cats/3\.png is gone since the split began"):
        gr.split_folder(splits / "test", tmp_path / "new", progress=meddler)
    assert not (tmp_path / "new").exists()
    assert gr.split_folder(splits / "test", tmp_path / "new").files == 12


def test_classes_whose_names_differ_in_capitals_or_blanks_alone_are_named(draw: Draw, command: Command) -> None:
    root = draw(numbered("cat", "Cat", "dog ", "dog", "horse"))
    (found,) = (finding for finding in gr.audit_images(root).findings if finding.code == "classes-alike")
    assert found.evidence == ("'Cat' and 'cat'", "'dog' and 'dog '")
    for words in (("fit", root, "--quick"), ("split", root, "new")):
        done = command(*words)
        assert "differ in capitals, blanks or hyphens alone" in " ".join(done.stdout.split()), done.stderr


@pytest.mark.parametrize(
    "name",
    ["a.jpg.filepart", "a.jpg.opdownload", "a.jpg.!ut", "a.jpg.!qB", "a.jpg.bc!", "#a.jpg#", "a.jpg.sb-1f2e-aBc"],
)
def test_half_a_download_and_the_copy_that_an_editor_keeps_are_no_images_though_they_begin_like_some(
    draw: Draw, name: str
) -> None:
    root = draw(numbered("cats", "dogs"))
    before = len(from_source(root))
    shutil.copy(next((root / "cats").iterdir()), root / "cats" / name)
    table = from_source(root)
    assert len(table) == before
    assert name in told(table)["not-images"].evidence[0]
