"""Commands on archives of real photos: the numbers of the folder that was packed, and what becomes of a changed one."""

from __future__ import annotations

import io
import json
import shutil
import signal
import subprocess
import tarfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import goldenrule as gr
from goldenrule.data.sources.label_tables import from_source
from goldenrule.pipelines.changed_files import changed_files, stamps_of
from goldenrule.storage.files import digest

Command = Callable[..., subprocess.CompletedProcess[str]]
Start = Callable[..., subprocess.Popen[str]]


def packed(folder: Path, place: Path, kind: str) -> Path:
    """Pack a folder, wrapped in one of its own name as programs do."""
    return Path(shutil.make_archive(str(place), kind, folder.parent, folder.name))


def result(run: Path) -> dict[str, object]:
    """Return the numbers of a run."""
    found = json.loads((run / "result.json").read_text())
    return {name: found[name] for name in ("headline", "valid", "test", "out_of_fold", "chosen", "metrics")}


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_an_archive_shares_the_features_of_its_folder_and_gives_its_numbers(
    kind: str, command: Command, small_photos: Path, tmp_path: Path
) -> None:
    assert command("fit", "--quick", small_photos, "-o", "of_folder").returncode == 0
    archive = packed(small_photos, tmp_path / "pets", kind)
    found = command("fit", "--quick", archive, "-o", "of_archive", "--seed", "0")
    assert found.returncode == 0, found.stderr
    features = json.loads((tmp_path / "of_archive" / "result.json").read_text())["features"]
    assert features["computed"] == 0
    assert features["reused"] > 0
    assert result(tmp_path / "of_archive") == result(tmp_path / "of_folder")
    assert json.loads((tmp_path / "of_archive" / "run.json").read_text())["images"]["folder"] == str(
        archive / "dogscats"
    )
    assert "data:image/jpeg" in (tmp_path / "of_archive" / "report.html").read_text(), "the report shows photos"


@pytest.mark.slow
def test_every_command_that_takes_images_takes_an_archive(command: Command, small_photos: Path, tmp_path: Path) -> None:
    archive = packed(small_photos, tmp_path / "pets", "zip")
    assert command("fit", "--quick", archive).returncode == 0
    run, images = Path("runs/dogscats"), archive / "dogscats" / "valid"
    for words in (
        ("fit", archive, "--plan"),
        ("audit", archive),
        ("split", archive, "apart", "--anew"),
        ("evaluate", run, images),
        ("predict", run, archive, "-o", "rows.csv"),
        ("predict", run, images / "cats"),
        ("predict", run, images / "cats", "--sort-into", "sorted"),
        ("labels", run),
        ("explain", run, images / "cats", "--no-heat"),
        ("show-augment", archive, "--num-images", "2"),
        ("learning-curve", run),
    ):
        found = command(*words)
        assert found.returncode == 0, f"{words}: {found.stdout}{found.stderr}"
    assert len((tmp_path / "rows.csv").read_text().splitlines()) == 1 + 68
    assert "data:image/jpeg" in (tmp_path / "audits/dogscats/audit.html").read_text()
    assert "data:image/jpeg" in (tmp_path / "explained/dogscats/explained.html").read_text()
    assert len(list((tmp_path / "sorted").rglob("*.jpg"))) == 8
    copied = sorted(path.read_bytes() for path in (tmp_path / "apart").rglob("*.jpg"))
    assert copied == sorted(path.read_bytes() for path in small_photos.rglob("*.jpg"))


def test_a_copy_without_files_to_link_says_so(command: Command, small_photos: Path, tmp_path: Path) -> None:
    archive = packed(small_photos, tmp_path / "pets", "tar")
    found = command("split", archive, "apart", "--anew", "--link", "hard")
    assert found.returncode == 2
    assert "lies in an archive, and can't be linked. Omit --link" in found.stderr


