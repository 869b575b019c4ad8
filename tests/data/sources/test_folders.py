"""Law 2, classes by name; and every layout of folders that people have."""

import csv
import os
import shutil
from collections import Counter
from pathlib import Path

import pytest

from goldenrule.core.errors import OptionError, SourceError
from goldenrule.data.sources.folders import IMAGE_EXTENSIONS, SPLIT_NAMES, from_folder, image_files


@pytest.fixture
def folder(tmp_path):
    """Make empty files by their names; what they hold does not matter to sources."""

    def make(*names):
        for name in names:
            path = tmp_path / "set" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        return tmp_path / "set"

    return make


def labelled(table):
    """Return {uri: (part, class name)}."""
    rows = zip(table.uris, table.splits, table.targets.tolist(), strict=True)
    return {uri: (split, table.classes[target] if target >= 0 else None) for uri, split, target in rows}


LAYOUTS = {
    "class folders alone": (["a/1.jpg", "b/1.jpg"], {"a/1.jpg": (None, "a"), "b/1.jpg": (None, "b")}),
    "train and valid": (
        ["train/a/1.jpg", "train/b/1.jpg", "valid/a/1.jpg"],
        {"train/a/1.jpg": ("train", "a"), "train/b/1.jpg": ("train", "b"), "valid/a/1.jpg": ("valid", "a")},
    ),
    "train, val and test": (
        ["train/a/1.jpg", "val/a/1.jpg", "test/a/1.jpg"],
        {"train/a/1.jpg": ("train", "a"), "val/a/1.jpg": ("valid", "a"), "test/a/1.jpg": ("test", "a")},
    ),
    "other spellings": (
        ["Training/a/1.jpg", "VALIDATION/a/1.jpg", "testing/a/1.jpg"],
        {"Training/a/1.jpg": ("train", "a"), "VALIDATION/a/1.jpg": ("valid", "a"), "testing/a/1.jpg": ("test", "a")},
    ),
    "a flat test split is unlabelled": (
        ["train/a/1.jpg", "test1/7.jpg", "test1/8.jpg"],
        {"train/a/1.jpg": ("train", "a"), "test1/7.jpg": ("test", None), "test1/8.jpg": ("test", None)},
    ),
    "train and test without valid": (
        ["train/a/1.jpg", "test/a/1.jpg"],
        {"train/a/1.jpg": ("train", "a"), "test/a/1.jpg": ("test", "a")},
    ),
    "train alone": (["train/a/1.jpg"], {"train/a/1.jpg": ("train", "a")}),
    "folders below class folders": (["a/x/y/1.jpg", "a/2.jpg"], {"a/x/y/1.jpg": (None, "a"), "a/2.jpg": (None, "a")}),
    "other folders beside the splits": (
        ["train/a/1.jpg", "models/a/1.jpg"],
        {"train/a/1.jpg": ("train", "a")},
    ),
    "names that are not ASCII": (
        ["猫/写真 1.JPG", "Größe/é.jpg", "🐶/1.png"],
        {"猫/写真 1.JPG": (None, "猫"), "Größe/é.jpg": (None, "Größe"), "🐶/1.png": (None, "🐶")},
    ),
    "hidden files and folders are not there": (
        ["a/1.jpg", "a/.2.jpg", ".cache/3.jpg", "a/.thumbs/4.jpg", "._a/5.jpg"],
        {"a/1.jpg": (None, "a")},
    ),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_known_layout_is_read(folder, layout):
    names, wanted = LAYOUTS[layout]
    table = from_folder(folder(*names))
    assert labelled(table) == wanted
    assert table.uris == sorted(table.uris)


@pytest.mark.parametrize(("split", "name"), [(split, name) for split, names in SPLIT_NAMES.items() for name in names])
def test_every_known_name_of_a_part_is_known(folder, split, name):
    table = from_folder(folder("train/a/1.jpg" if split != "train" else "val/a/1.jpg", f"{name}/a/1.jpg"))
    assert labelled(table)[f"{name}/a/1.jpg"] == (split, "a")


def test_names_of_parts_can_be_given(folder):
    root = folder("learn/a/1.jpg", "check/a/2.jpg", "exam/a/3.jpg", "train/a/4.jpg")
    table = from_folder(root, train="learn", valid="check", test="exam")
    assert [(split, uri) for uri, (split, _) in labelled(table).items()] == [
        ("valid", "check/a/2.jpg"),
        ("test", "exam/a/3.jpg"),
        ("train", "learn/a/1.jpg"),
    ]


@pytest.mark.parametrize("extension", sorted(IMAGE_EXTENSIONS))
def test_every_kind_of_image_is_seen_in_either_case(folder, extension):
    table = from_folder(folder(f"a/1{extension}", f"a/2{extension.upper()}", "a/3.txt"))
    assert len(table) == 2


@pytest.mark.parametrize(
    ("names", "says"),
    [
        (["1.jpg", "2.jpg"], r"0 sub-folders without images and 2 images beside.*Wanted set/CLASS/image\.jpg"),
        (["1.jpg", "labels.csv"], r"labels\.csv may name labels; put each image into its class's folder"),
        (["notes/readme.txt"], r"1 sub-folder without images"),
        (["train/1.jpg", "train/2.jpg"], r"train holds 2 images but no class folders. Wanted train/CLASS/"),
        (["train/a/1.jpg", "valid/1.jpg"], r"valid holds 1 images but no class folders. Wanted valid/CLASS/"),
        (["valid/a/1.jpg"], r"has valid/ but no train/. Name the training folder"),
        (["val/a/1.jpg", "test/a/1.jpg"], r"has val/ and test/ but no train/"),
        (["train/a/1.jpg", "val/a/1.jpg", "valid/a/1.jpg"], r"val and valid: which one is the valid split.*valid=NAME"),
        (["train/notes.txt", "valid/notes.txt"], r"no class folders with images"),
    ],
)
def test_a_layout_that_is_not_known_says_what_was_found_and_what_was_wanted(folder, names, says):
    with pytest.raises(SourceError, match=says):
        from_folder(folder(*names))


def test_a_folder_that_is_missing_a_file_or_empty_says_so(tmp_path):
    with pytest.raises(SourceError, match=r"nowhere does not exist. Give a folder"):
        from_folder(tmp_path / "nowhere")
    (tmp_path / "file.7z").touch()
    with pytest.raises(SourceError, match=r"file\.7z is a file. Give a folder"):
        from_folder(tmp_path / "file.7z")
    (tmp_path / "empty").mkdir()
    with pytest.raises(SourceError, match=r"no class folders with images: it is empty. Wanted empty/CLASS/"):
        from_folder(tmp_path / "empty")


def test_a_given_name_that_is_not_there_says_which_are(folder):
    with pytest.raises(OptionError, match=r"valid='check'.*no such folder, only test, train"):
        from_folder(folder("train/a/1.jpg", "test/a/1.jpg"), valid="check")


def test_one_folder_cannot_be_two_parts(folder):
    with pytest.raises(OptionError, match=r"train='all', valid='all': one folder is one split"):
        from_folder(folder("all/a/1.jpg"), train="all", valid="all")


def test_a_class_whose_name_is_not_utf_8_is_left_out_and_named(folder):
    root = folder("a/1.jpg")
    (root / os.fsdecode(b"b\xe9") / "1.jpg").parent.mkdir()
    (root / os.fsdecode(b"b\xe9") / "1.jpg").touch()
    table = from_folder(root)
    assert table.classes == ("a",)
    assert {finding.code: finding.evidence for finding in table.findings}["names-not-utf-8"] == (r"b\udce9/",)


def test_a_folder_that_may_not_be_read_says_whom_to_ask(folder, monkeypatch):
    root = folder("a/1.jpg", "secret/1.jpg")
    scan = os.scandir

    def refuse(path):
        if Path(path).name == "secret":
            raise PermissionError(13, "Permission denied")
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(SourceError, match=r"secret can't be read: Permission denied. Ask its owner"):
        from_folder(root)


def test_classes_are_known_by_name_over_all_parts(folder):
    """Torchvision counts the folders of each split for itself: there "b" would be 0 in valid."""
    root = folder("train/a/1.jpg", "train/b/1.jpg", "train/c/1.jpg", "valid/b/1.jpg", "valid/c/1.jpg", "test/c/9.jpg")
    table = from_folder(root)
    assert table.classes == ("a", "b", "c")
    assert labelled(table)["valid/b/1.jpg"] == ("valid", "b")
    assert labelled(table)["test/c/9.jpg"] == ("test", "c")
    found = {finding.sentence: finding.evidence for finding in table.findings if finding.code == "class-missing"}
    assert found == {
        "the valid split has no image of 1 of 3 classes": ("a",),
        "the test split has no image of 2 of 3 classes": ("a", "b"),
    }


def test_a_class_that_only_valid_knows_is_a_finding_and_shifts_nothing(folder):
    root = folder("train/b/1.jpg", "train/d/1.jpg", "valid/a/1.jpg", "valid/b/1.jpg", "valid/d/1.jpg")
    table = from_folder(root)
    assert table.classes == ("a", "b", "d")
    assert labelled(table)["train/b/1.jpg"] == ("train", "b")
    assert labelled(table)["valid/a/1.jpg"] == ("valid", "a")
    (finding,) = table.findings
    assert finding.severity == "warning"
    assert finding.sentence == "the train split has no image of 1 of 3 classes"
    assert finding.evidence == ("a",)
    assert "can't learn" in finding.advice


def test_the_order_in_which_the_disk_lists_its_files_changes_nothing(folder, monkeypatch):
    root = folder(
        *(f"{split}/{name}/{number}.jpg" for split in ("train", "valid") for name in "zab" for number in "31")
    )
    wanted = labelled(from_folder(root))
    scan = os.scandir

    class Reversed:
        def __init__(self, path):
            with scan(path) as entries:
                self.entries = list(entries)[::-1]

        def __enter__(self):
            return iter(self.entries)

        def __exit__(self, *error):
            return None

    monkeypatch.setattr("goldenrule.data.sources.listing.os.scandir", Reversed)
    assert labelled(from_folder(root)) == wanted


def test_files_that_are_no_images_are_a_note(folder):
    table = from_folder(folder("a/1.jpg", "a/1.xml", "a/2.xml", "b/Thumbs", "b/.DS_Store", "readme.md"))
    found = {finding.code: finding for finding in table.findings}
    assert found["not-images"].severity == "note"
    assert found["not-images"].sentence == "beside the 1 image there are 3 files that are no picture"
    assert found["not-images"].evidence == ("1 (no extension): b/Thumbs", "2 .xml: a/1.xml, ...")
    assert found["system-files"].evidence == ("b/.DS_Store",)
    assert found["class-without-images"].evidence == ("b: 1 (no extension): b/Thumbs",)


@pytest.mark.parametrize("base", ["", "train/"])
def test_images_deeper_than_their_class_folder_are_a_note(folder, base):
    root = folder(*(f"{base}{name}" for name in ("a/1.jpg", "a/old/2.jpg", "a/old/er/3.jpg", "b/1.jpg")))
    table = from_folder(root)
    (finding,) = [one for one in table.findings if one.code == "inner-folders"]
    assert finding.severity == "note"
    assert finding.sentence == "2 images lie in folders inside their class folders: they have those classes"
    assert finding.evidence == (f"{base}a/old", f"{base}a/old/er")
    assert table.classes == ("a", "b")
    with_parent = from_folder(root, labels_from="parent")
    assert with_parent.classes == ("a", "b", "er", "old")
    assert "inner-folders" not in {one.code for one in with_parent.findings}


def test_splits_inside_of_class_folders_are_no_inner_folders(folder):
    table = from_folder(folder("a/train/1.jpg", "a/valid/2.jpg", "b/train/1.jpg", "b/valid/2.jpg"))
    assert "inner-folders" not in {one.code for one in table.findings}


def test_folders_beside_the_parts_are_a_warning(folder):
    table = from_folder(folder("train/a/1.jpg", "valid/a/1.jpg", "models/b/1.jpg", "sample/c/1.jpg"))
    (finding,) = table.findings
    assert finding.severity == "warning"
    assert finding.sentence == "2 folders beside the splits are ignored"
    assert finding.evidence == ("models", "sample")
    assert table.classes == ("a",)


def test_links_to_folders_are_followed_once_and_loops_end(folder, tmp_path):
    root = folder("a/1.jpg")
    shutil.copytree(root / "a", tmp_path / "elsewhere")
    (root / "b").symlink_to(tmp_path / "elsewhere")
    (root / "a" / "loop").symlink_to(root)
    (root / "a" / "broken.jpg").symlink_to(tmp_path / "gone.jpg")
    table = from_folder(root)
    assert labelled(table) == {"a/1.jpg": (None, "a"), "b/1.jpg": (None, "b")}
    assert {one.code: one.evidence for one in table.findings} == {
        "link-loop": ("a/loop",),
        "link-broken": ("a/broken.jpg",),
    }


def test_links_that_lead_to_each_other_end_too(folder, tmp_path):
    root = folder("a/1.jpg", "b/2.jpg")
    (root / "a" / "to_b").symlink_to(root / "b")
    (root / "b" / "to_a").symlink_to(root / "a")
    table = from_folder(root)
    assert table.uris == ["a/1.jpg", "a/to_b/2.jpg", "b/2.jpg", "b/to_a/1.jpg"]
    inner, loop = table.findings
    assert (inner.code, inner.evidence) == ("inner-folders", ("a/to_b", "b/to_a"))
    assert loop.evidence == ("a/to_b/to_a", "b/to_a/to_b")


def test_a_picture_without_an_extension_is_one_and_another_file_is_none(picture_folder):
    root = picture_folder(each=2)
    (root / "red" / "01.png").rename(root / "red" / "01")
    (root / "red" / "README").write_text("lamps")
    table = from_folder(root)
    assert table.uris == ["blue/00.png", "blue/01.png", "red/00.png", "red/01"]
    assert {finding.code: finding.evidence for finding in table.findings} == {
        "by-content": ("red/01",),
        "not-images": ("1 (no extension): red/README",),
    }


SETS = {
    "cat_dog_horse": ("train", "valid", "test"),
    "clothing_small": ("train", "validation", "test"),
    "hymenoptera_data": ("train", "val"),
    "GTSRB": ("train", "test"),
    "dogscats": ("train", "valid", "test1"),
    "cifar10_cat_dog_horse": ("train", "test"),
    "flowers_128": (),
    "surface_crack": (),
}


@pytest.mark.parametrize("name", SETS)
def test_the_counts_of_real_sets_are_those_of_their_manifest(photos, name):
    root = photos(name)
    split_of = {folder: split for split, names in SPLIT_NAMES.items() for folder in names}
    wanted = Counter()
    with (root.parent / "MANIFEST.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            first, *folders, _ = row["path"].split("/")
            if first == name and Path(row["path"]).suffix.lower() in IMAGE_EXTENSIONS:
                split = split_of[folders.pop(0)] if SETS[name] else "all"
                wanted[split, folders[0] if folders else ""] += 1
    counts = from_folder(root).counts()
    found = {(split, label): number for split, row in counts.items() for label, number in row.items() if number}
    assert found == dict(wanted)
    assert sum(found.values()) > 100


def test_images_to_predict_are_named_relative_to_the_argument_they_came_from(folder):
    root = folder("b/2.jpg", "b/x/1.png", "a.jpg", "notes.txt", ".hidden.jpg")
    assert [name for name, _ in image_files([root])] == ["a.jpg", "b/2.jpg", "b/x/1.png"]
    assert [name for name, _ in image_files([root / "b", str(root / "a.jpg")])] == [
        "2.jpg",
        "x/1.png",
        str(root / "a.jpg"),
    ]
    assert image_files([root / "notes.txt"]) == [(str(root / "notes.txt"), root / "notes.txt")]
    assert all(path.is_file() for _, path in image_files([root, root / "b"]))


def test_images_that_would_have_the_same_name_show_where_they_came_from(folder):
    root = folder("a/1.jpg", "b/1.jpg")
    assert [name for name, _ in image_files([root / "a", root / "b"])] == [
        str(root / "a" / "1.jpg"),
        str(root / "b" / "1.jpg"),
    ]


def test_images_to_predict_that_are_not_there_are_a_source_error(folder, tmp_path):
    root = folder("notes.txt")
    with pytest.raises(SourceError, match=r"holds no images \(known: .*jpg"):
        image_files([root])
    with pytest.raises(SourceError, match=r"gone\.jpg does not exist"):
        image_files([tmp_path / "gone.jpg"])


def test_images_beside_class_folders_and_folders_beside_parts_are_findings_not_silence(folder):
    names = ["train/a/1.jpg", "train/b/1.jpg", "train/stray.jpg", "loose.jpg", "extra/c/1.jpg"]
    findings = {finding.code: finding for finding in from_folder(folder(*names)).findings}
    assert findings["images-without-class"].evidence == ("loose.jpg", "train/stray.jpg")
    assert findings["folders-ignored"].evidence == ("extra",)
