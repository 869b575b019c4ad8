"""Tables as contests, spreadsheets and data frames write them: every row keeps its label, or is asked about."""

from __future__ import annotations

import csv
import subprocess
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import goldenrule as gr
from goldenrule.core.errors import OptionError, SourceError
from goldenrule.data.sources.label_tables import from_csv, from_dataframe
from goldenrule.data.table import ImageTable

Draw = Callable[..., Path]
Command = Callable[..., subprocess.CompletedProcess[str]]


def labels(table: ImageTable) -> dict[str, list[str]]:
    every = zip(table.uris, table.rows["labels"].to_pylist(), strict=True)
    return {uri: [table.classes[label] for label in value] for uri, value in every}


def codes(table: ImageTable) -> list[str]:
    return [finding.code for finding in table.findings]


def csv_beside(root: Path, *lines: str) -> Path:
    path = root / "table.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_the_column_that_names_the_most_files_names_the_images(draw: Draw) -> None:
    root = draw(f"{number}.png" for number in range(48))
    lines = [f"{number},{(number + 18) % 48}.png,{'xy'[number % 2]}" for number in range(48)]
    table = from_csv(
        csv_beside(
            root,
            "id,filename,label",
            *[f"{100 + n if n > 29 else n}{line[line.index(',') :]}" for n, line in enumerate(lines)],
        )
    )
    assert labels(table) == {f"{(n + 18) % 48}.png": ["xy"[n % 2]] for n in range(48)}
    assert codes(table) == ["two-columns-name-images"]
    assert "filename is taken, which names 48 of 48; id names 30" in table.findings[0].sentence


def test_two_columns_that_name_all_images_and_disagree_are_asked_for(draw: Draw) -> None:
    root = draw(f"{number}.png" for number in range(6))
    path = csv_beside(root, "id,file,label", *(f"{n},{5 - n}.png,{'xy'[n % 2]}" for n in range(6)))
    with pytest.raises(OptionError, match="id=id or id=file"):
        from_csv(path)
    assert labels(from_csv(path, id="file"))["5.png"] == ["x"]


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (['"Shepherd, German"', "Pug", '"Shepherd, German"'], [["Shepherd, German"], ["Pug"], ["Shepherd, German"]]),
        (["16 0", "5", "0"], [["0", "16"], ["5"], ["0"]]),
        (["great dane", "pug", "dane"], [["great dane"], ["pug"], ["dane"]]),
        (["sea|sun", "sea", "sun"], [["sea", "sun"], ["sea"], ["sun"]]),
        (["hot dog", "dog", "pug"], [["hot dog"], ["dog"], ["pug"]]),
    ],
)
def test_a_cell_is_split_where_its_pieces_stand_alone_elsewhere(
    draw: Draw, cells: list[str], expected: list[list[str]]
) -> None:
    root = draw(f"{number}.png" for number in range(3))
    table = from_csv(csv_beside(root, "Id,Target", *(f"{n},{cell}" for n, cell in enumerate(cells))))
    assert [sorted(label) for label in labels(table).values()] == expected
    several = any(len(value) > 1 for value in expected)
    assert ("labels-split" in codes(table)) == several


def test_what_the_cells_do_not_tell_is_asked_for(draw: Draw, command: Command) -> None:
    root = draw(f"{number}.png" for number in range(16))
    cells = ['"red, car"', '"red, bus"', '"blue, car"', '"blue, bus"']
    path = csv_beside(root, "id,kind", *(f"{n},{cells[n % 4]}" for n in range(16)))
    found = command("fit", root, "--csv", path, "--quick")
    assert found.returncode == 2
    assert "--separator ',' splits such cells, --separator '' keeps them whole" in found.stderr
    assert command("audit", root, "--csv", path, "--separator", "").returncode == 0
    assert from_csv(path, separator=",").task == "multi"
    assert from_csv(path, separator="").classes == ("blue, bus", "blue, car", "red, bus", "red, car")


def test_a_separator_needs_a_table(draw: Draw, command: Command) -> None:
    found = command("fit", draw(["cats/1.png", "dogs/1.png"]), "--separator", ",")
    assert (found.returncode, "--csv" in found.stderr) == (2, True)


def test_null_is_no_class_and_keys_may_come_in_any_order(draw: Draw) -> None:
    root = draw(f"{number}.png" for number in range(3))
    path = root / "metadata.jsonl"
    path.write_text(
        '{"file_name": "0.png", "label": "a"}\n{"label": null, "file_name": "1.png"}\n'
        '{"file_name": "2.png", "label": "b"}\n'
    )
    table = from_csv(path)
    assert labels(table) == {"0.png": ["a"], "1.png": [], "2.png": ["b"]}
    assert codes(table) == ["label-empty"]