def test_python_takes_archives(cache: Path, small_photos: Path, tmp_path: Path) -> None:
    archive = packed(small_photos, tmp_path / "pets", "tar")
    found = gr.fit(str(archive), quick=True, out=tmp_path / "run")
    assert str(found.table.root) == str(archive / "dogscats")
    assert len(gr.from_folder(archive / "dogscats" / "train")) == 40
    predictions = found.classifier.predict(archive)
    assert len(predictions) == 68
    assert predictions.ok.all()


def test_shards_of_real_photos_give_the_numbers_of_their_folder(
    command: Command, small_photos: Path, tmp_path: Path
) -> None:
    (tmp_path / "shards").mkdir()
    for split in ("train", "valid", "test"):
        files = sorted((small_photos / split).rglob("*.jpg"))
        for half in range(2):
            with tarfile.open(tmp_path / "shards" / f"{split}-{half:06d}.tar", "w") as shard:
                for path in files[half::2]:
                    label = str(int(path.parent.name == "dogs")).encode()
                    key = f"{path.parent.name}-{path.stem}".replace(".", "_")
                    for name, content in ((f"{key}.jpg", path.read_bytes()), (f"{key}.cls", label)):
                        member = tarfile.TarInfo(name)
                        member.size = len(content)
                        shard.addfile(member, io.BytesIO(content))
    assert command("fit", "--quick", small_photos, "-o", "of_folder").returncode == 0
    found = command("fit", "--quick", "shards/*.tar", "-o", "run", "--rename", "0=cats", "--rename", "1=dogs")
    assert found.returncode == 0, found.stderr
    features = json.loads((tmp_path / "run" / "result.json").read_text())["features"]
    assert features["computed"] == 0
    known = json.loads((tmp_path / "of_folder" / "result.json").read_text())
    assert json.loads((tmp_path / "run" / "result.json").read_text())["counts"] == known["counts"]
    again = command("predict", "run", "shards/test-*.tar", "-o", "rows.csv")
    assert again.returncode == 0, again.stderr
    assert len((tmp_path / "rows.csv").read_text().splitlines()) == 1 + 12
    asked = command("fit", "--quick", "shards", "--label", "colour")
    assert asked.returncode == 2
    assert "--label colour: shards has no such labels, only cls" in asked.stderr


def test_photos_at_an_address_give_the_numbers_of_their_folder(
    command: Command, bucket: Callable[..., str], small_photos: Path, tmp_path: Path
) -> None:
    files = {path.relative_to(small_photos).as_posix(): path.read_bytes() for path in small_photos.rglob("*.jpg")}
    address = bucket("photos", {f"sets/pets/{name}": content for name, content in files.items()}) + "/sets/pets"
    assert command("fit", "--quick", small_photos, "-o", "of_folder").returncode == 0
    found = command("fit", "--quick", address)
    assert found.returncode == 0, found.stderr
    run = tmp_path / "runs" / "pets"
    assert f"goldenrule fit {address}" in found.stdout, "the next command can be copied"
    assert json.loads((run / "run.json").read_text())["images"]["folder"] == address
    assert json.loads((run / "result.json").read_text())["features"]["computed"] == 0
    assert result(run) == result(tmp_path / "of_folder")
    assert "data:image/jpeg" in (run / "report.html").read_text()
    again = command("predict", run, f"{address}/test", "-o", "rows.csv")
    assert again.returncode == 0, again.stderr
    assert len((tmp_path / "rows.csv").read_text().splitlines()) == 1 + 12
    bucket("photos", {"sets/pets/train/cats/broken.jpg": b"no picture"})
    changed = command("fit", "--quick", address, "-o", run)
    assert changed.returncode == 2
    assert "was made with other images (1 added)" in changed.stderr
    gone = command("fit", "--quick", "s3://photos/nothing")
    assert gone.returncode == 2
    assert gone.stderr.startswith("error: s3://photos/nothing has no objects")


