"""`Explained`: what a classifier says of some images, and what there is to be seen of why."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from goldenrule.analysis.gradcam import HeatMap
from goldenrule.analysis.nearest_images import Neighbour, Neighbours
from goldenrule.core.schema import as_json
from goldenrule.data.table import ImageTable


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Explanation:
    """One image: the prediction, the nearest training images, and what speaks for a class where.

    `why` says why an image that has another status than "ok" has no explanation. `ood`: nothing like it was seen in
    training, and the prediction means little. `heat` is None where there is no heat map; the notes of `Explained` say
    why. `others` are the next classes with their probabilities, `cut_away` the share of the picture that is outside of
    what the network sees.
    """

    id: str
    path: Path
    status: str
    why: str = ""
    prediction: str = ""
    probability: float = float("nan")
    neighbours: Neighbours
    heat: HeatMap | None = None
    ood: bool = False
    others: tuple[tuple[str, float], ...] = ()
    cut_away: float = 0.0

    @property
    def nearest(self) -> tuple[Neighbour, ...]:
        """The nearest training images."""
        return self.neighbours.nearest

    @property
    def agreeing(self) -> int:
        """How many of the nearest training images are of the predicted class."""
        return sum(self.prediction in one.labels for one in self.nearest)


@dataclass(frozen=True, kw_only=True, eq=False)
class Explained:
    """The explanations of some images by the classifier of a run, with the images it learned from.

    `train` are those of them that could be read, `notes` are sentences on what is missing, `seconds` what it took, by
    stage.
    """

    run: Path
    train: ImageTable
    explanations: tuple[Explanation, ...]
    notes: tuple[str, ...] = ()
    seconds: tuple[tuple[str, float], ...] = ()

    def __len__(self) -> int:
        return len(self.explanations)

    def __repr__(self) -> str:
        each = [f"{one.id}: {one.prediction or one.status}" for one in self.explanations[:3]]
        return f"Explained({'; '.join(each)}{'; ...' if len(self) > len(each) else ''})"

    def __getitem__(self, place: int) -> Explanation:
        return self.explanations[place]


@as_json.register(Explanation)
def _(value: Explanation) -> dict[str, Any]:
    heat = value.heat
    return {
        "path": value.id,
        "status": value.status,
        "why": value.why,
        "prediction": value.prediction or None,
        "probability": value.probability if value.status == "ok" else None,
        "ood": value.ood,
        "others": [{"class": name, "probability": probability} for name, probability in value.others],
        "cut_away": value.cut_away if value.status == "ok" else None,
        "nearest": [
            {"path": one.id, "classes": list(one.labels), "similarity": one.similarity, "copy": one.copy or None}
            for one in value.nearest
        ],
        "heat_map": None
        if heat is None
        else {
            "class": heat.of,
            "values": [[float(f"{number:.4g}") for number in row] for row in heat.values.tolist()],
            "window": list(heat.window),
        },
    }
