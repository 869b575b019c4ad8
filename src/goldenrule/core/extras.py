"""Packages of others: those of the extras, asked for before the work or imported late; telemetry, off (law 13)."""

from __future__ import annotations

import importlib
import os
from typing import Any

from goldenrule.core.errors import EXTRAS, MissingExtra, is_installed, missing_extra, missing_sentence

QUIET = {
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "DO_NOT_TRACK": "1",
    "NNCF_CI": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}


def quiet_dependencies() -> None:
    """Turn telemetry and chatter of dependencies off before they are imported, unless the user has said otherwise."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)


def need(extra: str, *, what: str) -> None:
    """Raise `MissingExtra` where a module of an extra is not installed; `what` needs it: "goldenrule fit".

    Weights of one network are no reason: whoever uses that network says what is missing.
    """
    wanted = [module for module in EXTRAS[extra] if not module.endswith("_pytorch_model")]
    if missing := [module for module in wanted if not is_installed(module)]:
        raise MissingExtra(missing_sentence(what, missing, extra))


class Late:
    """A module that is imported when it is first used; `MissingExtra` then, where it is not installed."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        """Return what the module has by that name."""
        try:
            return getattr(importlib.import_module(self._name), attribute)
        except ImportError as error:
            if (missing := missing_extra(error)) is None:
                raise
            raise missing from error
