"""A table beside class folders that names a part of their images, others, or says otherwise: told, never silent."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from goldenrule.core.errors import SourceError, TooFewImages
from goldenrule.data.sources.label_tables import from_csv, from_source
from goldenrule.data.sources.origin import origin_line
from goldenrule.data.splits.splitting import check_enough

Make = Callable[[str], Path]
CATS, DOGS = ([f"{label}/{label}{number}.jpg" for number in range(30)] for label in ("cat", "dog"))


@pytest.fixture
def pets(tmp_path: Path) -> Make:
    """Make a folder `pets` of 30 cats and 30 dogs, with these lines in labels.csv; gives the folder."""

    def made(*lines: str) -> Path:
        root = tmp_path / "pets"
        for name in (*CATS, *DOGS):
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).touch()
        (root / "labels.csv").write_text("\n".join(["file,label", *lines]))
        return root

    return made


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([], "labels from the folders' names."),
        ([f"{name},{name[:3]}" for name in (*CATS, *DOGS)], "labels from the folders' names."),
        ([f"{name},feline" for name in CATS], "; labels.csv names 30 of 60 images (cat) and is not used."),
        ([f"{name},cat" for name in CATS], "; labels.csv names 30 of 60 images (cat) and is not used."),
        ([f"{name},{'ab'[n % 2]}" for n, name in enumerate(CATS[:20])], "; labels.csv names 20 of 60 images (cat) and"),
        ([f"gone{n}.jpg,cat" for n in range(9)], "; labels.csv names 9 images, of which 0 are here: it is not used."),
        (
            [*(f"{name},{name[:3]}" for name in (*CATS, *DOGS[1:])), f"{DOGS[0]},cat"],
            "; labels.csv calls 1 image otherwise than its folder, and is not used.",
        ),
    ],
)
def test_what_a_table_beside_class_folders_leaves_open_stands_in_the_first_line(
    pets: Make, lines: list[str], said: str
) -> None:
    line = origin_line(from_source(pets(*lines)))
    assert line.startswith("pets: 60 images, 2 classes (cat, dog), labels from the folders' names")
    assert said in line


def test_a_table_of_the_images_without_a_label_says_so(pets: Make) -> None:
    root = pets("1.jpg,cat", "2.jpg,dog")
    for name in ("train", "test"):
        (root / name).mkdir()
    for name in ("cat", "dog"):
        (root / name).rename(root / "train" / name)
    for name in ("1.jpg", "2.jpg"):
        (root / "test" / name).touch()
    line = origin_line(from_source(root))
    assert line.startswith("pets: 60 labelled images and 2 without a label, 2 classes (cat, dog), labels from the f")
    assert line.endswith("; labels.csv names 2 images that have no label by their folders, and is not used.")


def test_several_labels_inside_of_one_folder_are_asked_for(pets: Make) -> None:
    root = pets(*(f"{name},{'ab'[number % 2]}" for number, name in enumerate(CATS)))
    with pytest.raises(SourceError, match=r"labels.csv names the images of the folder cat, and says otherwise .*--csv"):
        from_source(root)


def test_a_table_that_was_asked_for_says_what_it_leaves_out(pets: Make) -> None:
    lines = [f"{name},{'ab'[number % 2]}" for number, name in enumerate(CATS[:20])]
    root = pets(*lines, "gone.jpg,a")
    line = origin_line(from_csv(root / "labels.csv"))
    assert line.startswith("pets: 20 images, 2 classes (a, b), labels from ")
    assert "labels.csv names 1 image without a file" in line
    assert "40 images that " in line
    one = from_csv(pets(*(f"{name},cat" for name in CATS)) / "labels.csv")
    with pytest.raises(TooFewImages, match=r"labels.csv has one class only \('cat'\).*omit --csv"):
        check_enough(one, min_per_class=2)


def test_a_table_that_contradicts_the_folders_says_so(pets: Make) -> None:
    root = pets(*(f"{name},{name[:3]}" for name in CATS), *(f"{name},dog" for name in DOGS[2:]), f"{DOGS[0]},cat")
    table = from_csv(root / "labels.csv")
    [found] = [finding for finding in table.findings if finding.code == "table-against-folders"]
    assert found.evidence == (f"{DOGS[0]}: cat",)
    assert found.sentence in origin_line(table)


def test_a_table_of_images_that_have_no_label_says_how_to_score_a_classifier_on_them(pets: Make) -> None:
    root = pets(*(f"{number}.jpg,cat" for number in range(9)))
    for name in ("train", "valid"):
        (root / name).mkdir()
        for label in ("cat", "dog"):
            (root / name / label).mkdir()
            (root / name / label / "a.jpg").touch()
    (root / "test").mkdir()
    for number in range(9):
        (root / "test" / f"{number}.jpg").touch()
    (root / "cat").rename(root / "train" / "cat2")
    (root / "dog").rename(root / "train" / "dog2")
    (note,) = (one for one in from_source(root).findings if one.code == "table-of-unlabelled")
    assert note.sentence == "labels.csv names 9 images that have no label by their folders, and is not used"
    assert f"evaluate RUN {root / 'test'} --csv {root / 'labels.csv'}" in str(note.advice)
