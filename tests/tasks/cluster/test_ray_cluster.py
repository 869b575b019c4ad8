"""Real Ray clusters: the same rows and predictions, whoever is killed; and addresses at which there is none."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from real_cluster import SLOW_PICTURES, RayCluster, end_with_children, free_port, wait_until

Completed = subprocess.CompletedProcess[str]
Command = Callable[..., Completed]
Start = Callable[..., subprocess.Popen[str]]


def rows_in(cache: Path) -> dict[tuple[str, bytes], bytes]:
    """Return every row of every bank, by bank and image; none is there twice."""
    found: dict[tuple[str, bytes], bytes] = {}
    for chunk in sorted((cache / "banks").glob("*/*.arrow")):
        batch = pa.ipc.open_file(pa.memory_map(str(chunk))).get_batch(0)
        rows = np.asarray(batch["row"].values.to_numpy()).reshape(len(batch), -1)
        for digest, row in zip(batch["digest"].to_pylist(), rows, strict=True):
            assert (chunk.parent.name, digest) not in found
            found[chunk.parent.name, digest] = row.tobytes()
    return found


@pytest.fixture
def rows_here(command: Command, cache: Path, slow_pictures: Path) -> dict[tuple[str, bytes], bytes]:
    """The rows that this process computes; the cache is empty again."""
    assert command("precompute", slow_pictures).returncode == 0
    found = rows_in(cache)
    assert len(found) == SLOW_PICTURES
    shutil.rmtree(cache / "banks")
    return found


def last_line(process: subprocess.Popen[str]) -> str:
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, out + err
    assert "Traceback" not in out + err
    return out.strip().splitlines()[-1]


@pytest.mark.exhaustive
@pytest.mark.parametrize("named", ["address", "client"])
def test_a_worker_is_killed_and_the_rows_are_the_same_to_the_bit(
    named: str, ray_cluster: RayCluster, start: Start, cache: Path, rows_here: dict[Any, bytes], slow_pictures: Path
) -> None:
    where = getattr(ray_cluster, named)
    told = start("-m", "goldenrule", "precompute", slow_pictures, "--cluster", where, env=ray_cluster.environment)
    wait_until(lambda: rows_in(cache), 200)
    assert len(rows_in(cache)) < SLOW_PICTURES, "half way"
    assert len(ray_cluster.workers()) == 2
    ray_cluster.workers()[0].kill()
    line = last_line(told)
    assert line.startswith(f"{SLOW_PICTURES + 1} images: {SLOW_PICTURES} rows computed, 0 reused, 1 image unreadable, ")
    assert line.endswith(f"on 2 workers of the Ray cluster {where}.")
    assert rows_in(cache) == rows_here


@pytest.mark.exhaustive
@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGINT])
def test_the_command_is_stopped_and_the_same_one_goes_on(
    sign: signal.Signals, ray_cluster: RayCluster, start: Start, cache: Path, rows_here: Any, slow_pictures: Path
) -> None:
    words = ("-m", "goldenrule", "precompute", slow_pictures, "--cluster", ray_cluster.address)
    stopped = start(*words, env=ray_cluster.environment)
    wait_until(lambda: rows_in(cache), 200)
    stopped.send_signal(sign)
    out, err = stopped.communicate(timeout=60)
    assert stopped.returncode == (-9 if sign == signal.SIGKILL else 130), out + err
    kept = rows_in(cache)
    assert 0 < len(kept) < SLOW_PICTURES
    line = last_line(start(*words, env=ray_cluster.environment))
    assert f": {SLOW_PICTURES - len(kept)} rows computed, {len(kept)} reused, 1 image unreadable, " in line
    assert rows_in(cache) == rows_here
    assert ", 0 rows computed" in last_line(start(*words, env=ray_cluster.environment)).replace(": 0", ", 0")


@pytest.mark.exhaustive
def test_a_fit_on_a_cluster_is_the_fit_without_one(
    ray_cluster: RayCluster, start: Start, command: Command, cache: Path, small_photos: Path, tmp_path: Path
) -> None:
    words = ("fit", small_photos, "--quick", "--views", "2", "-v", "--out")
    told = start("-m", "goldenrule", *words, "there", "--cluster", ray_cluster.address, env=ray_cluster.environment)
    out, err = told.communicate(timeout=300)
    assert told.returncode == 0, out + err
    assert "Features: 0 computed" in out
    assert "rows computed, 0 reused" in err
    shutil.rmtree(cache / "banks")
    assert command(*words, "here").returncode == 0
    heads = [(tmp_path / run / "classifier" / "head.safetensors").read_bytes() for run in ("here", "there")]
    assert heads[0] == heads[1]


@pytest.mark.exhaustive
def test_a_cluster_that_wants_another_key_is_an_error(
    ray_cluster: RayCluster, start: Start, cache: Path, picture_folder: Callable[..., Path]
) -> None:
    words = ("-m", "goldenrule", "precompute", picture_folder(each=3), "--cluster", ray_cluster.address)
    other = start(*words, env={**ray_cluster.environment, "RAY_AUTH_TOKEN": "0" * 64})
    out, err = other.communicate(timeout=200)
    assert other.returncode == 2, out + err
    assert f"--cluster {ray_cluster.address}: no Ray cluster can be used there" in err
    assert "Traceback" not in err


@pytest.fixture
def predicted_here(command: Command, fitted: Any, slow_pictures: Path, tmp_path: Path) -> bytes:
    """The rows that this process predicts."""
    assert command("predict", fitted.folder, slow_pictures, "-o", "here.csv").returncode == 0
    return (tmp_path / "here.csv").read_bytes()


@pytest.mark.exhaustive
@pytest.mark.parametrize("named", ["address", "client"])
def test_a_worker_is_killed_and_the_predictions_are_the_same_file(
    named: str,
    ray_cluster: RayCluster,
    start: Start,
    fitted: Any,
    predicted_here: bytes,
    slow_pictures: Path,
    tmp_path: Path,
) -> None:
    words = ("-m", "goldenrule", "predict", fitted.folder, slow_pictures, "-o", "there.csv")
    told = start(*words, "--cluster", getattr(ray_cluster, named), env=ray_cluster.environment)
    wait_until(lambda: [*tmp_path.glob(".there.csv.parts/part-*")], 200)
    ray_cluster.workers()[0].kill()
    assert last_line(told) == "Written: there.csv"
    assert (tmp_path / "there.csv").read_bytes() == predicted_here


@pytest.mark.exhaustive
@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGINT])
def test_a_prediction_is_stopped_and_goes_on_there_or_here(
    sign: signal.Signals,
    ray_cluster: RayCluster,
    start: Start,
    command: Command,
    fitted: Any,
    predicted_here: bytes,
    slow_pictures: Path,
    tmp_path: Path,
) -> None:
    words = ("predict", fitted.folder, slow_pictures, "-o", "there.csv")
    for _ in range(2):
        before = len([*tmp_path.glob(".there.csv.parts/part-*")])
        stopped = start("-m", "goldenrule", *words, "--cluster", ray_cluster.address, env=ray_cluster.environment)
        wait_until(lambda before=before: len([*tmp_path.glob(".there.csv.parts/part-*")]) > before, 200)
        stopped.send_signal(sign)
        stopped.communicate(timeout=60)
        assert stopped.returncode == (-9 if sign == signal.SIGKILL else 130)
    went_on = command(*words)
    assert went_on.returncode == 0
    assert "rows are there already: going on behind them" in went_on.stderr
    assert (tmp_path / "there.csv").read_bytes() == predicted_here


@pytest.mark.exhaustive
def test_a_cluster_of_this_machine_is_started_and_leaves_nothing_behind(
    start: Start, cache: Path, rows_here: Any, slow_pictures: Path, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    words = ("-m", "goldenrule", "precompute", slow_pictures, "--cluster", "local", "--threads", "1")
    environment = {"HOME": str(home), "RAY_TMPDIR": str(tmp_path)}
    line = last_line(start(*words, env=environment))
    assert line.endswith("of a local Ray cluster.")
    assert rows_in(cache) == rows_here
    assert not (home / ".ray").exists(), "no key for all later clusters"
    assert not [path for path in Path("/tmp").glob(".goldenrule-*.tmp") if path.stat().st_ctime > cache.stat().st_ctime]


@pytest.fixture
def other_server() -> Iterator[int]:
    """A port at which somebody takes connections, and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(60)
        kept: list[socket.socket] = []

        def take() -> None:
            with server:
                while True:
                    try:
                        kept.append(server.accept()[0])
                    except OSError:
                        return

        threading.Thread(target=take, daemon=True).start()
        yield server.getsockname()[1]


