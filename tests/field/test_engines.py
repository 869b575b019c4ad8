"""What runs the network, and the files it is read from: never another one than is said, damaged ones made anew."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from goldenrule.activations.bank import stored
from goldenrule.activations.precompute import bank_for, precompute
from goldenrule.engine import EngineKind
from goldenrule.foundation.errors import BackboneError, OptionError
from goldenrule.images.augment import PLAIN
from goldenrule.images.read import with_digests
from goldenrule.images.sources import from_folder
from goldenrule.models.backbone import backbone
from goldenrule.models.compiled import compiled, engine_kind
from goldenrule.recipes.answer import answer
from goldenrule.recipes.options import FitOptions
from goldenrule.recipes.reopened import reopened

Command = Callable[..., subprocess.CompletedProcess[str]]
Pictures = Callable[..., Path]


def torch_kind() -> EngineKind:
    return EngineKind(name="torch", precision="fp32", version=torch.__version__)


def test_no_feature_is_kept_under_the_key_of_another_engine(cache: Path, picture_folder: Pictures) -> None:
    table, body = with_digests(from_folder(picture_folder(each=2))), backbone()
    kind = engine_kind(body)
    assert kind.name == "openvino"
    with pytest.raises(BackboneError, match=r"runs torch .* kept under openvino"):
        precompute(table, body.spec, kind, lambda: compiled(body, torch_kind()))
    assert len(bank_for(body.spec, kind, PLAIN)) == 0


def test_an_engine_that_cannot_run_as_asked_is_refused(cache: Path) -> None:
    """Without a GPU PyTorch runs fp32, whatever the kind says."""
    wanted = EngineKind(name="torch", precision="bf16", version=torch.__version__)
    with pytest.raises(OptionError, match=r"wanted torch .* bf16"):
        compiled(backbone(), wanted)


def test_a_run_is_looked_into_by_the_engine_that_its_features_are_kept_under(
    cache: Path, picture_folder: Pictures, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`cpu:0` stands for a device that is not the default one."""
    with monkeypatch.context() as patch:
        for module in ("models.compiled", "recipes.opening", "recipes.reopened"):
            patch.setattr(f"goldenrule.{module}.check_device", lambda device: device, raising=False)
        answer(picture_folder(), options=FitOptions(device="cpu:0", views=0), out=tmp_path / "run")
        keys = [bank["key"]["engine"] for bank in stored()]
        assert [(key["name"], key["precision"]) for key in keys] == [("torch", "fp32")]
        found = reopened(tmp_path / "run")
        assert sum(found.activations().computed) == 0
        other = backbone(size=32)
        key = found.activations(other).banks[0].key["engine"]
        assert (key["name"], key["precision"], compiled(other, EngineKind(**key)).kind.to_json()) == (
            "torch",
            "fp32",
            key,
        )
    elsewhere = reopened(tmp_path / "run")  # on a machine that has no such device
    assert (elsewhere.device, elsewhere.kind.name) == ("cpu", "openvino")
