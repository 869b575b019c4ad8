"""A uvicorn server as a command runs it: its socket, signals, the names it is called by, headers of every answer."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import uvicorn
from starlette.types import ASGIApp, Scope

from goldenrule.core.errors import OptionError

LOCAL = ("127.0.0.1", "localhost", "[::1]")
"""Names of this computer."""
HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"referrer-policy", b"no-referrer"),
)
"""Of every answer: no browser guesses its type, keeps it, or gives it to a page of another site."""
WAITING_CONNECTIONS = 2_048


class CommandServer(uvicorn.Server):
    """Uvicorn, which says when it listens, and ends with Ctrl-C and SIGTERM as a command does that is done."""

    def __init__(
        self, app: ASGIApp, *, ending_seconds: int, listening: Callable[[], None], connections: int | None = None
    ) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http="h11",
                loop="asyncio",
                ws="none",
                lifespan="off",
                log_level="warning",
                access_log=False,
                server_header=False,
                limit_concurrency=connections,
                timeout_graceful_shutdown=ending_seconds,
            )
        )
        self.listening = listening

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and say so."""
        await super().startup(sockets)
        self.listening()

    def handlers(self) -> Mapping[signal.Signals, Callable[[], Any]]:
        """Return what is done on which signal."""
        return {signal.SIGINT: self.stop, signal.SIGTERM: self.stop}

    def stop(self) -> None:
        """End when what has come is answered; asked again, at once."""
        self.force_exit = self.should_exit
        self.should_exit = True

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Handle signals while the block runs; what did it before does it again afterwards."""
        loop, handlers = asyncio.get_running_loop(), self.handlers()
        before = {number: signal.getsignal(number) for number in handlers}
        for number, handler in handlers.items():
            loop.add_signal_handler(number, handler)
        try:
            yield
        finally:
            for number, handler_before in before.items():
                loop.remove_signal_handler(number)
                signal.signal(number, handler_before)


def check_port(port: int) -> None:
    """Raise `OptionError` for a number that is no port."""
    if not 0 <= port <= 65_535:
        raise OptionError(f"--port {port}: wanted 1 to 65535, or 0 for a free one.")


def listener(host: str, port: int) -> socket.socket:
    """Return a socket that listens; raises `OptionError` for an address that can't be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        made = socket.create_server((host, port), family=family, backlog=WAITING_CONNECTIONS)
    except OSError as error:
        where = f"--port {port}" if host in LOCAL else f"--host {host} --port {port}"
        raise OptionError(
            f"{where}: nothing can listen there ({error.strerror or error}). Give another port, or 0 for a free one."
        ) from error
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # else an answer's body waits 40 ms behind its headers
    return made


def header(scope: Scope, name: bytes) -> bytes:
    """Return a header of a request, empty where it has none."""
    return next((value for key, value in scope["headers"] if key == name), b"")


def called(scope: Scope) -> str:
    """Return the name in the Host header, without its port.

    >>> [called({"headers": [(b"host", one)]}) for one in (b"127.0.0.1:8000", b"LOCALHOST", b"[::1]:80")]
    ['127.0.0.1', 'localhost', '[::1]']
    """
    name = header(scope, b"host").decode("latin-1").lower()
    return name if name.endswith("]") else name.rpartition(":")[0] or name
