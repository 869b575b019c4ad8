"""Copies in class folders: every class a folder of its own, nothing overwritten, killed is only paused."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goldenrule.core.errors import OptionError, StorageError
from goldenrule.data.table import image_table
from goldenrule.deploy.class_folders import APART, ClassFolders, folder_names

Command = Callable[..., Any]


@given(st.lists(st.text(min_size=1, max_size=300), unique=True, max_size=12))
def test_every_class_has_a_folder_of_its_own_that_a_file_system_takes(classes: list[str]) -> None:
    names = folder_names(classes)
    assert list(names) == classes
    folded = [name.casefold() for name in (*names.values(), *APART.values())]
    assert len(set(folded)) == len(folded)
    for name in names.values():
        assert name not in (".", "..")
        assert not {"/", "\0"} & {*name}
        assert len(name.encode("utf-8", "surrogatepass")) < 256


def test_equal_files_are_there_already_and_others_get_a_number(tmp_path: Path) -> None:
    for place, content in (("a", b"one"), ("b", b"two"), ("c", b"one")):
        (tmp_path / place).mkdir()
        (tmp_path / place / "x.jpg").write_bytes(content)
    for _ in range(2):
        folders = ClassFolders.of(tmp_path / "sorted", ["cat"], [])
        for place in "abc":
            folders.put(tmp_path / place / "x.jpg", "ok", ["cat"])
        found = {path.name: path.read_bytes() for path in (tmp_path / "sorted" / "cat").iterdir()}
        assert found == {"x.jpg": b"one", "x-2.jpg": b"two"}
    assert (sum(folders.copied.values()), sum(folders.there.values())) == (0, 3)


def test_what_a_user_has_there_stays(tmp_path: Path) -> None:
    (tmp_path / "x.jpg").write_bytes(b"new")
    mine = tmp_path / "sorted" / "cat" / "x.jpg"
    mine.parent.mkdir(parents=True)
    mine.write_bytes(b"mine")
    ClassFolders.of(tmp_path / "sorted", ["cat"], []).put(tmp_path / "x.jpg", "ok", ["cat"])
    assert mine.read_bytes() == b"mine"
    assert mine.with_name("x-2.jpg").read_bytes() == b"new"


def test_an_image_that_lies_in_another_folder_stays_there_alone(tmp_path: Path) -> None:
    for name in ("x.jpg", "y.jpg"):
        (tmp_path / name).write_bytes(name.encode())
    first = ClassFolders.of(tmp_path / "sorted", ["cat", "dog"], [])
    first.put(tmp_path / "x.jpg", "ok", ["cat"])
    first.put(tmp_path / "y.jpg", "unsure", [])
    other = ClassFolders.of(tmp_path / "sorted", ["lion", "dog", "cat"], [])
    other.put(tmp_path / "x.jpg", "ok", ["lion"])
    other.put(tmp_path / "y.jpg", "ok", ["dog"])
    assert [found[1:] for found in other.elsewhere] == [("cat", "lion"), ("_unsure", "dog")]
    assert sorted(path.name for path in (tmp_path / "sorted").rglob("*.jpg")) == ["x.jpg", "y.jpg"]
    again = ClassFolders.of(tmp_path / "sorted", ["cat", "dog"], [])
    again.put(tmp_path / "x.jpg", "ok", ["cat", "dog"])  # of several labels: it gets those that it lacks
    assert (again.elsewhere, dict(again.copied), dict(again.there)) == ([], {"dog": 1}, {"cat": 1})


def test_no_copy_follows_a_link_out_of_its_folder(tmp_path: Path) -> None:
    (tmp_path / "x.jpg").write_bytes(b"new")
    (tmp_path / "sorted").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "sorted" / "cat").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StorageError, match="symbolic link"):
        ClassFolders.of(tmp_path / "sorted", ["cat"], []).put(tmp_path / "x.jpg", "ok", ["cat"])
    assert not list((tmp_path / "elsewhere").iterdir())


def test_copies_do_not_lie_among_the_images(tmp_path: Path) -> None:
    for place in (tmp_path, tmp_path / "sorted"):
        with pytest.raises(OptionError, match="--sort-into"):
            ClassFolders.of(place, ["cat"], [tmp_path])


def test_no_copy_comes_among_the_images_that_the_run_learned_from(command: Command, fitted: Any) -> None:
    learned = fitted.table.root.resolve()
    photo = next(learned.rglob("*.jpg"))
    for place in (learned, learned / "train", learned / "train" / "cats", learned / "sorted", learned.parent):
        found = command("predict", fitted.folder, photo, "--sort-into", place)
        assert found.returncode == 2
        assert "the next fit would take predictions for labels" in " ".join(found.stderr.split())
    assert not (learned / "sorted").exists()


def test_images_of_a_table_with_nothing_in_common_forbid_their_own_folders_alone(tmp_path: Path) -> None:
    uri = str(tmp_path / "mine" / "x.jpg").removeprefix("/")
    learned = image_table(Path("/"), ["cat"], uris=[uri], splits=["train"], labels=[[0]])
    with pytest.raises(OptionError, match="learned from"):
        ClassFolders.of(tmp_path / "mine", ["cat"], [], learned=learned)
    assert ClassFolders.of(tmp_path / "sorted", ["cat"], [], learned=learned).folder == tmp_path / "sorted"


def test_the_command_sorts_and_goes_on(command: Command, fitted: Any, small_photos: Path, tmp_path: Path) -> None:
    images = Path(shutil.copytree(small_photos / "test", tmp_path / "new"))
    wanted = [path.name for path in images.rglob("*.jpg")]
    (images / "broken.jpg").write_text("no picture: it stays where it is")
    words = ("predict", fitted.folder, images, "--sort-into", "sorted", "--ood", "abstain", "-o", "said.csv")
    assert f"Sorted: {len(wanted)} images copied into sorted" in command(*words).stdout
    copies = {path.name: path.parent.name for path in (tmp_path / "sorted").rglob("*.jpg")}
    assert sorted(copies) == sorted(wanted)
    rows = [line.split(",") for line in (tmp_path / "said.csv").read_text().splitlines()[1:]]
    for path, status, prediction, *_ in rows:
        if status != "unreadable":
            assert copies[Path(path).name] == (prediction or APART[status])
    gone = tmp_path / "sorted" / copies[wanted[0]] / wanted[0]
    gone.unlink()
    assert f"1 image copied into sorted; {len(wanted) - 1} there already" in command(*words).stdout
    assert gone.is_file()
    strict = command(*words[:-2], "--min-confidence", "1").stdout
    assert f"warning: {len(wanted)} images lie in another folder of sorted than is predicted now" in strict
    assert sorted(path.name for path in (tmp_path / "sorted").rglob("*.jpg")) == sorted(wanted)


def test_what_becomes_of_images_out_of_distribution_is_a_choice(command: Command, fitted: Any, tmp_path: Path) -> None:
    from PIL import Image

    Image.linear_gradient("L").convert("RGB").save(tmp_path / "odd.png")
    found = {}
    for choice in ("keep", "flag", "abstain"):
        assert command("predict", fitted.folder, "odd.png", "--ood", choice, "-o", f"{choice}.csv").returncode == 0
        _, status, prediction, _, _, ood, *_ = (tmp_path / f"{choice}.csv").read_text().splitlines()[1].split(",")
        assert ood == "yes"
        found[choice] = (status, bool(prediction))
    assert found == {
        "keep": ("ok", True),
        "flag": ("out-of-distribution", True),
        "abstain": ("out-of-distribution", False),
    }
    done = command("predict", fitted.folder, "odd.png", "--ood", "drop")
    assert done.returncode == 2
    assert "--ood drop: wanted one of keep, flag, abstain" in done.stderr
