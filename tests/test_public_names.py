"""The names that `import goldenrule as gr` gives."""

from __future__ import annotations

import subprocess
import sys

import pytest

import goldenrule


def test_the_public_names_are_sorted_unique_and_have_a_home() -> None:
    assert goldenrule.__all__ == sorted(set(goldenrule.__all__))
    assert list(goldenrule._HOMES) == goldenrule.__all__
    assert set(goldenrule.__all__) < set(dir(goldenrule))


@pytest.mark.parametrize("name", goldenrule.__all__)
def test_every_public_name_loads_and_is_documented(name: str) -> None:
    value = getattr(goldenrule, name)
    assert value.__name__ == name
    assert value.__doc__


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="nothing_like_it"):
        goldenrule.nothing_like_it  # noqa: B018


def test_importing_goldenrule_loads_nothing_else() -> None:
    code = "import sys, goldenrule; print([n for n in ('numpy', 'torch', 'openvino', 'pyarrow') if n in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_the_version_is_that_of_the_installation() -> None:
    from importlib.metadata import version

    assert goldenrule.__version__ == version("goldenrule")
