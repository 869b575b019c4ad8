"""Files to rows: nothing is computed twice, nothing depends on its neighbours, nothing unreadable is fatal."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from goldenrule.data.augmentation.augment import PLAIN, View, views
from goldenrule.data.augmentation.presets import side_on
from goldenrule.data.pictures.file_digests import with_digests
from goldenrule.data.sources.folders import from_folder
from goldenrule.data.table import ImageTable
from goldenrule.engines import Engine
from goldenrule.features.extractor import FeatureExtractor, Features
from goldenrule.models.backbone import backbone
from goldenrule.models.graphs.compiled import compiled, engine_kind

THREE_VIEWS = views(side_on(max_zoom=1.1), 2)


@pytest.fixture
def folder(small_photos: Path, tmp_path: Path) -> Path:
    """Eight real photos in two classes, of the test's own."""
    for label in ("cats", "dogs"):
        (tmp_path / "photos" / label).mkdir(parents=True)
        for file in sorted((small_photos / "train" / label).iterdir())[:4]:
            shutil.copy(file, tmp_path / "photos" / label)
    return tmp_path / "photos"


@pytest.fixture
def more_photos(small_photos: Path) -> list[Path]:
    """Ten photos that `folder` does not have."""
    return sorted((small_photos / "train" / "cats").iterdir())[4:14]


def read(folder: Path) -> ImageTable:
    return with_digests(from_folder(folder))


def no_engine() -> Engine:
    raise AssertionError("the engine was compiled although every row was there")


def run(table: ImageTable, *, engine: Callable[[], Engine] | None = None, **options: Any) -> Features:
    class Given(FeatureExtractor):
        @cached_property
        def engine(self) -> Engine:
            return engine() if engine else super().engine

    return Given.of(backbone(), threads=2).features(table, **options)


@pytest.mark.usefixtures("cache")
def test_a_second_call_computes_nothing_and_never_compiles_the_engine(folder: Path) -> None:
    table = read(folder)
    first = run(table)
    assert (first.computed, first.reused) == ((8,), (0,))
    again = run(table, engine=no_engine)
    assert (again.computed, again.reused) == ((0,), (8,))
    digests = [digest for digest in table.digests if digest]
    assert again.rows(digests).tobytes() == first.rows(digests).tobytes()


@pytest.mark.usefixtures("cache")
def test_ten_added_images_compute_ten_rows_and_a_changed_byte_one(folder: Path, more_photos: list[Path]) -> None:
    run(read(folder))
    for file in more_photos:
        shutil.copy(file, folder / "cats" / f"new {file.name}")
    added = run(read(folder))
    assert (added.computed, added.reused) == ((10,), (8,))
    changed = folder / "dogs" / sorted(path.name for path in (folder / "dogs").iterdir())[0]
    changed.write_bytes(changed.read_bytes() + b"\0")
    after = run(read(folder))
    assert (after.computed, after.reused) == ((1,), (17,))


@pytest.mark.usefixtures("cache")
def test_a_renamed_or_copied_image_computes_nothing(folder: Path) -> None:
    run(read(folder))
    for file in sorted((folder / "cats").iterdir())[:2]:
        shutil.copy(file, folder / "dogs" / f"copy {file.name}")
        file.rename(file.with_name(f"renamed {file.name}"))
    again = run(read(folder), engine=no_engine)
    assert (again.computed, again.reused) == ((0,), (8,))


@pytest.mark.usefixtures("cache")
def test_equal_images_are_computed_once(folder: Path) -> None:
    for file in sorted((folder / "cats").iterdir()):
        shutil.copy(file, folder / "cats" / f"copy {file.name}")
    first = run(read(folder))
    assert first.computed == (8,)
    assert len(first.caches[0]) == 8


