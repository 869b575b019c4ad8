"""The same photos and pretrained backbone as scikit-learn's users have them: timm's features, a logistic regression.

    python benchmarks/peer_scikit_learn.py DATA --method logistic -o out.json

What such a user writes: timm's transform for evaluation, the features of all images in batches of 32, standardised,
`LogisticRegression` with its default penalty, or `LogisticRegressionCV`, which chooses it by five folds.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from sklearn.linear_model import LogisticRegression, LogisticRegressionCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from timm.data import create_transform, resolve_model_data_config
from torch.utils.data import DataLoader, Dataset

import peer_common
from peer_common import Answer

METHODS: dict[str, Callable[[int], object]] = {
    "logistic": lambda seed: LogisticRegression(max_iter=1000, random_state=seed),
    "logistic_cv": lambda seed: LogisticRegressionCV(
        Cs=10, cv=5, scoring="neg_log_loss", max_iter=1000, random_state=seed, n_jobs=2
    ),
}


def main() -> None:
    asked = peer_common.arguments_of(__doc__ or "", list(METHODS))
    data, classes = asked.data, peer_common.classes_of(asked.data)
    model = peer_common.backbone().eval()
    transform = create_transform(**resolve_model_data_config(model), is_training=False)
    files = {split: peer_common.files_of(data, split) for split in ("train", *peer_common.HELD_OUT)}
    features = {split: features_of(model, transform, those) for split, those in files.items()}
    head = make_pipeline(StandardScaler(), METHODS[asked.method](asked.seed))
    head.fit(features["train"], [classes.index(file.parent.name) for file in files["train"]])
    answers = {
        split: Answer(files[split], head.predict_proba(features[split]).tolist()) for split in peer_common.HELD_OUT
    }
    peer_common.write(asked.output, data, answers)


class Photos(Dataset):
    """The pixels of files."""

    def __init__(self, files: list[Path], transform: Callable[[Image.Image], torch.Tensor]) -> None:
        self.files, self.transform = files, transform

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, number: int) -> torch.Tensor:
        return self.transform(Image.open(self.files[number]).convert("RGB"))


@torch.inference_mode()
def features_of(model: torch.nn.Module, transform: Callable[..., torch.Tensor], files: list[Path]) -> np.ndarray:
    """Return the features (images, 1280)."""
    batches = DataLoader(Photos(files, transform), batch_size=32, num_workers=2)
    return np.concatenate([model(batch).numpy() for batch in batches])


if __name__ == "__main__":
    main()
