"""The routes of a review: the page, which holds nothing of the images, and what it asks with the token of the session.

Whoever asks has to call the server by a name of this computer (no DNS rebinding), and to send the token in a header:
a browser adds that to no request by itself, so that no other page can decide anything (CSRF), nor see an image. The
token stands behind the # of the address, which a browser keeps to itself.
"""

from __future__ import annotations

import io
import json
import secrets
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
from PIL import Image
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from goldenrule.core.errors import GoldenRuleError, OptionError, StorageError, UnreadableImage, of_system
from goldenrule.core.schema import as_json
from goldenrule.deploy.local_server import HEADERS, called, header
from goldenrule.report import pages
from goldenrule.report.thumbnails import small
from goldenrule.runs.review_journal import Verdict
from goldenrule.tasks.cleaning.review_session import OtherDecision, ReviewSession

PAGE = Path(__file__).parent / "page"
STYLE = Path(pages.__file__).parent / "templates" / "style.css"
TYPES = {"review.html": "text/html", "review.js": "text/javascript", "review.css": "text/css"}
POLICY = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src blob:; "
    b"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
OUR_HEADERS = (*HEADERS, (b"content-security-policy", POLICY), (b"cross-origin-opener-policy", b"same-origin"))
"""Of every answer."""
LEAST_SIDE, MOST_SIDE, QUALITY = 64, 1600, 88
MOST_BODY = 1 << 20


class _Decide(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """What the page sends when a card is decided."""

    card: str
    verdict: Verdict
    session: str
    seen: int
    to: str = ""
    rows: list[int] | None = None


class _Undo(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """What the page sends when a decision is undone."""

    number: int
    session: str


def new_token() -> str:
    """Return what nobody can guess."""
    return secrets.token_urlsafe(32)


def review_app(session: ReviewSession, *, token: str, hosts: Sequence[str]) -> ASGIApp:
    """Return the ASGI application; `hosts` are the names that it may be called by."""

    def asked(answer: Callable[[Request], Any]) -> Callable[[Request], Any]:
        async def checked(request: Request) -> Response:
            given = request.headers.get("authorization", "")
            if not secrets.compare_digest(given.encode(), f"Bearer {token}".encode()):
                return _json({"error": "Open the address that goldenrule review has printed: it has the token."}, 401)
            body = await _body(request) if request.method == "POST" else b""
            return await run_in_threadpool(_answered, lambda: answer(_with(request, body)))

        return checked

    routes = [Route("/", _page("review.html"))]
    routes += [Route(f"/{name}", _page(name)) for name in ("review.js", "review.css")]
    routes += [
        Route("/api/queue", asked(lambda _: _queue(session))),
        Route("/api/card/{name}", asked(lambda request: session.card(request.path_params["name"]))),
        Route("/api/state", asked(lambda request: as_json(session.progressed(_number(request, "after"))))),
        Route("/api/image/{row:int}", asked(lambda request: _picture(session, request))),
        Route("/api/decide", asked(lambda request: _decide(session, request.state.body)), methods=["POST"]),
        Route("/api/undo", asked(lambda request: _undo(session, request.state.body)), methods=["POST"]),
    ]
    app = Starlette(routes=routes, exception_handlers={HTTPException: _refused, Exception: _failed})
    return _Guarded(app, hosts)


def _queue(session: ReviewSession) -> dict[str, Any]:
    known = session.suspects.known
    cards = [{"id": card.id, "kinds": card.kinds, "images": len(card.rows)} for card in session.cards.values()]
    return {
        "run": session.suspects.folder.name,
        "classes": known.classes,
        "images": len(known.uris),
        "cards": cards,
        "stale": sorted(session.stale),
    }


def _decide(session: ReviewSession, body: bytes) -> Any:
    said = _parsed(body, _Decide)
    made = session.decide(
        said.card, said.verdict, session=said.session[:40], to=said.to, rows=said.rows, seen=said.seen
    )
    return {"number": made.number, "images": len(made.images)}


def _undo(session: ReviewSession, body: bytes) -> Any:
    said = _parsed(body, _Undo)
    return {"number": session.undo(said.number, session=said.session[:40]).number}


def _parsed(body: bytes, kind: type[Any]) -> Any:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, RecursionError) as error:
        raise OptionError(f"That is no decision: {error}.") from error


def _picture(session: ReviewSession, request: Request) -> Response:
    side = min(max(_number(request, "side", 800), LEAST_SIDE), MOST_SIDE)
    pixels = small(session.picture(request.path_params["row"]), side)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=QUALITY)
    return Response(file.getvalue(), media_type="image/jpeg")


def _number(request: Request, name: str, default: int = 0) -> int:
    text = request.query_params.get(name, str(default))
    if not (text.isdecimal() and len(text) < 10):
        raise OptionError(f"{name}={text[:20]}: wanted a number.")
    return int(text)


def _answered(answer: Callable[[], Any]) -> Response:
    """Return an answer, or what the user can mend with a status that says of which kind it is."""
    try:
        value = answer()
    except OtherDecision as error:
        return _json({"error": str(error)}, 409)
    except StorageError as error:
        return _json({"error": f"Not saved. {error}"}, 507)
    except UnreadableImage as error:
        return _json({"error": str(error)}, 404)
    except GoldenRuleError as error:
        return _json({"error": str(error)}, 400)
    except OSError as error:
        return _json({"error": of_system(error)}, 404)
    return value if isinstance(value, Response) else _json(value)


def _json(value: Any, status: int = 200) -> Response:
    content = json.dumps(value, ensure_ascii=False, allow_nan=False).encode("utf-8", "backslashreplace")
    return Response(content, status, media_type="application/json")


def _with(request: Request, body: bytes) -> Request:
    request.state.body = body
    return request


async def _body(request: Request) -> bytes:
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise HTTPException(415, "Wanted JSON")
    pieces = bytearray()
    try:
        async for piece in request.stream():
            pieces += piece
            if len(pieces) > MOST_BODY:
                raise HTTPException(413, "The body is too large")
    except ClientDisconnect as error:
        raise HTTPException(400, "The sender went away") from error
    return bytes(pieces)


def _page(name: str) -> Callable[[Request], Any]:
    async def sent(_: Request) -> Response:
        return Response(_content(name), media_type=TYPES[name])

    return sent


@cache
def _content(name: str) -> bytes:
    """Return a file of the page; its style begins with that of the report."""
    content = (PAGE / name).read_bytes()
    return STYLE.read_bytes() + content if name.endswith(".css") else content


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return _json({"error": f"{error.detail}."}, error.status_code)


async def _failed(_: Request, error: Exception) -> Response:
    return _json({"error": f"The server failed ({type(error).__name__}): its log says more."}, 500)


class _Guarded:
    """The application behind a check of the Host header and of the Origin; every answer has `OUR_HEADERS`."""

    def __init__(self, app: ASGIApp, hosts: Sequence[str]) -> None:
        self.app, self.hosts = app, frozenset(hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""

        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *OUR_HEADERS]
            await send(message)

        if scope["type"] != "http":
            return
        if called(scope) not in self.hosts:
            await _json({"error": f"This server is called {' or '.join(sorted(self.hosts))}."}, 421)(
                scope, receive, sent
            )
            return
        if header(scope, b"origin") not in (b"", b"http://" + header(scope, b"host")):
            await _json({"error": "Another page asks: refused."}, 403)(scope, receive, sent)
            return
        await self.app(scope, receive, sent)
