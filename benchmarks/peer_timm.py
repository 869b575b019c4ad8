"""The same photos and pretrained backbone, trained with timm's own parts as its train.py puts them together.

    python benchmarks/peer_timm.py DATA --method 3epochs --seed 0 -o out.json

train.py is no part of timm's package; what is here are its functions, with values of our choice: AdamW at 5e-4, weight
decay 0.02, cosine schedule after a warm-up of a tenth of the steps, label smoothing 0.1, RandAugment, batches of 32,
and the weights of the epoch with the lowest log loss on valid. The head begins as a linear layer of PyTorch does: as
timm draws that of this network for two classes, it is so large that a few epochs end at log losses above 1.
"""

from __future__ import annotations

import copy
import math
from pathlib import Path

import torch
from timm.data import create_loader, resolve_model_data_config
from timm.data.dataset import ImageDataset
from timm.loss import LabelSmoothingCrossEntropy
from timm.optim import create_optimizer_v2
from timm.scheduler import CosineLRScheduler
from timm.utils import random_seed

import peer_common
from peer_common import Answer

METHODS = {"1epoch": 1, "3epochs": 3, "10epochs": 10}
BATCH_SIZE = 32


def main() -> None:
    asked = peer_common.arguments_of(__doc__ or "", list(METHODS))
    random_seed(asked.seed)
    data, classes = asked.data, peer_common.classes_of(asked.data)
    model = peer_common.backbone()
    model.reset_classifier(len(classes))
    config = resolve_model_data_config(model)
    common = {key: config[key] for key in ("input_size", "interpolation", "mean", "std", "crop_pct")}
    loaders = {
        split: create_loader(
            ImageDataset(str(data / split)),
            batch_size=BATCH_SIZE,
            is_training=split == "train",
            auto_augment="rand-m6-mstd0.5-inc1" if split == "train" else None,
            num_workers=2,
            use_prefetcher=False,
            **common,
        )
        for split in ("train", *peer_common.HELD_OUT)
    }
    model.load_state_dict(trained(model, loaders, METHODS[asked.method]))
    answers = {
        split: Answer(
            [Path(data / split / name) for name in loaders[split].dataset.filenames()],
            logits_of(model, loaders[split])[0].softmax(1).tolist(),
        )
        for split in peer_common.HELD_OUT
    }
    peer_common.write(asked.output, data, answers)


def trained(
    model: torch.nn.Module, loaders: dict[str, torch.utils.data.DataLoader], epochs: int
) -> dict[str, torch.Tensor]:
    """Return the weights of the epoch with the lowest log loss on valid."""
    steps = max(len(loaders["train"]), 1)
    optimizer = create_optimizer_v2(model, opt="adamw", lr=5e-4, weight_decay=0.02)
    schedule = CosineLRScheduler(
        optimizer, t_initial=epochs * steps, warmup_t=epochs * steps // 10, warmup_lr_init=1e-6, t_in_epochs=False
    )
    smoothed, best, kept = LabelSmoothingCrossEntropy(0.1), math.inf, model.state_dict()
    for epoch in range(epochs):
        model.train()
        for number, (pixels, truth) in enumerate(loaders["train"]):
            loss = smoothed(model(pixels), truth)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step_update(epoch * steps + number + 1)
        logits, truth = logits_of(model, loaders["valid"])
        valid = float(torch.nn.functional.cross_entropy(logits, truth))
        if valid < best:
            best, kept = valid, copy.deepcopy(model.state_dict())
    return kept


@torch.inference_mode()
def logits_of(model: torch.nn.Module, loader: torch.utils.data.DataLoader) -> tuple[torch.Tensor, torch.Tensor]:
    """Return logits (images, classes) and truth (images,)."""
    model.eval()
    batches = [(model(pixels), truth) for pixels, truth in loader]
    return torch.cat([logits for logits, _ in batches]), torch.cat([truth for _, truth in batches])


if __name__ == "__main__":
    main()
