"""`goldenrule split`: nothing lost, nothing changed, the original only read; killed at any moment it goes on."""

from __future__ import annotations

import csv
import hashlib
import random
import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from goldenrule.core.errors import FormatError, OptionError, RunMismatch, SourceError
from goldenrule.data.sources.folders import from_folder
from goldenrule.data.sources.label_tables import from_csv, from_source
from goldenrule.data.splits.splitting import Shares
from goldenrule.tasks.split_folder import split_folder, verify_split

Start = Callable[..., subprocess.Popen[str]]


def contents(folder: Path) -> dict[str, str]:
    """Return {path: sha256} of every file below a folder."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def states(folder: Path) -> dict[str, tuple[int, int, int]]:
    found = {str(path): path.stat() for path in folder.rglob("*")}
    return {name: (value.st_size, value.st_mtime_ns, value.st_mode) for name, value in found.items()}


@pytest.fixture
def pictures(picture_folder: Callable[..., Path]) -> Path:
    """Class folders with pictures, equal files, a text and a hidden file."""
    root = picture_folder(classes=("blue", "green", "red"), each=20)
    for label in ("blue", "red"):
        for number in range(3):
            shutil.copy(root / label / "00.png", root / label / f"same{number}.png")
    (root / "blue" / "notes.txt").write_text("which lamp?")
    (root / "readme.md").write_text("# Pictures")
    (root / ".hidden").write_text("secret")
    return root


def test_every_file_is_there_once_with_the_bytes_it_had_and_the_original_is_as_it_was(
    pictures: Path, tmp_path: Path
) -> None:
    before, stated = contents(pictures), states(pictures)
    found = split_folder(pictures, tmp_path / "new")
    assert states(pictures) == stated
    after = contents(tmp_path / "new")
    ours = {name: after.pop(name) for name in ("manifest.csv", "SHA256SUMS", "split.json")}
    assert ours
    del before[".hidden"]
    assert sorted(after.values()) == sorted(before.values())
    with (tmp_path / "new" / "manifest.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {row["path"]: row["sha256"] for row in rows} == after
    assert {row["source"]: row["sha256"] for row in rows} == before
    assert found.files == len(before)
    assert (tmp_path / "new" / "train" / "blue" / "notes.txt").read_text() == "which lamp?"
    assert (tmp_path / "new" / "readme.md").exists()


def test_the_split_is_a_set_like_any_other_with_the_shares_class_by_class(pictures: Path, tmp_path: Path) -> None:
    found = split_folder(pictures, tmp_path / "new", shares=Shares(valid=0.2, test=0.1))
    table = from_folder(tmp_path / "new")
    assert table.counts() == found.counts
    assert [found.counts[split]["green"] for split in ("train", "valid", "test")] == [14, 4, 2]
    assert found.together["equal files"] == 2
    for label in ("blue", "red"):
        places = [path.parts[-3] for path in (tmp_path / "new").rglob("same*.png") if path.parent.name == label]
        assert len(places) == 3
        assert len(set(places)) == 1, "equal files are on one side"


def test_sha256sum_proves_the_folder_without_goldenrule(pictures: Path, tmp_path: Path) -> None:
    if shutil.which("sha256sum") is None:
        pytest.skip("this machine has no sha256sum")
    (pictures / "red" / "a name\\with\nodd marks.png").write_bytes((pictures / "red" / "03.png").read_bytes())
    split_folder(pictures, tmp_path / "new")
    check = ["sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS"]
    assert subprocess.run(check, cwd=tmp_path / "new", check=False, capture_output=True).returncode == 0
    next((tmp_path / "new" / "train" / "red").glob("*.png")).write_bytes(b"other")
    assert subprocess.run(check, cwd=tmp_path / "new", check=False, capture_output=True).returncode == 1


def test_the_same_split_twice_is_proved_and_another_one_is_refused(pictures: Path, tmp_path: Path) -> None:
    first = split_folder(pictures, tmp_path / "new")
    before = states(tmp_path / "new")
    again = split_folder(pictures, tmp_path / "new")
    assert (first.again, again.again) == (False, True)
    assert again.counts == first.counts
    with pytest.raises(RunMismatch, match=r"holds another split .*seed"):
        split_folder(pictures, tmp_path / "new", seed=1)
    (pictures / "red" / "more.png").write_bytes((pictures / "red" / "01.png").read_bytes())
    with pytest.raises(RunMismatch, match="files"):
        split_folder(pictures, tmp_path / "new")
    assert states(tmp_path / "new") == before
    assert not list(tmp_path.glob(".*"))


def test_a_folder_that_holds_something_else_is_never_touched(pictures: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("all of it")
    with pytest.raises(RunMismatch, match="holds something else"):
        split_folder(pictures, tmp_path / "mine")
    (tmp_path / "file").write_text("x")
    with pytest.raises(RunMismatch, match="holds something else"):
        split_folder(pictures, tmp_path / "file")
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "all of it"


@pytest.mark.parametrize("place", ["pictures", "pictures/new", "."])
def test_a_copy_within_its_source_is_refused(pictures: Path, tmp_path: Path, place: str) -> None:
    before = states(tmp_path)
    with pytest.raises(OptionError, match="lie in each other"):
        split_folder(pictures, tmp_path / place)
    assert states(tmp_path) == before


def test_what_has_all_parts_is_dealt_out_again_only_when_asked(pictures: Path, tmp_path: Path) -> None:
    split_folder(pictures, tmp_path / "first")
    with pytest.raises(OptionError, match="anew=True"):
        split_folder(tmp_path / "first", tmp_path / "second")
    found = split_folder(tmp_path / "first", tmp_path / "second", anew=True, seed=5)
    assert sum(map(sum, (row.values() for row in found.counts.values()))) == 66
    wanted = sorted(contents(pictures / "red").values())
    assert sorted(content for name, content in contents(tmp_path / "second").items() if "/red/" in name) == wanted, (
        "files of one name from two splits are both there"
    )


def test_a_test_part_stays_and_valid_is_carved_from_train(pictures: Path, tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    shutil.copytree(pictures, tmp_path / "set" / "training")
    shutil.copytree(pictures / "red", tmp_path / "set" / "test1")
    split_folder(tmp_path / "set", tmp_path / "new")
    assert contents(tmp_path / "new" / "test1") == contents(tmp_path / "set" / "test1")
    assert {path.name for path in (tmp_path / "new").iterdir() if path.is_dir()} == {"training", "valid", "test1"}
    assert from_folder(tmp_path / "new").counts()["valid"]["green"] == 2


def test_labels_in_a_table_stay_in_a_table(picture_folder: Callable[..., Path], tmp_path: Path) -> None:
    root = tmp_path / "contest"
    (root / "images").mkdir(parents=True)
    rows = ["id,tags"]
    for label in ("blue", "red"):
        for path in sorted((picture_folder(each=15) / label).iterdir()):
            name = f"{label}{path.stem}"
            shutil.copy(path, root / "images" / f"{name}.png")
            rows.append(f"{name},{label}{' bright' if int(path.stem) % 3 == 0 else ''}")
    (root / "train_v2.csv").write_text("\n".join(rows) + "\n")
    source = from_source(root)
    found = split_folder(root, tmp_path / "new")
    table = from_source(tmp_path / "new")
    assert table.counts() == found.counts
    assert table.classes == source.classes == ("blue", "bright", "red")

    def labelled(table):
        return {Path(uri).name: value for uri, value in zip(table.uris, table.rows["labels"].to_pylist(), strict=True)}

    assert labelled(table) == labelled(source)
    assert [found.counts[split]["bright"] for split in ("valid", "test")] == [1, 1]


def test_class_names_with_commas_survive_the_table(picture_folder: Callable[..., Path], tmp_path: Path) -> None:
    root = picture_folder(each=6)
    lines = ["name,kind", *(f'{path.relative_to(root)},"{path.parent.name}, very"' for path in root.rglob("*.png"))]
    (tmp_path / "table.csv").write_text("\n".join(lines) + "\n")
    source = from_csv(tmp_path / "table.csv", images=root, separator="")
    split_folder(source, tmp_path / "new")
    assert from_source(tmp_path / "new").classes == ("blue, very", "red, very")


def test_verify_names_what_is_missing_changed_and_new(pictures: Path, tmp_path: Path) -> None:
    split_folder(pictures, tmp_path / "new")
    assert verify_split(tmp_path / "new")[1] == []
    files = sorted((tmp_path / "new" / "train" / "green").iterdir())
    files[0].unlink()
    content = bytearray(files[1].read_bytes())
    content[-1] ^= 1
    files[1].write_bytes(content)
    (tmp_path / "new" / "valid" / "green" / "other.png").write_bytes(b"")
    found = {(Path(one.path).name, one.what) for one in verify_split(tmp_path / "new")[1]}
    assert found == {(files[0].name, "missing"), (files[1].name, "changed"), ("other.png", "not in the manifest")}
    with pytest.raises(SourceError, match="no manifest"):
        verify_split(pictures)
    (tmp_path / "new" / "manifest.csv").write_text("a,b\n1,2\n")
    with pytest.raises(FormatError, match="manifest"):
        verify_split(tmp_path / "new")


def test_files_that_can_not_be_opened_stop_a_split_before_it_begins(
    pictures: Path, tmp_path: Path, monkeypatch
) -> None:
    from goldenrule.data.table import ImageTable

    read = ImageTable.read

    def closed(self, uri):
        if uri == "red/05.png":
            raise PermissionError(13, "Permission denied")
        return read(self, uri)

    monkeypatch.setattr(ImageTable, "read", closed)  # root may read everything
    with pytest.raises(SourceError, match=r"1 file can't be opened: red/05\.png: Permission denied"):
        split_folder(pictures, tmp_path / "new")
    assert not (tmp_path / "new").exists()
    assert not list(tmp_path.glob(".*"))


def test_unreadable_pictures_are_copied_and_named(pictures: Path, tmp_path: Path) -> None:
    (pictures / "red" / "broken.png").write_bytes(b"no picture")
    found = split_folder(pictures, tmp_path / "new")
    (finding,) = [one for one in found.findings if one.code == "unreadable"]
    (evidence,) = finding.evidence
    assert evidence.startswith("red/broken.png: not a picture in any known format")
    assert len(list((tmp_path / "new").rglob("broken.png"))) == 1


def test_near_duplicates_stay_on_one_side_unless_told_otherwise(photos: Callable[[str], Path], tmp_path: Path) -> None:
    for label in ("cats", "dogs"):
        (tmp_path / "set" / label).mkdir(parents=True)
        for number, file in enumerate(sorted((photos("dogscats") / "train" / label).iterdir())[:20]):
            shutil.copy(file, tmp_path / "set" / label / f"{number:02d}.jpg")
            with Image.open(file) as image:
                image.convert("RGB").resize((160, 120)).save(tmp_path / "set" / label / f"{number:02d}s.jpg")

    def torn(folder: Path) -> int:
        split = {path.name: path.parts[-3] + path.parts[-2] for path in folder.rglob("*.jpg")}
        return sum(split[f"{number:02d}.jpg"] != split[f"{number:02d}s.jpg"] for number in range(20))

    found = split_folder(tmp_path / "set", tmp_path / "together", group_by="none")
    assert torn(tmp_path / "together") == 0
    assert found.together["near duplicates"] >= 36
    split_folder(tmp_path / "set", tmp_path / "apart", group_by="none", near_duplicates=False)
    assert torn(tmp_path / "apart") > 0


def test_hard_links_share_the_file(pictures: Path, tmp_path: Path) -> None:
    split_folder(pictures, tmp_path / "hard", link="hard")
    assert all(path.stat().st_nlink == 2 for path in (tmp_path / "hard").rglob("*.png"))
    with pytest.raises(OptionError, match="link=soft: wanted one of none, hard, reflink"):
        split_folder(pictures, tmp_path / "new", link="soft")


def test_reflinks_are_refused_where_the_file_system_can_not(
    pictures: Path, tmp_path: Path, tiny_disk: Callable[[str], Path]
) -> None:
    disk = tiny_disk("8m")  # tmpfs knows none
    with pytest.raises(OptionError, match="can't share a file here"):
        split_folder(pictures, disk / "new", link="reflink")
    assert not (disk / "new").exists()


def test_a_full_disk_loses_nothing_and_the_same_command_goes_on(
    pictures: Path, tmp_path: Path, tiny_disk: Callable[[str], Path]
) -> None:
    from goldenrule.core.errors import StorageError

    disk = tiny_disk("300k")
    before = states(pictures)
    with pytest.raises(StorageError, match="disk is full"):
        split_folder(pictures, disk / "new")
    assert states(pictures) == before
    assert not (disk / "new").exists()
    subprocess.run(["mount", "-o", "remount,size=8m", str(disk)], check=True)
    split_folder(pictures, disk / "new")
    assert verify_split(disk / "new")[1] == []


@pytest.fixture
def many(tmp_path: Path) -> Path:
    """400 small files in four classes, some of them equal."""
    draws = np.random.default_rng(0)
    for label in "abcd":
        folder = tmp_path / "many" / label
        folder.mkdir(parents=True)
        for number in range(100):
            pixels = draws.integers(0, 2, size=(2, 2), dtype=np.uint8) * 255
            Image.fromarray(pixels).save(folder / f"{number}.png")
    return tmp_path / "many"


@pytest.mark.exhaustive
@pytest.mark.parametrize("kills", [2, 50])
def test_a_split_killed_at_random_moments_goes_on_to_the_same_folder(
    start: Start, many: Path, tmp_path: Path, kills: int
) -> None:
    before = states(many)
    command = ("-m", "goldenrule", "split", many, "--no-near-duplicates")
    assert start(*command, tmp_path / "whole").wait(120) == 0
    files = sorted(contents(tmp_path / "whole"))
    moments = random.Random(kills)
    unfinished = tmp_path / ".broken.unfinished"
    seen: Counter[str] = Counter()
    for _ in range(kills):
        process = start(*command, tmp_path / "broken")
        mark = unfinished / moments.choice([".lock", "manifest.csv", "split.json", ".copying", "SHA256SUMS", *files])
        while not mark.exists() and process.poll() is None:
            time.sleep(0.001)
        time.sleep(moments.uniform(0, 0.01))
        process.kill()
        process.wait()
        done = (tmp_path / "broken").exists()
        seen["done" if done else "copying" if (unfinished / "split.json").exists() else "planning"] += 1
        if done:  # whole or absent
            assert contents(tmp_path / "broken") == contents(tmp_path / "whole")
        if done or moments.random() < 0.3:  # from the beginning again
            shutil.rmtree(tmp_path / "broken" if done else unfinished)
    assert seen["copying"] >= kills / 8, seen
    assert start(*command, tmp_path / "broken").wait(120) == 0
    assert contents(tmp_path / "broken") == contents(tmp_path / "whole")
    assert states(many) == before
    assert not unfinished.exists()
