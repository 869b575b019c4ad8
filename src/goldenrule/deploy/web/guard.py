"""Who may ask a server: names that it is called by, and its own page; and what a browser may do with an answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from goldenrule.deploy.local_server import HEADERS, called, header
from goldenrule.deploy.web.answers import answer
from goldenrule.deploy.web.web_page import PAGE_POLICY

POLICY = b"default-src 'none'; frame-ancestors 'none'"
"""Of every answer but the page, which has one of its own: no browser runs or frames it."""
OURS = (b"same-origin", b"none")
"""What a browser says of a request that the page sends, or its user; it says so wherever others can't listen."""


class Guarded:
    """The application behind a check of who asks: by the Host header, and by what a browser says of the page."""

    def __init__(self, app: ASGIApp, *, hosts: Sequence[str] | None, is_draining: Callable[[], bool]) -> None:
        self.app, self.hosts, self.is_draining = app, hosts, is_draining

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""

        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                closing = [(b"connection", b"close")] if self.is_draining() else []
                policy = PAGE_POLICY if scope["path"] == "/" else POLICY
                headers = (*HEADERS, (b"content-security-policy", policy))
                message["headers"] = [*message.get("headers", ()), *headers, *closing]
            await send(message)

        if scope["type"] != "http":
            return
        if self.hosts is not None and called(scope) not in self.hosts:
            refused = answer({"error": f"This server is called {' or '.join(self.hosts)}."}, 421)
            await refused(scope, receive, sent)
            return
        if scope["method"] == "POST" and header(scope, b"sec-fetch-site") not in (b"", *OURS):
            refused = answer({"error": "A page of another site has sent this: nothing is answered."}, 403)
            await refused(scope, receive, sent)
            return
        await self.app(scope, receive, sent)
