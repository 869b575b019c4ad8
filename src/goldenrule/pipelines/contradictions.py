"""What a fit's own numbers say against each other, told before them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from goldenrule.core.findings import Finding
from goldenrule.features.linear import DECADES
from goldenrule.metrics import Predictions
from goldenrule.metrics.estimate import Basis
from goldenrule.metrics.uncertainty.consistency import at_the_end_of_its_range, inconsistencies
from goldenrule.metrics.uncertainty.temperature import HIGHEST
from goldenrule.models.classifier import Classifier
from goldenrule.pipelines.fit_result import Candidate


def contradictions(
    scored: Mapping[str, Predictions],
    classifier: Classifier,
    chosen: Candidate,
    *,
    torn: Collection[str],
    beta: float = 1,
) -> Iterator[Finding]:
    """Return the errors of `inconsistencies` for the splits that the chosen network has predicted.

    Out-of-fold predictions are those of a linear head: they count only where it was chosen. Splits that are `torn`,
    with neighbours in train, are known to flatter, and are not compared.
    """
    linear = chosen.evaluated_split == "out-of-fold"
    checked = {
        split: said for split, said in scored.items() if split not in torn and (linear or split != "out-of-fold")
    }
    held_out = {split: said.basis == Basis.HELD_OUT for split, said in checked.items()}
    yield from inconsistencies(
        checked, sets=classifier.sets, ood_detector=classifier.ood_detector, held_out=held_out, beta=beta
    )
    if linear and "l2" in chosen.facts:
        l2 = float(chosen.facts["l2"])
        yield from at_the_end_of_its_range("penalty", l2, DECADES[-1], DECADES[0], chosen.evaluated_on)
    if chosen.calibration and chosen.calibration.applied and scored and classifier.task == "single":
        value = chosen.calibration.temperature.value  # floors below 1 are there by design
        yield from at_the_end_of_its_range("temperature", value, 0.0, HIGHEST, chosen.evaluated_on)
