"""A classifier behind HTTP: routes, answers, their schema, and what they are counted by.

POST /predict takes pictures, and gives rows as predictions.jsonl has them. /health, /ready and /metrics are for whoever
looks after it; /openapi.json describes all of them.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, cast

from fastapi import FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from goldenrule.core.errors import GoldenRuleError
from goldenrule.deploy.batching import Batcher, Busy, Row, Served
from goldenrule.deploy.bulk import RowRules
from goldenrule.deploy.uploads import MOST_FILES, PLAIN_TYPE, Held, Limits, Load, Refused, drained, pictures_in

MOST_TOP = 100
DRAIN_SECONDS = 5.0
HEADERS = (
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"referrer-policy", b"no-referrer"),
)
"""Of every answer: no browser runs, frames, keeps or shares it."""
UNREAD = (400, 408, 413)
"""Statuses after which a body may go on: nothing else can be said on its connection."""
LOCAL = ("127.0.0.1", "localhost", "[::1]")


class PredictionRow(BaseModel):
    """What is said of one picture; with `top` there are `class_1`, `probability_1`, `class_2` ... too."""

    model_config = ConfigDict(extra="allow")
    path: str = Field(description="The name that the file came with.")
    status: str = Field(description="ok, unsure, out-of-distribution, or unreadable.")
    prediction: str = Field(description="The class, empty where there is none.")
    probability: float | None
    probabilities: dict[str, float] | None = Field(description="By class.")
    set: list[str] | None = Field(None, description="The classes that can't be ruled out.")
    ood: bool | None = Field(None, description="Whether the picture is out-of-distribution.")
    distance: float | None = Field(None, description="How far it is from the training images.")
    reason: str | None = Field(None, description="Why it can't be read.")


class Predictions(BaseModel):
    """The rows of all files, in their order, and the classifier that gave them."""

    classifier: str = Field(description="The digest of its manifest.")
    predictions: list[PredictionRow]


class Problem(BaseModel):
    """Why there is no answer; where no picture could be read, the rows that say so."""

    error: str
    classifier: str | None = None
    predictions: list[PredictionRow] | None = None


class State(BaseModel):
    """How the server is."""

    status: str
    classifier: str
    classes: list[str]


class Metrics:
    """What is counted, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        about: dict[str, Any] = {"registry": self.registry, "namespace": "goldenrule"}
        self.requests = Counter("requests", "Requests to /predict, by the status of the answer.", ["code"], **about)
        self.pictures = Counter("pictures", "Pictures that were answered, by status.", ["status"], **about)
        self.seconds = Histogram("request_seconds", "From a request's first byte to its answer.", **about)
        self.batch = Histogram("batch_pictures", "Pictures predicted together.", buckets=(1, 2, 4, 8, 16), **about)
        self.batch_seconds = Histogram("batch_seconds", "Decoding and predicting of a batch.", **about)
        self.waiting = Gauge("waiting_pictures", "Pictures that wait.", **about)
        self.held = Gauge("requests_in_flight", "Requests that are being answered.", **about)
        self.takeovers = Counter("takeovers", "New classifiers, by whether they were taken over.", ["result"], **about)


class Service:
    """A classifier, its threads, and what is going on. `draining`: what is there is answered, and nothing else."""

    def __init__(self, served: Served, *, rules: RowRules, limits: Limits, threads: int) -> None:
        self.limits, self.load, self.metrics, self.draining = limits, Load(limits), Metrics(), False
        self.batcher = Batcher(
            served, rules=rules, threads=threads, most_waiting=limits.pictures, seen=self._count_batch
        )
        self.answered = 0
        self.metrics.waiting.set_function(lambda: self.batcher.waiting)
        self.metrics.held.set_function(lambda: self.load.requests)

    def _count_batch(self, pictures: int, seconds: float) -> None:
        self.metrics.batch.observe(pictures)
        self.metrics.batch_seconds.observe(seconds)

    async def predict(
        self,
        request: Request,
        top: Annotated[int, Query(ge=1, le=MOST_TOP, description="So many of the most probable classes.")] = 1,
    ) -> Response:
        """Predict the classes of pictures: files of a form, or one picture as the body."""
        began = time.perf_counter()
        try:
            response = await self._predicted(request, top)
        except ClientDisconnect:
            response = answer({"error": "The sender went away before its body was whole."}, 400)
        self.metrics.requests.labels(str(response.status_code)).inc()
        self.metrics.seconds.observe(time.perf_counter() - began)
        return response

    async def _predicted(self, request: Request, top: int) -> Response:
        try:
            if self.draining:
                raise Refused(503, "The server is stopping: send it again.", again=True)
            with self.load.request() as held:
                return await self._within(request, held, top)
        except Refused as refused:
            if refused.status != 408:
                await _left_unread(request, self.limits)
            headers = {"retry-after": "1"} if refused.again else {}
            closing = {"connection": "close"} if refused.status in UNREAD else {}
            return answer({"error": refused.why}, refused.status, headers | closing)

    async def _within(self, request: Request, held: Held, top: int) -> Response:
        seconds = self.limits.seconds
        try:
            async with asyncio.timeout(seconds):
                files = await pictures_in(request, held)
        except TimeoutError:
            raise Refused(408, f"The body was not there within {seconds:g} seconds.") from None
        try:
            served, waiting = self.batcher.submit(files, top=top, seconds=seconds)
        except Busy:
            if len(files) > self.limits.pictures:
                raise Refused(413, f"Too many files: wanted at most {self.limits.pictures:,}.") from None
            raise Refused(503, f"{self.batcher.waiting:,} pictures wait: send it again.", again=True) from None
        files.clear()
        rows = await asyncio.gather(*map(asyncio.wrap_future, waiting), return_exceptions=True)
        return self._rows(served, rows)

    def _rows(self, served: Served, rows: Sequence[Row | BaseException]) -> Response:
        failed = [row for row in rows if isinstance(row, BaseException)]
        if any(isinstance(error, TimeoutError | MemoryError) for error in failed):
            raise Refused(503, f"It could not be predicted within {self.limits.seconds:g} seconds.", again=True)
        for error in failed:
            if isinstance(error, GoldenRuleError):
                return answer({"error": str(error)}, 500)
            raise error
        whole = cast("list[Row]", rows)
        for row in whole:
            self.metrics.pictures.labels(row["status"]).inc()
        self.answered += len(whole)
        value = {"classifier": served.name, "predictions": whole}
        if all(row["status"] == "unreadable" for row in whole):
            return answer({"error": "No picture of the body can be read.", **value}, 422)
        return answer(value)

    async def health(self) -> Response:
        """Say whether the server works: whoever looks after it starts it again where it does not."""
        return self._state("ok") if self.batcher.works else self._state("a thread has ended", 503)

    async def ready(self) -> Response:
        """Say whether pictures are taken now."""
        return self._state("stopping", 503) if self.draining else self._state("ready")

    async def measured(self) -> Response:
        """Return what was counted, as Prometheus reads it."""
        return Response(generate_latest(self.metrics.registry), media_type=CONTENT_TYPE_LATEST)

    def _state(self, status: str, code: int = 200) -> Response:
        served = self.batcher.served
        value = {"status": status, "classifier": served.name, "classes": list(served.classifier.classes)}
        return answer(value, code, {"retry-after": "1"} if code == 503 else {})


