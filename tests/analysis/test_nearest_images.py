"""The nearest training images: as a comparison with every one finds them, whatever the blocks."""

from __future__ import annotations

import io
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from goldenrule.analysis import nearest_images as neighbours
from goldenrule.analysis.nearest_images import Neighbour, Neighbours, nearest, nearest_rows, with_copies
from goldenrule.core.errors import OptionError
from goldenrule.data.pictures.file_digests import with_digests
from goldenrule.data.sources.folders import from_folder


def brute_force(queries: Any, rows: Any, k: int) -> tuple[Any, Any]:
    """Compare every query with every row, in float64."""
    mean = rows.astype(np.float64).mean(axis=0)
    ours, others = queries - mean, rows - mean
    cosine = (ours @ others.T) / (np.linalg.norm(ours, axis=1)[:, None] * np.linalg.norm(others, axis=1)[None])
    order = np.argsort(-cosine, axis=1, kind="stable")[:, :k]
    return order, np.take_along_axis(cosine, order, 1)


@settings(deadline=None, max_examples=100)
@given(
    st.integers(0, 10_000),
    st.integers(2, 60),
    st.integers(1, 20),
    st.integers(1, 70),
    st.integers(1, 64),
    st.integers(1, 8),
)
def test_in_whatever_blocks_they_are_read_the_nearest_are_those_of_a_full_comparison(
    seed: int, count: int, asked: int, k: int, block: int, at_once: int
) -> None:
    draws = np.random.default_rng(seed)
    rows = draws.normal(2, 1, size=(count, 6)).astype(np.float32)
    queries = draws.normal(2, 1, size=(asked, 6)).astype(np.float32)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(neighbours, "BLOCK_BYTES", 4 * 6 * block)
        patch.setattr(neighbours, "QUERIES", at_once)
        found = list(nearest_rows(lambda a, b: queries[a:b], asked, lambda a, b: rows[a:b], count, k=k, features=6))
    _, similarities = brute_force(queries, rows, k)
    assert len(found) == asked
    for (places, ours), wanted in zip(found, similarities, strict=True):
        assert len(set(places.tolist())) == min(k, count)
        np.testing.assert_allclose(ours, wanted, atol=1e-4)
        assert (np.diff(ours) <= 0).all()


def test_of_equal_rows_the_earlier_ones_are_given() -> None:
    rows = np.array([[0, 1], [1, 0], [1, 0], [1, 0]], np.float16)
    ((places, similarities),) = nearest_rows(
        lambda a, b: rows[1:2], 1, lambda a, b: rows[a:b], len(rows), k=2, features=2
    )
    assert places.tolist() == [1, 2]
    assert similarities == pytest.approx([1, 1], abs=1e-6)


def test_a_block_is_all_that_is_read_at_once(monkeypatch: Any) -> None:
    monkeypatch.setattr(neighbours, "BLOCK_BYTES", 4 * 8 * 100)
    sizes = []

    def read(start: int, stop: int) -> Any:
        sizes.append(stop - start)
        return np.random.default_rng(start).normal(size=(stop - start, 8)).astype(np.float16)

    assert len(list(nearest_rows(lambda a, b: np.ones((b - a, 8)), 3, read, 1050, k=5, features=8))) == 3
    assert max(sizes) == 100
    assert len(sizes) == 2 * 11  # once for the mean, once to compare: linear in the rows


def test_no_neighbours_at_all_are_refused() -> None:
    with pytest.raises(OptionError, match="at least 1"):
        list(nearest_rows(lambda a, b: np.ones((1, 2)), 1, lambda a, b: np.ones((b - a, 2)), 1, k=0, features=2))


def test_the_share_of_a_class_counts_the_neighbours_that_have_it() -> None:
    two = (Neighbour(id="a", labels=("cat",), similarity=0.9), Neighbour(id="b", labels=("dog",), similarity=0.8))
    assert Neighbours(id="x", nearest=two).share("cat") == 0.5
    assert np.isnan(Neighbours(id="x").share("cat"))


def test_a_training_image_finds_itself_and_a_copy_of_it_is_nearly_the_same(
    fitted: Any, small_photos: Path, tmp_path: Path, monkeypatch: Any
) -> None:
    import goldenrule as gr

    monkeypatch.setenv("GOLDENRULE_CACHE", str(fitted.folder.parent / "cache"))
    train = fitted.table.split("train")
    original = small_photos / train.uris[0]
    folder = tmp_path / "new" / "unknown"
    folder.mkdir(parents=True)
    shutil.copy(original, folder / "same.jpg")
    again = io.BytesIO()
    photo = Image.open(original).convert("RGB")
    photo.resize((photo.width * 2 // 3, photo.height * 2 // 3)).save(again, "JPEG", quality=60)
    (folder / "again.jpg").write_bytes(again.getvalue())
    shutil.copy(next((small_photos / "valid" / "dogs").iterdir()), folder / "other.jpg")
    (folder / "broken.jpg").write_bytes(b"no picture")
    new = with_digests(from_folder(tmp_path / "new"))
    _, seen = gr.features_of(new, fitted.classifier.backbone)
    _, known = gr.features_of(train, fitted.classifier.backbone)
    near = with_copies(nearest(new, seen, train, known, k=3), new, train)
    found = {neighbours.id.rpartition("/")[2]: neighbours for neighbours in near}
    assert (found["same.jpg"].nearest[0].id, found["same.jpg"].nearest[0].copy) == (train.uris[0], "same file")
    assert found["same.jpg"].nearest[0].similarity == pytest.approx(1, abs=1e-3)
    assert (found["again.jpg"].nearest[0].id, found["again.jpg"].nearest[0].copy) == (train.uris[0], "nearly the same")
    assert [one.copy for one in found["other.jpg"].nearest] == ["", "", ""]
    assert found["broken.jpg"].nearest == ()
