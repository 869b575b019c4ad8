"""Backbones whose weights come from a hub: through the one that HF_ENDPOINT names, here a small one of our own."""

from __future__ import annotations

import hashlib
import json
import subprocess
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save

from goldenrule.models.catalog import HUB_CANDIDATES, is_embedded
from goldenrule.models.weights import _hub_answers

Command = Callable[..., subprocess.CompletedProcess[str]]
COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def hub() -> Iterator[str]:
    """A hub on this machine that has the weights of timm's networks, drawn as they are asked for."""
    import timm

    contents: dict[str, bytes] = {}

    class Hub(BaseHTTPRequestHandler):
        def answer(self, *, body: bool) -> None:
            owner, _, rest = self.path.strip("/").partition("/")
            name, _, file = rest.partition("/resolve/main/")
            if owner != "timm" or file != "model.safetensors":
                self.send_error(404)
                return
            if name not in contents:
                torch.manual_seed(0)
                state = timm.create_model(name, pretrained=False).state_dict()
                contents[name] = save({key: value.clone() for key, value in state.items()})
            content = contents[name]
            self.send_response(200)
            self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
            self.send_header("X-Repo-Commit", COMMIT)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if body:
                self.wfile.write(content)

        def do_HEAD(self) -> None:
            self.answer(body=False)

        def do_GET(self) -> None:
            self.answer(body=True)

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_the_hub_that_is_named_is_asked_and_behind_a_proxy_it_may_be_there(
    hub: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", hub)
    assert _hub_answers()
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    assert not _hub_answers()
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    assert _hub_answers()


@pytest.mark.exhaustive
def test_a_short_list_from_the_hub_is_tried_and_the_choice_is_written_down(
    hub: str, process: Command, picture_folder: Callable[..., Path], tmp_path: Path
) -> None:
    environment = {"HF_ENDPOINT": hub, "HF_HOME": str(tmp_path / "hub"), "NO_PROXY": "127.0.0.1"}
    options = ("--quick", "--views", "0", "--size", "64", "--out", "run")
    done = process("fit", picture_folder(each=12), "--backbone", "auto:hub", *options, env=environment)
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    tried = [one["name"] for one in result["backbones"]["candidates"]]
    assert sorted(tried) == sorted(HUB_CANDIDATES)
    assert result["options"]["backbone"] == f"auto:{','.join(HUB_CANDIDATES)}"


def test_the_short_list_begins_with_the_default_which_needs_no_hub() -> None:
    assert [is_embedded(name) for name in HUB_CANDIDATES] == [True, False, False]
