"""What all tests share: the real photo sets, a cache of their own, small folders of pictures."""

from __future__ import annotations

import contextlib
import functools
import gc
import hashlib
import html
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from filelock import FileLock
from hypothesis import settings
from PIL import Image

settings.register_profile("all", deadline=None)  # a busy machine is no failure
settings.register_profile("some", deadline=None, max_examples=40)  # other ones in every run
ROOT = Path(__file__).parents[1]
DATA = Path(os.environ.get("GOLDENRULE_TEST_DATA", ROOT.parent / "shared" / "data"))


LONGEST = (
    "pipelines/test_golden_rule_killed.py",
    "docs/test_site.py",
    "pipelines/test_full_disk.py",
    "docs/test_snippets.py",
    "pipelines/test_golden_rule.py",
    "training/processes/test_team.py",
    "pipelines/test_dependent_images.py",
    "pipelines/test_laws.py",
    "cli/test_archives.py",
    "training/test_learner.py",
    "field/test_review.py",
    "field/test_folders.py",
    "deploy/test_exporting.py",
    "field/test_serve.py",
    "field/test_stranger.py",
    "field/test_small_install.py",
    "pipelines/comparison/test_comparing.py",
    "cli/test_bad_input.py",
    "field/test_engines.py",
    "pipelines/test_linear_heads.py",
    "training/test_depth.py",
    "cli/test_compare_models.py",
    "cli/test_fit.py",
    "training/test_how_to_train.py",
)
"""Files that take longest: `make test` deals out whole files to two processes, and these first.

The first makes what all share, a network that is prepared and an unbroken golden rule; the second needs neither, so
that nobody waits; the third comes when both are there.
"""


TINY, TINY_PX, TINY_SIZES, MANY_PX = "test_efficientnet", 64, (None, 32, 64, 96), 224
"""The network on which mechanics are tested, one that timm has for tests; its side in px; those it is prepared at;
and one at which pictures are large in memory."""


ROOM_BYTES = 6_000_000_000


def pytest_configure(config: pytest.Config) -> None:
    """Let Ctrl-C be Ctrl-C: started in the background or under nohup, processes inherit that it is ignored.

    `make test` draws 40 examples of a property, `make test-all` 100.
    """
    settings.load_profile("some" if "not exhaustive" in (config.getoption("markexpr") or "") else "all")
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    temporary_files_in_memory()
    one_core_each()


def temporary_files_in_memory() -> None:
    """Let folders of tests lie in memory where there is room: else each fsync waits for what all tests have written."""
    memory = Path("/dev/shm")
    if os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > ROOM_BYTES:
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(memory))


def one_core_each() -> None:
    """Return each process of pytest-xdist a core of its own: threads that share one wait for each other."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "")
    if worker and hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {cores[int(worker.removeprefix("gw")) % len(cores)]})


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest files first, so that no process is left alone with one at the end."""
    place = {ROOT / "tests" / name: number for number, name in enumerate(LONGEST)}
    assert all(path.is_file() for path in place), f"LONGEST names files that are no more: {LONGEST}"
    items.sort(key=lambda item: place.get(item.path, len(place)))


def pytest_collection_finish() -> None:
    """Let the garbage collector pass over what has been imported: it would look through it hundreds of times."""
    gc.collect()
    gc.freeze()


CURVES = "goldenrule.report.training_curves.figure_svg"


@pytest.fixture(scope="session", autouse=True)
def undrawn_curves() -> Iterator[None]:
    """Let reports of a training hold an empty drawing: matplotlib takes longer than the tiny network's training."""

    def undrawn(figure: object, *, label: str = "") -> str:
        assert figure is not None
        return f'<svg role="img" aria-label="{html.escape(label)}" class="figure"></svg>'

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(CURVES, undrawn)
        yield


class GraphOnce:
    """A graph in a file, to be read at a shape of its input, None: the shape that it has."""

    def __init__(self, core: Callable[[], Any], path: Path) -> None:
        self._core, self.path = core, path
        self.shape: list[int] | None = None

    def read(self) -> Any:
        """Return OpenVINO's network."""
        found = self._core().read_model(self.path)
        if self.shape is not None:
            found.reshape(self.shape)
        return found

    def input(self, number: int) -> Any:
        """Return the input, which knows its shape."""
        return self.read().input(number)

    def reshape(self, shape: list[int]) -> None:
        """Set the shape of the input."""
        self.shape = shape


