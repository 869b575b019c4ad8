"""Law 3: the bank can't be stale, and damage is never served."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from goldenrule.core.errors import FormatError, OptionError
from goldenrule.data.augmentation.augment import PLAIN, View
from goldenrule.data.augmentation.presets import basic, side_on
from goldenrule.data.pictures.preprocess import Preprocessing
from goldenrule.engines import EngineKind
from goldenrule.features import cache as caches
from goldenrule.features.cache import ChunkWriter, FeatureCache
from goldenrule.features.extractor import bank_for
from goldenrule.models.backbone import BackboneSpec
from goldenrule.storage.files import digest

FEATURES = 8
DIGESTS = [digest(bytes([number])) for number in range(6)]
ROWS = np.random.default_rng(0).normal(size=(6, FEATURES)).astype(np.float16)


def opened(folder: Path) -> FeatureCache:
    return FeatureCache({"weights": "w"}, FEATURES, folder=folder)


def filled(folder: Path) -> FeatureCache:
    cache = opened(folder)
    cache.add(DIGESTS, ROWS)
    return cache


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder."""
    monkeypatch.setenv("GOLDENRULE_CACHE", str(tmp_path / "own"))
    return tmp_path / "own"


def replaced(chunk: Path, content: bytes) -> None:
    """Put other content in a chunk's place, in a file of its own as a copy from a bad disk would be."""
    other = chunk.with_suffix(".other")
    other.write_bytes(content)
    other.replace(chunk)


def test_what_was_added_is_there_for_whoever_opens_the_bank_next(tmp_path: Path) -> None:
    filled(tmp_path)
    cache = opened(tmp_path)
    assert len(cache) == 6
    assert cache.rows(DIGESTS).tobytes() == ROWS.tobytes()


def test_the_same_image_twice_has_one_row(tmp_path: Path) -> None:
    cache = opened(tmp_path)
    cache.add([DIGESTS[0], DIGESTS[1], DIGESTS[0]], ROWS[:3])
    cache.add([DIGESTS[1], DIGESTS[2]], ROWS[3:5])
    assert len(cache) == 3
    chunks = [pa.ipc.open_file(str(path)).read_all() for path in cache.folder.glob("*.arrow")]
    assert sum(chunk.num_rows for chunk in chunks) == 3
    assert cache.rows(DIGESTS[:3]).tobytes() == ROWS[[0, 1, 4]].tobytes()


def test_rows_come_in_the_order_asked_for_and_as_often(tmp_path: Path) -> None:
    cache = filled(tmp_path)
    order = [3, 0, 3, 5, 1]
    assert cache.rows([DIGESTS[place] for place in order]).tobytes() == ROWS[order].tobytes()


def test_an_image_without_a_row_is_an_error_and_not_another_row(tmp_path: Path) -> None:
    with pytest.raises(KeyError):
        filled(tmp_path).rows([digest(b"unknown")])


def test_rows_of_the_wrong_shape_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="wanted"):
        opened(tmp_path).add(DIGESTS, ROWS[:, :4])


def test_looking_into_a_bank_that_is_not_there_writes_nothing(tmp_path: Path) -> None:
    assert len(opened(tmp_path)) == 0
    assert list(tmp_path.iterdir()) == []


def test_rows_are_mapped_from_the_file_and_not_copied_into_memory(tmp_path: Path) -> None:
    filled(tmp_path)
    cache = opened(tmp_path)
    (chunk,) = cache.folder.glob("*.arrow")
    maps = Path("/proc/self/maps")
    if not maps.exists():
        pytest.skip("only Linux says what a process has mapped")
    assert str(chunk) in maps.read_text()
    assert not any(rows.flags.writeable or rows.flags.owndata for rows in cache._chunks.values())


SPEC = BackboneSpec(
    name="tiny",
    timm_name="tiny",
    weights="a" * 64,
    features=FEATURES,
    pooling="average",
    parameters=1,
    preprocessing=Preprocessing(size=224),
    groups={},
    source={},
)
KIND = EngineKind(name="openvino", precision="bf16", version="1")
VIEW = View(augmentation=side_on(max_zoom=1.1), index=1, seed=0)


def change(value: object, **fields: object) -> object:
    return dataclasses.replace(value, **fields)  # type: ignore[type-var]


