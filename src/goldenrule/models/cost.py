"""What a picture costs a backbone, counted: it does not depend on what else the machine does."""

from __future__ import annotations

import contextlib

from goldenrule.core.errors import FormatError, StorageError
from goldenrule.models.backbone import Backbone
from goldenrule.storage.cache_folder import cache_folder, read_cached, write_cached


def multiply_adds(backbone: Backbone) -> int:
    """Return the multiply-adds of one picture through the backbone; counted once by PyTorch, then kept in the cache."""
    spec = backbone.spec
    path = cache_folder() / "costs" / f"{spec.weights[:32]}-{spec.pooling}-{spec.preprocessing.size}.json"
    with contextlib.suppress(FormatError, KeyError):
        return int(read_cached(path)["multiply_adds"])
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    size = spec.preprocessing.size
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        backbone.module(torch.zeros(1, 3, size, size))
    found: int = counter.get_total_flops() // 2  # a multiply-add is two operations
    with contextlib.suppress(StorageError):
        write_cached(path, {"network": spec.timm_name, "size": size, "multiply_adds": found})
    return found
