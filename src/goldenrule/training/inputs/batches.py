"""Where a training's batches come from: rows of a cache, live images through the engine, live pixels.

All three give the same order of images for the same (seed, epoch), draw their views by (seed, epoch, digest),
and can begin at any step of an epoch (law 6).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Literal, NamedTuple, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
import torch

from goldenrule.core.errors import SourceError
from goldenrule.core.randomness import generator
from goldenrule.data.augmentation.augment import PLAIN, Augmentation, View
from goldenrule.data.loader import Batch, Canvases, DecodeJob, batches
from goldenrule.data.pictures.preprocess import Preprocessing
from goldenrule.data.table import LabelledTable
from goldenrule.engines import Engine
from goldenrule.features.extractor import Features
from goldenrule.features.likelihood import Targets
from goldenrule.metrics.uncertainty.temperature import as_pairs, best_temperature
from goldenrule.training.inputs.batch_augmentation import augmented_inputs, can_batch
from goldenrule.training.inputs.parts import WHOLE, Part
from goldenrule.training.loss import Examples, Objective

Sampling = Literal["uniform", "balanced"]
VALIDATION_BYTES = 64 << 20
"""Rows are evaluated so many bytes at a time."""
VALIDATION_KEPT_BYTES = 1 << 29
"""Pixels of validation images are kept for the next epoch where they take no more: some 890 pictures of 224 px."""


class Source(Protocol):
    """Gives the batches of an epoch; epochs are counted over the whole run."""

    @property
    def batch_size(self) -> int:
        """How many images a batch has; the last one of an epoch perhaps fewer."""

    @property
    def count(self) -> int:
        """How many images an epoch has."""

    def batches(self, epoch: int, step: int) -> Iterator[Examples]:
        """Return the batches of an epoch from a step on."""


def steps_per_epoch(source: Source) -> int:
    """Return the number of batches of an epoch, the last perhaps smaller."""
    return -(-source.count // source.batch_size)


def order(train: LabelledTable, seed: int, epoch: int, sampling: Sampling = "uniform") -> npt.NDArray[np.int64]:
    """Return the order of an epoch's images: each once, or as many drawn so that all classes come equally often."""
    draws = generator(seed, "batches", epoch)
    if sampling == "uniform":
        return draws.permutation(len(train))
    targets = train.targets
    chances = 1 / np.bincount(targets)[targets]
    return draws.choice(len(train), size=len(train), p=chances / chances.sum())


def balanced_weights(train: LabelledTable) -> npt.NDArray[np.float32]:
    """Return weights (n,) by which every class counts the same, their mean being 1."""
    counts = np.bincount(train.targets)
    return np.asarray(len(train) / (np.count_nonzero(counts) * counts[train.targets]), np.float32)


@dataclass(frozen=True, kw_only=True, eq=False)
class BankRows:
    """Rows that the cache has: epoch 0 takes the plain views, epoch 1 the first augmented ones, and around."""

    train: LabelledTable
    features: Features
    seed: int
    batch_size: int
    sampling: Sampling = field(default="uniform", kw_only=True)
    part: Part = WHOLE

    @property
    def count(self) -> int:
        """How many images an epoch has."""
        return len(self.train)

    def batches(self, epoch: int, step: int) -> Iterator[Examples]:
        """See `Source.batches`."""
        digests, targets, weights = self.train.digests, self.train.truth, _weights(self.train)
        view = epoch % len(self.features.caches)
        left = order(self.train, self.seed, epoch, self.sampling)[step * self.batch_size :]
        mine, idle = self.part.rows(left, self.batch_size)
        size = self.part.size(self.batch_size)
        for first in range(0, len(mine), size):
            rows = mine[first : first + size]
            features = self.features.rows([digests[row] or b"" for row in rows], view)
            counted = weights[rows] * (not (idle and first + size >= len(mine)))
            yield _examples(features.astype(np.float32), targets[rows], counted)