@pytest.mark.parametrize(
    ("spec", "kind", "view"),
    [
        pytest.param(change(SPEC, weights="b" * 64), KIND, VIEW, id="weights"),
        pytest.param(change(SPEC, timm_name="other"), KIND, VIEW, id="network"),
        pytest.param(change(SPEC, pooling="max+average"), KIND, VIEW, id="pooling"),
        pytest.param(change(SPEC, features=FEATURES * 2), KIND, VIEW, id="features"),
        pytest.param(change(SPEC, preprocessing=Preprocessing(size=256)), KIND, VIEW, id="size"),
        pytest.param(change(SPEC, preprocessing=Preprocessing(size=224, crop_fraction=1)), KIND, VIEW, id="crop"),
        pytest.param(change(SPEC, preprocessing=Preprocessing(size=224, mean=(0, 0, 0))), KIND, VIEW, id="mean"),
        pytest.param(change(SPEC, preprocessing=Preprocessing(size=224, name="fast")), KIND, VIEW, id="arithmetic"),
        pytest.param(SPEC, change(KIND, precision="fp32"), VIEW, id="precision"),
        pytest.param(SPEC, change(KIND, name="torch"), VIEW, id="engine"),
        pytest.param(SPEC, change(KIND, version="2"), VIEW, id="engine-version"),
        pytest.param(SPEC, KIND, PLAIN, id="plain-view"),
        pytest.param(SPEC, KIND, change(VIEW, index=2), id="view-number"),
        pytest.param(SPEC, KIND, change(VIEW, seed=1), id="view-seed"),
        pytest.param(SPEC, KIND, change(VIEW, augmentation=side_on(max_zoom=1.2)), id="zoom"),
        pytest.param(SPEC, KIND, change(VIEW, augmentation=basic(max_zoom=1.1)), id="augmentation"),
    ],
)
@pytest.mark.usefixtures("own_cache")
def test_whatever_a_row_depends_on_changes_the_bank(spec: BackboneSpec, kind: EngineKind, view: View) -> None:
    bank_for(SPEC, KIND, VIEW).add(DIGESTS, ROWS)
    other = bank_for(spec, kind, view)
    assert other.folder != bank_for(SPEC, KIND, VIEW).folder
    assert len(other) == 0


@pytest.mark.usefixtures("own_cache")
def test_activations_of_another_decoding_can_not_be_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    bank_for(SPEC, KIND, VIEW).add(DIGESTS, ROWS)
    monkeypatch.setattr("goldenrule.features.extractor.DECODING", 99)
    assert len(bank_for(SPEC, KIND, VIEW)) == 0


@pytest.mark.usefixtures("own_cache")
def test_a_newer_format_is_another_bank(monkeypatch: pytest.MonkeyPatch) -> None:
    before = bank_for(SPEC, KIND, VIEW)
    monkeypatch.setattr(caches, "FORMAT", caches.FORMAT + 1)
    assert bank_for(SPEC, KIND, VIEW).folder != before.folder


@pytest.mark.usefixtures("own_cache")
def test_what_no_row_depends_on_leaves_the_bank_alone() -> None:
    bank_for(SPEC, KIND, VIEW).add(DIGESTS, ROWS)
    renamed = dataclasses.replace(SPEC, name="another name", source={"from": "elsewhere"}, parameters=2)
    assert len(bank_for(renamed, KIND, VIEW)) == 6


def test_a_flipped_byte_in_a_row_takes_that_row_out_and_it_can_be_added_again(tmp_path: Path) -> None:
    (chunk,) = filled(tmp_path).folder.glob("*.arrow")
    content = bytearray(chunk.read_bytes())
    content[content.index(ROWS[2].tobytes()) + 5] ^= 0x10
    replaced(chunk, content)
    cache = opened(tmp_path)
    assert DIGESTS[2] not in cache
    assert len(cache) == 5
    assert cache.damaged == 1
    others = [0, 1, 3, 4, 5]
    assert cache.rows([DIGESTS[place] for place in others]).tobytes() == ROWS[others].tobytes()
    cache.add([DIGESTS[2]], ROWS[2:3])
    assert opened(tmp_path).rows(DIGESTS).tobytes() == ROWS.tobytes()


def test_whichever_byte_of_a_chunk_is_damaged_no_wrong_row_is_served_and_nothing_breaks(tmp_path: Path) -> None:
    (chunk,) = filled(tmp_path).folder.glob("*.arrow")
    good = chunk.read_bytes()
    lost = 0
    for place in range(len(good)):
        for bits in (0x01, 0x80):
            content = bytearray(good)
            content[place] ^= bits
            replaced(chunk, content)
            cache = opened(tmp_path)
            for number, name in enumerate(DIGESTS):
                if name in cache:
                    assert cache.rows([name]).tobytes() == ROWS[number].tobytes(), place
            lost += len(cache) < 6
            for aside in cache.folder.glob("*.damaged"):
                aside.unlink()
    assert lost > len(good) / 2  # the damage did hit what is served