def test_a_pattern_that_the_shell_has_spelled_out_is_told(command: Command, tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / f"{number}.parquet").touch()
    found = command("fit", "--quick", *(tmp_path / f"{number}.parquet" for number in range(3)))
    assert found.returncode == 2
    assert "3 files are given" in found.stderr
    assert f"Put a pattern into quotes, so that the shell leaves it alone: '{tmp_path}/*.parquet'" in found.stderr


def test_a_changed_archive_is_other_images(command: Command, small_photos: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(small_photos, tmp_path / "pets"))
    archive = packed(folder, tmp_path / "pets", "zip")
    assert command("fit", "--quick", archive, "-o", "run").returncode == 0
    again = command("fit", "--quick", archive, "-o", "run")
    assert again.returncode == 0, "the same archive replays"
    one, *_ = sorted((folder / "train" / "cats").iterdir())
    two, *_ = sorted((folder / "train" / "dogs").iterdir())
    shutil.copy(two, one)
    next((folder / "valid" / "dogs").iterdir()).unlink()
    packed(folder, tmp_path / "pets", "zip")
    found = command("fit", "--quick", archive, "-o", "run")
    assert found.returncode == 2
    assert "run was made with other images (1 removed, 1 changed)" in found.stderr


def test_an_archive_that_changes_while_a_fit_runs_is_noticed(small_photos: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(small_photos, tmp_path / "pets"))
    table = from_source(packed(folder, tmp_path / "pets", "tar"))
    table = table.with_digests([digest(table.read(uri)) for uri in table.uris])
    before = stamps_of(table)
    assert list(changed_files(table, before)) == []
    packed(folder, tmp_path / "pets", "tar")
    assert list(changed_files(table, before)) == [], "the same bytes, packed again, are no change"
    victim, *_ = sorted((folder / "train" / "cats").iterdir())
    victim.write_bytes(victim.read_bytes() + b"more")
    packed(folder, tmp_path / "pets", "tar")
    (finding,) = changed_files(table, before)
    assert finding.evidence == (f"train/cats/{victim.name}: other bytes",)


def test_a_run_whose_archive_is_gone_says_so(command: Command, small_photos: Path, tmp_path: Path) -> None:
    archive = packed(small_photos, tmp_path / "pets", "zip")
    assert command("fit", "--quick", archive, "-o", "run").returncode == 0
    archive.rename(tmp_path / "moved.zip")
    found = command("labels", "run")
    assert found.returncode == 2
    assert f"are no longer in {archive / 'dogscats'}" in found.stderr


@pytest.mark.exhaustive
def test_a_fit_of_an_archive_that_was_killed_goes_on(
    start: Start, cache: Path, small_photos: Path, tmp_path: Path
) -> None:
    archive = packed(small_photos, tmp_path / "pets", "tar")
    killed = start("-m", "goldenrule", "fit", "--quick", archive, "-o", "run")
    deadline = time.monotonic() + 120
    while not (tmp_path / "run").exists() and killed.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    whole = start("-m", "goldenrule", "fit", "--quick", archive, "-o", "run")
    _, err = whole.communicate(timeout=240)
    assert whole.returncode == 0, err
    other = start("-m", "goldenrule", "fit", "--quick", archive, "-o", "never_killed")
    assert other.communicate(timeout=240)
    assert result(tmp_path / "run") == result(tmp_path / "never_killed")


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_bad_archives_end_with_a_sentence(kind: str, process: Command, small_photos: Path, tmp_path: Path) -> None:
    archive = packed(small_photos, tmp_path / "pets", kind)
    (tmp_path / f"half.{kind}").write_bytes(archive.read_bytes()[:300])
    (tmp_path / f"nothing.{kind}").touch()
    (tmp_path / f"text.{kind}").write_text("no archive")
    for name in ("half", "nothing", "text", "not_there"):
        found = process("fit", "--quick", f"{name}.{kind}")
        assert found.returncode == 2
        assert found.stderr.startswith("error: ")
        assert f"{name}.{kind}" in found.stderr
    assert not (tmp_path / "runs").exists()