@dataclass(frozen=True, kw_only=True, eq=False)
class LiveRows:
    """Rows made now: each epoch every image is decoded, augmented anew and sent through the frozen backbone."""

    train: LabelledTable
    engine: Engine
    preprocessing: Preprocessing
    augmentation: Augmentation | None
    seed: int
    batch_size: int
    sampling: Sampling = field(default="uniform", kw_only=True)
    threads: int
    canvases: Canvases | None = None

    @property
    def count(self) -> int:
        """How many images an epoch has."""
        return len(self.train)

    def batches(self, epoch: int, step: int) -> Iterator[Examples]:
        """See `Source.batches`; the features are rounded as the cache keeps them."""
        rows = order(self.train, self.seed, epoch, self.sampling)[step * self.batch_size :]
        decoded = _decoded(self, rows, epoch, self.engine.batch_size)
        targets, weights = self.train.truth, _weights(self.train)
        held: list[tuple[int, npt.NDArray[np.float32], bool]] = []
        for batch, features in self.engine.run((batch, batch.pixels) for batch in decoded):
            for slot, (row, _) in enumerate(batch.slots):
                held.append((row, features[slot].astype(np.float16).astype(np.float32), slot not in batch.failures))
                if len(held) == self.batch_size:
                    yield self._gathered(held, targets, weights)
                    held = []
        if held:
            yield self._gathered(held, targets, weights)

    def _gathered(
        self,
        held: list[tuple[int, npt.NDArray[np.float32], bool]],
        targets: Targets,
        weights: npt.NDArray[np.float32],
    ) -> Examples:
        rows = [row for row, _, _ in held]
        counted = weights[rows] * np.array([good for _, _, good in held], np.float32)
        _check_some(counted, self.train)
        return _examples(np.stack([features for _, features, _ in held]), targets[rows], counted)


@dataclass(frozen=True, kw_only=True, eq=False)
class Pixels:
    """Pixels made now: each epoch every image is decoded and augmented anew.

    With `device` the views are made there, a batch at once (`augmenting`), where tensors can do it.
    """

    train: LabelledTable
    preprocessing: Preprocessing
    augmentation: Augmentation | None
    seed: int
    batch_size: int
    sampling: Sampling = field(default="uniform", kw_only=True)
    threads: int
    canvases: Canvases | None = None
    device: torch.device | None = None
    part: Part = WHOLE

    @property
    def count(self) -> int:
        """How many images an epoch has."""
        return len(self.train)

    @property
    def warped(self) -> bool:
        """Whether the threads that read make the views."""
        return self.device is None or not can_batch(self.augmentation)

    def batches(self, epoch: int, step: int) -> Iterator[Examples]:
        """See `Source.batches`."""
        targets, weights = self.train.truth, _weights(self.train)
        left = order(self.train, self.seed, epoch, self.sampling)[step * self.batch_size :]
        rows, idle = self.part.rows(left, self.batch_size)
        seen = 0
        for batch in _decoded(self, rows, epoch, self.part.size(self.batch_size), warped=self.warped):
            of_images = [row for row, _ in batch.slots]
            good = np.array([slot not in batch.failures for slot in range(len(of_images))], np.float32)
            counted = weights[of_images] * good
            _check_some(counted, self.train)
            seen += len(of_images)
            counted *= not (idle and seen == len(rows))
            if self.warped or self.device is None:
                yield _examples(batch.pixels[: len(of_images)], targets[of_images], counted)
            else:
                inputs = augmented_inputs(batch, self.preprocessing, self.device)
                yield Examples(inputs, torch.from_numpy(targets[of_images]), torch.from_numpy(counted))


