"""`goldenrule share`: a copy of a classifier that others may have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from goldenrule.cli.options import Numbers, Run, command, output

EXAMPLES = """Examples:

  goldenrule share runs/photos                      shared/photos, a folder to give away

  goldenrule share runs/photos -o photos-classifier

  goldenrule predict shared/photos new_photos/      the same predictions
"""


@command(EXAMPLES)
def share(
    run: Run,
    out: Annotated[Path | None, output("A new folder for the copy.", "shared/NAME")] = None,
) -> Numbers:
    """Copy a classifier without paths, names of files, thumbnails and features of single images."""
    from goldenrule.core.console import Console, Text
    from goldenrule.storage.files import in_shell
    from goldenrule.tasks.sharing import share as shared_by

    found = shared_by(run, out or Path("shared") / (run.resolve().name or "classifier"))
    lines = [
        f"Classifier: {found.folder}",
        "Same classes and probabilities as before. Left out:",
        *(f"  - {what}" for what in found.left_out),
        f"Next:       goldenrule predict {in_shell(found.folder)} NEW_PHOTOS -o predictions.csv",
    ]
    console = Console()
    for line in lines:
        console.print(Text(line), soft_wrap=True)
    return {"folder": str(found.folder), "left_out": found.left_out}
