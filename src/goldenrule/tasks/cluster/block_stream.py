"""Blocks of images through a pool of workers, by Ray Data, and what they make of them, as it comes.

The pool is driven by a process of the cluster and not by the one that asks, which may be outside: Ray Data can't be
driven through `ray://`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from goldenrule.core.errors import GoldenRuleError, first_line
from goldenrule.core.extras import Late
from goldenrule.core.reason import Reason

pa = Late("pyarrow")

BATCH = 16
"""Images that run through an engine together: blocks are whole batches, so that all is summed in the same order."""
MOST_IN_A_BLOCK, BLOCKS_PER_WORKER = 512, 8
MOST_RETRIES = 8
"""So often is a block given out again whose worker was lost; then its images are what ends the workers."""
AHEAD, TICK_SECONDS = 2, 0.5


def images_per_block(images: int, workers: int) -> int:
    """Return how many images a worker gets at a time: what it loses when it is lost, and how evenly all end.

    >>> images_per_block(100, 2), images_per_block(5_000, 2), images_per_block(1_000_000, 8)
    (16, 304, 512)
    """
    even = images // (workers * BLOCKS_PER_WORKER)
    return max(BATCH, min(MOST_IN_A_BLOCK, even // BATCH * BATCH))


@dataclass(frozen=True, slots=True)
class Failed:
    """What ended a stream: in words, and whether they are goldenrule's own."""

    words: str
    ours: bool


class Pool:
    """Runs in a process of the cluster: gives blocks to workers, and their answers to who asks for the next one."""

    def __init__(
        self,
        blocks: Sequence[Any],
        worker: type,
        told: Mapping[str, Any],
        *,
        workers: int,
        threads: int,
        in_order: bool,
    ) -> None:
        import ray.data

        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        context.execution_options.preserve_order = in_order
        data = ray.data.from_arrow(list(blocks)).map_batches(
            worker,
            fn_constructor_kwargs=dict(told),
            batch_size=None,
            batch_format="pyarrow",
            compute=ray.data.ActorPoolStrategy(min_size=1, max_size=workers, initial_size=workers),
            num_cpus=threads,
            max_task_retries=MOST_RETRIES,
        )
        self._answers = iter(data.iter_batches(batch_size=None, batch_format="pyarrow"))

    def next(self) -> Any:
        """Return the next answer, a table; None after the last, and what went wrong where something did."""
        try:
            return next(self._answers, None)
        except Exception as error:  # noqa: BLE001 - it is told where the command runs
            return failed_by(error)


def failed_by(error: BaseException) -> Failed:
    """Return why a stream ended, by the error of goldenrule's that is behind it, if one is."""
    seen: set[int] = set()
    waiting: list[BaseException] = [error]
    while waiting:
        one = waiting.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        if isinstance(one, GoldenRuleError):
            return Failed(str(one), ours=True)
        behind = (getattr(one, "cause", None), one.__cause__, one.__context__)
        waiting += [other for other in behind if isinstance(other, BaseException)]
    return Failed(first_line(error if isinstance(error, Exception) else RuntimeError(str(error))), ours=False)


def answers(pool: Any, wait: Any, get: Any) -> Iterator[Any]:
    """Yield what a pool gives, each asked for before it is needed; None, from time to time, while nothing has come."""
    asked = deque(pool.next.remote() for _ in range(AHEAD))
    while True:
        if not wait([asked[0]], timeout=TICK_SECONDS)[0]:
            yield None
            continue
        found = get(asked.popleft())
        if found is None or isinstance(found, Failed):
            if found is not None:
                yield found
            return
        asked.append(pool.next.remote())
        yield found


def reason_columns(reasons: Sequence[Reason | None]) -> dict[str, Any]:
    """Return why images can't be read as columns, null where they can."""
    return {
        "found": pa.array([reason.found if reason else None for reason in reasons], pa.string()),
        "wanted": pa.array([reason.wanted if reason else None for reason in reasons], pa.string()),
    }


def reasons_in(table: Any) -> list[Reason | None]:
    """Return what `reason_columns` wrote."""
    pairs = zip(table["found"].to_pylist(), table["wanted"].to_pylist(), strict=True)
    return [None if found is None else Reason(found, wanted) for found, wanted in pairs]