@pytest.mark.usefixtures("cache")
def test_an_unreadable_file_is_listed_and_not_fatal(folder: Path) -> None:
    (folder / "cats" / "text.jpg").write_text("no picture")
    whole = sorted((folder / "dogs").glob("*.jpg"))[0].read_bytes()
    (folder / "dogs" / "truncated.jpg").write_bytes(whole[: len(whole) // 2])
    (folder / "dogs" / "empty.png").write_bytes(b"")
    table = read(folder)
    result = run(table)
    assert set(result.failures) == {"cats/text.jpg", "dogs/truncated.jpg", "dogs/empty.png"}
    assert "not a picture" in str(result.failures["cats/text.jpg"])
    assert "empty" in str(result.failures["dogs/empty.png"])
    assert result.computed == (8,)
    by_name = dict(zip(table.uris, table.digests, strict=True))
    for uri in result.failures:
        assert by_name[uri] not in result.caches[0]


@pytest.mark.usefixtures("cache")
def test_every_copy_of_an_unreadable_file_is_listed(folder: Path) -> None:
    for name in ("one.jpg", "two.jpg"):
        (folder / "cats" / name).write_text("no picture")
    assert set(run(read(folder)).failures) == {"cats/one.jpg", "cats/two.jpg"}


@pytest.mark.usefixtures("cache")
def test_a_file_that_changes_while_it_is_read_has_no_row(folder: Path) -> None:
    table = read(folder)
    changed = folder / table.uris[0]
    changed.write_bytes(changed.read_bytes() + b"\0")
    result = run(table)
    assert "changed" in str(result.failures[table.uris[0]])
    assert result.computed == (7,)


@pytest.mark.usefixtures("cache")
def test_a_file_that_goes_away_has_no_row(folder: Path) -> None:
    table = read(folder)
    (folder / table.uris[3]).unlink()
    result = run(table)
    assert list(result.failures) == [table.uris[3]]
    assert result.computed == (7,)


@pytest.mark.usefixtures("cache")
def test_augmented_views_are_computed_for_the_masked_images_only(folder: Path) -> None:
    table = read(folder)
    mask = np.arange(8) < 3
    result = run(table, views=THREE_VIEWS, augmented=mask)
    assert result.computed == (8, 3, 3)
    for digest, wanted in zip(table.digests, mask, strict=True):
        assert [digest in cache for cache in result.caches] == [True, wanted, wanted]
    everything = run(table, views=THREE_VIEWS, augmented=np.ones(8, bool))
    assert (everything.computed, everything.reused) == ((0, 5, 5), (8, 3, 3))


@pytest.mark.usefixtures("cache")
def test_the_views_of_an_image_differ_and_come_again_the_same(folder: Path, tmp_path: Path) -> None:
    table = read(folder)
    digests = [digest for digest in table.digests if digest]
    first = run(table, views=THREE_VIEWS, augmented=np.ones(8, bool))
    rows = [first.rows(digests, view) for view in range(3)]
    for one in range(3):
        for other in range(one):
            assert (rows[one] != rows[other]).any(axis=1).all()
    shutil.rmtree(first.caches[0].folder.parent)
    again = run(table, views=THREE_VIEWS, augmented=np.ones(8, bool))
    for view in range(3):
        assert again.rows(digests, view).tobytes() == rows[view].tobytes()


@pytest.mark.usefixtures("cache")
@pytest.mark.parametrize("view", [PLAIN, View(augmentation=side_on(max_zoom=1.1), index=1)], ids=["plain", "view 1"])
def test_a_row_does_not_depend_on_the_images_beside_it(folder: Path, more_photos: list[Path], view: View) -> None:
    for file in more_photos:
        shutil.copy(file, folder / "cats" / f"new {file.name}")
    table = read(folder)
    digests = [digest for digest in table.digests if digest]
    chosen = (PLAIN,) if view == PLAIN else (PLAIN, view)
    number = len(chosen) - 1
    together = run(table, views=chosen, augmented=np.ones(18, bool))
    wanted = together.rows(digests, number)
    shutil.rmtree(together.caches[0].folder.parent)
    for places in ([17], [3, 11], list(range(2, 17))):
        mask = np.isin(np.arange(18), places)
        split = table.where(mask)
        result = run(split, views=chosen, augmented=np.ones(len(split), bool))
        ours = np.flatnonzero(mask)
        assert result.rows([digests[place] for place in ours], number).tobytes() == wanted[ours].tobytes()
        shutil.rmtree(result.caches[0].folder.parent)


@pytest.mark.usefixtures("cache")
def test_what_was_computed_before_an_interruption_is_kept(folder: Path) -> None:
    table = read(folder)

    class Interrupted:
        def __init__(self) -> None:
            pretrained = backbone()
            self._engine = compiled(pretrained, engine_kind(pretrained), threads=2)
            self.kind, self.batch_size = self._engine.kind, self._engine.batch_size

        def run(self, batches: Any) -> Any:
            yield from self._engine.run(batches)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(table, engine=Interrupted)  # type: ignore[arg-type]
    assert run(table, engine=no_engine).reused == (8,)
