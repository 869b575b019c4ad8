"""A change of views by a user's own function."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from goldenrule.core.errors import OptionError
from goldenrule.core.functions import function_name, key_of
from goldenrule.core.schema import as_json

PictureChange = Callable[[npt.NDArray[np.uint8], np.random.Generator], Any]
"""Takes a picture (size, size, 3), 0-255, and the generator to draw from; gives one of that shape."""


@dataclass(frozen=True, slots=True)
class CustomChange:
    """A function that changes a picture, with the key under which what it made is kept."""

    function: PictureChange
    key: str

    @classmethod
    def of(cls, function: PictureChange, key: str | None = None) -> CustomChange:
        """Name a function by its source, or by `key`; raises `OptionError` where neither is to be had."""
        return cls(function, key or key_of(function, "views made by it", "my-change-v1"))

    @property
    def name(self) -> str:
        """The function's name."""
        return function_name(self.function)

    def applied(self, view: npt.NDArray[np.float32], random: np.random.Generator) -> npt.NDArray[np.float32]:
        """Return the changed view (size, size, 3), values 0-255; what the function gets is rounded to whole values."""
        picture = np.clip(view + np.float32(0.5), 0, 255).astype(np.uint8)
        about = f"The augmentation {self.name}"
        try:
            result = np.asarray(self.function(picture, random))
        except Exception as error:
            raise OptionError(f"{about} failed ({type(error).__name__}: {error}).") from error
        if result.shape != view.shape or result.dtype.kind not in "uif":
            raise OptionError(
                f"{about} gave {result.dtype} of shape {result.shape}; wanted a picture of shape {view.shape}, "
                "values 0-255."
            )
        if not np.isfinite(result).all():
            raise OptionError(f"{about} gave values that are no numbers; wanted 0-255.")
        return np.asarray(np.clip(result, 0, 255), np.float32)


@as_json.register(CustomChange)
def _(value: CustomChange) -> dict[str, Any]:
    """Return what stands for the function in keys."""
    return {"name": value.name, "key": value.key}