def answer(value: Any, code: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return a value as JSON, with the bytes that predictions.jsonl has."""
    content = json.dumps(value, ensure_ascii=False, allow_nan=False).encode("utf-8", "backslashreplace")
    return Response(content, code, headers=dict(headers or {}), media_type="application/json")


def application(service: Service, *, hosts: Sequence[str] | None) -> ASGIApp:
    """Return the ASGI application; `hosts` are the names it is called by, None for any."""
    app = FastAPI(title="goldenrule", docs_url=None, redoc_url=None, description="A classifier of pictures.")
    problems = {
        400: "The body, or the request, can't be parsed.",
        408: "The body came too slowly.",
        413: "The body is too large.",
        415: "The body is of no type that is taken.",
        422: "The body has no picture, or none that can be read.",
        500: "The classifier is damaged.",
        503: "Too much is going on, or the server is stopping: see Retry-After.",
    }
    described: dict[int | str, dict[str, Any]] = {
        code: {"model": Problem, "description": why} for code, why in problems.items()
    }
    app.add_api_route(
        "/predict",
        service.predict,
        methods=["POST"],
        response_model=Predictions,
        responses=described,
        openapi_extra={"requestBody": BODY},
    )
    states: dict[int | str, dict[str, Any]] = {503: {"model": State, "description": "It does not."}}
    app.add_api_route("/health", service.health, response_model=State, responses=states)
    app.add_api_route("/ready", service.ready, response_model=State, responses=states)
    text: dict[int | str, dict[str, Any]] = {200: {"content": {"text/plain": {"schema": {"type": "string"}}}}}
    app.add_api_route("/metrics", service.measured, response_class=Response, responses=text)

    @app.exception_handler(RequestValidationError)
    async def _invalid(_: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        return answer({"error": f"{first['loc'][-1]}: {first['msg']}."}, 422)

    @app.exception_handler(HTTPException)
    async def _refused(_: Request, error: HTTPException) -> Response:
        return answer({"error": f"{error.detail}."}, error.status_code, error.headers)

    @app.exception_handler(Exception)
    async def _failed(_: Request, error: Exception) -> Response:
        return answer({"error": f"The server failed ({type(error).__name__}): its log says more."}, 500)

    return _Guarded(app, service, hosts)


_FILE = {"type": "string", "format": "binary"}
_FILES = {"type": "array", "items": _FILE, "minItems": 1, "maxItems": MOST_FILES}
BODY: dict[str, Any] = {
    "required": True,
    "content": {
        "multipart/form-data": {
            "schema": {"type": "object", "properties": {"files": _FILES}, "required": ["files"]},
        },
        "image/*": {"schema": _FILE},
        PLAIN_TYPE: {"schema": _FILE},
    },
}


class _Guarded:
    """The application behind a check of the Host header; every answer has `HEADERS`."""

    def __init__(self, app: ASGIApp, service: Service, hosts: Sequence[str] | None) -> None:
        self.app, self.service, self.hosts = app, service, hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""

        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                closing = [(b"connection", b"close")] if self.service.draining else []
                message["headers"] = [*message.get("headers", ()), *HEADERS, *closing]
            await send(message)

        if scope["type"] != "http":
            return
        if self.hosts is not None and _host(scope) not in self.hosts:
            refused = answer({"error": f"This server is called {' or '.join(self.hosts)}."}, 421)
            await refused(scope, receive, sent)
            return
        await self.app(scope, receive, sent)


def _host(scope: Scope) -> str:
    """Return the name in the Host header, without its port."""
    name = next((value for key, value in scope["headers"] if key == b"host"), b"").decode("latin-1").lower()
    return name if name.endswith("]") else name.rpartition(":")[0] or name


async def _left_unread(request: Request, limits: Limits) -> None:
    try:
        async with asyncio.timeout(min(DRAIN_SECONDS, limits.seconds)):
            await drained(request, limits)
    except (TimeoutError, ClientDisconnect, RuntimeError):  # Starlette's, of a stream that was read to its end
        return
