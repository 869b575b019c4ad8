"""A real Ray cluster for these tests alone: two processors, a key of its own, ended by its process."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

sys.path.insert(0, str(Path(__file__).parent))

from real_cluster import SIDE_PX, SLOW_PICTURES, RayCluster, answers, end_with_children, free_port, wait_until


@pytest.fixture(scope="module")
def ray_cluster(prepared_cache: Path) -> Iterator[RayCluster]:
    """A head node with two processors, as `ray start --head` makes it."""
    folder = Path(tempfile.mkdtemp(prefix="gr-ray-", dir="/tmp"))
    port, client = free_port(), free_port()
    key = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32), "RAY_USAGE_STATS_ENABLED": "0"}
    words = ["start", "--head", "--block", "--node-ip-address=127.0.0.1", f"--port={port}", "--num-cpus=2"]
    words += [f"--ray-client-server-port={client}", "--include-dashboard=false", "--disable-usage-stats"]
    words += [f"--temp-dir={folder}", f"--object-store-memory={256 << 20}"]
    head = subprocess.Popen(
        [Path(sys.executable).with_name("ray"), *words],
        env=os.environ | key | {"GRPC_ENABLE_FORK_SUPPORT": "0"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        for each in (port, client):
            wait_until(lambda each=each: answers(each), 120)
        yield RayCluster(head, f"127.0.0.1:{port}", f"ray://127.0.0.1:{client}", key)
    finally:
        end_with_children(head)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def slow_pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures that take tens of milliseconds each to decode, of two classes, one of them broken; read only."""
    folder = tmp_path_factory.mktemp("slow")
    rows, columns = np.mgrid[:SIDE_PX, :SIDE_PX]
    for number, label in enumerate(("blue", "red")):
        (folder / label).mkdir()
        pixels = np.stack([rows // 6, columns // 6, (rows + columns) // 12], axis=-1).astype(np.uint8)
        pixels[:, :, number] += 20
        Image.fromarray(pixels).save(folder / "one.png")
        content = (folder / "one.png").read_bytes()
        (folder / "one.png").unlink()
        for index in range(SLOW_PICTURES // 2):
            (folder / label / f"{index:03d}.png").write_bytes(content + bytes([index]))
    (folder / "red" / "999.png").write_bytes(content[: len(content) // 2])
    return folder
