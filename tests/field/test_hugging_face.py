"""Hugging Face: data sets in, a folder with a model card out, and the one call that leaves the machine."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
import yaml
from PIL import Image

import goldenrule as gr
from goldenrule.core.errors import HubError, OptionError, StorageError

ROOT = Path(__file__).parents[2]


def encoded(number: int, kind: str = "PNG", size: tuple[int, int] = (48, 40)) -> bytes:
    """Return the bytes of a drawn picture, its hue by its number."""
    pixels = np.random.default_rng(number).integers(0, 90, size=(size[1], size[0], 3), dtype=np.uint8)
    pixels[:, :, number % 2] += 150
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind)
    return file.getvalue()


def made(count: int = 16, *, labels: Any = None, kind: str = "PNG", start: int = 0) -> datasets.Dataset:
    """Return a data set of drawn pictures with class labels, as the hub has them."""
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=["red", "green"])})
    rows = range(start, start + count)
    return datasets.Dataset.from_dict(
        {
            "image": [{"bytes": encoded(number, kind), "path": None} for number in rows],
            "label": [number % 2 for number in rows] if labels is None else labels,
        },
        features=features,
    )


def test_a_data_set_becomes_labelled_images_with_the_very_bytes_it_has(cache: Path) -> None:
    images = gr.from_hf(made(6, kind="JPEG"))
    assert images.classes == ("green", "red")
    assert [images.classes[label] for label in images.targets] == ["red", "green"] * 3
    assert [images.read(uri) for uri in images.uris] == [encoded(number, "JPEG") for number in range(6)]
    assert {Path(uri).suffix for uri in images.uris} == {".jpg"}
    assert images.splits == [None] * 6
    assert images.root.is_relative_to(cache)


def test_the_splits_of_a_dictionary_are_matched_by_name(cache: Path, tmp_path: Path) -> None:
    whole = datasets.DatasetDict(
        {"train": made(6), "validation": made(2, start=6), "test": made(2, start=8, labels=[-1, -1])}
    )
    images = gr.from_hf(whole, folder=tmp_path / "set")
    assert images.counts()["train"]["red"] == 3
    assert [images.splits.count(split) for split in ("train", "valid", "test")] == [6, 2, 2]
    assert images.split("test").targets.tolist() == [-1, -1]
    assert gr.fit(images, quick=True, views=0, out=tmp_path / "run").table.counts() == images.counts()
    with pytest.raises(OptionError, match=r"extra.*wanted train, valid or test.*dataset\['extra'\]"):
        gr.from_hf(datasets.DatasetDict({"train": made(4), "extra": made(2)}))


def test_the_same_data_set_lies_in_one_place_and_another_in_its_own(cache: Path) -> None:
    one, again, other = gr.from_hf(made(4)), gr.from_hf(made(4)), gr.from_hf(made(4, labels=[1, 1, 0, 0]))
    assert one.root == again.root != other.root
    assert one.uris == again.uris


def test_columns_are_found_by_their_kind_or_named(cache: Path, tmp_path: Path) -> None:
    pictures = [{"bytes": encoded(number), "path": None} for number in range(4)]
    features = datasets.Features(
        {"photo": datasets.Image(), "other": datasets.Image(), "kind": datasets.Value("string")}
    )
    data = datasets.Dataset.from_dict(
        {"photo": pictures, "other": pictures[::-1], "kind": ["a", "b", "a", "b"]}, features=features
    )
    with pytest.raises(OptionError, match=r"photo, other.*image="):
        gr.from_hf(data, label="kind")
    with pytest.raises(OptionError, match=r"photo, other, kind.*label="):
        gr.from_hf(data, image="photo")
    with pytest.raises(OptionError, match="no column 'foto'"):
        gr.from_hf(data, image="foto", label="kind")
    with pytest.raises(OptionError, match="'kind' holds no images"):
        gr.from_hf(data, image="kind", label="kind")
    found = gr.from_hf(data, image="other", label="kind")
    assert found.classes == ("a", "b")
    assert found.read(found.uris[0]) == encoded(3)


def test_several_labels_a_row_stay_several(cache: Path) -> None:
    features = datasets.Features(
        {"image": datasets.Image(), "tags": datasets.List(datasets.ClassLabel(names=["road", "river", "cloud"]))}
    )
    pictures = [{"bytes": encoded(number), "path": None} for number in range(3)]
    data = datasets.Dataset.from_dict({"image": pictures, "tags": [[0, 1], [1], []]}, features=features)
    images = gr.from_hf(data)
    assert images.task == "multi"
    assert images.classes == ("river", "road")
    assert images.truth.tolist() == [[1, 1], [1, 0], [-1, -1]]


def test_files_of_a_data_set_and_missing_pictures_are_rows_too(cache: Path, tmp_path: Path) -> None:
    (tmp_path / "a.jpeg").write_bytes(encoded(1, "JPEG"))
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=["x", "y"])})
    rows = [{"bytes": None, "path": str(tmp_path / "a.jpeg")}, None, {"bytes": b"no picture", "path": "b.png"}]
    images = gr.from_hf(datasets.Dataset.from_dict({"image": rows, "label": [0, 1, 1]}, features=features))
    assert images.read(images.uris[0]) == encoded(1, "JPEG")
    assert len(images) == 3
    assert len(images.features()[0]) == 1


def test_what_is_no_data_set_is_refused(cache: Path) -> None:
    for other in (["a.jpg"], made(4).to_iterable_dataset(), "beans"):
        with pytest.raises(OptionError, match=r"wanted a datasets\.Dataset or DatasetDict"):
            gr.from_hf(other)
    with pytest.raises(OptionError, match="has no rows"):
        gr.from_hf(made(0))


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(gr.GoldenRuleError, match=r"goldenrule\[hf\]"):
        gr.from_hf(made)


@pytest.fixture
def own(run: Path) -> gr.Classifier:
    """The classifier of a finished run."""
    return gr.Classifier.load(run)


def head_of(card: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(card.split("---\n")[1])
    return found


def test_a_pretrained_folder_has_a_card_with_numbers_and_predicts_the_same(
    own: gr.Classifier, run: Path, tmp_path: Path
) -> None:
    folder = own.save_pretrained(tmp_path / "published")
    card = (folder / "README.md").read_text("utf-8")
    head, result = head_of(card), json.loads((run / "result.json").read_text())
    assert head["library_name"] == "goldenrule"
    assert head["pipeline_tag"] == "image-classification"
    assert head["license"] == "other"
    assert head["metrics"] == ["accuracy"]
    metric = head["model-index"][0]["results"][0]["metrics"][0]
    assert metric["value"] == result["headline"]["value"]
    n, low, high = (result["headline"][name] for name in ("n", "low", "high"))
    assert f"{n} images" in card
    assert f"[{100 * low:.0f}, {100 * high:.0f}]" in card
    assert result["headline"]["basis"] in card
    assert "cats, dogs" in card
    assert "gr.Classifier.from_pretrained" in card
    pictures = sorted((run.parent / "set").glob("*/*.png"))
    wanted = own.predict(pictures).probabilities
    for loaded in (gr.Classifier.load(folder), gr.Classifier.from_pretrained(folder)):
        np.testing.assert_array_equal(loaded.predict(pictures).probabilities, wanted)


def test_a_card_never_quotes_the_numbers_of_another_classifier(own: gr.Classifier, run: Path, tmp_path: Path) -> None:
    changed = replace(own, head=own.head.with_temperature(2.0))
    alone = gr.Classifier.load(own.save(tmp_path / "alone"))
    for number, classifier in enumerate((changed, alone)):
        card = (classifier.save_pretrained(tmp_path / f"published {number}") / "README.md").read_text("utf-8")
        assert "carries no measured number" in card
        assert "metrics" not in head_of(card)


def test_a_pretrained_folder_holds_nothing_of_single_images_and_of_its_maker(
    own: gr.Classifier, run: Path, tmp_path: Path
) -> None:
    folder = own.save_pretrained(tmp_path / "published", license="mit")
    texts = "".join(path.read_text("utf-8", "replace") for path in folder.iterdir() if path.suffix != ".safetensors")
    assert str(tmp_path) not in texts
    assert '"set"' not in texts
    assert not (folder / "ood_detector.safetensors").exists()
    assert head_of((folder / "README.md").read_text())["license"] == "mit"
    with pytest.raises(StorageError, match="Nothing was changed"):
        own.save_pretrained(folder)
    whole = gr.Classifier.load(own.save_pretrained(tmp_path / "whole", keep_ood_detector=True))
    assert whole.ood_detector is not None


def test_a_folder_as_the_hub_s_client_downloads_it_is_loaded(own: gr.Classifier, run: Path, tmp_path: Path) -> None:
    folder = own.save_pretrained(tmp_path / "published")
    snapshot = tmp_path / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    for number, file in enumerate(sorted(folder.iterdir())):  # links to blobs, and a file of the hub's own
        file.rename(tmp_path / "snapshots" / str(number))
        (snapshot / file.name).symlink_to(tmp_path / "snapshots" / str(number))
    (snapshot / ".gitattributes").write_text("*.safetensors filter=lfs\n")
    (snapshot / "README.md").unlink()
    (snapshot / "README.md").write_text("# changed on the hub\n")
    assert gr.Classifier.from_pretrained(snapshot).classes == own.classes


def test_the_name_of_a_repository_is_not_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(gr.GoldenRuleError, match=r"snapshot_download\('somebody/cats'\)"):
        gr.Classifier.from_pretrained("somebody/cats")


class Hub(ThreadingHTTPServer):
    """A stand-in of the hub's HTTP API as far as an upload asks it, on this machine."""

    def __init__(self, *, refuses: bool = False) -> None:
        super().__init__(("127.0.0.1", 0), _Answers)
        self.refuses = refuses
        self.asked: list[tuple[str, str]] = []
        self.tokens: set[str | None] = set()
        self.created: list[dict[str, Any]] = []
        self.blobs: dict[str, bytes] = {}
        self.files: dict[str, bytes] = {}

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Answers(BaseHTTPRequestHandler):
    server: Hub

    def log_message(self, *_: Any) -> None: ...

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        content = b""
        while size := int(self.rfile.readline(), 16):
            content += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return content

    def _send(self, value: Any, status: int = 200) -> None:
        content = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def do_PUT(self) -> None:
        content = self._body()
        self.server.asked.append(("PUT", self.path))
        self.server.blobs[self.path.rpartition("/")[2]] = content
        self._send({})

    def do_GET(self) -> None:
        self.server.asked.append(("GET", self.path))
        self._send({"error": "not found"}, 404)

    def do_POST(self) -> None:
        hub, body = self.server, self._body()
        hub.asked.append(("POST", self.path))
        hub.tokens.add(self.headers.get("Authorization"))
        if hub.refuses:
            self._send({"error": "Invalid username or password."}, 401)
        elif self.path == "/api/repos/create":
            hub.created.append(json.loads(body))
            self._send({"url": f"{hub.address}/somebody/cats", "id": "somebody/cats"})
        elif self.path == "/api/validate-yaml":
            self._send({"errors": [], "warnings": []})
        elif "/preupload/" in self.path:
            files = json.loads(body)["files"]
            mode = {file["path"]: "lfs" if file["path"].endswith(".safetensors") else "regular" for file in files}
            answers = [{"path": path, "uploadMode": kind, "shouldIgnore": False} for path, kind in mode.items()]
            self._send({"files": answers})
        elif self.path.endswith(".git/info/lfs/objects/batch"):
            objects = [
                {
                    "oid": one["oid"],
                    "size": one["size"],
                    "actions": {"upload": {"href": f"{hub.address}/lfs/{one['oid']}"}},
                }
                for one in json.loads(body)["objects"]
            ]
            self._send({"transfer": "basic", "objects": objects})
        else:
            assert "/commit/" in self.path, self.path
            for line in map(json.loads, body.splitlines()):
                value = line["value"]
                if line["key"] == "file":
                    hub.files[value["path"]] = base64.b64decode(value["content"])
                elif line["key"] == "lfsFile":
                    hub.files[value["path"]] = hub.blobs[value["oid"]]
            self._send({"commitUrl": f"{hub.address}/somebody/cats/commit/{'0' * 40}", "commitOid": "0" * 40})


