"""Labels that stand in a table: contests' files as they are, every kind of label, and what does not fit."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from goldenrule.core.errors import OptionError, SourceError
from goldenrule.data.sources.label_tables import from_csv, from_dataframe, from_source
from goldenrule.data.table import ImageTable

Make = Callable[..., Path]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Make a folder with empty images and a labels.csv with this text; gives the path of the latter."""

    def made(text: str, *images: str) -> Path:
        for name in images:
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        (tmp_path / "labels.csv").write_bytes(text.encode())
        return tmp_path / "labels.csv"

    return made


def labels(table: ImageTable) -> dict[str, list[str]]:
    """Return {uri: class names}."""
    rows = zip(table.uris, table.rows["labels"].to_pylist(), strict=True)
    return {uri: [table.classes[label] for label in value] for uri, value in rows}


def codes(table: ImageTable) -> list[str]:
    return [finding.code for finding in table.findings]


KINDS = {
    "one class": ("id,label\n1,cat\n2,dog\n", {"1.jpg": ["cat"], "2.jpg": ["dog"]}),
    "a space belongs to a class": ("id,breed\n1,great dane\n2,pug\n", {"1.jpg": ["great dane"], "2.jpg": ["pug"]}),
    "tags with spaces": ("image_name,tags\n1,a b\n2,b\n", {"1.jpg": ["a", "b"], "2.jpg": ["b"]}),
    "commas in a cell": ('file,kinds\n1.jpg,"a,b"\n2.jpg,b\n', {"1.jpg": ["a", "b"], "2.jpg": ["b"]}),
    "bars in a cell": ("file,kinds\n1.jpg,a|b\n2.jpg,b\n", {"1.jpg": ["a", "b"], "2.jpg": ["b"]}),
    "one-hot": ("file,b,a\n1.jpg,1,1\n2.jpg,1,0\n", {"1.jpg": ["a", "b"], "2.jpg": ["b"]}),
    "semicolons between the columns": ("id;label\n1;cat\n2;dog\n", {"1.jpg": ["cat"], "2.jpg": ["dog"]}),
    "a mark of the byte order": ("\ufeffid,label\n1,cat\n2,dog\n", {"1.jpg": ["cat"], "2.jpg": ["dog"]}),
    "Windows lines": ("id,label\r\n1,cat\r\n2,dog\r\n", {"1.jpg": ["cat"], "2.jpg": ["dog"]}),
    "the id is not the first column": ("label,filename\ncat,1.jpg\ndog,2.jpg\n", {"1.jpg": ["cat"], "2.jpg": ["dog"]}),
    "a label twice in a cell": ("id,tags\n1,a a\n2,b\n", {"1.jpg": ["a"], "2.jpg": ["b"]}),
}


@pytest.mark.parametrize(("text", "expected"), KINDS.values(), ids=KINDS.keys())
def test_every_kind_of_table_is_read(make: Make, text: str, expected: dict[str, list[str]]) -> None:
    table = from_csv(make(text, "1.jpg", "2.jpg"))
    assert labels(table) == expected
    several = any(len(value) > 1 for value in expected.values()) and "one-hot" not in text and "1,1" not in text
    assert codes(table) == (["labels-split"] if several else [])


def test_what_is_said_of_a_separator_is_done(make: Make) -> None:
    path = make('id,kind\n1,"dog, small"\n2,cat\n', "1.jpg", "2.jpg")
    assert labels(from_csv(path, separator=","))["1.jpg"] == ["dog", "small"]
    assert labels(from_csv(path, separator=""))["1.jpg"] == ["dog, small"]
    assert codes(from_csv(path, separator=",")) == codes(from_csv(path, separator="")) == []


def test_images_are_found_by_path_name_or_stem(make: Make) -> None:
    table = from_csv(make("id,label\na/1,x\n./b/2.PNG,y\n3,x\na\\4,y\n", "a/1.jpg", "b/2.PNG", "c/3.gif", "a/4.jpg"))
    assert labels(table) == {"a/1.jpg": ["x"], "a/4.jpg": ["y"], "b/2.PNG": ["y"], "c/3.gif": ["x"]}


def test_a_test_folder_is_the_unlabelled_test_part(make: Make) -> None:
    table = from_csv(make("id,label\n1,x\n2,y\n", "train/1.jpg", "train/2.jpg", "test/1.jpg", "test/9.jpg"))
    assert labels(table) == {"test/1.jpg": [], "test/9.jpg": [], "train/1.jpg": ["x"], "train/2.jpg": ["y"]}
    assert table.splits == ["test", "test", "train", "train"]