def test_lists_in_json_and_data_frames_are_labels_as_they_stand(draw: Draw) -> None:
    root = draw(f"{number}.png" for number in range(2))
    wanted = {"0.png": ["Pug", "Shepherd, German"], "1.png": ["Pug"]}
    (root / "m.jsonl").write_text(
        '{"file_name": "0.png", "labels": ["Shepherd, German", "Pug"]}\n'
        '{"file_name": "1.png", "labels": ["Pug", null]}\n'
    )
    assert labels(from_csv(root / "m.jsonl")) == wanted
    frame = pa.table({"file": ["0.png", "1.png"], "kinds": [["Shepherd, German", "Pug"], ["Pug"]]})
    assert labels(from_dataframe(frame, images=root)) == wanted


@pytest.mark.parametrize(("yes", "no"), [("True", "False"), ("true", "false"), ("1", ""), ("1.0", "0.0"), ("1", "0")])
def test_one_hot_columns_are_read_however_they_are_written(draw: Draw, yes: str, no: str) -> None:
    root = draw(f"{number}.png" for number in range(3))
    lines = [f"{n},{n}.png,{yes if n < 2 else no},{yes if n > 0 else no}" for n in range(3)]
    table = from_csv(csv_beside(root, ",file,a,b", *lines))
    assert labels(table) == {"0.png": ["a"], "1.png": ["a", "b"], "2.png": ["b"]}


def test_columns_that_are_nearly_one_hot_say_which_cell_is_not(draw: Draw) -> None:
    root = draw(f"{number}.png" for number in range(2))
    with pytest.raises(OptionError, match=r"wants 0 and 1, or True and False, in all of them: age holds '43'"):
        from_csv(csv_beside(root, "file,a,b,age", "0.png,1,0,43", "1.png,0,1,12"))


def test_absolute_paths_are_found_below_their_folder(draw: Draw, command: Command) -> None:
    root = draw([f"{label}/{number}.png" for label in ("cat", "dog") for number in range(6)])
    names = sorted(str(path) for path in root.rglob("*.png"))
    path = root.parent / "elsewhere" / "table.csv"
    path.parent.mkdir()
    path.write_text("path,label\n" + "".join(f"{name},{Path(name).parent.name}\n" for name in names))
    wanted = {f"{label}/{number}.png": [label] for label in ("cat", "dog") for number in range(6)}
    assert labels(from_csv(path, images=root)) == labels(from_csv(path)) == wanted
    frame = pa.table({"image": names, "label": [Path(name).parent.name for name in names]})
    assert labels(from_dataframe(frame)) == wanted
    assert [Path("/") / uri for uri in labels(from_dataframe(frame, images="/"))] == [Path(name) for name in names] or (
        set(labels(from_dataframe(frame, images="/"))) == set(wanted)
    )
    assert command("fit", root, "--csv", path, "--quick").returncode == 0


def test_a_data_frame_of_relative_paths_asks_for_their_folder() -> None:
    with pytest.raises(OptionError, match="images=FOLDER"):
        from_dataframe(pa.table({"image": ["a.png"], "label": ["x"]}))


@pytest.mark.parametrize(
    "name",
    [
        "cat/a.JPG",
        "CAT/a.png",
        "cat/../cat/a.png",
        r"C:\Users\me\set\cat\a.png",
        r"D:\photos\CAT\A.PNG",
        "/data/other/cat/a.png",
        "./cat//a.png",
        "a.PNG",
    ],
)
def test_paths_written_otherwise_are_resolved(draw: Draw, name: str) -> None:
    root = draw(["cat/a.png", "dog/b.png"])
    wanted = {"cat/a.png": ["x"], "dog/b.png": ["y"]}
    if name.endswith("JPG"):
        (root / "cat/a.png").rename(root / "cat/a.jpg")
        wanted = {"cat/a.jpg": ["x"], "dog/b.png": ["y"]}
    assert labels(from_csv(csv_beside(root, "path,label", f"{name},x", "dog/b.png,y"))) == wanted


def test_names_in_another_normal_form_are_the_same_names(draw: Draw) -> None:
    root = draw([f"cafe\u0301{number}.png" for number in range(4)])
    lines = ["caf\u00e90.png,th\u00e9", "cafe\u03011.png,the\u0301", "caf\u00e92.png,eau", "cafe\u03013.png,eau"]
    table = from_csv(csv_beside(root, "file,label", *lines))
    assert table.classes == ("eau", "th\u00e9")
    assert (len(table), codes(table)) == (4, [])


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig"])
def test_tables_with_a_mark_of_their_encoding_are_read(draw: Draw, encoding: str) -> None:
    root = draw(["1.png", "2.png"])
    (root / "t.csv").write_text("file,label\n1.png,caf\u00e9\n2.png,th\u00e9\n", encoding=encoding)
    assert from_csv(root / "t.csv").classes == ("caf\u00e9", "th\u00e9")


