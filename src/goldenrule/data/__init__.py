"""Labelled images: the table that all else takes, and from there the pixels, views and splits.

Reading order: table · classes, grouping, units, in_order, name_order · scan (what one reading of a file tells) ·
loader · table_file, arrays, hugging_face, sample_photos; then the packages sources, pictures, augmentation, splits,
duplicates.
"""

from typing import TYPE_CHECKING

from goldenrule.core.lazy import lazy

if TYPE_CHECKING:
    from goldenrule.data.augmentation.augment import Augmentation
    from goldenrule.data.augmentation.presets import basic, custom, keras, side_on, top_down, trivial
    from goldenrule.data.pictures.preprocess import Preprocessing
    from goldenrule.data.splits.splitting import Shares

__all__ = [
    "Augmentation",
    "Preprocessing",
    "Shares",
    "basic",
    "custom",
    "keras",
    "side_on",
    "top_down",
    "trivial",
]

__getattr__, __dir__ = lazy(
    __name__,
    {
        "Augmentation": "augmentation.augment",
        "Preprocessing": "pictures.preprocess",
        "Shares": "splits.splitting",
        "basic": "augmentation.presets",
        "custom": "augmentation.presets",
        "keras": "augmentation.presets",
        "side_on": "augmentation.presets",
        "top_down": "augmentation.presets",
        "trivial": "augmentation.presets",
    },
)
