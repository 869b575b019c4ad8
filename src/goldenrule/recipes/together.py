"""What must stay together in a fit's split though no name says so: near duplicates, found by the plain activations."""

from __future__ import annotations

import numpy as np

from goldenrule.activations.neighbours import near_duplicates
from goldenrule.activations.precompute import Activations
from goldenrule.images.likeness import Alike
from goldenrule.recipes.work import Work
from goldenrule.training.run import Outcome, about_images

NEAR_VERSION = 1
"""Goes up when other pairs are found: an earlier run's are not replayed then."""


def near_pairs(work: Work, activations: Activations) -> list[Alike]:
    """Give the near duplicates among the images of a fit; found once per run, then replayed (law 7)."""
    key = {
        "step": "near duplicates",
        "version": NEAR_VERSION,
        "images": about_images(work.table),
        "bank": activations.banks[0].name,
    }

    def found() -> Outcome:
        bank = activations.banks[0]
        pairs = near_duplicates(work.table, bank, threads=work.threads, progress=work.progress)
        rows = np.array([(pair.first, pair.second, pair.mirrored) for pair in pairs], np.int32).reshape(-1, 3)
        return Outcome({"pairs": rows, "cosine": np.array([pair.cosine for pair in pairs], np.float32)}, {})

    with work.story.stage("near duplicates"):
        outcome, _ = work.run.step(key, found)
    return [
        Alike(first=int(first), second=int(second), cosine=float(cosine), mirrored=bool(mirrored))
        for (first, second, mirrored), cosine in zip(outcome.tensors["pairs"], outcome.tensors["cosine"], strict=True)
    ]
