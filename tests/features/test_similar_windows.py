"""Near duplicates by the activations of a bank: far copies of real photos are found, other photos are not."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from goldenrule.core.schema import as_json
from goldenrule.data.augmentation.augment import PLAIN
from goldenrule.data.pictures.decode import DECODING
from goldenrule.data.sources.label_tables import from_source
from goldenrule.data.table import ImageTable
from goldenrule.features.cache import FeatureCache, stored
from goldenrule.features.similar_windows import best_cache, near_duplicates, shortened
from goldenrule.models.backbone import backbone
from goldenrule.storage.files import digest
from goldenrule.tasks.precompute import features_of

FEATURES = 1280


def rows_of(count: int, seed: int = 0) -> np.ndarray[tuple[int, ...], np.dtype[np.float16]]:
    return np.random.default_rng(seed).gamma(0.5, 1, (count, FEATURES)).astype(np.float16)


def names(count: int, first: int = 0) -> list[bytes]:
    return [digest(str(number).encode()) for number in range(first, first + count)]


def bank_with(digests: list[bytes], view: object = None, **more: object) -> FeatureCache:
    key = {"view": view or as_json(PLAIN), "decoding": DECODING, **more}
    bank = FeatureCache(key, FEATURES)
    bank.add(digests, rows_of(len(digests)))
    return bank


@pytest.fixture
def copied(photos: Callable[[str], Path], tmp_path: Path) -> ImageTable:
    """30 photos of cats, and of every third a copy: a corner of 85 %, turned, mirrored."""
    root = tmp_path / "set"
    for label in ("cats", "dogs"):
        (root / label).mkdir(parents=True)
        for number, file in enumerate(sorted((photos("dogscats") / "train" / label).iterdir())[:15]):
            shutil.copy(file, root / label / f"{number:02d}.jpg")
            if number % 3 == 0:
                image = Image.open(file).convert("RGB").transpose(Image.Transpose.FLIP_LEFT_RIGHT)
                image = image.rotate(3, Image.Resampling.BICUBIC)
                image = image.crop((0, 0, image.width * 17 // 20, image.height * 17 // 20))
                image.save(root / label / f"{number:02d}x.jpg", quality=80)
    return from_source(root, group_by="none")


def test_far_copies_of_real_photos_are_found_and_different_photos_are_not(copied: ImageTable, real_cache: Path) -> None:
    table, features = features_of(copied, backbone())
    pairs = near_duplicates(table, features.caches[0])
    found = {(table.uris[pair.first], table.uris[pair.second]) for pair in pairs}
    wanted = {(uri.replace("x", ""), uri) for uri in table.uris if "x" in uri}
    assert found <= wanted
    assert len(found) >= 0.9 * len(wanted)
    assert all(pair.mirrored for pair in pairs)
    known = {(pairs[0].first, pairs[0].second)}
    assert near_duplicates(table, features.caches[0], known=known) == pairs[1:]
    grouped = table.with_groups([uri.replace("x", "") for uri in table.uris])
    assert near_duplicates(grouped, features.caches[0]) == []


def test_images_without_rows_have_no_near_duplicates(copied: ImageTable, cache: Path) -> None:
    table = copied.with_digests([None, *names(len(copied) - 1)])
    assert near_duplicates(table, bank_with([])) == []
    assert near_duplicates(table, bank_with(names(1))) == []


def test_a_short_vector_keeps_the_cosines_of_its_activations(cache: Path) -> None:
    draws = np.random.default_rng(0)
    base = rows_of(50).astype(np.float32)
    rows = np.concatenate([base, base + draws.uniform(0, 2, (50, 1)) * np.abs(rows_of(50, 1))]).astype(np.float16)
    bank = FeatureCache({"any": 1}, FEATURES)
    bank.add(names(100), rows)
    short = shortened(bank, names(100))
    full = rows.astype(np.float32) / np.linalg.norm(rows.astype(np.float32), axis=1, keepdims=True)
    assert np.abs(short @ short.T - full @ full.T).std() < 0.05
    np.testing.assert_allclose(np.linalg.norm(short, axis=1), 1, atol=1e-5)


def test_the_bank_that_has_most_of_the_images_is_taken(cache: Path) -> None:
    digests: list[bytes | None] = [*names(10), None]
    assert best_cache(digests) is None
    bank_with(names(30, first=10), weights="of other images")
    bank_with(names(10), view={"kind": "augmented"})
    bank_with(names(10), decoding=0)
    bank_with(names(10), tap="boundary")
    assert best_cache(digests) is None
    bank_with(names(4), weights="some")
    most = bank_with(names(9), weights="most")
    bank_with(names(5), weights="fewer")
    before = used()
    found = best_cache(digests)
    assert found is not None
    assert found.name == most.name
    assert {name for name, when in used().items() if when != before[name]} <= {most.name}


def used() -> dict[str, float]:
    return {bank["name"]: bank["used"] for bank in stored()}