class CompiledOnce:
    """OpenVINO's core, which compiles a network that is the same to the byte once, and keeps the last of them.

    A thousand tests run the same two or three networks, and to compile one takes as long as a test does.
    """

    def __init__(self, core: Callable[[], Any]) -> None:
        self._core = core
        self._kept: OrderedDict[bytes, Any] = OrderedDict()

    def __call__(self) -> CompiledOnce:
        return self

    def __getattr__(self, name: str) -> Any:
        return getattr(self._core(), name)

    def read_model(self, path: Path) -> GraphOnce:
        """Return the file: it is read where it has not been compiled before."""
        return GraphOnce(self._core, path)

    def compile_model(self, graph: GraphOnce, device: str, options: dict[str, str]) -> Any:
        """Return the compiled network of a file."""
        key = repr((device, sorted(options.items()), graph.shape)).encode() + graph.path.read_bytes()
        weights = graph.path.with_suffix(".bin")
        key = hashlib.blake2b(key + (weights.read_bytes() if weights.exists() else b"")).digest()
        if key not in self._kept:
            self._kept[key] = self._core().compile_model(graph.read(), device, options)
        self._kept.move_to_end(key)
        while len(self._kept) > MOST_COMPILED:
            self._kept.popitem(last=False)
        return self._kept[key]


MOST_COMPILED = 8


@pytest.fixture(scope="session", autouse=True)
def compiled_once() -> Iterator[None]:
    """Let engines of this process share what has been compiled."""
    from goldenrule.engines import openvino

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(openvino, "core", CompiledOnce(openvino.core))
        yield


@pytest.fixture(scope="session")
def photos() -> Callable[[str], Path]:
    """Return the folder of a real photo set by name; skip where the sets are absent."""

    def folder(name: str) -> Path:
        path = DATA / name
        if not path.is_dir():
            pytest.skip(f"no photo set {name} in {DATA}: set GOLDENRULE_TEST_DATA to a folder that has it")
        return path

    return folder


