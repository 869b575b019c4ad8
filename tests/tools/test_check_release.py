"""What a release is checked for is found where it is wrong (tools/check_release.py)."""

from __future__ import annotations

import io
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from check_release import (
    IN_SDIST,
    ROOT,
    Table,
    Wrong,
    content,
    files_of,
    interpreter,
    link_torch,
    names_fit,
    sdist_problems,
    tag_fits,
    wheel_problems,
    written_version,
)

import goldenrule

TRACKED = ["src/goldenrule/__init__.py", "src/goldenrule/__main__.py", "src/goldenrule/py.typed", "lessons/xor.py"]
WHEEL = [
    "goldenrule/__init__.py",
    "goldenrule/__main__.py",
    "goldenrule/py.typed",
    "goldenrule/lessons/xor.py",
    "goldenrule-1.0.dist-info/METADATA",
    "goldenrule-1.0.dist-info/entry_points.txt",
    "goldenrule-1.0.dist-info/licenses/LICENSE",
]
SDIST = [*TRACKED, *IN_SDIST, "docs/images/report.png", "tests/frozen/one.npz"]
KNOWN = [*TRACKED, *SDIST]


def test_a_wheel_that_holds_what_it_should_has_no_problem() -> None:
    assert wheel_problems(WHEEL, TRACKED) == []


@pytest.mark.parametrize("name", WHEEL)
def test_whatever_a_wheel_lacks_is_named(name: str) -> None:
    (problem,) = set(wheel_problems([one for one in WHEEL if one != name], TRACKED))
    assert problem.startswith("lacks ")
    assert Path(name).name in problem


@pytest.mark.parametrize("name", ["goldenrule/notes.py", "goldenrule/cat.JPG", "weights.safetensors"])
def test_what_a_wheel_should_not_hold_is_named(name: str) -> None:
    assert any(name in problem for problem in wheel_problems([*WHEEL, name], TRACKED))


def test_an_sdist_that_holds_what_it_should_has_no_problem() -> None:
    assert sdist_problems(SDIST, KNOWN) == []


@pytest.mark.parametrize("name", [*TRACKED, *IN_SDIST])
def test_whatever_an_sdist_lacks_is_named(name: str) -> None:
    assert f"lacks {name}" in sdist_problems([one for one in SDIST if one != name], KNOWN)


@pytest.mark.parametrize("name", ["tests/data/cat.jpg", "examples/net.onnx", "docs/dogs.jpeg"])
def test_photos_and_weights_are_named_even_where_git_knows_them(name: str) -> None:
    assert sdist_problems([*SDIST, name], [*KNOWN, name]) == [f"holds {name}"]


def test_a_file_that_git_does_not_know_is_named() -> None:
    assert sdist_problems([*SDIST, "docs/todo.md"], KNOWN) == ["holds docs/todo.md, which git does not know"]


def test_files_of_both_kinds_of_archive_are_told_by_content(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.whl", "w") as wheel:
        wheel.writestr("goldenrule/a.py", "1")
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as sdist:
        member = tarfile.TarInfo("goldenrule-1.0/goldenrule/a.py")
        member.size = 1
        sdist.addfile(member, io.BytesIO(b"1"))
    assert files_of(tmp_path / "a.whl") == files_of(tmp_path / "a.tar.gz")
    assert list(files_of(tmp_path / "a.whl")) == ["goldenrule/a.py"]


def test_an_archive_that_is_too_large_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "a.whl").write_bytes(bytes(2_100_000))
    with pytest.raises(Wrong, match=r"2\.1 MB"):
        content(tmp_path / "a.whl", [], "wheel")


def test_the_version_is_read_from_the_source() -> None:
    assert written_version() == goldenrule.__version__
    assert goldenrule.__version__ in names_fit(written_version(), None)


HEADING = "# Changelog\n\n## [Unreleased]\n\n## [0.2.0] - 2027-01-31\n"


def test_a_tag_that_fits_version_and_changelog_is_right() -> None:
    assert "v0.2.0" in tag_fits("v0.2.0", "0.2.0", HEADING)


@pytest.mark.parametrize(
    ("tag", "version", "changelog", "said"),
    [
        ("v0.2.1", "0.2.0", HEADING, "is not v0.2.0"),
        ("0.2.0", "0.2.0", HEADING, "is not v0.2.0"),
        ("v0.2.0.dev0", "0.2.0.dev0", HEADING, "no version of a release"),
        ("v0.3.0", "0.3.0", HEADING, "no heading"),
        ("v0.2.0", "0.2.0", "## [0.2.0]\n", "no heading"),
    ],
)
def test_a_tag_that_does_not_fit_is_wrong(tag: str, version: str, changelog: str, said: str) -> None:
    with pytest.raises(Wrong, match=said):
        tag_fits(tag, version, changelog)


def test_the_table_counts_what_is_wrong(capsys: pytest.CaptureFixture[str]) -> None:
    def broken() -> str:
        raise Wrong("no such file")

    table = Table()
    assert table.check("one", lambda: "fine")
    assert not table.check("two", broken)
    assert table.wrong == 1
    assert "WRONG  no such file" in capsys.readouterr().out


def test_a_python_that_there_is_not_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        interpreter("2.99")
    assert end.value.code == 2
    assert "no Python 2.99 here" in capsys.readouterr().err
    assert interpreter(sys.executable) == Path(sys.executable)


def test_pytorch_is_linked_and_nothing_else(tmp_path: Path) -> None:
    for environment in ("old", "new"):
        (tmp_path / environment / "lib" / "python3.11" / "site-packages").mkdir(parents=True)
    old, new = (tmp_path / name / "lib" / "python3.11" / "site-packages" for name in ("old", "new"))
    for name in ("torch", "torch-2.0.dist-info", "nvidia", "goldenrule", "numpy"):
        (old / name).mkdir()
        (old / name / "METADATA").write_text(name)
    link_torch(tmp_path / "old", tmp_path / "new")
    assert sorted(path.name for path in new.iterdir()) == ["nvidia", "torch", "torch-2.0.dist-info"]
    assert (new / "torch" / "METADATA").samefile(old / "torch" / "METADATA")


def test_what_is_checked_is_in_this_checkout() -> None:
    assert [name for name in IN_SDIST if name != "PKG-INFO" and not (ROOT / name).is_file()] == []
