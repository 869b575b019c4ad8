"""Law 11: files are whole or absent, whatever happens while they are written."""

import errno
import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from goldenrule.core.errors import FormatError, StorageError
from goldenrule.storage import files

again_in_one_folder = settings(
    deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
plain = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=4)
)
json_values = plain | st.lists(plain, max_size=3) | st.dictionaries(st.text(max_size=3), plain, max_size=3)


def broken_off(writing, write, error):
    """Write and raise before the block is at its end."""
    with writing as temporary:
        write(temporary)
        raise error


@again_in_one_folder
@given(old=st.binary(max_size=200), new=st.binary(max_size=200), error=st.sampled_from([ValueError, KeyboardInterrupt]))
def test_an_exception_while_writing_leaves_the_old_content_and_nothing_else(tmp_path, old, new, error):
    path = tmp_path / "file"
    files.write_atomic(path, old)
    with pytest.raises(error):
        broken_off(files.atomic_path(path), lambda temporary: temporary.write_bytes(new), error)
    assert path.read_bytes() == old
    files.write_atomic(path, new)
    assert path.read_bytes() == new
    assert list(tmp_path.iterdir()) == [path]


def test_an_exception_while_a_folder_is_written_leaves_the_old_folder(tmp_path):
    path = tmp_path / "model"
    with files.atomic_folder(path) as temporary:
        (temporary / "a").write_text("old")
        (temporary / "gone").write_text("old")
    with pytest.raises(ValueError, match="stop"):
        broken_off(files.atomic_folder(path), lambda temporary: (temporary / "a").write_text("new"), ValueError("stop"))
    assert sorted(file.name for file in path.iterdir()) == ["a", "gone"]
    with files.atomic_folder(path) as temporary:
        (temporary / "a").write_text("new")
    assert [(file.name, file.read_text()) for file in path.iterdir()] == [("a", "new")]
    assert list(tmp_path.iterdir()) == [path]


