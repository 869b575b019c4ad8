"""A classifier behind HTTP: routes, and what they are counted by.

POST /predict takes pictures, and gives rows as predictions.jsonl has them; POST /explain says why of one. / is a page
that does both. /health, /ready and /metrics are for whoever looks after it; /openapi.json describes all but the page.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Annotated, Any, cast

from fastapi import FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp

from goldenrule.core.errors import GoldenRuleError, UnreadableImage, nearest
from goldenrule.deploy.bulk import RowRules
from goldenrule.deploy.web.answers import Explanation, Predictions, Problem, State, answer
from goldenrule.deploy.web.batching import Batcher, Busy, Row, Served
from goldenrule.deploy.web.explainer import Explainer
from goldenrule.deploy.web.guard import Guarded
from goldenrule.deploy.web.uploads import MOST_FILES, PLAIN_TYPE, Held, Limits, Load, Refused, drained, pictures_in
from goldenrule.deploy.web.web_page import add_page

MOST_TOP, MOST_NEAR, MOST_EXPLAINING = 100, 20, 8
DRAIN_SECONDS = 5.0
UNREAD = (400, 408, 413)
"""Statuses after which a body may go on: nothing else can be said on its connection."""


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
        self.explained = Counter(
            "explanations", "Requests to /explain, by the status of the answer.", ["code"], **about
        )
        self.takeovers = Counter("takeovers", "New classifiers, by whether they were taken over.", ["result"], **about)


class Service:
    """A classifier, its threads, and what is going on. `draining`: what is there is answered, and nothing else."""

    def __init__(
        self,
        served: Served,
        *,
        rules: RowRules,
        limits: Limits,
        threads: int,
        explainer: Callable[[Served], Explainer],
    ) -> None:
        self.limits, self.load, self.metrics, self.draining = limits, Load(limits), Metrics(), False
        self._new_explainer, self._explainer = explainer, explainer(served)
        self._explaining, self._pool = 0, ThreadPoolExecutor(1, "explain")
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
        response = await self._answered(request, lambda held: self._predicted(request, held, top))
        self.metrics.requests.labels(str(response.status_code)).inc()
        self.metrics.seconds.observe(time.perf_counter() - began)
        return response

    async def explain(
        self,
        request: Request,
        of: Annotated[str, Query(description="The class of the heat map; the most probable one by default.")] = "",
        k: Annotated[int, Query(ge=1, le=MOST_NEAR, description="So many of the nearest training images.")] = 5,
    ) -> Response:
        """Say where in one picture the network sees what speaks for a class, and which training images are nearest."""
        response = await self._answered(request, lambda held: self._explained(request, held, of, k))
        self.metrics.explained.labels(str(response.status_code)).inc()
        return response

    async def _answered(self, request: Request, answered: Callable[[Held], Awaitable[Response]]) -> Response:
        """Return the answer to a body, or why there is none."""
        try:
            if self.draining:
                raise Refused(503, "The server is stopping: send it again.", again=True)
            with self.load.request() as held:
                return await answered(held)
        except ClientDisconnect:
            return answer({"error": "The sender went away before its body was whole."}, 400)
        except Refused as refused:
            if refused.status != 408:
                await _left_unread(request, self.limits)
            headers = {"retry-after": "1"} if refused.again else {}
            closing = {"connection": "close"} if refused.status in UNREAD else {}
            return answer({"error": refused.why}, refused.status, headers | closing)

    async def _files(self, request: Request, held: Held) -> list[tuple[str, bytes]]:
        try:
            async with asyncio.timeout(self.limits.seconds):
                return await pictures_in(request, held)
        except TimeoutError:
            raise Refused(408, f"The body was not there within {self.limits.seconds:g} seconds.") from None

    async def _predicted(self, request: Request, held: Held, top: int) -> Response:
        files = await self._files(request, held)
        try:
            served, waiting = self.batcher.submit(files, top=top, seconds=self.limits.seconds)
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

    async def _explained(self, request: Request, held: Held, of: str, k: int) -> Response:
        files = await self._files(request, held)
        if len(files) != 1:
            raise Refused(422, f"The body has {len(files)} files: wanted one picture.")
        served, (name, content) = self.batcher.served, files[0]
        if of and of not in (classes := served.classifier.classes):
            close = ", ".join(nearest(of, classes) or classes[:5])
            raise Refused(422, f"There is no class {of[:80]!r}: did you mean {close}?")
        if self._explaining >= MOST_EXPLAINING:
            raise Refused(503, f"{self._explaining} pictures are being explained: send it again.", again=True)
        if self._explainer.served is not served:
            self._explainer = self._new_explainer(served)
        try:
            async with asyncio.timeout(self.limits.seconds):
                found = await self._in_turn(partial(self._explainer.explain, name, content, of=of, k=k))
        except TimeoutError:
            seconds = f"{self.limits.seconds:g} seconds"
            raise Refused(503, f"It could not be explained within {seconds}.", again=True) from None
        except UnreadableImage as error:
            raise Refused(422, f"The picture can't be read: {error}.") from None
        except GoldenRuleError as error:
            return answer({"error": str(error)}, 500)
        return answer(found)

    def _in_turn(self, explain: Callable[[], dict[str, Any]]) -> asyncio.Future[dict[str, Any]]:
        """Return the explanation to come; it counts until it has ended, though nobody may wait for it any more."""
        loop = asyncio.get_running_loop()

        def count() -> None:
            self._explaining -= 1

        def ended(_: object) -> None:
            with contextlib.suppress(RuntimeError):  # the loop's, when the server has ended
                loop.call_soon_threadsafe(count)

        self._explaining += 1
        future = self._pool.submit(explain)
        future.add_done_callback(ended)
        return asyncio.wrap_future(future)

    def close(self) -> None:
        """End the threads when nothing waits any more."""
        self._pool.shutdown(cancel_futures=True)
        self.batcher.close()

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
        classifier = served.classifier
        value = {
            "status": status,
            "classifier": served.name,
            "classes": list(classifier.classes),
            "task": classifier.task,
            "coverage": classifier.sets.coverage if classifier.sets else None,
            "min_confidence": self.batcher.rules.min_confidence,
            "max_mb": self.limits.megabytes,
            "max_files": MOST_FILES,
        }
        return answer(value, code, {"retry-after": "1"} if code == 503 else {})


def application(service: Service, *, hosts: Sequence[str] | None) -> ASGIApp:
    """Return the ASGI application; `hosts` are the names it is called by, None for any."""
    app = FastAPI(title="goldenrule", docs_url=None, redoc_url=None, description="A classifier of pictures.")
    add_page(app)
    problems = {
        400: "The body, or the request, can't be parsed.",
        403: "It was sent by a page of another site.",
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
    posted: dict[str, Any] = {"methods": ["POST"], "responses": described, "openapi_extra": {"requestBody": BODY}}
    app.add_api_route("/predict", service.predict, response_model=Predictions, **posted)
    app.add_api_route("/explain", service.explain, response_model=Explanation, **posted)
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

    return Guarded(app, hosts=hosts, is_draining=lambda: service.draining)


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


async def _left_unread(request: Request, limits: Limits) -> None:
    try:
        async with asyncio.timeout(min(DRAIN_SECONDS, limits.seconds)):
            await drained(request, limits)
    except (TimeoutError, ClientDisconnect, RuntimeError):  # Starlette's, of a stream that was read to its end
        return
