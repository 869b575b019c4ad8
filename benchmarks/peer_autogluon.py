"""The same photos and pretrained backbone, handed to AutoGluon's MultiModalPredictor with a limit of time.

    python benchmarks/peer_autogluon.py DATA --method 60s --seed 0 -o out.json

What its users write: a data frame of paths and labels, `fit(..., time_limit=...)`, its own schedule, augmentation,
validation and averaging of checkpoints, told that it is judged by the log loss. Two things are ours: the backbone is
lite0 from a folder in the form AutoGluon reads (its own would come from the hub), and the precision is that of a
processor.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pandas as pd
import torch
from autogluon.multimodal import MultiModalPredictor

import peer_common
from peer_common import Answer

METHODS = {"20s": 20, "60s": 60, "200s": 200, "1000s": 1000}


def main() -> None:
    asked = peer_common.arguments_of(__doc__ or "", list(METHODS))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        checkpoint = folder / "lite0"
        checkpoint.mkdir()
        write_checkpoint(checkpoint)
        frames = {split: frame(asked.data, split) for split in ("train", *peer_common.HELD_OUT)}
        predictor = MultiModalPredictor(
            label="label", problem_type="classification", eval_metric="log_loss", path=str(folder / "run")
        )
        predictor.fit(
            frames["train"],
            tuning_data=frames["valid"],
            time_limit=METHODS[asked.method],
            seed=asked.seed,
            hyperparameters={
                "model.names": ["timm_image"],
                "model.timm_image.checkpoint_name": str(checkpoint),
                "env.accelerator": "cpu",
                "env.precision": "32-true",
            },
        )
        classes = peer_common.classes_of(asked.data)
        answers = {}
        for split in peer_common.HELD_OUT:
            found = predictor.predict_proba(frames[split].drop(columns="label"), as_pandas=True)
            files = [Path(path) for path in frames[split]["image"]]
            answers[split] = Answer(files, found[classes].to_numpy(float).tolist())
    peer_common.write(asked.output, asked.data, answers)


def frame(data: Path, split: str) -> pd.DataFrame:
    """Return the paths and labels of a split."""
    files = peer_common.files_of(data, split)
    return pd.DataFrame({"image": [str(file) for file in files], "label": [file.parent.name for file in files]})


def write_checkpoint(folder: Path) -> None:
    """Write the backbone as AutoGluon keeps one of timm's."""
    model = peer_common.backbone()
    torch.save(model.state_dict(), folder / "pytorch_model.bin")
    config = {"architecture": peer_common.BACKBONE, "num_features": model.num_features, **model.default_cfg}
    (folder / "config.json").write_text(json.dumps(config, default=list), encoding="utf-8")


if __name__ == "__main__":
    main()
