"""The journal of a review: appended to, never rewritten, whole or as it was."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from goldenrule.core.errors import FormatError, OptionError, RunInUse, StorageError
from goldenrule.runs.review_journal import (
    DecidedImage,
    Decision,
    Journal,
    decisions_in,
    opened_journal,
    read_journal,
    standing,
)

NAMES = st.text(st.characters(blacklist_categories=("Cs",), blacklist_characters="\0"), min_size=1, max_size=12)
IMAGES = st.lists(st.builds(DecidedImage, uri=NAMES, sha256=st.just("ab" * 32), label=NAMES), min_size=1, max_size=3)
MADE = st.lists(st.tuples(st.sampled_from(["keep", "relabel", "remove", "unsure", "skip"]), IMAGES, NAMES), max_size=5)
quickly = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)


def image(name: str, label: str = "cat") -> DecidedImage:
    return DecidedImage(uri=name, sha256="ab" * 32, label=label)


@quickly
@given(MADE)
def test_what_was_written_is_read_whatever_the_names(tmp_path: Path, made: list) -> None:
    path = tmp_path / "journal.csv"
    path.unlink(missing_ok=True)
    journal = Journal(path)
    for verdict, images, to in made:
        journal.append(verdict, images, session="s", to=to if verdict == "relabel" else "")
    assert Journal(path).decisions == journal.decisions
    assert [one.verdict for one in journal.decisions] == [verdict for verdict, *_ in made]


@quickly
@given(MADE.filter(bool), st.data())
def test_wherever_a_crash_cuts_it_whole_decisions_stay_and_new_ones_follow(
    tmp_path: Path, made: list, data: st.DataObject
) -> None:
    path = tmp_path / "journal.csv"
    path.unlink(missing_ok=True)
    journal = Journal(path)
    header = len("number,part,time,session,decision,image,sha256,from,to,undoes\n")
    ends = [header]
    for verdict, images, to in made:
        journal.append(verdict, images, session="s", to=to)
        ends.append(path.stat().st_size)
    content = path.read_bytes()
    cut = data.draw(st.integers(header, len(content)))
    torn = data.draw(st.sampled_from([b"", b"\0\0\0", b'7,1/1,"']))
    path.write_bytes(content[:cut] + (torn if cut in ends else b""))
    whole = sum(end <= cut for end in ends) - 1
    again = Journal(path)
    assert again.decisions == journal.decisions[:whole]
    again.append("keep", [image("new")], session="s")
    assert Journal(path).decisions[-1].images == (image("new"),)
    assert len(Journal(path)) == whole + 1


@given(
    st.lists(st.tuples(st.sampled_from(["keep", "relabel", "remove"]), st.sampled_from("abc")), max_size=8), st.data()
)
def test_an_undo_brings_back_what_held_before(made: list, data: st.DataObject) -> None:
    decisions = [
        Decision(number=n, time="", session="", verdict=verdict, images=(image(name),))
        for n, (verdict, name) in enumerate(made, 1)
    ]
    undone = data.draw(st.sets(st.sampled_from([one.number for one in decisions]))) if decisions else set()
    undos = [
        Decision(number=len(made) + k, time="", session="", verdict="undo", undoes=number)
        for k, number in enumerate(sorted(undone), 1)
    ]
    left = [one for one in decisions if one.number not in undone]
    assert standing([*decisions, *undos]) == standing(left)
    assert standing(left) == {one.images[0].uri: (one, one.images[0]) for one in left}


def test_many_threads_decide_at_once_and_no_decision_is_lost(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.csv")
    threads = [
        threading.Thread(
            target=lambda k=k: [journal.append("keep", [image(f"{k}/{n}")], session="s") for n in range(9)]
        )
        for k in range(4)
    ]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    read, _ = read_journal(journal.path)
    assert [one.number for one in read] == list(range(1, 37))
    assert {one.images[0].uri for one in read} == {f"{k}/{n}" for k in range(4) for n in range(9)}


def test_a_full_disk_is_said_and_leaves_what_was_there(tiny_disk: Callable[[str], Path]) -> None:
    folder = tiny_disk("64k")
    journal = Journal(folder / "journal.csv")
    journal.append("keep", [image("first.jpg")], session="s")
    size = journal.path.stat().st_size
    (folder / "filler").write_bytes(b"x" * (os.statvfs(folder).f_bavail * os.statvfs(folder).f_frsize))
    with pytest.raises(StorageError, match="The disk is full"):
        journal.append("remove", [image(f"{n}" * 200) for n in range(30)], session="s")
    assert journal.path.stat().st_size == size
    assert [one.verdict for one in journal.decisions] == ["keep"]
    (folder / "filler").unlink()
    journal.append("remove", [image("second.jpg")], session="s")
    assert [one.number for one in Journal(journal.path).decisions] == [1, 2]


def test_what_another_program_wrote_meanwhile_is_not_written_over(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.csv")
    journal.append("keep", [image("a.jpg")], session="s")
    with journal.path.open("a") as file:
        file.write("mine\n")
    before = journal.path.read_bytes()
    with pytest.raises(StorageError, match="changed by another program"):
        journal.append("keep", [image("b.jpg")], session="s")
    assert journal.path.read_bytes() == before


def test_a_second_review_of_a_run_is_refused_and_a_link_is_not_followed(tmp_path: Path) -> None:
    with opened_journal(tmp_path), pytest.raises(RunInUse, match="the page that it serves"), opened_journal(tmp_path):
        pass
    mine = tmp_path / "mine.csv"
    mine.write_text("mine")
    (tmp_path / "review" / "journal.csv").symlink_to(mine)
    with pytest.raises(StorageError, match="symbolic link"), opened_journal(tmp_path):
        pass
    assert mine.read_text() == "mine"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("path,label\na.jpg,cat\n", "no journal of decisions"),
        ("", "no journal of decisions"),
        ("number,part,time,session,decision,image,sha256,from,to,undoes\n1,1/1,t,s,burn,a,b,c,,\n", "'burn'"),
        ("number,part,time,session,decision,image,sha256,from,to,undoes\n2,1/1,t,s,keep,a,b,c,,\n", "number 1"),
        ("number,part,time,session,decision,image,sha256,from,to,undoes\n1,half,t,s,keep,a,b,c,,\n", "'half'"),
        ("number,part,time,session,decision,image,sha256,from,to,undoes\n1,keep\n", "a row of 2 cells"),
        (
            "number,part,time,session,decision,image,sha256,from,to,undoes\n1,1/2,t,s,keep,a,b,c,,\n"
            "2,1/1,t,s,keep,a,b,c,,\n",
            "lacks a row",
        ),
    ],
)
def test_what_is_no_journal_says_what_is_wrong(content: str, said: str) -> None:
    with pytest.raises(FormatError, match=said):
        decisions_in(content.encode(), Path("journal.csv"))


def test_a_journal_that_is_not_there_says_what_was_wanted(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="the journal that goldenrule review writes"):
        read_journal(tmp_path / "none.csv")
