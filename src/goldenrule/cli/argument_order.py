"""Arguments in the wrong place, such as images before the run: recognised, with the command line that is right."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def check_order(command: str, said: Mapping[str, Any]) -> None:
    """Raise `OptionError` where a command's run is none, and one of its images is: they are swapped."""
    run, images = said.get("run"), said.get("images", said.get("folder"))
    if run is None or images is None or _is_run(run):
        return
    every = list(images) if isinstance(images, list | tuple) else [images]
    runs = [one for one in every if _is_run(one)]
    if len(runs) != 1:
        return
    from goldenrule.core.errors import OptionError
    from goldenrule.storage.files import in_shell

    words = [runs[0], run, *(one for one in every if one is not runs[0])]
    raise OptionError(
        f"{runs[0]} is a run, and {run} is none: the run comes first. Give: goldenrule {command} "
        f"{' '.join(map(in_shell, words))}"
    )


def _is_run(path: Path) -> bool:
    return any(_is_file(path / name) for name in ("classifier/classifier.json", "classifier.json", "run.json"))


def _is_file(path: Path) -> bool:
    with contextlib.suppress(OSError, ValueError):  # what can't be looked at is told by the command
        return path.is_file()
    return False
