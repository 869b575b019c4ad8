"""Arguments in the wrong place, such as images before the run: recognised, with the command line that is right."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def check_order(command: str, said: Mapping[str, Any]) -> None:
    """Raise `OptionError` where a command's run is none, and one of its images is: they are swapped."""
    from goldenrule.storage.files import holds_classifier, in_shell

    run, images = said.get("run"), said.get("images", said.get("folder"))
    if run is None or images is None or holds_classifier(run):
        return
    every = list(images) if isinstance(images, list | tuple) else [images]
    runs = [one for one in every if holds_classifier(one)]
    if len(runs) != 1:
        return
    from goldenrule.core.errors import OptionError

    words = [runs[0], run, *(one for one in every if one is not runs[0])]
    raise OptionError(
        f"{runs[0]} is a run, and {run} is none: the run comes first. Give: goldenrule {command} "
        f"{' '.join(map(in_shell, words))}"
    )
