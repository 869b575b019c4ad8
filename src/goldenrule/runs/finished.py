"""Whether a folder holds a finished run, asked by every command that looks into one; or one where images are wanted."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from goldenrule.core.errors import OptionError, SourceError
from goldenrule.runs.verified_files import IMAGES, RESULT, is_run, run_about
from goldenrule.storage.files import holds_classifier, no_run_but
from goldenrule.storage.manifest import is_sealed


def check_no_run(images: Path) -> None:
    """Raise `SourceError` where images were asked for and a run was given; it says where the run's images lie."""
    known = False
    with contextlib.suppress(OSError):  # a folder that may not be read is told by who lists it
        known = is_run(images) and is_sealed(images)
    if known:
        folder = run_about(images).images.folder
        raise SourceError(f"{images} is a run, and no folder of images. Its images lie in {folder}: give that folder.")


def check_run_first(function: str, run: object, images: object) -> None:
    """Raise `OptionError` where a function got images in the place of a run, and the run as the images."""
    given = [Path(one) if isinstance(one, str | os.PathLike) else None for one in (run, images)]
    first, second = given
    if second is None or not holds_classifier(second) or (first is not None and holds_classifier(first)):
        return
    images_word = "images" if first is None else repr(str(first))
    raise OptionError(
        f"{second} is a run, and {'what stands before it' if first is None else first} is none: the run comes first. "
        f"Give: gr.{function}({str(second)!r}, {images_word})"
    )


def check_finished(run: Path) -> None:
    """Raise `SourceError` unless a folder holds a finished run; it says what the folder is instead."""
    if not all((run / name).is_file() for name in (RESULT, IMAGES)):
        raise SourceError(
            f"{run} holds no finished run of this version. Wanted: the folder that a fit wrote.{no_run_but(run)}"
        )
