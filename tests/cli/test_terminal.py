"""Lines are as wide as the terminal, and what is to be copied stays whole."""

from __future__ import annotations

import io

from hypothesis import given
from hypothesis import strategies as st

from goldenrule.cli.fit_summary import CLAUSES, first_clauses
from goldenrule.cli.terminal import show_wrapped
from goldenrule.core.console import Console, Text

words = st.lists(st.text("abcdefg", min_size=1, max_size=9), min_size=1, max_size=60).map(" ".join)


def shown(line: Text, *, terminal: bool, width: int = 40) -> list[str]:
    file = io.StringIO()
    show_wrapped(line, Console(file=file, force_terminal=terminal, width=width, color_system=None))
    return file.getvalue().splitlines()


@given(words)
def test_a_long_line_goes_on_under_its_own_text(said: str) -> None:
    first, *others = shown(Text(f"  Check    {said}"), terminal=True)
    assert " ".join([first, *others]).split() == ["Check", *said.split()]
    assert all(len(one) <= 40 for one in (first, *others))
    assert all(one.startswith(" " * 11) and one[11] != " " for one in others)


@given(words)
def test_in_a_file_and_where_it_is_to_be_copied_a_line_is_whole(said: str) -> None:
    assert shown(Text(f"  Check    {said}"), terminal=False) == [f"  Check    {said}"]
    command = Text(f"  Predict  {said}", no_wrap=True)
    assert shown(command, terminal=True) == [f"  Predict  {said}"]


@given(st.lists(words, min_size=1, max_size=6), st.sampled_from(CLAUSES), st.integers(1, 200))
def test_a_sentence_is_cut_between_its_clauses_alone(clauses: list[str], stop: str, longest: int) -> None:
    whole = stop.join(clauses)
    found = first_clauses(whole, longest)
    assert found in [stop.join(clauses[: count + 1]) for count in range(len(clauses))]
    assert len(found) <= longest or found == whole