@pytest.fixture(scope="session")
def made_once(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Callable[..., Path]:
    """Return a folder of the whole session, filled by the first process that asks for it: `made_once(name, fill)`."""
    base = tmp_path_factory.getbasetemp()
    shared = base if worker_id == "master" else base.parent

    def folder(name: str, fill: Callable[[Path], None]) -> Path:
        with FileLock(shared / f"{name}.lock"):
            if not (shared / name).exists():
                (new := shared / f"{name}.new").mkdir()
                fill(new)
                new.rename(shared / name)
        return shared / name

    return folder


@pytest.fixture(scope="session")
def pretrained_cache(made_once: Callable[..., Path]) -> Path:
    """A cache folder with the real default backbone prepared: 3.4 million parameters that know ImageNet."""

    def fill(folder: Path) -> None:
        with cache_at(folder):
            from goldenrule.models.backbone import backbone
            from goldenrule.models.graphs.compiled import engine_kind

            engine_kind(backbone())

    return made_once("pretrained", fill)


@pytest.fixture(scope="session")
def prepared_cache(made_once: Callable[..., Path], pretrained_cache: Path) -> Path:
    """A cache folder with a tiny network in the place of the default backbone, made once per session.

    Processes, engines and training find there what they find in any cache. What they compute on it takes
    milliseconds, and knows little of pictures: a test about that takes `pretrained_cache`. The engine of the real
    backbone is there too, for classifiers that have it.
    """

    def fill(folder: Path) -> None:
        shutil.copytree(pretrained_cache / "engines", folder / "engines")
        with cache_at(folder):
            put_tiny_backbone()

    return made_once("tiny", fill)


@contextlib.contextmanager
def cache_at(folder: Path) -> Iterator[None]:
    """Let goldenrule's cache be that folder for a while."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GOLDENRULE_CACHE", str(folder))
        yield


def put_tiny_backbone() -> None:
    """Prepare `TINY` where the default backbone would lie: weights are drawn, statistics those of two photos."""
    import timm
    import torch

    from goldenrule.data.sample_photos import sample_photos
    from goldenrule.models import backbone as preparing
    from goldenrule.models.catalog import DEFAULT_BACKBONE, EMBEDDED
    from goldenrule.models.graphs.boundary import boundary
    from goldenrule.models.graphs.compiled import engine_kind

    with torch.random.fork_rng(devices=[]), pytest.MonkeyPatch.context() as patch:
        torch.manual_seed(0)
        model = timm.create_model(TINY, num_classes=0).train()
        patch.setitem(EMBEDDED, DEFAULT_BACKBONE, replace(EMBEDDED[DEFAULT_BACKBONE], timm_name=TINY, size=TINY_PX))
        seen = preparing.Preprocessing(size=TINY_PX, mean=(0.5,) * 3, std=(0.5,) * 3)
        crops = [photo[top:, 2 * top :] for photo in sample_photos() for top in (0, 50, 100, 150)]
        pixels = torch.from_numpy(np.stack([seen.pixels(crop) for crop in crops]))
        with torch.no_grad():
            for _ in range(30):  # BatchNorm's running statistics
                model(pixels)
        state = model.state_dict()
        patch.setattr(preparing, "_weights", lambda name, weights: (state, EMBEDDED[name].source()))
        for size in TINY_SIZES:
            for pooling in ("average", *preparing.POOLINGS.values()):
                preparing.backbone(size=size, pooling=pooling)
        for pretrained in (preparing.backbone(), boundary(preparing.backbone()), preparing.backbone(size=MANY_PX)):
            assert engine_kind(pretrained).name == "openvino"


@pytest.fixture
def cache(prepared_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the test's own: the tiny network is prepared, the bank is empty."""
    return own_cache(prepared_cache, tmp_path, monkeypatch)


@pytest.fixture
def real_cache(pretrained_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the test's own: the real default backbone is prepared, the bank is empty."""
    return own_cache(pretrained_cache, tmp_path, monkeypatch)


LARGE_BYTES = 1_000_000


def own_cache(prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Copy a cache and let goldenrule use the copy until the test ends."""
    path = Path(shutil.copytree(prepared, tmp_path / "cache", copy_function=linked_or_copied))
    monkeypatch.setenv("GOLDENRULE_CACHE", str(path))
    return path


@pytest.fixture
def picture_folder(tmp_path: Path) -> Callable[..., Path]:
    """Make CLASS/NN.png folders of small pictures: each class has its own hue, each picture its own noise."""

    def make(name: str = "pictures", classes: tuple[str, ...] = ("blue", "red"), each: int = 12, seed: int = 0) -> Path:
        draws = np.random.default_rng(seed)
        for number, label in enumerate(classes):
            folder = tmp_path / name / label
            folder.mkdir(parents=True, exist_ok=True)
            for index in range(each):
                pixels = draws.integers(0, 90, size=(48, 64, 3))
                pixels[:, :, number % 3] += 150
                Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{index:02d}.png")
        return tmp_path / name

    return make


SMALL_PX = 160
"""The longer side of the photos that most tests share: to decode one takes longer than the tiny network does."""


@pytest.fixture(scope="session")
def small_photos(photos: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Real cats and dogs made small: 20 of each to train, 8 to validate, 6 to test; read only."""
    root = tmp_path_factory.mktemp("photos") / "dogscats"
    for label in ("cats", "dogs"):
        names = {split: sorted((photos("dogscats") / split / label).iterdir()) for split in ("train", "valid")}
        chosen = {"train": names["train"][:20], "valid": names["valid"][:8], "test": names["train"][20:26]}
        for split, files in chosen.items():
            (root / split / label).mkdir(parents=True)
            for file in files:
                picture = Image.open(file)
                picture.thumbnail((SMALL_PX, SMALL_PX))
                picture.save(root / split / label / file.name, quality=90)
    return root


@pytest.fixture(scope="session")
def fitted(small_photos: Path, prepared_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The `FitResult` of a default fit of the tiny network on `small_photos`; read only."""
    return fitted_in(tmp_path_factory.mktemp("fitted"), small_photos, prepared_cache)


@pytest.fixture(scope="session")
def really_fitted(small_photos: Path, pretrained_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The `FitResult` of a default fit of the real backbone, which knows cats from dogs; read only."""
    return fitted_in(tmp_path_factory.mktemp("really_fitted"), small_photos, pretrained_cache)


def fitted_in(folder: Path, images: Path, prepared: Path) -> Any:
    """Fit in a cache of its own, which stands beside the run."""
    from goldenrule.pipelines.quick_fit import quick_fit

    shutil.copytree(prepared, folder / "cache")
    with cache_at(folder / "cache"):
        return quick_fit(images, out=folder / "run")


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start a Python process in tmp_path: `start("-m", "goldenrule", "fit", ...)`; killed when the test ends."""
    started = []

    def run(*arguments: object, **options: Any) -> subprocess.Popen[str]:
        environment = os.environ | {"COLUMNS": "300", "PYTHONWARNINGS": "ignore"} | options.pop("env", {})
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "cwd": tmp_path}
        started.append(subprocess.Popen([sys.executable, *map(str, arguments)], env=environment, **(pipes | options)))
        return started[-1]

    yield run
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server of objects that speaks as S3 does, a process of its own on this machine."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with (tmp_path_factory.mktemp("s3") / "log").open("w") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and server.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            break
        time.sleep(0.05)
    yield f"http://127.0.0.1:{port}"
    server.kill()
    server.wait()


@pytest.fixture
def bucket(s3_server: str, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Set the environment of the server; `bucket(name, {"cats/1.jpg": bytes})` puts files there."""
    import pyarrow.fs

    for name, value in {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": s3_server,
    }.items():
        monkeypatch.setenv(name, value)

    def put(name: str, files: dict[str, bytes]) -> str:
        place = s3_server.removeprefix("http://")
        system = pyarrow.fs.S3FileSystem(
            endpoint_override=place, scheme="http", region="us-east-1", allow_bucket_creation=True
        )
        system.create_dir(name)
        for path, content in files.items():
            with system.open_output_stream(f"{name}/{path}") as file:
                file.write(content)
        return f"s3://{name}"

    return put


Completed = subprocess.CompletedProcess[str]


def linked_or_copied(source: str, target: str) -> object:
    """Link a large file, which nobody writes in place, instead of copying it for each of a thousand tests."""
    large = os.stat(source).st_size > LARGE_BYTES  # noqa: PTH116 - as copytree gives it
    return os.link(source, target) if large else shutil.copy2(source, target)


SHORT_PLAN = {
    "training.plan.LATE_EPOCHS": 2,
    "training.plan.FEWEST_LATE_EPOCHS": 2,
    "training.plan.FAR_TIMES": 1.0,
    "training.plan.MOST_PASSES": {2: 10_000},
    "training.plan.HEAD_CYCLES": 1,
    "training.verb_runner.STEPS_LIVE": 12,
    "training.verb_runner.STEPS_ON_ROWS": 24,
}
"""Fewer epochs of everything, and of steps to find a rate. How many there are is tested as the pure function it is."""


@pytest.fixture
def short_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let golden rules of this process train for a few epochs."""
    for name, value in SHORT_PLAN.items():
        monkeypatch.setattr(f"goldenrule.{name}", value)


@pytest.fixture
def command(cache: Path, short_plan: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Completed]:
    """Run `goldenrule ARGUMENTS` to its end in this process, in tmp_path, with a cache of the test's own."""
    return commands_in(tmp_path, monkeypatch)


@pytest.fixture
def real_command(real_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Completed]:
    """Do what `command` does, with the real backbone."""
    return commands_in(tmp_path, monkeypatch)


@functools.cache
def built_once(app: Any) -> Any:
    """Return Click's command of Typer's app: to build twenty of them takes longer than most of them run."""
    from typer.main import get_command

    return get_command(app)


def commands_in(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Completed]:
    from typer import testing

    from goldenrule.cli.main import app

    def run(*arguments: object, env: dict[str, str] | None = None) -> Completed:
        words = [str(one) for one in arguments]
        with monkeypatch.context() as patch:
            patch.chdir(folder)
            patch.setattr(testing, "_get_command", built_once)
            found = testing.CliRunner().invoke(
                app, words, env={"COLUMNS": "300", **(env or {})}, catch_exceptions=False
            )
        return subprocess.CompletedProcess(words, found.exit_code, found.stdout, found.stderr)

    return run


@pytest.fixture
def process(start: Callable[..., subprocess.Popen[str]], cache: Path) -> Callable[..., Completed]:
    """Do what `command` does in a process of its own: where users, disks, memory, locks or signals are at stake."""

    def run(*arguments: object, **options: Any) -> Completed:
        process = start("-m", "goldenrule", *arguments, **options)
        out, err = process.communicate(timeout=240)
        assert "Traceback" not in out + err, out + err
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    return run


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Mount a file system of a given size ("64k"); skip where this user may not."""
    mounted = []

    def mount(size: str) -> Path:
        folder = tmp_path / f"disk{len(mounted)}"
        folder.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
        if os.name == "nt" or subprocess.run(command, capture_output=True, check=False).returncode:
            pytest.skip("a full disk is tested on a file system of its own, and only root may mount one")
        mounted.append(folder)
        return folder

    yield mount
    for folder in mounted:
        subprocess.run(["umount", "-l", str(folder)], check=True)
