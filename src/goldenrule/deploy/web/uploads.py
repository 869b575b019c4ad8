"""Bodies of requests to pictures, within limits: nothing is written to the disk, no path and no address is followed."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass

from python_multipart.exceptions import FormParserError
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from goldenrule.core.errors import OptionError

PLAIN_TYPE = "application/octet-stream"
NAME_LETTERS = 255
MOST_FILES = 64
MOST_MEGABYTES, MOST_REQUESTS = 4096, 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What is taken: of one request, and of all together.

    `megabytes` is the largest body of a request, and `all_megabytes` what all of them hold at once; `requests` are
    answered at once, `pictures` wait; within `seconds` a body is there, and within as many more it is answered.
    """

    megabytes: int = 32
    all_megabytes: int = 256
    requests: int = 128
    pictures: int = 256
    seconds: float = 30.0

    def __post_init__(self) -> None:
        if not 1 <= self.megabytes <= MOST_MEGABYTES:
            raise OptionError(f"--max-mb {self.megabytes}: wanted 1 to {MOST_MEGABYTES:,} megabytes.")
        if not 1 <= self.requests <= MOST_REQUESTS:
            raise OptionError(f"--max-requests {self.requests}: wanted 1 to {MOST_REQUESTS:,}.")
        if not 0.1 <= self.seconds <= 3600:
            raise OptionError(f"--timeout {self.seconds:g}: wanted 0.1 to 3,600 seconds.")

    @property
    def body_bytes(self) -> int:
        """The largest body."""
        return self.megabytes << 20

    @property
    def all_bytes(self) -> int:
        """What all bodies may hold at once: one of the largest, at least."""
        return max(self.all_megabytes, self.megabytes) << 20


class Refused(Exception):
    """A request that is not answered: the status and why; `again` where it may be sent again after a second."""

    def __init__(self, status: int, why: str, *, again: bool = False) -> None:
        super().__init__(why)
        self.status, self.why, self.again = status, why, again


class Load:
    """What all requests hold now. It is asked and changed in one thread, that of the event loop."""

    def __init__(self, limits: Limits) -> None:
        self.limits, self.requests, self.bytes = limits, 0, 0

    @contextlib.contextmanager
    def request(self) -> Iterator[Held]:
        """Hold a place for a request while the block runs; raises `Refused` where there is none."""
        if self.requests >= self.limits.requests:
            raise Refused(503, f"{self.requests:,} requests are being answered: send it again.", again=True)
        self.requests += 1
        held = Held(self)
        try:
            yield held
        finally:
            self.requests -= 1
            self.bytes -= held.bytes


class Held:
    """What one request holds."""

    def __init__(self, load: Load) -> None:
        self.load, self.bytes = load, 0

    def take(self, count: int) -> None:
        """Hold so many bytes more; raises `Refused` where that is too much for one request, or for all together."""
        limits = self.load.limits
        if self.bytes + count > limits.body_bytes:
            raise Refused(413, f"The body is too large: wanted at most {limits.megabytes:,} MB.")
        if self.load.bytes + count > limits.all_bytes:
            raise Refused(503, "Requests hold all the memory that they may have: send it again.", again=True)
        self.bytes += count
        self.load.bytes += count


async def pictures_in(request: Request, held: Held) -> list[tuple[str, bytes]]:
    """Return the (name, content) of the files in a request's body; raises `Refused`."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    length = request.headers.get("content-length", "")
    limits = held.load.limits
    if length.isdecimal() and int(length) > limits.body_bytes:
        raise Refused(413, f"The body is too large: wanted at most {limits.megabytes:,} MB.")
    if kind == "multipart/form-data":
        files = await _files_of_form(request, held)
    elif kind.startswith("image/") or kind == PLAIN_TYPE:
        files = [("image 0", b"".join([chunk async for chunk in _bounded(request, held)]))]
    else:
        raise Refused(
            415,
            f"The body is {kind[:80] or 'of no type'}: wanted multipart/form-data with files, or one picture as "
            f"image/* or {PLAIN_TYPE}.",
        )
    if not files or not any(content for _, content in files):
        raise Refused(422, "There is no picture in the body: wanted a file, or several.")
    return files


async def _bounded(request: Request, held: Held) -> AsyncGenerator[bytes, None]:
    async for chunk in request.stream():
        held.take(len(chunk))
        yield chunk


class _Parser(MultiPartParser):
    """Starlette's parser, with files in memory, which says whether the last part came to its end."""

    spool_max_size = MOST_MEGABYTES << 20
    ended = False

    def on_end(self) -> None:
        """Note that the closing boundary came."""
        self.ended = True


async def _files_of_form(request: Request, held: Held) -> list[tuple[str, bytes]]:
    parser = _Parser(request.headers, _bounded(request, held), max_files=MOST_FILES, max_fields=8)
    try:
        form = await parser.parse()
    except (MultiPartException, FormParserError, UnicodeError) as error:
        why = getattr(error, "message", "") or "it can't be parsed."
        raise Refused(400, f"The body is no multipart/form-data: {why}") from error
    if not parser.ended:
        raise Refused(400, "The body is no multipart/form-data: it ends before its closing boundary.")
    files: list[tuple[str, bytes]] = []
    fields: list[str] = []
    for name, value in form.multi_items():
        if isinstance(value, UploadFile):
            shown = (value.filename or "")[:NAME_LETTERS] or f"image {len(files)}"
            files.append((shown, await value.read()))
            await value.close()
        else:
            fields.append(name)
    if fields:
        raise Refused(
            422,
            f"The body has what is no file ({', '.join(fields)[:80]}): wanted files alone, no paths and no addresses.",
        )
    return files


async def drained(request: Request, limits: Limits) -> None:
    """Read what is left of a refused body, up to a largest one, and forget it: else its sender may miss the answer."""
    left = limits.body_bytes
    async for chunk in request.stream():
        left -= len(chunk)
        if left < 0:
            return
