"""Epochs that are kept beside the checkpoint: after every so many the weights as they stand, as a classifier."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path

import torch

from goldenrule.core.errors import FormatError
from goldenrule.engines import EngineKind
from goldenrule.metrics import Task
from goldenrule.models.classifier import FILES, Classifier
from goldenrule.models.trainable import backbone_written, tensors_of, under
from goldenrule.storage.files import atomic_folder
from goldenrule.storage.manifest import Sealed
from goldenrule.training.state import LearnerState


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptEpochs:
    """Which epochs are kept, and where: `folder`/epoch-005 is the classifier as it stood after epoch 5 of the run.

    Each is whole or not there, and can be loaded, predicted with and started from like any classifier; its
    probabilities are not calibrated, and no split has evaluated it.
    """

    every: int
    folder: Path

    def path(self, epoch: int) -> Path:
        """Return the folder of an epoch, counted from 1."""
        return self.folder / f"epoch-{epoch:03d}"

    def due(self, epoch: int, fit_key: str) -> bool:
        """Return whether an epoch is to be kept and is not: a killed fit finds what it has kept by its key, `state`."""
        if epoch % self.every:
            return False
        with contextlib.suppress(FormatError, KeyError):
            return bool(Sealed(self.path(epoch)).json("classifier.json")["provenance"]["steps"] != fit_key)
        return True

    def keep(
        self,
        epoch: int,
        network: torch.nn.Module,
        state: LearnerState,
        *,
        classes: tuple[str, ...],
        task: Task,
        engine: EngineKind,
        fit_key: str,
    ) -> Path:
        """Write what `network`, made of `state`, has become; of a frozen backbone the tensors it had.

        Raises `StorageError` where the disk is full: the checkpoint of this epoch is written by then.
        """
        tensors, target = tensors_of(network, state.head), self.path(epoch)
        head, weights = state.head.with_tensors(under("head.", tensors)), under("backbone.", tensors)
        facts = {"made_by": "Learner", "epochs": epoch, "steps": fit_key}
        with atomic_folder(target, known_by=FILES) as folder:
            backbone = backbone_written(state.backbone, weights, folder) if weights else state.backbone
            Classifier(classes, backbone, head, engine, facts, task=task).write_into(folder, graph=False)
        return target
