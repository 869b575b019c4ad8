"""Objects of a real server that speaks as S3 does: listed, read, read again where that fails."""

from __future__ import annotations

import http.client
import io
import tarfile
import threading
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pyarrow as pa
import pyarrow.fs
import pyarrow.parquet as pq
import pytest

from goldenrule.core.errors import SourceError
from goldenrule.data.containers import objects
from goldenrule.data.containers.inside import contents_of, is_file, is_folder, read_file, stamps_of
from goldenrule.data.scan import glance, looked
from goldenrule.data.sources.folders import image_files
from goldenrule.data.sources.label_tables import from_csv, from_source
from goldenrule.data.table_file import table_content, table_of

Bucket = Callable[..., str]
MANY = 1 << 30
PHOTOS = {f"{split}/{label}/{number}.gif": f"GIF89a {split}{label}{number}".encode() for split in ("train", "test")
          for label in ("cats", "dogs") for number in range(3)}  # fmt: skip


class Flaky(BaseHTTPRequestHandler):
    """Hands requests on to the server of objects, but for those that are to fail."""

    server: FlakyServer
    protocol_version = "HTTP/1.1"
    timeout = 0.3  # a connection that is idle ends, so that its thread does

    def do_GET(self) -> None:
        """Answer, or fail."""
        self.server.asked[self.path.partition("?")[0]] += 1
        if self.server.fails(self.path.partition("?")[0]):
            status, headers, body = 503, {}, b""
        else:
            with_server = http.client.HTTPConnection(self.server.behind)
            with_server.request(self.command, self.path, headers=dict(self.headers))
            answer = with_server.getresponse()
            status, headers, body = answer.status, dict(answer.getheaders()), answer.read()
            with_server.close()
        self.send_response_only(status)
        for name, value in headers.items():
            if name.lower() not in ("content-length", "connection", "transfer-encoding"):
                self.send_header(name, value)
        size = headers.get("Content-Length", "0") if self.command == "HEAD" else str(len(body))
        self.send_header("Content-Length", size)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_HEAD = do_GET  # noqa: N815

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class FlakyServer(ThreadingHTTPServer):
    """A server before the server; `fails` decides by the path."""

    behind = ""
    daemon_threads = False  # they are waited for where the server ends

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Flaky)
        self.asked: Counter[str] = Counter()
        self.fails: Callable[[str], bool] = lambda path: False


