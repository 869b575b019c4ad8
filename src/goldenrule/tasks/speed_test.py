"""A short test of what this machine can do: decoding alone, the engine alone, both overlapped."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator

import numpy as np

from goldenrule.core.blas import one_blas_thread
from goldenrule.data.augmentation.augment import PLAIN
from goldenrule.data.loader import DecodeJob, batches
from goldenrule.data.sample_photos import sample_photos
from goldenrule.engines import Engine
from goldenrule.models.backbone import BackboneSpec

IMAGES = 320
SECONDS = 1.5


def speed_test(spec: BackboneSpec, engine: Engine, *, threads: int) -> dict[str, float]:
    """Return images per second of decoding and preprocessing, of the engine, and of both together."""
    content = _jpeg()

    def jobs() -> Iterator[DecodeJob]:
        for row in range(IMAGES):
            yield DecodeJob(row=row, read=lambda: content, views=(0,))

    def decoded() -> Iterator[tuple[None, np.ndarray[tuple[int, ...], np.dtype[np.float32]]]]:
        for batch in batches(jobs(), (PLAIN,), spec.preprocessing, batch_size=engine.batch_size, threads=threads):
            yield None, batch.pixels

    pixels = np.zeros((engine.batch_size, 3, spec.preprocessing.size, spec.preprocessing.size), np.float32)

    def ready() -> Iterator[tuple[None, np.ndarray[tuple[int, ...], np.dtype[np.float32]]]]:
        end = time.perf_counter() + SECONDS
        while time.perf_counter() < end:
            yield None, pixels

    with one_blas_thread():
        list(engine.run([(None, pixels)]))
        return {
            "decode and preprocess": _rate(decoded(), engine.batch_size),
            f"engine ({engine.kind.name} {engine.kind.precision})": _rate(engine.run(ready()), engine.batch_size),
            "both, overlapped (precompute)": _rate(engine.run(decoded()), engine.batch_size),
        }


def _rate(stream: Iterator[object], batch_size: int) -> float:
    began, count = time.perf_counter(), 0
    for _ in stream:
        count += batch_size
    return count / (time.perf_counter() - began)


def _jpeg() -> bytes:
    from PIL import Image

    photo = Image.fromarray(sample_photos()[0]).resize((500, 375))
    content = io.BytesIO()
    photo.save(content, "JPEG", quality=90)
    return content.getvalue()
