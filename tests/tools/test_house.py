"""The house keeps its bounds (tools/house.py); each bound may only fall."""

from __future__ import annotations

import pytest
from house import ROOT, House


@pytest.fixture(scope="module")
def house() -> House:
    return House.at(ROOT / "src")


def test_no_files_import_each_other_in_a_circle(house: House) -> None:
    assert house.circles() == []


def test_a_circle_of_files_is_found() -> None:
    text = {"goldenrule.a.x": "from goldenrule.a import y\n", "goldenrule.a.y": "import goldenrule.a.x\n"}
    assert House(text).circles() == [["goldenrule.a.x", "goldenrule.a.y"]]


def test_a_sentence_that_is_parsed_is_found() -> None:
    text = {"goldenrule.a": 'if name.startswith("linear head"):\n    pass\n'}
    assert House(text).sentences_parsed() == ["goldenrule.a: linear head"]


def test_no_state_is_read_back_from_a_sentence(house: House) -> None:
    assert house.sentences_parsed() == []


@pytest.mark.parametrize(
    "code",
    [
        'told, _, outcome = said.rpartition(": ")',
        'MARK = "; wanted "\nfound = reason.partition(MARK)',
        'if kind in ("a folder", "a file"): pass',
        'reason = kind.removeprefix("closed: ")',
    ],
)
def test_a_cut_through_a_sentence_is_found_by_whatever_it_is_cut(code: str) -> None:
    assert len(House({"goldenrule.a": code}).sentences_parsed()) == 1


def test_a_member_of_an_enum_is_no_sentence() -> None:
    text = "class Basis(StrEnum):\n    HELD_OUT = 'held out'\nfound = basis in (Basis.HELD_OUT, other)"
    assert House({"goldenrule.a": text}).sentences_parsed() == []


def test_no_two_files_outside_of_the_commands_have_one_name(house: House) -> None:
    assert house.double_names() == {}


def test_packages_are_small_enough_to_be_looked_over(house: House) -> None:
    crowded = {
        name: count for name, count in house.crowded_packages().items() if name != "goldenrule.cli"
    }  # a file per command
    assert crowded == {}


def test_two_files_of_one_name_and_a_crowded_package_are_found() -> None:
    many = {f"goldenrule.a.m{number}": "" for number in range(21)}
    found = House(many | {"goldenrule.b.m1": "", "goldenrule.cli.m1": ""})
    assert found.double_names() == {"m1": ["goldenrule.a.m1", "goldenrule.b.m1"]}
    assert found.crowded_packages() == {"goldenrule.a": 21}


def test_what_was_brought_down_stays_down(house: House) -> None:
    # 125, and those of export, serve, runs, report, predict, review, several processes, precompute, --cluster since
    assert house.options().total() <= 165
    assert len(house.repeated()) <= 8
    assert len(house.public_names()) <= 52  # with an estimator of scikit-learn's kind and from_hf


def test_lines_that_stand_twice_are_found() -> None:
    backbone = "\n".join(f"value_{number} = {number}" for number in range(6))
    assert House({"goldenrule.a": backbone, "goldenrule.b": f"other = 1\n{backbone}"}).repeated() == [
        ("goldenrule.a", "goldenrule.b")
    ]
