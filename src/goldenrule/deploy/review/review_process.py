"""The process of a review: its socket, its page in the browser, and how it ends."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
import time
import webbrowser
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn

from goldenrule.core.errors import OptionError
from goldenrule.core.progress import Progress
from goldenrule.deploy.review.review_app import new_token, review_app
from goldenrule.runs.review_journal import journal_of, opened_journal, standing
from goldenrule.storage.lock import check_no_links
from goldenrule.tasks.cleaning.review_session import ReviewSession
from goldenrule.tasks.cleaning.suspects import Suspects, find_suspects

HOST, HOSTS = "127.0.0.1", ("127.0.0.1", "localhost", "[::1]")
ENDING_SECONDS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Reviewed:
    """What came of a review: cards, those that are decided, the decisions on images, and how the heads compare."""

    run: str
    journal: str
    images: str
    cards: int
    decided: int
    decisions: Mapping[str, int]
    refit: Mapping[str, Any]
    seconds: float


def review_run(
    run: Path,
    *,
    port: int = 0,
    threads: int | None = None,
    progress: Progress | None = None,
    listening: Callable[[str, Suspects, frozenset[str]], None] = lambda *_: None,
) -> Reviewed:
    """Serve the page on which a run's labels are reviewed, until Ctrl-C or SIGTERM; return what came of it.

    `listening` is told the address with its token, what there is to look at, and the images of earlier decisions that
    hold other bytes by now. Raises `OptionError` for a port that can't be had, `RunInUse` where the run is being
    reviewed.
    """
    if not 0 <= port <= 65_535:
        raise OptionError(f"--port {port}: wanted 1 to 65535, or 0 for a free one.")
    began = time.monotonic()
    check_no_links(run)
    with _listener(port) as listener:  # before the seconds of looking
        suspects = find_suspects(run, threads=threads, progress=progress)
        with opened_journal(run) as journal:
            session = ReviewSession(suspects, journal)
            token = new_token()
            at = f"http://{HOST}:{listener.getsockname()[1]}/#{token}"
            config = uvicorn.Config(
                review_app(session, token=token, hosts=HOSTS),
                http="h11",
                loop="asyncio",
                ws="none",
                lifespan="off",
                log_level="warning",
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=ENDING_SECONDS,
            )
            try:
                _Server(config, lambda: listening(at, suspects, session.stale)).run(sockets=[listener])
                done = session.progressed()
            finally:
                session.close()
            held = standing(journal.decisions).values()
    return Reviewed(
        run=str(run),
        journal=str(journal_of(run)),
        images=str(suspects.images.root),
        cards=done.cards,
        decided=done.decided,
        decisions=Counter(decision.verdict for decision, _ in held),
        refit=done.refit,
        seconds=round(time.monotonic() - began, 1),
    )


def show_in_browser(address: str) -> None:
    """Open the page where somebody sits before a desktop; a browser of the terminal would take the screen away."""
    desktop = sys.platform in ("darwin", "win32") or bool(
        os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    )
    if desktop and sys.stdout.isatty():
        with contextlib.suppress(webbrowser.Error):
            webbrowser.open(address)


class _Server(uvicorn.Server):
    """Uvicorn, which says when it listens, and ends with Ctrl-C and SIGTERM as a command does that is done."""

    def __init__(self, config: uvicorn.Config, listening: Callable[[], None]) -> None:
        super().__init__(config)
        self.listening = listening

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and say so."""
        await super().startup(sockets)
        self.listening()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Handle signals while the block runs; what did it before does it again afterwards."""
        loop = asyncio.get_running_loop()
        before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        for number in before:
            loop.add_signal_handler(number, self._stop)
        try:
            yield
        finally:
            for number, handler in before.items():
                loop.remove_signal_handler(number)
                signal.signal(number, handler)

    def _stop(self) -> None:
        self.force_exit = self.should_exit
        self.should_exit = True


def _listener(port: int) -> socket.socket:
    try:
        return socket.create_server((HOST, port))
    except OSError as error:
        raise OptionError(
            f"--port {port}: nothing can listen there ({error.strerror or error}). Give another port, or 0 for a free "
            "one."
        ) from error
