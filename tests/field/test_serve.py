"""`goldenrule serve`: the rows of predict over HTTP, and nothing that a caller sends takes the server down."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import textwrap
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from PIL import Image

from goldenrule.core.errors import EXTRAS
from goldenrule.deploy.web.serving import Address
from goldenrule.models.classifier import Classifier

Completed = subprocess.CompletedProcess[str]
SECONDS = 60.0
HIDE = f"""
import importlib.abc, sys

class Hidden(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {sorted({*EXTRAS["fit"], "pandas"} - {"markdown_it"})!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Hidden())
from goldenrule.cli.main import run; run()
"""
"""The command line where only the extra `serve` is installed; rich brings markdown_it."""


@dataclass(eq=False)
class Running:
    """A server: its process, where it is, its run, and the pictures that the run was made of."""

    process: subprocess.Popen[str]
    port: int
    run: Path
    pictures: list[Path]

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def post(self, **what: Any) -> httpx.Response:
        return httpx.post(f"{self.address}/predict", timeout=SECONDS, verify=False, **what)

    def send(self, *pictures: Path, **more: Any) -> httpx.Response:
        return self.post(files=[("files", (one.name, one.read_bytes())) for one in pictures], **more)

    def is_alive(self) -> bool:
        found = self.send(self.pictures[0])
        return self.process.poll() is None and found.status_code == 200 and len(found.json()["predictions"]) == 1


@pytest.fixture(scope="module")
def serving(
    made_run: Callable[..., Path], prepared_cache: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., Running]]:
    """Start a server in a process of its own, with options, on a copy of a run; ended with the module."""
    started: list[subprocess.Popen[str]] = []

    def serve(*options: object) -> Running:
        folder = tmp_path_factory.mktemp("server")
        made = made_run("cats", "dogs")
        shutil.copytree(made / "run", folder / "run")
        cache = shutil.copytree(prepared_cache, folder / "cache")
        environment = os.environ | {"GOLDENRULE_CACHE": str(cache), "PYTHONWARNINGS": "ignore", "COLUMNS": "300"}
        words = ["-c", HIDE, "serve", "run", "--port", "0", *map(str, options)]
        pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "cwd": folder}
        process = subprocess.Popen([sys.executable, *words], env=environment, **pipes)
        started.append(process)
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.search(r"http://127\.0\.0\.1:(\d+)", line)
        assert found, process.communicate()
        return Running(process, int(found[1]), folder / "run", sorted((made / "set").rglob("*.png")))

    yield serve
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.fixture(scope="module")
def server(serving: Callable[..., Running]) -> Running:
    """A server with its usual limits, without the packages that fit."""
    return serving()


@pytest.fixture(scope="module")
def narrow(serving: Callable[..., Running]) -> Running:
    """A server that takes two requests of 1 MB at once, and waits for a second."""
    return serving("--max-mb", 1, "--max-requests", 2, "--timeout", 1)


def rows_of(answer: httpx.Response) -> list[dict[str, Any]]:
    assert answer.status_code == 200, answer.text
    return answer.json()["predictions"]


def raw(port: int, content: bytes) -> socket.socket:
    """Return a connection on which these bytes were sent."""
    connection = socket.create_connection(("127.0.0.1", port), timeout=SECONDS)
    connection.sendall(content)
    return connection


def told(connection: socket.socket) -> bytes:
    """Return all that comes back."""
    with connection, contextlib.suppress(ConnectionError):
        return b"".join(iter(lambda: connection.recv(65536), b""))
    return b""


def head(length: int, kind: str = "image/png") -> bytes:
    lines = ("POST /predict HTTP/1.1", "Host: localhost", f"Content-Type: {kind}", f"Content-Length: {length}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def test_rows_are_those_of_predict_to_the_last_digit(
    server: Running, command: Callable[..., Completed], tmp_path: Path
) -> None:
    folder = server.pictures[0].parents[1]
    done = command("predict", server.run, folder, "--top", 2, "-o", "rows.jsonl")
    assert done.returncode == 0, done.stderr
    wanted = [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text().splitlines()]
    names = [(f"{one.parent.name}/{one.name}", one.read_bytes()) for one in server.pictures]
    found = rows_of(server.post(files=[("files", one) for one in names], params={"top": 2}))
    assert len(found) == 16
    assert found == wanted
    body = server.pictures[3].read_bytes()
    [alone] = rows_of(server.post(content=body, headers={"content-type": "image/png"}, params={"top": 2}))
    assert alone == wanted[3] | {"path": "image 0"}


def test_many_at_once_get_each_its_own_answer(server: Running) -> None:
    alone = {one: rows_of(server.send(one)) for one in server.pictures}
    assert len({row[0]["probability"] for row in alone.values()}) > 8
    asked = server.pictures * 4
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(server.send, asked))
    for picture, answer in zip(asked, answers, strict=True):
        assert rows_of(answer) == alone[picture]
    counted = httpx.get(f"{server.address}/metrics").text
    assert 'goldenrule_pictures_total{status="ok"}' in counted
    together = float(re.findall(r'batch_pictures_bucket\{le="1.0"\} (\S+)', counted)[0])
    assert together < float(re.findall(r"batch_pictures_count (\S+)", counted)[0]), "some were predicted together"


def form(*parts: bytes, end: bytes = b"--b--\r\n") -> dict[str, Any]:
    return {"content": b"".join(parts) + end, "headers": {"content-type": "multipart/form-data; boundary=b"}}


def part(name: bytes, content: bytes) -> bytes:
    return b'--b\r\nContent-Disposition: form-data; name="files"' + name + b"\r\n\r\n" + content + b"\r\n"


def drawn(size: tuple[int, int] = (40, 30), kind: str = "PNG") -> bytes:
    Image.new("RGB", size, (90, 20, 20)).save(made := io.BytesIO(), kind)
    return made.getvalue()


def bomb() -> bytes:
    """Return a PNG that says it has 40,000 x 40,000 pixels."""
    small = drawn()
    size = b"IHDR" + struct.pack(">II", 40_000, 40_000) + small[24:29]
    return small[:12] + size + struct.pack(">I", zlib.crc32(size)) + small[33:]


BAD: dict[str, tuple[Callable[[], dict[str, Any]], int, str]] = {
    "no body": (lambda: {"content": b"", "headers": {"content-type": "image/png"}}, 422, "no picture"),
    "no type": (lambda: {"content": b"abc"}, 415, "of no type"),
    "JSON with an address": (lambda: {"json": {"url": "http://127.0.0.1/a.jpg"}}, 415, "application/json"),
    "a path": (lambda: form(part(b"", b"/etc/passwd")), 422, "no paths"),
    "no boundary": (lambda: {"content": b"--b", "headers": {"content-type": "multipart/form-data"}}, 400, "boundary"),
    "another boundary": (lambda: form(b"--c\r\n\r\n", end=b""), 400, "no multipart"),
    "no closing boundary": (lambda: form(part(b'; filename="a.png"', drawn()), end=b""), 400, "closing boundary"),
    "a part without a name": (lambda: form(b"--b\r\nContent-Disposition: x\r\n\r\na\r\n"), 400, "name"),
    "too many files": (lambda: form(part(b'; filename="a"', b"a") * 65), 400, "Too many files"),
    "text named .jpg": (lambda: {"files": {"files": ("a.jpg", b"no picture")}}, 422, "wanted AVIF"),
    "PostScript named .jpg": (lambda: {"files": {"files": ("a.jpg", b"%!PS-Adobe-3.0\n")}}, 422, "PostScript"),
    "half a PNG": (lambda: {"files": {"files": ("a.png", drawn()[:-30])}}, 422, "unreadable"),
    "1.6 billion pixels": (lambda: {"files": {"files": ("a.png", bomb())}}, 422, "pixels"),
    "top 0": (lambda: {"files": {"files": ("a.png", drawn())}, "params": {"top": 0}}, 422, "top"),
    "another host": (lambda: {"content": b"a", "headers": {"host": "rebound.example"}}, 421, "called"),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_request_is_told_why_and_the_server_goes_on(server: Running, kind: str) -> None:
    made, status, why = BAD[kind]
    answer = server.post(**made())
    assert answer.status_code == status, answer.text
    assert why in answer.text
    assert "error" in answer.json()
    assert server.is_alive()


def test_of_several_pictures_one_that_cant_be_read_has_a_row_that_says_why(server: Running) -> None:
    good = server.pictures[0].read_bytes()
    rows = rows_of(server.post(files=[("files", ("../../a.png", good)), ("files", ("b.jpg", good[:200]))]))
    assert [row["path"] for row in rows] == ["../../a.png", "b.jpg"]
    assert [row["status"] for row in rows] == ["ok", "unreadable"]
    assert (rows[1]["prediction"], rows[1]["probability"], rows[1]["probabilities"]) == ("", None, None)
    assert rows[1]["reason"]


def test_a_body_that_is_too_large_is_refused_with_and_without_its_length(narrow: Running) -> None:
    large = bytes(3 << 20)
    kind = {"content-type": "image/png"}
    assert narrow.post(content=large, headers=kind).status_code == 413
    assert narrow.post(content=iter([large[: 1 << 20], large[: 1 << 19]]), headers=kind).status_code == 413
    assert b" 413 " in told(raw(narrow.port, head(1 << 40) + b"a"))
    assert narrow.is_alive()


def test_a_body_that_comes_too_slowly_or_ends_too_early_is_given_up(narrow: Running) -> None:
    slow = raw(narrow.port, head(1000) + b"\x89PNG")
    cut = raw(narrow.port, head(1000) + b"\x89PNG")
    cut.close()
    began = time.monotonic()
    assert b" 408 " in told(slow)
    assert time.monotonic() - began < 10
    assert narrow.is_alive()


def test_more_requests_than_are_answered_at_once_are_told_to_come_again(narrow: Running) -> None:
    for _ in range(20):  # on a busy machine their second may be over too soon
        held = [raw(narrow.port, head(1000) + b"\x89PNG") for _ in range(2)]
        time.sleep(0.3)
        if (answer := narrow.send(narrow.pictures[0])).status_code == 503:
            break
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "1"
    assert httpx.get(f"{narrow.address}/health").status_code == 200
    assert all(b" 408 " in told(one) for one in held)
    assert narrow.is_alive()


def test_every_answer_but_the_page_is_for_programs_alone(server: Running) -> None:
    codes = {"/ready": 200, "/predict": 405, "/explain": 405, "/docs": 404, "/page/x": 404, "/openapi.json": 200}
    for path, code in codes.items():
        answer = httpx.get(server.address + path)
        assert answer.status_code == code
        assert answer.headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "access-control-allow-origin" not in answer.headers
    assert "https://" not in httpx.get(server.address + "/openapi.json").text
    policy = httpx.get(server.address).headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:;")
    assert "unsafe" not in policy


def test_a_page_of_another_site_is_not_answered(server: Running) -> None:
    for site, code in (("cross-site", 403), ("same-site", 403), ("same-origin", 200), ("none", 200)):
        assert server.send(server.pictures[0], headers={"sec-fetch-site": site}).status_code == code


def explained(server: Running, *pictures: Path, **what: Any) -> httpx.Response:
    files = [("files", (one.name, one.read_bytes())) for one in pictures]
    return httpx.post(f"{server.address}/explain", files=files, timeout=SECONDS, verify=False, **what)


def test_a_picture_is_explained_without_pytorch_and_what_is_missing_is_said(server: Running) -> None:
    picture = server.pictures[0]
    answer = explained(server, picture)
    assert answer.status_code == 200, answer.text
    found, [row] = answer.json(), rows_of(server.send(picture))
    assert (found["prediction"], found["probability"]) == (row["prediction"], pytest.approx(row["probability"]))
    assert found["heat_map"]["of"] == row["prediction"]
    assert found["heat_map"]["picture"].startswith("data:image/jpeg;base64,")
    assert found["nearest"] == []
    [note] = found["notes"]
    assert note.startswith("Nearest training images need the extra `fit`")
    other = explained(server, picture, params={"of": {"cats": "dogs", "dogs": "cats"}[row["prediction"]]}).json()
    assert other["heat_map"]["values"] != found["heat_map"]["values"]
    assert other["prediction"] == row["prediction"]


def test_what_can_not_be_explained_is_told_why(server: Running, tmp_path: Path) -> None:
    (broken := tmp_path / "broken.png").write_bytes(server.pictures[0].read_bytes()[:200])
    for answer, why in (
        (explained(server, *server.pictures[:2]), "has 2 files: wanted one"),
        (explained(server, server.pictures[0], params={"of": "cat"}), "There is no class 'cat': did you mean cats"),
        (explained(server, broken), "can't be read"),
        (explained(server, server.pictures[0], params={"k": 0}), "k: "),
    ):
        assert answer.status_code == 422
        assert why in answer.json()["error"]
    assert server.is_alive()


def test_a_run_that_is_fitted_again_takes_over_and_a_damaged_one_does_not(serving: Callable[..., Running]) -> None:
    served = serving()
    first = served.send(served.pictures[0]).json()["classifier"]
    classifier = Classifier.load(served.run)
    replace(classifier, classes=("lions", "wolves"), thresholds=None, sets=None).save(served.run / "classifier")
    codes: list[int] = []
    until = time.monotonic() + 30
    while time.monotonic() < until:
        answer = served.send(served.pictures[0])
        codes.append(answer.status_code)
        if answer.json()["classifier"] != first:
            break
    assert set(codes) == {200}
    assert answer.json()["predictions"][0]["prediction"] in ("lions", "wolves")
    damaged = served.run / "classifier" / "head.safetensors"
    damaged.write_bytes(damaged.read_bytes()[:-4] + b"abcd")
    manifest = served.run / "classifier" / "manifest.json"
    manifest.write_text(manifest.read_text() + "\n")
    served.process.send_signal(signal.SIGHUP)
    assert served.process.stderr is not None
    while "can't be used" not in (line := served.process.stderr.readline()):
        assert line, "it warns"
    assert served.send(served.pictures[0]).json()["predictions"][0]["prediction"] in ("lions", "wolves")
    served.process.send_signal(signal.SIGTERM)
    time.sleep(0.3)
    assert httpx.get(f"{served.address}/ready").status_code == 503, "one that has nothing to do says that it stops"
    assert served.process.wait(SECONDS) == 0


def test_sigterm_loses_no_request_that_was_there(serving: Callable[..., Running]) -> None:
    served = serving("--json", "numbers.json")
    told_to_end = threading.Event()

    def ask(number: int) -> list[tuple[bool, int]]:
        """Ask again and again; note whether each was asked before the signal, and its code, 0 for no connection."""
        found = []
        with httpx.Client(timeout=SECONDS, verify=False) as client:
            while not found or found[-1][1] == 200:
                before = not told_to_end.is_set()
                files = {"files": ("a.png", served.pictures[number].read_bytes())}
                try:
                    found.append((before, client.post(f"{served.address}/predict", files=files).status_code))
                except httpx.ConnectError:
                    found.append((before, 0))
        return found

    whole = served.pictures[0].read_bytes()
    slow = raw(served.port, head(len(whole)) + whole[:100])
    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(ask, number) for number in range(8)]
        time.sleep(1)
        told_to_end.set()
        served.process.send_signal(signal.SIGTERM)
        time.sleep(2)
        slow.sendall(whole[100:])
        assert b"HTTP/1.1 200 " in told(slow), "it was there before"
        answers = [one for each in asked for one in each.result()]
    _, err = served.process.communicate(timeout=SECONDS)
    assert served.process.returncode == 0, err
    assert all(code in (200, 503) for before, code in answers if before)
    assert {code for before, code in answers if not before} <= {200, 503, 0}
    assert 503 in {code for _, code in answers}
    numbers = json.loads((served.run.parent / "numbers.json").read_text())
    assert numbers["pictures"] == 1 + sum(code == 200 for _, code in answers)


def test_an_address_that_others_reach_is_warned_of_and_one_in_use_is_refused(
    run: Path, command: Callable[..., Completed]
) -> None:
    with socket.create_server(("0.0.0.0", 0)) as taken:
        done = command("serve", run, "--host", "0.0.0.0", "--port", taken.getsockname()[1])
    assert done.returncode == 2
    warning, error = done.stderr.splitlines()
    assert warning.startswith("warning: others can reach this address")
    assert "nothing can listen there" in error
    for words, why in (
        (("--port", 70_000), "--port 70000: wanted"),
        (("--max-mb", 0), "--max-mb 0: wanted"),
        (("--max-requests", 0), "--max-requests 0: wanted"),
        (("--timeout", "nan"), "--timeout nan: wanted"),
        (("--ood", "drop"), "--ood drop: wanted"),
        (("--training-images", "me"), "--training-images me: wanted one of local, all, nobody"),
    ):
        refused = command("serve", run, *words)
        assert refused.returncode == 2
        assert why in refused.stderr


def test_names_in_the_host_header_are_checked_unless_others_may_come() -> None:
    assert Address().hosts == ("127.0.0.1", "localhost", "[::1]")
    assert Address(host="::1").is_local
    assert Address().is_private
    assert not Address(allowed=("photos.example",)).is_private, "a proxy may stand before it"
    assert Address(host="0.0.0.0").hosts is None
    assert Address(allowed=("Photos.example",)).hosts == ("127.0.0.1", "localhost", "[::1]", "photos.example")
    assert Address(allowed=("*",)).hosts is None


def conforms(server: Running, examples: int) -> None:
    """Let Schemathesis send what the schema allows and what it does not; every answer is one that it describes."""
    code = f"""
    import schemathesis
    from hypothesis import HealthCheck, Phase, settings
    from schemathesis.checks import not_a_server_error
    from schemathesis.specs.openapi.checks import (
        content_type_conformance, response_headers_conformance, response_schema_conformance, status_code_conformance,
    )

    checks = [not_a_server_error, content_type_conformance, response_headers_conformance, response_schema_conformance,
              status_code_conformance]
    schema = schemathesis.openapi.from_url("{server.address}/openapi.json")
    tried = []
    for found in schema.get_all_operations():
        operation = found.ok()

        @settings(max_examples={examples}, deadline=None, database=None, derandomize=True,
                  phases=[Phase.generate], suppress_health_check=list(HealthCheck))
        @__import__("hypothesis").given(case=operation.as_strategy())
        def holds(case):
            case.call_and_validate(checks=checks)

        holds()
        tried.append(operation.path)
    print(*sorted(tried))
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    assert done.stdout.split() == ["/explain", "/health", "/metrics", "/predict", "/ready"]
    assert server.is_alive()


def test_answers_are_those_that_the_schema_describes(server: Running) -> None:
    conforms(server, 20)


@pytest.mark.exhaustive
def test_two_thousand_answers_are_those_that_the_schema_describes(server: Running) -> None:
    conforms(server, 2000)


def grown(server: Running, requests: int) -> float:
    """Return the megabytes by which the server's memory grows with requests of 49 kB, one in ten a bad one."""
    process, whole = psutil.Process(server.process.pid), drawn((128, 128), "BMP")

    def ask(count: int) -> None:
        with httpx.Client(timeout=SECONDS, verify=False) as client:
            for number in range(count):
                files = {"files": ("a.bmp", whole[:-9_000] if number % 10 == 0 else whole)}
                client.post(f"{server.address}/predict", files=files)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(ask, [13] * 8))
        before = process.memory_info().rss
        list(pool.map(ask, [-(-requests // 8)] * 8))
    return float(process.memory_info().rss - before) / 2**20


def test_memory_does_not_grow_with_requests(server: Running) -> None:
    assert grown(server, 500) < 10


@pytest.mark.exhaustive
def test_memory_does_not_grow_with_ten_thousand_requests(server: Running) -> None:
    assert grown(server, 10_000) < 20
