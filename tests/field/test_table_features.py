"""`table.features()`: the features of labelled images as plain arrays, for other libraries."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

import goldenrule as gr

Draw = Callable[..., Path]


def test_the_features_of_a_folder_are_arrays_that_scikit_learn_learns_from(
    draw_classes: Draw, tmp_path: Path, cache: Path
) -> None:
    images = gr.from_folder(draw_classes(tmp_path / "set"))
    X, y, names = images.features()
    assert (X.dtype, y.dtype) == (np.float32, np.int64)
    assert X.shape == (16, gr.backbone().spec.features)
    assert names == images.uris
    assert [images.classes[label] for label in y] == [name.partition("/")[0] for name in names]
    assert LogisticRegression(max_iter=500).fit(X, y).score(X, y) == 1.0


def test_features_are_those_of_the_cache_and_of_any_backbone(draw_classes: Draw, tmp_path: Path, cache: Path) -> None:
    images = gr.from_folder(draw_classes(tmp_path / "set"))
    table, known = gr.features_of(images, gr.backbone(size=96))
    X, _, _ = images.features(gr.backbone(size=96))
    np.testing.assert_array_equal(X, known.rows(table.digests).astype(np.float32))
    assert not np.array_equal(X, images.features("efficientnet_lite0")[0])


def test_images_that_cannot_be_read_have_no_row(draw_classes: Draw, tmp_path: Path, cache: Path) -> None:
    root = draw_classes(tmp_path / "set")
    (root / "cats" / "broken.png").write_bytes(b"no picture")
    images = gr.from_folder(root)
    X, y, names = images.features()
    assert len(X) == len(y) == len(names) == len(images) - 1
    assert "cats/broken.png" not in names


def test_several_labels_and_missing_ones_keep_their_form(draw_classes: Draw, tmp_path: Path, cache: Path) -> None:
    root = draw_classes(tmp_path / "set", each=3)
    files = sorted(root.glob("*/*.png"))
    lines = [f"{file.relative_to(root)},{label}" for file, label in zip(files, ["a b", "a", "b"] * 2, strict=True)]
    (root / "tags.csv").write_text("\n".join(["path,tags", *lines]))
    images = gr.from_csv(root / "tags.csv")
    _, y, _ = images.features()
    assert y.tolist() == [[1, 1], [1, 0], [0, 1]] * 2


def test_an_unknown_network_is_named(draw_classes: Draw, tmp_path: Path, cache: Path) -> None:
    with pytest.raises(gr.GoldenRuleError, match="efficientnet_lite0"):
        gr.from_folder(draw_classes(tmp_path / "set")).features("efficientnet_light0")
