"""Small copies of a run's images for one page: each is read and decoded once for each size."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from goldenrule.report.thumbnails import LARGEST_SIDE_PX, Thumbnail, thumbnail_of

SMALL_SIDE_PX = 104
"""The longer side of pictures that stand in rows."""


@dataclass(slots=True)
class Album:
    """The thumbnails that a page shows; `image` gives the bytes of an image by its id, None where they are gone."""

    image: Callable[[str], bytes | None]
    found: dict[tuple[str, int], Thumbnail | None] = field(default_factory=dict)

    def picture(self, uri: str, side: int = LARGEST_SIDE_PX) -> Thumbnail | None:
        """Return the thumbnail of an image, None where its file is gone or is no picture any more."""
        if (uri, side) not in self.found:
            self.found[uri, side] = thumbnail_of(self.image, uri, side=side)
        return self.found[uri, side]

    def pictures(self, uris: Iterable[str], side: int = SMALL_SIDE_PX) -> list[tuple[str, Thumbnail | None]]:
        """Return images beside their thumbnails."""
        return [(uri, self.picture(uri, side)) for uri in uris]

    @property
    def images(self) -> int:
        """How many images have a small copy on the page."""
        return len({uri for (uri, _), thumbnail in self.found.items() if thumbnail is not None})