@pytest.mark.parametrize("keep", [0, 7, 300, -1, -200])
def test_a_truncated_chunk_is_set_aside(tmp_path: Path, keep: int) -> None:
    (chunk,) = filled(tmp_path).folder.glob("*.arrow")
    replaced(chunk, chunk.read_bytes()[:keep])
    cache = opened(tmp_path)
    assert len(cache) == 0
    assert cache.damaged == 1
    assert [path.suffix for path in cache.folder.glob("0*")] == [".damaged"]
    cache.add(DIGESTS, ROWS)
    assert opened(tmp_path).rows(DIGESTS).tobytes() == ROWS.tobytes()


def test_a_chunk_is_written_when_it_is_full_or_some_seconds_old(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(caches, "CHUNK_ROWS", 3)
    writer = ChunkWriter(opened(tmp_path))
    for number in range(2):
        writer.add(DIGESTS[number], ROWS[number])
    assert len(opened(tmp_path)) == 0
    writer.add(DIGESTS[2], ROWS[2])
    assert len(opened(tmp_path)) == 3
    monkeypatch.setattr(caches, "CHUNK_SECONDS", 0.0)
    writer.add(DIGESTS[3], ROWS[3])
    assert len(opened(tmp_path)) == 4
    writer.flush()
    assert len(opened(tmp_path)) == 4


@pytest.fixture
def three_banks(own_cache: Path) -> list[str]:
    """Three banks of 200 kB and more, the first used longest ago; their names."""
    names = []
    for number in range(3):
        cache = FeatureCache({"weights": str(number), "view": {"kind": "plain"}}, 1000)
        cache.add(DIGESTS * 20, np.zeros((120, 1000), np.float16))
        cache.add([digest(f"{number} {row}".encode()) for row in range(300)], np.ones((300, 1000), np.float16))
        os.utime(cache.folder / "key.json", (1e9 + number, 1e9 + number))
        names.append(cache.name)
    return names


def test_stored_tells_rows_bytes_and_use_the_newest_first(three_banks: list[str]) -> None:
    stored = caches.stored()
    assert [one["name"] for one in stored] == three_banks[::-1]
    assert [one["rows"] for one in stored] == [306] * 3
    assert all(one["bytes"] > 600_000 for one in stored)


def test_stored_goes_on_over_a_damaged_chunk(three_banks: list[str]) -> None:
    for chunk in (caches.banks_folder() / three_banks[0]).glob("*.arrow"):
        replaced(chunk, b"nothing")
    assert [one["rows"] for one in caches.stored()] == [306, 306, 0]


def test_clear_removes_what_is_named_by_its_beginning(three_banks: list[str]) -> None:
    removed = caches.clear([three_banks[1][:8]])
    assert [one["name"] for one in removed] == [three_banks[1]]
    assert {one["name"] for one in caches.stored()} == {three_banks[0], three_banks[2]}
    with pytest.raises(OptionError, match="there are"):
        caches.clear(["nothing-like-it"])
    assert len(caches.clear()) == 2
    assert caches.stored() == []


def test_a_bank_that_is_cleared_while_it_is_in_use_goes_on(three_banks: list[str]) -> None:
    cache = FeatureCache({"weights": "0", "view": {"kind": "plain"}}, 1000)
    caches.clear()
    assert cache.rows(DIGESTS[:1]).shape == (1, 1000)  # what is mapped stays until the process ends
    cache.add([digest(b"new")], np.zeros((1, 1000), np.float16))
    assert [one["rows"] for one in caches.stored()] == [1]


def test_the_limit_removes_the_banks_used_longest_ago_but_none_in_use(three_banks: list[str]) -> None:
    assert caches.limit() is None
    assert caches.enforce_limit() == []
    caches.set_limit(1_400_000)
    assert caches.limit() == 1_400_000
    removed = caches.enforce_limit(keep=[three_banks[0]])
    assert [one["name"] for one in removed] == [three_banks[1]]
    assert {one["name"] for one in caches.stored()} == {three_banks[0], three_banks[2]}
    caches.set_limit(None)
    assert caches.limit() is None


def test_a_limit_that_holds_nothing_is_refused(own_cache: Path) -> None:
    with pytest.raises(OptionError, match="at least 1 MB"):
        caches.set_limit(1000)


def test_opening_a_bank_says_that_it_was_used(three_banks: list[str]) -> None:
    FeatureCache({"weights": "0", "view": {"kind": "plain"}}, 1000)
    assert caches.stored()[0]["name"] == three_banks[0]


def test_a_cleared_bank_holds_nothing_for_a_new_reader(three_banks: list[str], own_cache: Path) -> None:
    assert sum(path.stat().st_size for path in own_cache.rglob("*.arrow")) > 1_800_000
    caches.clear()
    assert list(own_cache.rglob("*.arrow")) == []
