"""Backbones side by side as the second answer of a fit: the same head, on the features of all that are embedded."""

from __future__ import annotations

from dataclasses import dataclass, replace

from goldenrule.features.extractor import FeatureExtractor
from goldenrule.features.speed_record import known_speed
from goldenrule.metrics.selection_rules import later_replaces, on_common
from goldenrule.models.catalog import DEFAULT_BACKBONE, EMBEDDED, JOINED
from goldenrule.pipelines.context import FitContext, precomputed
from goldenrule.pipelines.prepare import first_backbone
from goldenrule.pipelines.probe import LinearHeads, calibrated, candidate_of, linear_head, readable
from goldenrule.training.plan import SPEED_UNKNOWN

ALL_EMBEDDED = JOINED.join(EMBEDDED)
TIMES_THE_WORK = 5.7
"""Multiply-adds of all three, in those of the default backbone."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Standing:
    """The best linear heads so far, and the context that they belong to: its backbone is theirs."""

    context: FitContext
    linear: LinearHeads


def begins_with_the_default(context: FitContext) -> bool:
    """Return whether a fit begins with the embedded default as it is: what was measured was measured of it."""
    options, spec = context.options, context.backbone.spec
    plain = options.training is None and options.folds is None and not options.candidates and options.size is None
    weights = options.weights is None and options.start_from is None
    return (
        plain and weights and spec.name == DEFAULT_BACKBONE and spec.timm_name == EMBEDDED[DEFAULT_BACKBONE].timm_name
    )


def with_several_backbones(standing: Standing) -> Standing:
    """Fit the same head on the features of all embedded backbones; go on from there where it is clearly better.

    It is compared out-of-fold with the head so far, on the plain view: as if these backbones had been named.
    """
    context, linear = standing.context, standing.linear
    options = replace(context.options, backbone=ALL_EMBEDDED)
    extractor = FeatureExtractor.of(
        first_backbone(options, context.progress),
        device=options.device,
        threads=options.threads,
        progress=context.progress,
    )
    wider = replace(context, extractor=extractor)
    features = precomputed(wider, 0)
    train = readable(wider.table, "train", features).only_labelled()
    name = f"{options.head} head, {len(EMBEDDED)} backbones side by side"
    newcomer = calibrated(wider, candidate_of(wider, name, linear_head(wider, train, features, 0)))
    before, after = on_common(linear.chosen.evaluated_on, newcomer.evaluated_on)
    verdict = later_replaces(before, after, names=(linear.chosen.name, name))
    candidates = (*linear.candidates, replace(newcomer, verdict=verdict))
    if not verdict.replaced:
        return replace(standing, linear=replace(linear, candidates=candidates))
    heads = LinearHeads(candidates=candidates, chosen=candidates[-1], features=features, views=0)
    return Standing(context=wider, linear=heads)


def seconds_of_several(context: FitContext) -> float:
    """Return about how long `with_several_backbones` takes, by the speed of the default backbone on this machine."""
    speed = known_speed(context.backbone.spec, context.kind) or SPEED_UNKNOWN
    return 5.0 + TIMES_THE_WORK * len(context.table) / speed
