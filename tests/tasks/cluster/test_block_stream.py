"""Blocks are whole batches, and what ends a stream is told in goldenrule's own words where it has some."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as some

from goldenrule.core.errors import BackboneError
from goldenrule.core.reason import Reason
from goldenrule.tasks.cluster.block_stream import (
    BATCH,
    MOST_IN_A_BLOCK,
    failed_by,
    images_per_block,
    reason_columns,
    reasons_in,
)

WORDS = some.text(min_size=1, max_size=20).filter(lambda text: text.isprintable())


@given(images=some.integers(1, 10**9), workers=some.integers(1, 10_000))
def test_a_block_is_whole_batches_and_not_too_many(images: int, workers: int) -> None:
    size = images_per_block(images, workers)
    assert size % BATCH == 0
    assert BATCH <= size <= MOST_IN_A_BLOCK


@given(some.lists(some.none() | some.builds(Reason, WORDS, WORDS | some.just(""))))
def test_reasons_go_over_the_wire_and_back(reasons: list[Reason | None]) -> None:
    import pyarrow as pa

    assert reasons_in(pa.table(reason_columns(reasons))) == reasons


def test_an_error_of_goldenrule_s_is_found_behind_those_of_others() -> None:
    try:
        try:
            raise BackboneError("Its weights are damaged.")
        except BackboneError as error:
            raise RuntimeError("a task failed") from error
    except RuntimeError as error:
        found = failed_by(error)
    assert (found.words, found.ours) == ("Its weights are damaged.", True)
    other = failed_by(RuntimeError("a task failed\nTraceback ..."))
    assert (other.words, other.ours) == ("RuntimeError: a task failed", False)
