"""Every view of every job once and in order, failures told, memory bounded."""

import io
import threading
import time
import weakref

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from goldenrule.data.augmentation.augment import PLAIN, views
from goldenrule.data.augmentation.presets import side_on
from goldenrule.data.loader import BATCHES_AHEAD, Batch, Canvases, DecodeJob, batches
from goldenrule.data.pictures.preprocess import Preprocessing
from goldenrule.storage.files import digest

SMALL = Preprocessing(size=32)
VIEWS = views(side_on(max_zoom=1.2), 3)


def png(number):
    file = io.BytesIO()
    pixels = np.random.default_rng(number).integers(0, 256, size=(34, 40, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


PICTURES = [png(number) for number in range(8)]


def pixels_of(content, view):
    """Return the pixels of one view, computed on their own."""
    (batch,) = batches([DecodeJob(0, lambda: content, (view,))], VIEWS, SMALL, batch_size=1, threads=1)
    return batch.pixels[0]


jobs_and_views = st.lists(st.tuples(st.integers(0, 7), st.sets(st.integers(0, 3), max_size=4)), max_size=12)


@settings(deadline=None, max_examples=40)
@given(jobs_and_views, st.integers(1, 7), st.integers(1, 3))
def test_all_views_of_all_jobs_come_once_and_in_order(wanted, batch_size, threads):
    jobs = [DecodeJob(row, lambda n=n: PICTURES[n], sorted(value)) for row, (n, value) in enumerate(wanted)]
    found, sizes = [], []
    for batch in batches(jobs, VIEWS, SMALL, batch_size=batch_size, threads=threads):
        assert batch.pixels.shape == (batch_size, 3, 32, 32)
        assert not batch.failures
        sizes.append(len(batch.slots))
        found += [(slot, batch.pixels[place].copy()) for place, slot in enumerate(batch.slots)]
    assert [slot for slot, _ in found] == [
        (row, view) for row, (_, value) in enumerate(wanted) for view in sorted(value)
    ]
    assert all(size == batch_size for size in sizes[:-1])
    assert all(sizes)
    for (row, view), pixels in found[:: max(1, len(found) // 5)]:
        np.testing.assert_array_equal(pixels, pixels_of(PICTURES[wanted[row][0]], view))


def test_a_plain_view_has_the_same_pixels_with_other_views_and_alone():
    job = DecodeJob(0, lambda: PICTURES[0], (0, 1, 2))
    (batch,) = batches([job], VIEWS, SMALL, batch_size=3, threads=1)
    np.testing.assert_allclose(batch.pixels[0], pixels_of(PICTURES[0], 0), atol=2e-5)
    assert not np.allclose(batch.pixels[1], batch.pixels[2], atol=0.1)


def test_failures_are_told_with_their_reason_and_cost_nobody_else():
    def missing():
        raise FileNotFoundError(2, "No such file or directory")

    changed = DecodeJob(3, lambda: PICTURES[3], (0, 1), digest=digest(b"other bytes"))
    same = DecodeJob(4, lambda: PICTURES[4], (0, 1), digest=digest(PICTURES[4]))
    jobs = [
        DecodeJob(0, lambda: PICTURES[0], (0,)),
        DecodeJob(1, missing, (0, 1)),
        DecodeJob(2, lambda: b"text", (0,)),
        changed,
        same,
    ]
    found = list(batches(jobs, VIEWS, SMALL, batch_size=3, threads=2))
    failures = {batch.slots[place]: str(reason) for batch in found for place, reason in batch.failures.items()}
    assert set(failures) == {(1, 0), (1, 1), (2, 0), (3, 0), (3, 1)}
    assert "No such file" in failures[1, 0]
    assert failures[2, 0].startswith("not a picture in any known format")
    assert "bytes have changed" in failures[3, 1]
    good = {slot: b.pixels[place] for b in found for place, slot in enumerate(b.slots) if place not in b.failures}
    np.testing.assert_array_equal(good[0, 0], pixels_of(PICTURES[0], 0))
    np.testing.assert_array_equal(good[4, 1], pixels_of(PICTURES[4], 1))


def test_memory_is_bounded_by_a_few_batches_whatever_the_number_of_jobs(monkeypatch):
    alive, peak = weakref.WeakSet(), [0]

    class Counted(Batch):
        __slots__ = ("__weakref__",)

        def __init__(self, *arguments):
            super().__init__(*arguments)
            alive.add(self)
            peak[0] = max(peak[0], len(alive))

    monkeypatch.setattr("goldenrule.data.loader.Batch", Counted)
    pulled = [0]

    def jobs():
        for row in range(400):
            pulled[0] = row
            yield DecodeJob(row, lambda: PICTURES[0], (0,))

    for number, batch in enumerate(batches(jobs(), (PLAIN,), SMALL, batch_size=4, threads=2)):
        assert pulled[0] <= 4 * (number + BATCHES_AHEAD + 2)  # nor is reading far ahead
        del batch
    assert BATCHES_AHEAD <= 4
    assert 3 <= peak[0] <= BATCHES_AHEAD + 2


def test_decoding_happens_in_threads_ahead_of_the_consumer():
    names = set()

    def read():
        names.add(threading.current_thread().name)
        return PICTURES[0]

    stream = batches([DecodeJob(row, read, (0,)) for row in range(40)], (PLAIN,), SMALL, batch_size=4, threads=2)
    next(stream)
    assert all(name.startswith("decode") for name in names)
    stream.close()


def test_a_consumer_that_stops_early_leaves_no_threads():
    before = threading.active_count()
    stream = batches(
        (DecodeJob(row, lambda: PICTURES[0], (0,)) for row in range(10**9)), (PLAIN,), SMALL, batch_size=2, threads=3
    )
    next(stream)
    stream.close()
    deadline = time.monotonic() + 5
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert threading.active_count() == before


def test_a_mistake_in_our_own_code_is_raised_and_not_taken_for_a_bad_picture():
    def broken():
        raise KeyError("bug")

    with pytest.raises(KeyError, match="bug"):
        list(batches([DecodeJob(0, broken, (0,))], (PLAIN,), SMALL, batch_size=2, threads=1))


def test_no_jobs_give_no_batches():
    assert list(batches([], (PLAIN,), SMALL, batch_size=2, threads=1)) == []
    assert list(batches([DecodeJob(0, lambda: PICTURES[0], ())], (PLAIN,), SMALL, batch_size=2, threads=1)) == []


@pytest.mark.parametrize("budget", [0, 10**9])
def test_kept_canvases_change_no_pixel_and_spare_the_file(budget):
    asked = []

    def pixels(view, canvases):
        def reader(number):
            return lambda: asked.append(number) or PICTURES[number]

        jobs = [DecodeJob(n, reader(n), (view,), digest(PICTURES[n])) for n in range(len(PICTURES))]
        every = batches(jobs, VIEWS, SMALL, batch_size=3, threads=2, canvases=canvases)
        return np.concatenate([batch.pixels[: len(batch.slots)] for batch in every])

    order = (1, 2, 0)
    wanted = [pixels(view, None) for view in order]
    canvases = Canvases(budget)
    asked.clear()
    found = [pixels(view, canvases) for view in order]
    assert all(np.array_equal(one, other) for one, other in zip(wanted, found, strict=True))
    assert len(asked) == len(PICTURES) * (2 if budget else 3)  # the plain view reads the file again
