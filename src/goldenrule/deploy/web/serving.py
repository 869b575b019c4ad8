"""The process of a server: its socket, its signals, and the classifier that it takes over while it runs."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import signal
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, get_args

from starlette.types import ASGIApp

from goldenrule.core.errors import FormatError, OptionError
from goldenrule.deploy.bulk import RowRules
from goldenrule.deploy.local_server import LOCAL, CommandServer, check_port, listener
from goldenrule.deploy.web.batching import TRIAL, Served
from goldenrule.deploy.web.explainer import Explainer
from goldenrule.deploy.web.server import Service, application
from goldenrule.deploy.web.uploads import Limits
from goldenrule.models.classifier import Classifier
from goldenrule.models.graphs.compiled import available_threads, check_threads
from goldenrule.storage.files import digest
from goldenrule.storage.manifest import MANIFEST

LOOK_SECONDS, SETTLE_SECONDS = 2.0, 1.0
"""So often the run is looked at; so long a server that was told to end goes on to say so."""
CONNECTIONS = 2_000
Load = Callable[[], Classifier]
Viewers = Literal["local", "all", "nobody"]
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where a server listens; `allowed` are names it is called by beside those of this machine, `*` is any."""

    host: str = "127.0.0.1"
    port: int = 8000
    allowed: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_port(self.port)

    @property
    def is_local(self) -> bool:
        """Whether only this machine can reach it."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def is_private(self) -> bool:
        """Whether only programs of this machine ask it: behind a name that was allowed a proxy may stand."""
        return self.is_local and not self.allowed

    @property
    def hosts(self) -> tuple[str, ...] | None:
        """The names that the Host header may have; None for any."""
        if "*" in self.allowed or not (self.is_local or self.allowed):
            return None
        own = f"[{self.host}]" if ":" in self.host else self.host
        return tuple(dict.fromkeys((*LOCAL, own.lower(), *(name.lower() for name in self.allowed))))


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopped:
    """What a server has done when it ends."""

    address: str
    pictures: int
    takeovers: int
    seconds: float


def serve(
    load: Load,
    folder: Path,
    *,
    address: Address,
    rules: RowRules | None = None,
    limits: Limits | None = None,
    threads: int | None = None,
    training_images: Viewers = "local",
    say: Say = lambda _: None,
    listening: Say = lambda _: None,
) -> Stopped:
    """Answer requests with the classifier that `load` gives, until SIGTERM or Ctrl-C; return what was done.

    `folder` is the one that is loaded: when its manifest changes, and on SIGHUP, it is loaded again, verified, tried,
    and takes over. `training_images` says who sees the nearest ones: "local" shows them where only this computer can
    ask. `listening` is told the address. Raises `OptionError` for an address that can't be had.
    """
    check_threads(threads)
    if training_images not in get_args(Viewers):
        raise OptionError(f"--training-images {training_images}: wanted one of {', '.join(get_args(Viewers))}.")
    threads, limits = threads or available_threads(), limits or Limits()
    with listener(address.host, address.port) as sock:  # before the seconds of loading
        served = _tried(load, folder, threads)
        shown = training_images == "all" or (training_images == "local" and address.is_private)
        explainer = partial(Explainer, folder=folder, threads=threads, training=shown)
        service = Service(served, rules=rules or RowRules(), limits=limits, threads=threads, explainer=explainer)
        at = f"http://{_shown(address.host)}:{sock.getsockname()[1]}"
        watch = _Watch(load, folder, service, threads, say)
        app = application(service, hosts=address.hosts)
        server = _Server(
            app, service, watch, ending_seconds=int(2 * limits.seconds) + 1, listening=lambda: listening(at)
        )
        began = time.monotonic()
        try:
            server.run(sockets=[sock])
        finally:
            service.close()
    return Stopped(
        address=at, pictures=service.answered, takeovers=watch.takeovers, seconds=round(time.monotonic() - began, 1)
    )


def manifest_of(folder: Path) -> Path:
    """Return the manifest of the classifier in a folder, which may be that of its run."""
    inside = folder / "classifier"
    return (inside if (inside / "classifier.json").is_file() else folder) / MANIFEST


class _Server(CommandServer):
    """A server which answers all that has come before it ends, and looks after the run beside."""

    def __init__(
        self, app: ASGIApp, service: Service, watch: _Watch, *, ending_seconds: int, listening: Callable[[], None]
    ) -> None:
        super().__init__(app, ending_seconds=ending_seconds, listening=listening, connections=CONNECTIONS)
        self.service, self.watch = service, watch
        self._tasks: set[asyncio.Task[None]] = set()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, say so, and begin to look at the run."""
        await super().startup(sockets)
        self._tasks.add(asyncio.create_task(self.watch.run()))

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End."""
        for task in self._tasks:
            task.cancel()
        await super().shutdown(sockets)

    def handlers(self) -> Mapping[signal.Signals, Callable[[], Any]]:
        """Return what is done on which signal: SIGHUP looks at the run at once."""
        look = {signal.SIGHUP: self.watch.look} if hasattr(signal, "SIGHUP") else {}
        return {**super().handlers(), **look}

    def stop(self) -> None:
        """Take nothing more, answer what has come, and end; asked again, at once."""
        if self.service.draining:
            self.should_exit = self.force_exit = True
            return
        self.service.draining = True
        self._tasks.add(asyncio.create_task(self._drain()))

    async def _drain(self) -> None:
        """Wait until no request is left; whoever comes meanwhile is told to go elsewhere."""
        await asyncio.sleep(SETTLE_SECONDS)
        while self.service.load.requests:
            await asyncio.sleep(0.05)
        self.should_exit = True


class _Watch:
    """Takes over the classifier of a run that was fitted again."""

    def __init__(self, load: Load, folder: Path, service: Service, threads: int, say: Say) -> None:
        self.load, self.folder, self.service, self.threads, self.say = load, folder, service, threads, say
        self.takeovers, self._asked, self._stamp = 0, asyncio.Event(), _stamp(folder)
        self._refused = ""

    def look(self) -> None:
        """Look now."""
        self._asked.set()

    async def run(self) -> None:
        """Look again and again."""
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._asked.wait(), LOOK_SECONDS)
            asked = self._asked.is_set()
            self._asked.clear()
            stamp = _stamp(self.folder)
            if asked or stamp != self._stamp:
                self._stamp = stamp
                await asyncio.to_thread(self._take_over)

    def _take_over(self) -> None:
        name = ""
        try:
            name = _name(self.folder)
            if name == self.service.batcher.served.name:
                return
            served = _tried(self.load, self.folder, self.threads)
        except Exception as error:  # noqa: BLE001 - whatever is wrong with the new one, the old one goes on
            self._stamp = 0, 0  # it may be half copied: look again
            if name != self._refused:
                self._refused = name
                self.service.metrics.takeovers.labels("refused").inc()
                self.say(f"warning: the run has changed, and can't be used: the classifier of before goes on. {error}")
            return
        self.service.batcher.served = served
        self.takeovers += 1
        self.service.metrics.takeovers.labels("done").inc()
        self.say(f"The run has changed: its new classifier answers ({served.name[:12]}).")


def _tried(load: Load, folder: Path, threads: int) -> Served:
    """Return a classifier whose files are verified, and whose engine has predicted a picture."""
    name = _name(folder)
    classifier = load()
    classifier.predict_here([("trial", TRIAL)], threads=threads)
    if _name(folder) != name:
        raise FormatError(f"{folder} was changed while it was read: give the command again.")
    return Served(classifier, name)


def _name(folder: Path) -> str:
    """Return what the classifier in a folder is known by; raises `SourceError` where there is none."""
    path = manifest_of(folder)
    if not path.is_file():
        Classifier.load(folder)  # it says what is wrong
    return digest(path.read_bytes()).hex()


def _stamp(folder: Path) -> tuple[int, int]:
    try:
        found = manifest_of(folder).stat()
    except OSError:
        return 0, 0
    return found.st_mtime_ns, found.st_ino


def _shown(host: str) -> str:
    return f"[{host}]" if ":" in host else host
