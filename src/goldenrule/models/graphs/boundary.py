"""The backbone up to its late layers: where activations are kept while early layers are frozen and late ones learn."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property

import torch

from goldenrule.models.backbone import Backbone
from goldenrule.storage.files import digest, json_digest


@dataclass(frozen=True, eq=False)
class Boundary(Backbone):
    """The early part of `whole`: its features are the activations (..., flattened) that flow into the late layers.

    Known by the early tensors alone: it stays the same while the late layers learn.
    """

    whole: Backbone = field(kw_only=True)

    @cached_property
    def module(self) -> torch.nn.Module:
        """(batch, 3, size, size) to (batch, features), flattened; in eval mode."""
        return torch.nn.Sequential(_early(self.whole), torch.nn.Flatten()).eval()


def boundary(whole: Backbone) -> Boundary:
    """Return the early part of a backbone; `BackboneError` where it can't be cut before its late layers."""
    early = _early(whole)
    size = whole.spec.preprocessing.size
    with torch.no_grad():
        features = early(torch.zeros(1, 3, size, size)).numel()
    tensors = {name: digest(value.contiguous().numpy().tobytes()).hex() for name, value in early.state_dict().items()}
    spec = replace(whole.spec, tap="boundary", weights=json_digest(tensors), features=features, places=1)
    return Boundary(spec, whole.folder, whole=whole)


def _early(whole: Backbone) -> torch.nn.Module:
    early, _ = whole.cut()
    return early