KILLER = """
import json, os, signal, sys
from pathlib import Path
from goldenrule.storage import files

root = Path(sys.argv[1])

def write_file(text):
    files.write_atomic(root / "file", text * 5000)

def write_value(text):
    files.write_json(root / "value.json", {"text": text * 5000})

def write_folder(text):
    with files.atomic_folder(root / "folder") as folder:
        for name in "abc":
            (folder / name).write_text(text * 100)

def seen(write):
    if write is write_file:
        return (root / "file").read_text()[::5000]
    if write is write_value:
        return json.loads((root / "value.json").read_text())["text"][::5000]
    return sorted(file.read_text()[::100] for file in (root / "folder").iterdir())

def killed_at(line, write):
    left = [line]
    def trace(frame, event, argument):
        if frame.f_code.co_filename != files.__file__:
            return None
        if event == "line":
            left[0] -= 1
            if left[0] < 0:
                os.kill(os.getpid(), signal.SIGKILL)
        return trace
    child = os.fork()
    if child == 0:
        sys.settrace(trace)
        write("n")
        os._exit(0)
    return os.waitpid(child, 0)[1] != 0

run = {}
for write in (write_file, write_value, write_folder):
    write("o")
    moments, old, new = 0, [], []
    while killed_at(moments, write):
        try:
            found = seen(write)
        except OSError as error:
            found = repr(error)
        (old if set(found) == {"o"} else new if set(found) == {"n"} else sys.exit(f"{write} line {moments}: {found}"))
        (old if set(found) == {"o"} else new).append(moments)
        write("o")
        moments += 1
    assert set(seen(write)) == {"n"}
    run[write.__name__] = [moments, len(old), len(new)]
print(json.dumps(run))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="folders are swapped in one step on Linux only")
def test_kill_9_at_any_line_of_writing_leaves_the_old_or_the_new_whole(tmp_path):
    result = subprocess.run([sys.executable, "-c", KILLER, str(tmp_path)], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    for moments, old, new in json.loads(result.stdout).values():
        assert moments > 15
        assert old > 5
        assert new >= 1


def test_where_folders_cannot_be_swapped_the_new_one_still_takes_the_place_of_the_old(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "_exchanged", lambda one, other: False)
    for text in ("old", "new"):
        with files.atomic_folder(tmp_path / "model") as temporary:
            (temporary / "a").write_text(text)
    assert (tmp_path / "model" / "a").read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_content_and_folder_reach_the_disk_before_and_after_the_rename(tmp_path, monkeypatch):
    events = []
    sync, replace = os.fsync, Path.replace
    monkeypatch.setattr(os, "fsync", lambda handle: (events.append("sync"), sync(handle)))
    monkeypatch.setattr(Path, "replace", lambda path, target: (events.append("rename"), replace(path, target)))
    files.write_atomic(tmp_path / "file", "text")
    assert events == ["sync", "rename", "sync"]


def test_a_full_disk_is_a_storage_error_and_keeps_what_was_there(tiny_disk):
    disk = tiny_disk("64k")
    files.write_json(disk / "value.json", {"a": 1})
    with pytest.raises(StorageError, match=r"disk is full.*value\.json.*Free some space"):
        files.write_json(disk / "value.json", {"a": "x" * 200_000})
    assert files.read_json(disk / "value.json") == {"a": 1}
    with pytest.raises(StorageError, match="disk is full"), files.atomic_folder(disk / "model") as temporary:
        (temporary / "weights").write_bytes(bytes(200_000))
    assert [path.name for path in disk.iterdir()] == ["value.json"]


def test_a_read_only_folder_is_a_storage_error_that_says_what_to_do(tmp_path, request):
    if os.geteuid() == 0:
        folder = request.getfixturevalue("tiny_disk")("64k")
        files.write_atomic(folder / "file", "old")
        subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
    else:
        folder = tmp_path
        files.write_atomic(folder / "file", "old")
        folder.chmod(0o555)
    with pytest.raises(StorageError, match=r"can't be written.*--out"):
        files.write_atomic(folder / "file", "new")
    with pytest.raises(StorageError, match="can't be written"), files.atomic_folder(folder / "model"):
        pass
    assert (folder / "file").read_text() == "old"


@pytest.mark.parametrize("below", ["file", "file/deeper", "folder"])
def test_a_file_where_a_folder_is_wanted_and_the_reverse_are_storage_errors(tmp_path, below):
    (tmp_path / "file").write_text("in the way")
    (tmp_path / "folder").mkdir()
    with pytest.raises(StorageError, match="can't be written"):
        files.write_atomic(tmp_path / below / ("new" if below != "folder" else "."), "text")
    assert (tmp_path / "file").read_text() == "in the way"


def test_other_errors_of_the_system_say_what_to_do_too(tmp_path):
    said = "Input/output error. The disk or the network drive failed"
    with pytest.raises(StorageError, match=said), files.storage_errors(tmp_path):
        raise OSError(errno.EIO, os.strerror(errno.EIO))


def test_written_files_and_folders_have_the_permissions_of_ordinary_ones(tmp_path):
    before = os.umask(0o027)
    try:
        files.write_atomic(tmp_path / "file", "text")
        with files.atomic_folder(tmp_path / "folder"):
            pass
    finally:
        os.umask(before)
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o640
    assert (tmp_path / "folder").stat().st_mode & 0o777 == 0o750


def test_a_name_may_be_long_or_not_ascii(tmp_path):
    for name in ("é" * 120, "雪" * 80, "x" * 250):
        files.write_atomic(tmp_path / name, name)
        assert (tmp_path / name).read_text() == name


@again_in_one_folder
@given(
    value=st.dictionaries(st.text(max_size=5).filter(lambda name: name != "schema_version"), json_values, max_size=4)
)
def test_json_comes_back_as_it_was_written(tmp_path, value):
    files.write_json(tmp_path / "value.json", value)
    assert files.read_json(tmp_path / "value.json") == value


@given(st.dictionaries(st.text(max_size=5), json_values, max_size=5))
def test_equal_values_have_one_digest_in_whatever_order_they_were_made(value):
    turned = dict(reversed(value.items()))
    assert files.json_digest(turned) == files.json_digest(value)
    assert files.json_digest({**value, "one more": 1}) != files.json_digest(value)


def test_what_json_cannot_hold_is_never_written(tmp_path):
    with pytest.raises(ValueError, match="nan"):
        files.write_json(tmp_path / "value.json", {"loss": float("nan")})
    assert not (tmp_path / "value.json").exists()
    with pytest.raises(ValueError, match="not JSON compliant"):
        files.json_digest(float("nan"))


@pytest.mark.parametrize(
    ("content", "says"),
    [(b"{", "can't be read as JSON"), (b"\xff\xfe", "can't be read as JSON"), (b"[1]", "list, wanted a JSON object")],
)
def test_a_damaged_json_file_is_a_format_error(tmp_path, content, says):
    (tmp_path / "value.json").write_bytes(content)
    with pytest.raises(FormatError, match=says):
        files.read_json(tmp_path / "value.json")


def test_a_missing_json_file_is_a_format_error(tmp_path):
    with pytest.raises(FormatError, match="No such file"):
        files.read_json(tmp_path / "none.json")


@pytest.mark.parametrize("version", [3, None, "1", 1.5])
def test_a_newer_or_strange_schema_asks_for_an_update(tmp_path, version):
    files.write_json(tmp_path / "value.json", {"schema_version": version})
    with pytest.raises(FormatError, match=r"reads version 2.*Update goldenrule"):
        files.read_json(tmp_path / "value.json", schema=2)


def test_a_file_of_an_earlier_schema_says_how_to_make_it_again(tmp_path):
    files.write_json(tmp_path / "value.json", {"schema_version": 1})
    with pytest.raises(FormatError, match=r"value.json was written by an earlier goldenrule.*reads version 2.*--out"):
        files.read_json(tmp_path / "value.json", schema=2)


def test_a_file_in_pieces_has_the_digest_of_its_bytes(tmp_path):
    content = os.urandom(3_000_000)
    (tmp_path / "file").write_bytes(content)
    assert files.file_digest(tmp_path / "file") == files.digest(content).hex()
    assert len(files.digest(content)) == files.DIGEST_BYTES


def test_importing_the_files_module_imports_nothing_heavy():
    script = textwrap.dedent("""
        import sys, goldenrule, goldenrule.storage.files, goldenrule.core.errors
        heavy = {"numpy", "torch", "timm", "openvino", "PIL", "pyarrow", "matplotlib"} & set(sys.modules)
        assert not heavy, heavy
    """)
    subprocess.run([sys.executable, "-c", script], check=True)


def test_a_folder_of_images_is_told_the_run_that_was_made_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos" / "cat").mkdir(parents=True)
    (tmp_path / "photos" / "cat" / "a.jpg").write_bytes(b"")
    assert "goldenrule fit photos makes a run" in files.no_run_but(Path("photos"))
    (tmp_path / "runs" / "photos").mkdir(parents=True)
    (tmp_path / "runs" / "photos" / "result.json").write_text("{}")
    assert files.no_run_but(Path("photos")) == " Its run is runs/photos: give that."
    assert files.no_run_but(Path("runs")) == " It holds runs: give one of them, such as runs/photos"
