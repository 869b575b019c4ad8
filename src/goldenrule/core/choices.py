"""The words that options choose among, where several floors know them."""

from __future__ import annotations

from typing import Literal

HeadKind = Literal["linear", "concat-pool", "gap-1024", "flatten-64"]
Decoding = Literal["canonical", "scaled"]
"""Whether a picture is decoded in full, or large JPEGs at a fraction of their size (`decode.decode`)."""
