"""Manifests: nothing is believed that was not written so, and a kill between record and file loses nothing."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from goldenrule.core.errors import FormatError
from goldenrule.core.schema import MOST_NESTED, parse_json
from goldenrule.storage import manifest
from goldenrule.storage.manifest import MANIFEST, Sealed, seal, write_recorded

NAMES, CONTENTS = st.sampled_from(["a", "b/c"]), st.binary(max_size=20)


class Killed(BaseException):
    """The process ends here."""


def write(folder: Path, name: str, content: bytes, killed: str) -> None:
    """Write, and be killed before the record, between record and file, or not at all."""
    with pytest.MonkeyPatch.context() as patch:

        def die(*_: object) -> None:
            raise Killed

        if killed == "before the record":
            patch.setattr(manifest, "write_json", die)
        if killed == "before the file":
            patch.setattr(manifest, "write_atomic", die)
        with contextlib.suppress(Killed):
            write_recorded(folder, name, content)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(NAMES, CONTENTS, st.sampled_from(["", "before the record", "before the file"])),
        min_size=1,
        max_size=6,
    )
)
def test_a_kill_at_any_moment_leaves_the_old_content_or_the_new(
    tmp_path_factory: pytest.TempPathFactory, writes: list[tuple[str, bytes, str]]
) -> None:
    folder, there = tmp_path_factory.mktemp("sealed"), dict[str, bytes]()
    for name, content, killed in writes:
        write(folder, name, content, killed)
        if not killed:
            there[name] = content
        if (folder / MANIFEST).is_file():
            files = Sealed(folder)
            assert {text for text in ("a", "b/c") if text in files} == set(there)
            assert {text: files.read(text) for text in there} == there


def test_what_is_written_again_is_whole_again(tmp_path: Path) -> None:
    write_recorded(tmp_path, "a", b"content")
    (tmp_path / "a").write_bytes(b"damaged")
    with pytest.raises(FormatError, match="a was changed or damaged"):
        Sealed(tmp_path).read("a")
    write_recorded(tmp_path, "a", b"content")
    assert Sealed(tmp_path).read("a") == b"content"


def test_a_file_that_is_gone_is_missed(tmp_path: Path) -> None:
    write_recorded(tmp_path, "a", b"content")
    write_recorded(tmp_path, "b", b"other")
    (tmp_path / "a").unlink()
    assert "a" in Sealed(tmp_path)
    with pytest.raises(FormatError, match="a is missing"):
        Sealed(tmp_path).read("a")


def test_what_was_put_there_later_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"content")
    seal(tmp_path)
    (tmp_path / "b").write_bytes(b"other")
    assert Sealed(tmp_path).read("a") == b"content"
    with pytest.raises(FormatError, match="put there by somebody else"):
        Sealed(tmp_path).read("b")


@pytest.mark.parametrize("depth", [MOST_NESTED, MOST_NESTED + 1, 500, 900, 990, 3_000, 100_000])
def test_json_is_bounded_in_depth(depth: int) -> None:
    content = b"[" * depth + b"]" * depth
    if depth <= MOST_NESTED:
        parse_json(content)
        return
    with pytest.raises(ValueError, match=f"nested more than {MOST_NESTED} deep"):
        parse_json(content)