def _decoded(
    source: LiveRows | Pixels, rows: npt.NDArray[np.int64], epoch: int, batch_size: int, *, warped: bool = True
) -> Iterator[Batch]:
    """Return the images of `rows`, each in the view of this epoch."""
    view = PLAIN
    if source.augmentation is not None:
        view = View(augmentation=source.augmentation, index=epoch + 1, seed=source.seed)
    uris, digests = source.train.uris, source.train.digests
    jobs = (
        DecodeJob(row=row, read=partial(source.train.read, uris[row]), views=(0,), digest=digests[row])
        for row in rows.tolist()
    )
    return batches(
        jobs,
        (view,),
        source.preprocessing,
        batch_size=batch_size,
        threads=source.threads,
        canvases=source.canvases,
        warped=warped,
    )


def _weights(train: LabelledTable) -> npt.NDArray[np.float32]:
    return np.asarray(train.rows["weight"].to_numpy(), np.float32)


def _examples(inputs: npt.NDArray[np.float32], targets: Targets, weights: npt.NDArray[np.float32]) -> Examples:
    """Return tensors of PyTorch's own memory, whose alignment is always the same (law 6: it changes bits)."""
    pixels = torch.from_numpy(inputs)
    layout = torch.channels_last if inputs.ndim == 4 else torch.contiguous_format
    return Examples(
        pixels.clone(memory_format=layout), torch.from_numpy(targets).clone(), torch.from_numpy(weights).clone()
    )


def _check_some(weights: npt.NDArray[np.float32], train: LabelledTable) -> None:
    if not weights.any():
        raise SourceError(
            f"{len(weights)} training images of {train.root} in a row can't be read any more: is the disk still "
            "there? Nothing is lost; give the same command again when it is."
        )


class ValidationLogits(NamedTuple):
    """Logits (n, classes) of validation images in their order, and their truth: class numbers (n,), or marks."""

    logits: npt.NDArray[np.float32]
    truth: Targets


class ValidationResult(NamedTuple):
    """A network on validation: mean loss in nats, accuracy, and what a temperature would make of the loss.

    Multi-label: the accuracy is the share of all labels of all images that are right at a probability of .5. `rows`
    are the places (m,) of the images that could be read among those to validate on; None: all.
    """

    loss: float
    accuracy: float
    temperature: float
    tempered_loss: float
    seen: ValidationLogits
    rows: npt.NDArray[np.int64] | None = None


Validate = Callable[[torch.nn.Module], ValidationResult]
"""Evaluates a network on validation."""


class Outputs(NamedTuple):
    """What a network says of some validation images: their places (m,), float64 logits (m, classes) and targets."""

    rows: npt.NDArray[np.int64]
    logits: torch.Tensor
    targets: torch.Tensor