def test_part_and_group_may_be_columns(make: Make) -> None:
    path = make("id,label,split,patient\n1,x,training,A\n2,y,val,B\n3,y,,\n", "1.jpg", "2.jpg", "3.jpg")
    table = from_csv(path, label="label", split="split", group="patient")
    assert table.splits == ["train", "valid", None]
    assert table.rows["group"].to_pylist() == ["A", "B", None]


def test_what_does_not_fit_together_is_a_finding(make: Make) -> None:
    text = "id,label\n1,x\n1,y\n2,\n7,x\n3,y\n"
    table = from_csv(make(text, "1.jpg", "2.jpg", "a/3.jpg", "b/3.jpg", "4.jpg"))
    assert labels(table) == {"1.jpg": ["x"], "2.jpg": []}
    told = ["images-missing", "names-unclear", "labelled-twice", "label-empty", "images-unlisted"]
    assert codes(table) == [*told, "class-without-images"]
    missing, unclear, twice, empty, unlisted, lost = (finding.evidence for finding in table.findings)
    assert lost == ("y: 2 lines, none of an image",)
    assert missing == ("7",)
    assert unclear == ("3: a/3.jpg, b/3.jpg",)
    assert twice == ("1: x, then y",)
    assert empty == ("2.jpg",)
    assert unlisted == ("4.jpg", "a/3.jpg", "b/3.jpg")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has 0 lines; wanted one that names the columns"),
        ("id,label\n", "has 1 line;"),
        ("id\n1\n", "two or more, each with a name of its own"),
        ("id,id\n1,2\n", "each with a name of its own"),
        ("id,label\n1,x,y\n", "line 2: 3 cells, but there are 2 columns"),
        ("id,label\n77,x\n", "none of the 1 images in its column id"),
    ],
)
def test_what_is_no_table_of_these_images_is_refused(make: Make, text: str, message: str) -> None:
    with pytest.raises(SourceError, match=message):
        from_csv(make(text, "1.jpg"))


def test_bytes_that_are_no_utf_8_are_refused(make: Make) -> None:
    path = make("id,label\n1,x\n", "1.jpg")
    path.write_bytes(b"id,label\n1,\xff\n")
    with pytest.raises(SourceError, match=r"no text in UTF-8 \(byte 0xff in line 2\). Save it as UTF-8"):
        from_csv(path)


def test_columns_that_are_not_there_or_not_clear_are_mistakes(make: Make) -> None:
    path = make("id,label,other\n1,x,y\n", "1.jpg")
    with pytest.raises(OptionError, match="no column 'breed', only id, label, other"):
        from_csv(path, label="breed")
    with pytest.raises(OptionError, match="no column 'image'"):
        from_csv(path, id="image")
    with pytest.raises(OptionError, match="no column 'split'"):
        from_csv(path, label="label", split="split")
    with pytest.raises(OptionError, match="The column other says 'y': wanted train, valid, test"):
        from_csv(path, label="label", split="other")
    with pytest.raises(SourceError, match="does not exist"):
        from_csv(path.with_name("none.csv"))
    with pytest.raises(SourceError, match="is no folder"):
        from_csv(path, images=path.parent / "none", label="label")
    with pytest.raises(OptionError, match="say which one holds the label"):
        from_csv(make("id,one,other\n1,x,y\n", "1.jpg"))


def test_data_frames_say_the_same_as_the_file(make: Make) -> None:
    path = make("id,label\n1,x\n2,y\n", "1.jpg", "2.jpg")
    frame = pa.table({"id": [1, 2], "label": ["x", "y"]})
    assert from_dataframe(frame, images=path.parent).rows.equals(from_csv(path).rows)
    with pytest.raises(OptionError, match="list: wanted a data frame"):
        from_dataframe([1, 2], images=path.parent)


def test_a_folder_is_known_by_its_class_folders_first_then_by_its_table(make: Make, tmp_path: Path) -> None:
    make("id,label\n1,x\n2,y\n", "images/1.jpg", "images/2.jpg")
    assert labels(from_source(tmp_path)) == {"images/1.jpg": ["x"], "images/2.jpg": ["y"]}
    (tmp_path / "images").rename(tmp_path / "train")
    assert labels(from_source(tmp_path)) == {"train/1.jpg": ["x"], "train/2.jpg": ["y"]}
    make("id,label\n1,x\n2,y\n", "train/a/3.jpg", "train/b/4.jpg")
    assert from_source(tmp_path).classes == ("a", "b")


