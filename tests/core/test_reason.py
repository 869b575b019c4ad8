"""A message names options as its reader writes them."""

from __future__ import annotations

from pathlib import Path

import pytest

import goldenrule as gr
from goldenrule.core.errors import OptionError
from goldenrule.core.option import default_of, options_of
from goldenrule.core.reason import FLAGS, in_readers_words, on_the_command_line
from goldenrule.runs.image_source import ImageSource
from goldenrule.runs.options import FitOptions
from goldenrule.runs.training_options import TrainingOptions


@pytest.mark.parametrize(
    ("said", "wanted"),
    [
        ("--group-by none turns this off", "group_by=none turns this off"),
        ("other options (--seed 0 instead of --seed 1)", "other options (seed=0 instead of seed=1)"),
        ("Lower the coverage (--coverage .8), or", "Lower the coverage (coverage=.8), or"),
        ("--from old: wanted a run", "start_from=old: wanted a run"),
        ("give the names (--rename OLD=NEW).", "give the names (rename=OLD=NEW)."),
        ("leave one out (--rename kitten=), or", "leave one out (rename='kitten='), or"),
        ("omit --quick, or give another --out.", "omit quick=True, or give another out=."),
        ("goldenrule fit a.b --quick --seed 3. Or --out DIR", "goldenrule fit a.b --quick --seed 3. Or out=DIR"),
    ],
)
def test_options_are_keywords_in_python_and_commands_stay(said: str, wanted: str) -> None:
    assert in_readers_words(said) == wanted
    assert in_readers_words(wanted) == wanted
    with on_the_command_line():
        assert in_readers_words(said) == said


def test_every_switch_of_a_fit_is_known_as_one() -> None:
    switches = {
        name.replace("_", "-")
        for kind in (FitOptions, TrainingOptions, ImageSource)
        for name in options_of(kind)
        if isinstance(default_of(kind, name), bool)
    }
    assert switches <= FLAGS


def test_what_python_raises_names_keywords(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"^label= names a column of a CSV file: give csv=FILE too"):
        gr.fit(tmp_path, quick=True, label="kind")
    with pytest.raises(OptionError, match=r"^top=0: wanted"):
        gr.check_labels(tmp_path, top=0)
