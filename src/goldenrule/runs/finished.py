"""Whether a folder holds a finished run, asked by every command that looks into one."""

from __future__ import annotations

from pathlib import Path

from goldenrule.core.errors import SourceError
from goldenrule.runs.verified_files import IMAGES, RESULT
from goldenrule.storage.files import no_run_but


def check_finished(run: Path) -> None:
    """Raise `SourceError` unless a folder holds a finished run; it says what the folder is instead."""
    if not all((run / name).is_file() for name in (RESULT, IMAGES)):
        raise SourceError(
            f"{run} holds no finished run of this version. Wanted: the folder that a fit wrote.{no_run_but(run)}"
        )
