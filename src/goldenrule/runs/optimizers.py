"""The optimizers of torch.optim, by name."""

from __future__ import annotations

from collections.abc import Callable

import torch

from goldenrule.core.errors import OptionError

UNFIT = ("LBFGS", "Muon", "Optimizer", "Rprop", "SparseAdam")
"""Of torch.optim: they want a closure or other parameters, or keep to their own rates."""


def optimizer_class(name: str) -> Callable[..., torch.optim.Optimizer]:
    """Return the optimizer of torch.optim by its name, in whatever case; `OptionError` for one that can't be used."""
    known = {
        spelling.lower(): kind
        for spelling, kind in vars(torch.optim).items()
        if isinstance(kind, type) and issubclass(kind, torch.optim.Optimizer) and spelling not in UNFIT
    }
    if name.lower() not in known:
        raise OptionError(f"optimizer={name!r}: wanted one of {', '.join(sorted(known))}.")
    return known[name.lower()]