@pytest.mark.parametrize("before", ["", "ray://"])
def test_an_address_where_nobody_answers_is_an_error_within_seconds(
    before: str, command: Command, picture_folder: Callable[..., Path], fitted: Any, cache: Path
) -> None:
    address = f"{before}127.0.0.1:{free_port()}"
    folder = picture_folder(each=3)
    for words in (("precompute", folder), ("predict", fitted.folder, folder)):
        done = command(*words, "--cluster", address)
        assert done.returncode == 2
        assert f"--cluster {address}: nobody answers at 127.0.0.1, port " in done.stderr
    assert not (cache / "banks").exists()


@pytest.mark.slow
def test_one_who_answers_and_is_no_ray_cluster_is_an_error_within_seconds(
    command: Command, picture_folder: Callable[..., Path], other_server: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("goldenrule.tasks.cluster.ray_cluster.ANSWER_SECONDS", 1)
    done = command("precompute", picture_folder(each=3), "--cluster", f"127.0.0.1:{other_server}")
    assert done.returncode == 2
    assert "is no Ray cluster" in done.stderr
    assert "within 1 s" in done.stderr


@pytest.mark.parametrize("where", ["", "nowhere", "ray://host", "host:99999", "http://host:80", "a b:1"])
def test_what_is_no_address_is_refused(where: str, command: Command, picture_folder: Callable[..., Path]) -> None:
    done = command("precompute", picture_folder(each=3), "--cluster", where)
    assert done.returncode == 2
    assert "wanted auto, local, or the address of a Ray cluster" in done.stderr


def test_the_address_in_the_environment_is_named_in_the_error(
    command: Command, picture_folder: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    address = f"127.0.0.1:{free_port()}"
    monkeypatch.setenv("RAY_ADDRESS", address)
    done = command("precompute", picture_folder(each=3), "--cluster", "auto")
    assert done.returncode == 2
    assert f"--cluster auto (RAY_ADDRESS={address}): nobody answers" in done.stderr


def test_without_the_extra_it_is_named(
    command: Command, picture_folder: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("goldenrule.core.extras.is_installed", lambda module: module != "ray")
    done = command("precompute", picture_folder(each=3), "--cluster", "local")
    assert done.returncode == 2
    assert "--cluster local needs the extra `ray`" in done.stderr


def test_usage_statistics_are_off_before_ray_is_imported(start: Start) -> None:
    code = """
import os, sys
os.environ.pop("RAY_USAGE_STATS_ENABLED", None)
from goldenrule.core.extras import quiet_dependencies
quiet_dependencies()
assert "ray" not in sys.modules
from ray._common.usage import usage_lib
print(usage_lib.usage_stats_enabled())
"""
    out, err = start("-c", code).communicate(timeout=60)
    assert out.strip() == "False", err


@pytest.mark.exhaustive
def test_a_node_that_does_not_see_the_images_is_named_before_the_first_of_them(
    ray_cluster: RayCluster, start: Start, cache: Path, slow_pictures: Path
) -> None:
    words = ["start", "--block", "--num-cpus=1", "--disable-usage-stats"]
    ray = shlex.join([str(Path(sys.executable).with_name("ray")), *words, f"--address={ray_cluster.address}"])
    hidden = f"mount -t tmpfs none {shlex.quote(str(slow_pictures))} && exec {ray}"
    if subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False).returncode:
        pytest.skip("a node with another disk is one with mounts of its own, and only root may have them")
    node = subprocess.Popen(
        ["unshare", "-m", "bash", "-c", hidden],
        env=os.environ | ray_cluster.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        assert node.stdout is not None
        wait_until(lambda: b"Ray runtime started" in node.stdout.readline(), 60)  # type: ignore[union-attr]
        asked = start(
            "-m",
            "goldenrule",
            "precompute",
            slow_pictures,
            "--cluster",
            ray_cluster.address,
            env=ray_cluster.environment,
        )
        out, err = asked.communicate(timeout=200)
    finally:
        end_with_children(node)
        node.stdout.close()  # type: ignore[union-attr]
    assert asked.returncode == 2, out + err
    assert f"can't do this work: it can't read {slow_pictures}/" in err
    assert "Images, cache and classifier must lie where every node has them" in err
    assert not rows_in(cache)
