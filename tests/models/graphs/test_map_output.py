"""A graph with its last feature maps beside its features: these are their averages, or it is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from goldenrule.core.errors import BackboneError
from goldenrule.engines import openvino
from goldenrule.models.backbone import backbone
from goldenrule.models.graphs.compiled import compiled, engine_kind, maps_engine
from goldenrule.models.graphs.map_output import MapsEngine


@pytest.fixture(autouse=True)
def core(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let graphs be changed before they are compiled: those that tests share are not."""
    monkeypatch.setattr(openvino, "core", openvino.core._core)  # type: ignore[attr-defined]


def test_features_are_the_averages_of_the_maps_and_those_that_the_engine_gives(cache: Path) -> None:
    network = backbone()
    kind = engine_kind(network)
    side = network.spec.preprocessing.size
    pixels = np.random.default_rng(0).normal(size=(3, side, side)).astype(np.float32)
    features, maps = maps_engine(network, kind, threads=1).run(pixels)
    assert features.shape == (network.spec.features,)
    assert maps.shape[0] == network.spec.features
    assert min(maps.shape[1:]) > 1
    np.testing.assert_allclose(maps.mean(axis=(1, 2)), features, atol=1e-2 * np.abs(features).max())
    engine = compiled(network, kind)
    batch = np.zeros((engine.batch_size, *pixels.shape), np.float32)
    batch[0] = pixels
    [(_, wanted)] = engine.run([(None, batch)])
    np.testing.assert_allclose(features, wanted[0], atol=1e-2 * np.abs(features).max())


@pytest.mark.parametrize(("pool", "behind", "fits"), [("mean", 1, True), ("max", 1, False), ("mean", 2, False)])
def test_features_that_are_no_averages_of_maps_are_refused(tmp_path: Path, pool: str, behind: int, fits: bool) -> None:
    ov = openvino.imported()
    ops = ov.opset13
    pixels = ops.parameter([16, 3, 8, 8], np.float32)
    reduced = {"mean": ops.reduce_mean, "max": ops.reduce_max}[pool](ops.relu(pixels), [2, 3], True)
    scaled = reduced if behind == 1 else ops.multiply(reduced, np.float32(behind))
    ov.save_model(ov.Model([ops.squeeze(scaled, [2, 3])], [pixels]), tmp_path / "graph.xml")
    if fits:
        _, maps = MapsEngine(tmp_path / "graph.xml", "fp32", name="x", threads=1).run(np.ones((3, 8, 8), np.float32))
        assert maps.shape == (3, 8, 8)
    else:
        with pytest.raises(BackboneError, match="x gives no averaged feature maps"):
            MapsEngine(tmp_path / "graph.xml", "fp32", name="x", threads=1)