def test_a_table_of_windows_is_refused_with_what_to_do(draw: Draw) -> None:
    root = draw(["1.png", "2.png"])
    (root / "t.csv").write_text("file,label\n1.png,caf\u00e9\n2.png,th\u00e9\n", encoding="cp1252")
    with pytest.raises(SourceError, match=r"byte 0xe9 in line 2\). Save it as UTF-8"):
        from_csv(root / "t.csv")


@pytest.mark.parametrize(
    "lines", [["0.png,x", "1.png,y", "2.png,x"], ["0,x", "1,y", "2,x"], ["x;0.png", "y;1.png", "x;2.png"]]
)
def test_a_table_without_a_header_keeps_its_first_image(draw: Draw, lines: list[str]) -> None:
    root = draw(f"{number}.png" for number in range(3))
    table = from_csv(csv_beside(root, *lines))
    assert labels(table) == {"0.png": ["x"], "1.png": ["y"], "2.png": ["x"]}
    assert codes(table) == ["table-without-header"]


def test_a_number_beside_the_name_of_a_class_is_the_same_label(draw: Draw) -> None:
    root = draw(f"{number}.png" for number in range(4))
    path = csv_beside(root, "file,label,class_name", *(f"{n}.png,{n % 2},{('cat', 'dog')[n % 2]}" for n in range(4)))
    assert from_csv(path).classes == ("cat", "dog")


def test_the_public_names_take_them_too(draw: Draw) -> None:
    root = draw(["1.png", "2.png"])
    assert gr.from_csv(csv_beside(root, "1.png,a", "2.png,b")).classes == ("a", "b")


words = st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=6).map(lambda value: value.lower())
marks = st.sampled_from(["", " ", "-", "_", "."])


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.tuples(words, marks, words, st.integers(0, 3)), min_size=2, max_size=12, unique_by=lambda row: row[:3]),
    st.lists(st.tuples(words, marks, words).map("".join), min_size=4, max_size=4, unique=True),
    st.sampled_from(["path", "name", "stem", "absolute", "windows", "upper"]),
    st.booleans(),
    st.sampled_from([",", ";", "\t"]),
)
def test_whatever_is_called_what_each_image_keeps_its_label(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[tuple[str, str, str, int]],
    classes: list[str],
    written: str,
    header: bool,
    comma: str,
) -> None:
    """Names of files and classes of any letters, in any way of writing a path, with a header or without."""
    root = tmp_path_factory.mktemp("set")
    wanted, lines = {}, []
    for number, (one, mark, other, label) in enumerate(rows):
        uri = f"{'ab'[number % 2]}/{one}{mark}{other}{number}x.png"
        (root / uri).parent.mkdir(exist_ok=True)
        (root / uri).touch()
        wanted[unicodedata.normalize("NFC", uri)] = [unicodedata.normalize("NFC", classes[label])]
        name = {
            "path": uri,
            "name": Path(uri).name,
            "stem": Path(uri).stem,
            "absolute": str(root / uri),
            "windows": "C:\\data\\" + uri.replace("/", "\\"),
            "upper": uri.upper() if uri.upper().casefold() == uri.casefold() else uri,
        }[written]
        lines.append([name, classes[label]])
    path = root / "t.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, delimiter=comma).writerows(
            [["file", "kind"], *lines] if header or written == "stem" else lines
        )
    try:
        table = from_csv(path)
    except OptionError as error:
        assert "say which" in str(error).lower() or "Say it" in str(error)  # noqa: PT017
        return
    found = {unicodedata.normalize("NFC", uri): value for uri, value in labels(table).items()}
    assert found == wanted


@pytest.mark.parametrize("name", ["set", "Subset", "split", "usage"])
def test_a_column_that_names_parts_and_nothing_else_is_one_of_parts(draw: Draw, name: str) -> None:
    root = draw(f"{number}.png" for number in range(4))
    splits = ["train", "test", "train", "val"]
    path = csv_beside(root, f"file,{name},label", *(f"{n}.png,{splits[n]},{'xy'[n % 2]}" for n in range(4)))
    table = from_csv(path)
    assert (table.classes, table.splits) == (("x", "y"), ["train", "test", "train", "valid"])


def test_whole_numbers_of_a_data_frame_are_whole_numbers(draw: Draw) -> None:
    root = draw(f"{number}.png" for number in range(3))
    frame = pa.table({"file": [f"{number}.png" for number in range(3)], "grade": [1.0, None, 2.0]})
    assert labels(from_dataframe(frame, images=root)) == {"0.png": ["1"], "1.png": [], "2.png": ["2"]}


def test_paths_relative_to_another_folder_are_found_by_their_end(draw: Draw) -> None:
    root = draw(["train/a.png", "train/b.png", "other/a.png"])
    path = csv_beside(root, "path,label", "../input/set/train/a.png,x", "../input/set/train/b.png,y")
    assert labels(from_csv(path)) == {"train/a.png": ["x"], "train/b.png": ["y"]}