def test_without_either_it_is_told_what_was_wanted(tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    (tmp_path / "train/1.jpg").touch()
    with pytest.raises(SourceError, match="no class folders"):
        from_source(tmp_path)


names = st.text(st.characters(exclude_categories=["C", "Z"], exclude_characters=",;|\"'"), min_size=1, max_size=8)


@settings(deadline=None, max_examples=30)
@given(st.permutations(range(6)), st.lists(names, min_size=6, max_size=6))
def test_neither_the_order_of_lines_nor_the_names_of_classes_shift_a_label(
    order: list[int], classes: list[str]
) -> None:
    """Law 2: what counts is the name."""
    import tempfile

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for number in range(6):
            (folder / f"{number}.jpg").touch()
        rows = [{"id": str(number), "kind": classes[number]} for number in order]
        table = from_dataframe(pa.Table.from_pylist(rows), images=folder)
        wanted = [unicodedata.normalize("NFC", label) for label in classes]
        assert labels(table) == {f"{number}.jpg": [wanted[number]] for number in range(6)}
        assert list(table.classes) == sorted(set(wanted))


class TestContests:
    """The files of three contests, as they are."""

    def test_dog_breed(self, photos: Callable[[str], Path]) -> None:
        table = from_source(photos("dog_breed"))
        assert len(table.classes) == 120
        assert table.counts()["train"][""] == 0
        assert sum(split == "train" for split in table.splits) == 1920
        assert sum(split == "test" for split in table.splits) == 360
        assert codes(table) == []

    def test_the_three_files_of_scenes_say_the_same(self, photos: Callable[[str], Path]) -> None:
        files = ("train_v2.csv", "miml_labels_1.csv", "miml_labels_2.csv")
        first, *others = (from_csv(photos("scenes_multilabel") / name) for name in files)
        assert first.classes == ("desert", "mountains", "sea", "sunset", "trees")
        assert len(first) == 1200
        assert all(other.classes == first.classes and other.rows.equals(first.rows) for other in others)


def test_columns_called_label_part_and_group_are_taken_for_that(make: Make) -> None:
    text = "id,label,split,group,note\n1,a,train,x,old\n2,b,val,,new\n3,a,test,x,old\n"
    table = from_csv(make(text, "1.jpg", "2.jpg", "3.jpg"))
    assert table.classes == ("a", "b")
    assert table.splits == ["train", "valid", "test"]
    assert table.rows["group"].to_pylist() == ["x", None, "x"]
    table = from_csv(make("id,split\n1,train\n2,spare\n", "1.jpg", "2.jpg"))
    assert table.classes == ("spare", "train"), "a column that names no splits is one of labels"


def hugging_face(root: Path, kind: str) -> None:
    """Write the images and metadata of an imagefolder data set, with the metadata in each split's folder."""
    for split, count in (("train", 4), ("validation", 2)):
        (root / split).mkdir(parents=True)
        rows = []
        for number in range(count):
            Image.new("RGB", (8, 8), (number * 20, 0, 0)).save(root / split / f"{number:04d}.png")
            rows.append({"file_name": f"{number:04d}.png", "label": "ab"[number % 2], "caption": "a picture, small"})
        if kind == "jsonl":
            (root / split / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        else:
            lines = [
                "file_name,label,caption",
                *(f'{row["file_name"]},{row["label"]},"{row["caption"]}"' for row in rows),
            ]
            (root / split / "metadata.csv").write_text("\n".join(lines) + "\n")


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_the_image_folders_of_hugging_face_load_as_they_are(tmp_path: Path, kind: str) -> None:
    hugging_face(tmp_path / "set", kind)
    table = from_source(tmp_path / "set")
    assert table.classes == ("a", "b")
    assert table.counts() == {"train": {"a": 2, "b": 2, "": 0}, "valid": {"a": 1, "b": 1, "": 0}}
    assert table.findings == ()


def test_metadata_at_the_root_names_paths_and_lists_are_several_labels(tmp_path: Path) -> None:
    for number in range(3):
        Image.new("RGB", (8, 8)).save(tmp_path / f"{number}.png")
    rows = [{"file_name": f"{number}.png", "labels": ["sea", "sun"][: number + 1]} for number in range(3)]
    (tmp_path / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    table = from_source(tmp_path)
    assert table.classes == ("sea", "sun")
    assert table.rows["labels"].to_pylist() == [[0], [0, 1], [0, 1]]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{broken", "line 1: no JSON"),
        ('{"file_name": "1.png"}\n', "line 1: wanted a JSON object with two keys or more, found the keys file_name"),
        (
            '{"file_name": "1.png", "label": "a"}\n\n{"file_name": "2.png", "kind": "a"}\n',
            r"line 3: wanted a JSON object with the keys of the first line \(file_name, label\), found the keys "
            "file_name, kind",
        ),
        ("[1, 2]\n", "line 1: wanted a JSON object with two keys or more, found \\[1, 2\\]"),
        ('{"file_name": "1.png", "label": {"a": 1}}\n', "line 1: label holds an object"),
    ],
)
def test_json_lines_that_are_none_say_what_is_wanted(tmp_path: Path, text: str, says: str) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "1.png")
    (tmp_path / "metadata.jsonl").write_text(text)
    with pytest.raises(SourceError, match=says):
        from_source(tmp_path)


def test_parts_whose_metadata_differ_are_refused(tmp_path: Path) -> None:
    hugging_face(tmp_path / "set", "csv")
    (tmp_path / "set" / "validation" / "metadata.csv").write_text("file_name,kind\n0000.png,a\n")
    with pytest.raises(SourceError, match="the same in all splits"):
        from_source(tmp_path / "set")


def test_a_column_called_fold_is_that_where_another_is_left_for_labels(make: Make) -> None:
    images = ("1.jpg", "2.jpg", "3.jpg")
    table = from_csv(make("id,kind,fold\n1,a,0\n2,b,1.0\n3,a,\n", *images))
    assert table.classes == ("a", "b")
    assert table.folds == ["0", "1", None]
    table = from_csv(make("id,a,b,fold\n1,1,1,0\n2,0,1,3\n3,1,0,2\n", *images))
    assert labels(table)["1.jpg"] == ["a", "b"]
    assert table.folds == ["0", "3", "2"]
    table = from_csv(make("id,fold\n1,left\n2,right\n3,left\n", *images))
    assert table.classes == ("left", "right")
    assert table.folds == [None] * 3


def test_the_fold_may_be_in_a_column_of_any_name(make: Make) -> None:
    path = make("id,label,k\n1,a,x\n2,b,y\n3,a,x\n", "1.jpg", "2.jpg", "3.jpg", "test/4.jpg")
    assert from_csv(path, fold="k").folds == ["x", "y", "x", None]
    assert from_csv(path).folds == [None] * 4
    with pytest.raises(OptionError, match="no column 'fold', only id, label, k"):
        from_csv(path, fold="fold")


def test_data_frames_name_folds_by_whole_numbers_also_beside_gaps(make: Make) -> None:
    path = make("id,label\n", "1.jpg", "2.jpg", "3.jpg")
    frame = pa.table({"id": ["1", "2", "3"], "label": ["a", "b", "a"], "fold": [0.0, 1.0, None]})
    assert from_dataframe(frame, images=path.parent, fold="fold").folds == ["0", "1", None]


def test_groups_of_a_column_are_counted_in_a_note(make: Make) -> None:
    table = from_csv(make("id,label,patient\n1,a,x\n2,b, x\n3,a,\n", "1.jpg", "2.jpg", "3.jpg"), group="patient")
    assert table.rows["group"].to_pylist() == ["x", "x", None]
    assert [str(finding) for finding in table.findings] == [
        "note: the column patient puts 2 images in 1 group. A group stays in one split and in one fold, "
        "where goldenrule draws them."
    ]


def test_groups_in_several_given_parts_are_a_warning(make: Make) -> None:
    text = "id,label,role,patient\n1,a,train,p\n2,b,test,p\n3,a,train,q\n4,b,,q\n"
    path = make(text, "1.jpg", "2.jpg", "3.jpg", "4.jpg")
    assert codes(from_csv(path, label="label", group="patient")) == ["groups"]
    table = from_csv(path, label="label", split="role", group="patient")
    assert codes(table) == ["groups", "group-in-several-splits"]
    assert table.findings[1].evidence == ("p: test and train",)


def test_what_is_said_of_names_goes_before_a_column_called_group(make: Make) -> None:
    path = make("id,label,group\na_1,x,1\na_2,y,2\nb_1,x,3\n", "a_1.jpg", "a_2.jpg", "b_1.jpg")
    assert from_csv(path).rows["group"].to_pylist() == ["1", "2", "3"]
    assert from_csv(path, group_by="^(.)").rows["group"].to_pylist() == ["a", "a", "b"]
    assert from_csv(path, group_by="none").rows["group"].to_pylist() == [None] * 3
    with pytest.raises(OptionError, match=r"The column group and group_by=\^\(\.\) both say what stays together"):
        from_csv(path, group="group", group_by="^(.)")


@pytest.mark.parametrize(
    ("cell", "split"), [("Training", "train"), (" val ", "valid"), ("testing", "test"), ("", None)]
)
def test_parts_have_the_names_that_their_folders_may_have(make: Make, cell: str, split: str | None) -> None:
    path = make(f"id,label,set\n1,a,{cell}\n2,b,train\n", "1.jpg", "2.jpg")
    assert from_csv(path, label="label", split="set").splits == [split, "train"]
