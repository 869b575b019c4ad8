"""The demo set of a factory: 2,000 simulated textile surfaces, faultless or with one of two kinds of defect.

They come with the PyPI package conformal-clip-data (MIT), by Megahed et al., arXiv:2501.12596.
"""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path

from goldenrule.core.errors import MissingExtra, OptionError
from goldenrule.runs.options import FitOptions
from goldenrule.storage.files import atomic_folder

TEXTILE_OPTIONS = FitOptions(quick=True)
PACKAGE, WHERE = "conformal_clip_data", Path("data/textile_images/simulated")
NAMES = {"nominal": "faultless", "global": "global defect", "local": "local defect"}


def are_textiles_here() -> bool:
    """Return whether the package with the pictures is installed."""
    return importlib.util.find_spec(PACKAGE) is not None


def write_textiles(folder: Path) -> Path:
    """Write FOLDER/CLASS/textile_0001.jpg, and give the folder; one that is there stays.

    Raises `MissingExtra` where the package is not installed, `OptionError` where the folder holds something else.
    """
    if folder.is_dir():
        if not all((folder / name).is_dir() for name in NAMES.values()):
            raise OptionError(f"{folder} holds something else than the textiles, and stays: give another --folder.")
        return folder
    found = importlib.util.find_spec(PACKAGE)
    if found is None or found.origin is None:
        raise MissingExtra("The textiles need the extra `demo`: pip install 'goldenrule[demo]'. Or give --digits.")
    source = Path(found.origin).parent / WHERE
    with atomic_folder(folder) as temporary:
        for theirs, ours in NAMES.items():
            (temporary / ours).mkdir()
            for picture in sorted((source / theirs).glob("*.jpg")):
                shutil.copyfile(picture, temporary / ours / picture.name)
    return folder
