"""The process of a review: its socket, its page in the browser, and how it ends."""

from __future__ import annotations

import contextlib
import os
import sys
import time
import webbrowser
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from goldenrule.core.progress import Progress
from goldenrule.deploy.local_server import LOCAL, CommandServer, check_port, listener
from goldenrule.deploy.review.review_app import new_token, review_app
from goldenrule.runs.review_journal import journal_of, opened_journal, standing
from goldenrule.storage.lock import check_no_links
from goldenrule.tasks.cleaning.review_session import ReviewSession
from goldenrule.tasks.cleaning.suspects import Suspects, find_suspects

HOST = "127.0.0.1"
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
    check_port(port)
    began = time.monotonic()
    check_no_links(run)
    with listener(HOST, port) as sock:  # before the seconds of looking
        suspects = find_suspects(run, threads=threads, progress=progress)
        with opened_journal(run) as journal:
            session = ReviewSession(suspects, journal)
            token = new_token()
            at = f"http://{HOST}:{sock.getsockname()[1]}/#{token}"
            app = review_app(session, token=token, hosts=LOCAL)
            try:
                CommandServer(
                    app, ending_seconds=ENDING_SECONDS, listening=lambda: listening(at, suspects, session.stale)
                ).run(sockets=[sock])
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
