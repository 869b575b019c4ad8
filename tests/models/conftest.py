"""Backbones with random weights: what a network computes matters here, not what it knows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def random_weights(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return a .safetensors file with timm's names and random values for any of timm's networks."""
    folder = tmp_path_factory.mktemp("weights")

    def file(name: str) -> Path:
        path = folder / f"{name}.safetensors"
        if not path.exists():
            import timm
            import torch
            from safetensors.torch import save_file

            torch.manual_seed(0)
            save_file(timm.create_model(name, num_classes=0).state_dict(), path)
        return path

    return file


@pytest.fixture
def no_hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Be offline: no name is found, no socket opened, and the hub's cache is empty."""
    import huggingface_hub.constants

    def refuse(*arguments: object, **options: object) -> None:
        raise OSError("no network in this test")

    monkeypatch.setattr("socket.create_connection", refuse)
    monkeypatch.setattr("socket.getaddrinfo", refuse)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))


@pytest.fixture(scope="session")
def prepared_cache(pretrained_cache: Path) -> Path:
    """Here the real backbone is what is tested."""
    return pretrained_cache
