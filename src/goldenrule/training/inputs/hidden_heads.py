"""Heads with a hidden layer, trained on a cache's rows: those that are not linear have no closed optimum."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import torch

from goldenrule.core.errors import OptionError
from goldenrule.core.memory import readable_bytes
from goldenrule.core.option import HeadKind
from goldenrule.core.progress import Progress, Silent, Task
from goldenrule.core.randomness import generator
from goldenrule.features.likelihood import Targets, learned_classes, unlearned_biases
from goldenrule.features.linear import Rows
from goldenrule.models.custom_heads import arrays_of
from goldenrule.models.heads import Head, LayeredHead
from goldenrule.models.layers import HIDDEN, LAYERS, Affine, Dropout, Layer, Linear, Relu, Root
from goldenrule.runs.store import Outcome
from goldenrule.training.loop import EpochEnded, optimizer_for, train
from goldenrule.training.loss import Examples
from goldenrule.training.runtime import Runtime, runtime
from goldenrule.training.schedule import OneCycle

PASSES, FEWEST_EPOCHS = 12, 4
PEAK_RATE, PEAK_RATES = 2e-3, {"flatten-64": 2e-4}
"""The highest rate of the cycle, and where it is another one: a whole feature map has fifty times as many inputs."""
WEIGHT_DECAY = 0.05
BATCH_SIZE = 64


def train_head(rows: Rows, *, kind: HeadKind, seed: int, progress: Progress | None = None) -> Outcome:
    """Train a head of that kind on all rows, and once per fold for the out-of-fold logits of the plain views.

    One cycle of AdamW over each image `PASSES` times, in whichever of its views, but over each view at least
    `FEWEST_EPOCHS` times; the batches are a function of (seed, epoch).
    """
    size = len(rows) * rows.features * 2
    if size > rows.budget_bytes:
        raise OptionError(
            f"--head {kind} keeps its rows in memory: {readable_bytes(size)}, of which "
            f"{readable_bytes(rows.budget_bytes)} may be used. Take --head linear, which streams, or fewer --views."
        )
    features = np.asarray(rows.read(0, len(rows)), np.float16)
    machine = runtime()
    epochs = max(FEWEST_EPOCHS, PASSES * rows.scored // len(rows))
    folds = int(rows.folds.max()) + 1
    fold_logits = np.zeros((rows.scored, rows.classes), np.float32)
    with (progress or Silent()).task("train heads", (folds + 1) * epochs, "epochs") as task:

        def trained(mask: npt.NDArray[np.bool_]) -> Head:
            return _trained(features, rows, kind, mask, seed, epochs, machine, task)

        for fold in range(folds):
            held_out = np.flatnonzero(rows.folds[: rows.scored] == fold)
            fold_logits[held_out] = trained(rows.folds != fold).logits(features[held_out])
        head = trained(np.ones(len(rows), bool))
    tensors = {f"head.{name}": value for name, value in head.tensors.items()}
    facts = {
        "epochs": epochs,
        "peak_rate": PEAK_RATES.get(kind, PEAK_RATE),
        "weight_decay": WEIGHT_DECAY,
        "batch_size": BATCH_SIZE,
    }
    return Outcome(tensors | {"fold_logits": fold_logits, "fold": rows.folds[: rows.scored]}, facts)


def _trained(
    features: npt.NDArray[np.float16],
    rows: Rows,
    kind: HeadKind,
    mask: npt.NDArray[np.bool_],
    seed: int,
    epochs: int,
    machine: Runtime,
    task: Task,
) -> Head:
    hidden = np.flatnonzero(mask)
    batch_size = min(BATCH_SIZE, len(hidden))
    steps = len(hidden) // batch_size
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(generator(seed, f"{kind} head").integers(2**62)))
        network = _network(rows, kind)

        def batches(epoch: int, first: int) -> Iterator[Examples]:
            order = generator(seed, "batches", epoch).permutation(hidden)
            for step in range(first, steps):
                chosen = order[step * batch_size : (step + 1) * batch_size]
                yield Examples(
                    torch.from_numpy(features[chosen].astype(np.float32)),
                    torch.from_numpy(rows.targets[chosen]),
                    torch.from_numpy(rows.weights[chosen]),
                )

        for event in train(
            network,
            optimizer_for([list(network.parameters())], "adamw", weight_decay=WEIGHT_DECAY),
            batches,
            rates=(PEAK_RATES.get(kind, PEAK_RATE),),
            schedule=OneCycle(epochs=epochs),
            steps_per_epoch=steps,
            seed=seed,
            runtime=machine,
        ):
            if isinstance(event, EpochEnded):
                task.advance()
    return _as_arrays(network, kind, rows.targets[hidden])


def _network(rows: Rows, kind: HeadKind) -> torch.nn.Sequential:
    """Return the layers of that kind as PyTorch draws them, its scales and shifts as BatchNorms."""
    lengths = {"features": rows.features, "hidden": HIDDEN[kind], "classes": rows.classes}

    def module(layer: Layer) -> torch.nn.Module:
        match layer:
            case Linear():
                inputs, outputs = lengths[layer.inputs], lengths[layer.outputs]
                return torch.nn.Linear(inputs, outputs, bias=layer.bias is not None)
            case Affine():
                return torch.nn.BatchNorm1d(lengths[layer.side])
            case Dropout():
                return torch.nn.Dropout(layer.share)
            case Relu():
                return torch.nn.ReLU()
            case Root():
                raise AssertionError("a head on square roots is fitted, not trained on rows")

    return torch.nn.Sequential(*map(module, LAYERS[kind]))


def _as_arrays(network: torch.nn.Sequential, kind: HeadKind, targets: Targets) -> Head:
    """Return the trained head as arrays, its BatchNorms folded; a class without rows can't be predicted."""
    tensors: dict[str, npt.NDArray[np.float32]] = {}
    for layer, module in zip(LAYERS[kind], network, strict=True):
        if isinstance(layer, Affine):
            tensors[layer.scale], tensors[layer.shift] = _affine(module)
        elif isinstance(layer, Linear):
            arrays = arrays_of(module)
            tensors |= {name: arrays[known] for known, name in (("weight", layer.weight), ("bias", layer.bias)) if name}
    last = LAYERS[kind][-1]
    assert isinstance(last, Linear)
    weight, bias = tensors[last.weight], tensors[str(last.bias)]
    absent = np.setdiff1d(np.arange(len(bias)), learned_classes(targets))
    unlearned = unlearned_biases(targets, len(bias), lowest=float(bias.min()))
    weight[absent], bias[absent] = 0.0, unlearned[absent]
    return LayeredHead(kind, tensors)


def _affine(norm: torch.nn.Module) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    assert isinstance(norm, torch.nn.BatchNorm1d)
    assert norm.running_var is not None
    assert norm.running_mean is not None
    with torch.no_grad():
        scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
        shift = norm.bias - norm.running_mean * scale
    return scale.cpu().numpy().copy(), shift.cpu().numpy().copy()
