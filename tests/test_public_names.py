"""The names that `import goldenrule as gr` gives."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from types import ModuleType

import pytest

import goldenrule


def test_the_public_names_are_sorted_unique_and_have_a_home() -> None:
    assert goldenrule.__all__ == sorted(set(goldenrule.__all__))
    assert list(goldenrule._HOMES) == goldenrule.__all__
    assert set(goldenrule.__all__) < set(dir(goldenrule))


@pytest.mark.parametrize("name", goldenrule.__all__)
def test_every_public_name_loads_and_is_documented(name: str) -> None:
    value = getattr(goldenrule, name)
    assert value.__name__.removeprefix("goldenrule.") == name
    assert value.__doc__


PACKAGES = [name for name in goldenrule.__all__ if isinstance(getattr(goldenrule, name), ModuleType)]


@pytest.mark.parametrize("package", PACKAGES)
def test_the_names_of_a_package_load_and_no_name_lives_in_two(package: str) -> None:
    found = getattr(goldenrule, package)
    for name in found.__all__:
        assert getattr(found, name).__doc__ or name in ("NamedMetric", "Task"), (
            f"{name}: types are told where they stand"
        )
        assert name in dir(found)
    others = {*goldenrule.__all__} | {
        name for other in PACKAGES if other != package for name in getattr(goldenrule, other).__all__
    }
    assert package == "metrics" or not others & {*found.__all__}


MOST_NAMES = 52
"""Fifty, and what two other libraries' users look for by name: scikit-learn's estimator and Hugging Face's data."""


def test_there_are_few_names_at_the_top() -> None:
    assert len(goldenrule.__all__) <= MOST_NAMES


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="nothing_like_it"):
        goldenrule.nothing_like_it  # noqa: B018


def test_importing_goldenrule_loads_nothing_else() -> None:
    code = "import sys, goldenrule; print([n for n in ('numpy', 'torch', 'openvino', 'pyarrow') if n in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_the_version_is_that_of_the_installation() -> None:
    from importlib.metadata import version

    assert goldenrule.__version__ == version("goldenrule")


EVERY = [
    *(getattr(goldenrule, name) for name in goldenrule.__all__ if name not in PACKAGES),
    *(
        getattr(getattr(goldenrule, package), name)
        for package in PACKAGES
        for name in getattr(goldenrule, package).__all__
    ),
]


def test_no_help_speaks_of_a_law_by_its_number() -> None:
    """Who reads `help(gr.from_folder)` does not know the laws of the design."""
    members = [getattr(value, name) for value in EVERY if isinstance(value, type) for name in vars(value)]
    told = {inspect.getdoc(value) or "" for value in [*EVERY, *members]}
    assert len(told) > 200
    assert [text for text in told if re.search(r"\(laws? \d", text)] == []