@runtime_checkable
class InParts(Protocol):
    """A validation that several processes can share."""

    def outputs(self, network: torch.nn.Module, part: Part = WHOLE) -> Outputs:
        """Return what the network says of this part of the images."""

    def result(self, parts: Sequence[Outputs]) -> ValidationResult:
        """Return the numbers of all parts together."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ValidateRows:
    """Validation of networks that begin with the rows of labelled, readable images, some of them at a time."""

    valid: LabelledTable
    features: Features

    def __post_init__(self) -> None:
        _check_any(len(self._there), self.valid)

    def __call__(self, network: torch.nn.Module) -> ValidationResult:
        """Return how good the network is."""
        return self.result([self.outputs(network)])

    def outputs(self, network: torch.nn.Module, part: Part = WHOLE) -> Outputs:
        """See `InParts.outputs`."""
        network.eval()
        places = np.array_split(self._there, part.world)[part.rank]
        digests, truth = self._known
        count = VALIDATION_BYTES // (4 * self.features.caches[0].features) + 1
        logits = [torch.empty((0, len(self.valid.classes)), dtype=torch.float64)]
        with torch.inference_mode():
            for first in range(0, len(places), count):
                asked = [digests[row] or b"" for row in places[first : first + count].tolist()]
                rows = torch.from_numpy(self.features.rows(asked).astype(np.float32))
                logits.append(network(rows.to(_device(network))).cpu().double())
        return Outputs(places, torch.cat(logits), torch.from_numpy(truth[places].copy()))

    def result(self, parts: Sequence[Outputs]) -> ValidationResult:
        """See `InParts.result`."""
        found = _joined(parts)
        return _evaluated(found.logits, found.targets)._replace(rows=found.rows)

    @cached_property
    def _there(self) -> npt.NDArray[np.int64]:
        return np.flatnonzero(self.features.has(self.valid.digests))  # files can change while a fit runs

    @cached_property
    def _known(self) -> tuple[list[bytes | None], Targets]:
        return self.valid.digests, self.valid.truth


@dataclass(frozen=True, kw_only=True, eq=False)
class ValidatePixels:
    """Validation of networks on the plain views of labelled, readable images, which it keeps if they are few.

    Kept, they are decoded once for a fit; threads that decode get in the way of those that compute.
    """

    valid: LabelledTable
    preprocessing: Preprocessing
    threads: int
    batch_size: int = 32

    def __call__(self, network: torch.nn.Module) -> ValidationResult:
        """Return how good the network is."""
        return self.result([self.outputs(network)])

    def outputs(self, network: torch.nn.Module, part: Part = WHOLE) -> Outputs:
        """See `InParts.outputs`."""
        network.eval()
        logits, targets, goods = [], [], []
        with torch.inference_mode():
            for examples in self._examples(part):
                good = examples.weights > 0
                logits.append(network(examples.inputs.to(_device(network))).cpu().double()[good])
                targets.append(examples.targets[good])
                goods.append(good.numpy())
        rows, _ = part.rows(order(self.valid, 0, 0), self.batch_size * part.world)  # batches come in a drawn order
        return Outputs(rows[np.concatenate(goods)], torch.cat(logits), torch.cat(targets))

    def result(self, parts: Sequence[Outputs]) -> ValidationResult:
        """See `InParts.result`."""
        found = _joined(parts)
        _check_any(len(found.rows), self.valid)
        evaluated = _evaluated(found.logits, found.targets)
        places = np.argsort(found.rows)
        return evaluated._replace(
            seen=ValidationLogits(evaluated.seen.logits[places], evaluated.seen.truth[places]),
            rows=found.rows[places].astype(np.int64),
        )

    def _examples(self, part: Part) -> Iterable[Examples]:
        source = Pixels(
            train=self.valid,
            preprocessing=self.preprocessing,
            augmentation=None,
            seed=0,
            batch_size=self.batch_size * part.world,
            threads=self.threads,
            part=part,
        )
        if len(self.valid) * 3 * self.preprocessing.size**2 * 4 > VALIDATION_KEPT_BYTES:
            return source.batches(0, 0)
        if part not in self._kept:
            self._kept.clear()
            self._kept[part] = list(source.batches(0, 0))
        return self._kept[part]

    @cached_property
    def _kept(self) -> dict[Part, list[Examples]]:
        return {}


def _joined(parts: Sequence[Outputs]) -> Outputs:
    rows, logits, targets = zip(*parts, strict=True)
    return Outputs(np.concatenate(rows), torch.cat(logits), torch.cat(targets))


def _device(network: torch.nn.Module) -> torch.device:
    return next(network.parameters()).device


def _check_any(count: int, valid: LabelledTable) -> None:
    if not count:
        raise SourceError(
            f"None of the {len(valid):,} validation images of {valid.root} can be read any more: is the disk still "
            "there? Nothing is lost; give the same command again when it is."
        )


def _evaluated(logits: torch.Tensor, targets: torch.Tensor) -> ValidationResult:
    loss = float(Objective().losses(logits, targets).mean())
    right = logits.argmax(1) == targets if targets.ndim == 1 else (logits >= 0) == targets.bool()
    accuracy = float(right.double().mean())
    scores, truth = logits.numpy(), targets.numpy()
    shown = (scores, truth) if targets.ndim == 1 else as_pairs(scores, truth)
    temperature = best_temperature(*shown) if math.isfinite(loss) else (1.0, loss)
    return ValidationResult(loss, accuracy, *temperature, ValidationLogits(scores.astype(np.float32), truth))
