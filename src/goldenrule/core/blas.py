"""How many threads NumPy's matrix products take: one, wherever pictures become pixels."""

from __future__ import annotations

import contextlib
import functools
import sys
import threading
from collections.abc import Iterator

from threadpoolctl import ThreadpoolController

_LOCK = threading.RLock()  # what is collected while it is held may end a use too
_OPEN: list[object] = []
_RESTORE = contextlib.ExitStack()


@contextlib.contextmanager
def one_blas_thread() -> Iterator[None]:
    """Run matrix products in the calling thread; may be nested, and overlap in any order.

    OpenBLAS shares a product among its threads, and on some processors its last bits depend on among how many: the
    same file has to give the same pixels everywhere (law 7). Its threads also get in the way of those that decode.
    """
    mark = object()
    with _LOCK:
        _OPEN.append(mark)
        if len(_OPEN) == 1:
            _RESTORE.enter_context(_controller(len(sys.modules)).limit(limits=1, user_api="blas"))
    try:
        yield
    finally:
        with _LOCK:
            _OPEN.remove(mark)
            if not _OPEN:
                _RESTORE.close()


@functools.lru_cache(maxsize=1)
def _controller(modules: int) -> ThreadpoolController:  # noqa: ARG001
    """Return what knows the libraries that are loaded: looked for again where modules were imported since."""
    return ThreadpoolController()