@pytest.fixture
def start_hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Hub]]:
    """Start the stand-in; what asks for any other address fails. Large files go by LFS: xet's server is another one."""
    from huggingface_hub import constants

    started = []
    connect = socket.socket.connect

    def only_here(self: socket.socket, address: Any) -> Any:
        assert address[0] in ("127.0.0.1", "localhost"), f"asked {address}"
        return connect(self, address)

    def begin(**how: Any) -> Hub:
        hub = Hub(**how)
        started.append(hub)
        threading.Thread(target=hub.serve_forever, daemon=True).start()
        return hub

    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(socket.socket, "connect", only_here)
    yield begin
    for hub in started:
        hub.shutdown()
        hub.server_close()


@pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")  # of huggingface_hub's own upload
def test_a_classifier_is_pushed_to_the_hub_that_is_named_and_comes_back_whole(
    own: gr.Classifier, run: Path, tmp_path: Path, start_hub: Callable[..., Hub]
) -> None:
    hub = start_hub()
    address = own.push_to_hub("somebody/cats", endpoint=hub.address, token="hf_secret")
    assert address == f"{hub.address}/somebody/cats"
    assert hub.created == [{"name": "cats", "organization": "somebody", "visibility": "private", "type": "model"}]
    assert hub.tokens == {"Bearer hf_secret"}
    assert {"README.md", "classifier.json", "head.safetensors", "backbone.safetensors"} <= hub.files.keys()
    assert hub.blobs, "weights go as large files"
    assert all(hashlib.sha256(content).hexdigest() == oid for oid, content in hub.blobs.items())
    for name, content in hub.files.items():
        (tmp_path / "back" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "back" / name).write_bytes(content)
    pictures = sorted((run.parent / "set").glob("*/*.png"))
    back = gr.Classifier.from_pretrained(tmp_path / "back")
    np.testing.assert_array_equal(back.predict(pictures).probabilities, own.predict(pictures).probabilities)
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_a_hub_that_refuses_or_is_not_there_is_an_error_that_says_so(
    own: gr.Classifier, start_hub: Callable[..., Hub]
) -> None:
    hub = start_hub(refuses=True)
    with pytest.raises(HubError, match=r"somebody/cats.*401.*token"):
        own.push_to_hub("somebody/cats", endpoint=hub.address, token="hf_wrong")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}"
    with pytest.raises(HubError, match=rf"{address}.*was sent"):
        own.push_to_hub("somebody/cats", endpoint=address, token="hf_any")
    with pytest.raises(OptionError, match="OWNER/NAME"):
        own.push_to_hub("no good/name/at all", endpoint=address)
    assert hub.files == {}


def test_nothing_else_asks_a_hub() -> None:
    """Two files know its client: the one that gets weights of a backbone that was named, and the one that pushes."""
    named = {
        path.relative_to(ROOT / "src" / "goldenrule").as_posix()
        for path in (ROOT / "src").rglob("*.py")
        if re.search(r"^\s*(import|from) huggingface_hub", path.read_text("utf-8"), re.MULTILINE)
    }
    assert named == {"models/weights.py", "tasks/pretrained.py"}


def test_data_sets_and_cards_open_no_connection(
    own: gr.Classifier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(self: socket.socket, address: Any) -> None:
        raise AssertionError(f"asked {address}")

    monkeypatch.setattr(socket.socket, "connect", never)
    gr.from_hf(made(4))
    gr.Classifier.from_pretrained(own.save_pretrained(tmp_path / "published"))


def test_telemetry_is_off_before_the_hub_s_client_is_imported() -> None:
    code = (
        "import goldenrule.tasks.pretrained as one, sys; assert 'huggingface_hub' not in sys.modules; "
        "one.client(None, None); from huggingface_hub import constants; print(constants.HF_HUB_DISABLE_TELEMETRY)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "True\n"