@pytest.fixture
def flaky(s3_server: str, bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> Iterator[FlakyServer]:
    """Objects are asked for through a server that may fail; the SDK's own tries are one, and pauses are short."""
    assert bucket
    with FlakyServer() as server:
        server.behind = s3_server.removeprefix("http://")
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setattr(objects, "PAUSE_SECONDS", 0.01)
        once = pyarrow.fs.AwsStandardS3RetryStrategy(max_attempts=1)
        monkeypatch.setattr(pyarrow.fs, "AwsStandardS3RetryStrategy", lambda max_attempts: once)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def in_folder(folder: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def test_a_prefix_gives_the_table_of_the_folder_that_was_copied_there(bucket: Bucket, tmp_path: Path) -> None:
    known = from_source(in_folder(tmp_path / "photos", PHOTOS))
    files = {f"sets/photos/{name}": content for name, content in PHOTOS.items()}
    root = Path(bucket("whole", {**files, "sets/photos2/train/pigs/1.gif": b"GIF89a"}) + "/sets/photos")
    found = from_source(root)
    assert found.rows.equals(known.rows)
    assert found.classes == known.classes
    assert list(map(str, found.findings)) == list(map(str, known.findings))
    assert [found.read(uri) for uri in found.uris] == [known.read(uri) for uri in known.uris]
    with found.open(found.uris[0]) as file:
        assert file.read() == known.read(known.uris[0])
    assert found.name == "photos"
    assert found.place == root
    assert found.is_there
    again = table_of(table_content(found), tmp_path / "images.arrow")
    assert [again.read(uri) for uri in again.uris[:2]] == [known.read(uri) for uri in known.uris[:2]]
    assert b"s3://whole/sets/photos" in table_content(found)


def packed() -> dict[str, bytes]:
    tar, zipped, rows = io.BytesIO(), io.BytesIO(), io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w") as archive:
        for name, content in PHOTOS.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    with zipfile.ZipFile(zipped, "w", zipfile.ZIP_DEFLATED) as made:
        for name, content in PHOTOS.items():
            made.writestr(name, content)
    labels = [name.split("/")[1] for name in PHOTOS]
    pq.write_table(pa.table({"image": pa.array([*PHOTOS.values()]), "label": labels}), rows, row_group_size=4)
    return {"a.tar": tar.getvalue(), "a.zip": zipped.getvalue(), "rows/a.parquet": rows.getvalue()}


@pytest.mark.parametrize("given", ["a.tar", "a.zip", "rows/a.parquet", "rows", "rows/*.parquet"])
def test_archives_and_parquet_files_are_read_where_they_are(bucket: Bucket, given: str) -> None:
    root = bucket("packed", packed())
    table = from_source(f"{root}/{given}")
    assert table.classes == ("cats", "dogs")
    assert sorted(table.read(uri) for uri in table.uris) == sorted(PHOTOS.values())
    assert table.is_there


def test_a_table_in_the_bucket_or_here_says_the_labels(bucket: Bucket, tmp_path: Path) -> None:
    images = {f"images/{number}.gif": b"GIF89a" for number in range(3)}
    table = b"file,label\n0.gif,a\n1.gif,b\n2.gif,a\n"
    root = bucket("tables", {**images, "labels.csv": table})
    (tmp_path / "mine.csv").write_bytes(table.replace(b"a\n1", b"c\n1"))
    assert from_source(root).classes == ("a", "b")
    assert from_csv(tmp_path / "mine.csv", images=root).classes == ("a", "b", "c")


def test_images_to_predict_are_named_below_their_address(bucket: Bucket) -> None:
    root = Path(bucket("predicted", PHOTOS))
    assert [name for name, _ in image_files([root / "test"])] == [
        name.removeprefix("test/") for name in sorted(PHOTOS) if name.startswith("test/")
    ]
    assert image_files([root / "test/cats/0.gif"]) == [(str(root / "test/cats/0.gif"), root / "test/cats/0.gif")]


def test_what_there_is_and_is_not_is_told_apart(bucket: Bucket) -> None:
    root = Path(bucket("told", {"photos/cats/1.gif": b"one", "photos.zip/cats/1.gif": b"two"}))
    assert is_folder(root)
    assert is_folder(root / "photos")
    assert not is_folder(root / "pho")
    assert is_file(root / "photos/cats/1.gif")
    assert not is_file(root / "photos/cats")
    assert read_file(root / "photos.zip/cats/1.gif", most_bytes=MANY) == b"two", "a name is no proof of an archive"
    assert contents_of(root / "photos").files == ["cats/1.gif"]
    with pytest.raises(FileNotFoundError):
        read_file(root / "photos/cats/2.gif", most_bytes=MANY)
    with pytest.raises(OSError, match="too large"):
        read_file(root / "photos/cats/1.gif", most_bytes=2)


def test_a_changed_object_has_another_stamp(bucket: Bucket) -> None:
    root = Path(bucket("stamped", PHOTOS))
    before = stamps_of(root, [*PHOTOS, "train/cats/gone.gif"])
    assert before["train/cats/gone.gif"] is None
    assert stamps_of(root, [*PHOTOS]) == {name: before[name] for name in PHOTOS}
    bucket("stamped", {"train/cats/0.gif": b"GIF89a other"})
    after = stamps_of(root, [*PHOTOS])
    assert [name for name in PHOTOS if after[name] != before[name]] == ["train/cats/0.gif"]


def test_a_read_that_fails_is_tried_again(flaky: FlakyServer, bucket: Bucket) -> None:
    root = Path(bucket("flaky", PHOTOS))
    flaky.fails = lambda path: path.endswith(".gif") and flaky.asked[path] == 1
    table = from_source(root)
    assert [table.read(uri) for uri in table.uris] == [PHOTOS[uri] for uri in table.uris]
    assert min(flaky.asked[f"/flaky/{uri}"] for uri in table.uris) >= 2


def test_an_object_that_can_never_be_read_is_a_finding_and_the_others_are_read(
    flaky: FlakyServer, bucket: Bucket
) -> None:
    root = Path(bucket("broken", PHOTOS))
    flaky.fails = lambda path: path.endswith("train/cats/1.gif")
    table = from_source(root)
    looks = dict(zip(table.uris, looked(table, by=glance), strict=True))
    assert [uri for uri, look in looks.items() if look.digest is None] == ["train/cats/1.gif"]
    assert looks["train/cats/1.gif"].problem
    assert flaky.asked["/broken/train/cats/1.gif"] >= objects.TRIES


def test_a_server_that_does_not_answer_is_said(flaky: FlakyServer, bucket: Bucket) -> None:
    root = bucket("closed", PHOTOS)
    flaky.fails = lambda path: True
    with pytest.raises(SourceError, match=r"can't be asked: .*Check the address, and AWS_ENDPOINT_URL"):
        from_source(root)


def test_a_bucket_that_is_not_there_is_said(bucket: Bucket) -> None:
    bucket("there", {})
    for missing in ("s3://not-there/photos", "s3://there/photos"):
        with pytest.raises(SourceError, match=rf"{missing} has no objects"):
            from_source(missing)
