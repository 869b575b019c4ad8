"""Backbones side by side as the second answer of a fit: the same head, on the features of all that are embedded."""

from __future__ import annotations

from dataclasses import dataclass, replace

from goldenrule.core.option import HeadKind
from goldenrule.features.extractor import FeatureExtractor
from goldenrule.metrics import Predictions, log_loss
from goldenrule.metrics.estimate import printed
from goldenrule.metrics.selection_rules import Verdict, later_replaces, on_common
from goldenrule.models.catalog import EMBEDDED, JOINED
from goldenrule.pipelines.context import FitContext, precomputed
from goldenrule.pipelines.prepare import first_backbone
from goldenrule.pipelines.probe import LinearHeads, calibrated, candidate_of, head_name, linear_head, readable

ALL_EMBEDDED = JOINED.join(EMBEDDED)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Standing:
    """The best linear heads so far, and the context that they belong to: its backbone is theirs."""

    context: FitContext
    linear: LinearHeads


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
    kind: HeadKind = "root" if linear.chosen.head.kind == "root" else options.head_kind
    name = f"{head_name(kind)}, {len(EMBEDDED)} backbones side by side"
    newcomer = calibrated(wider, candidate_of(wider, name, linear_head(wider, train, features, 0, kind)))
    before, after = on_common(linear.chosen.evaluated_on, newcomer.evaluated_on)
    verdict = later_replaces(before, after, names=(linear.chosen.name, name))
    context.progress.say(_line(name, before, after, verdict))
    candidates = (*linear.candidates, replace(newcomer, verdict=verdict))
    if not verdict.replaced:
        return replace(standing, linear=replace(linear, candidates=candidates))
    heads = LinearHeads(candidates=candidates, chosen=candidates[-1], begins=linear.begins, features=features, views=0)
    return Standing(context=wider, linear=heads)


def _line(name: str, before: Predictions, after: Predictions, verdict: Verdict) -> str:
    """Return the step as one line: what it did to the cross-validated log loss, and whether it is selected."""
    old, new = (printed(log_loss(one))[0] for one in (before, after))
    outcome = "selected" if verdict.replaced else f"not selected: {verdict.why_not}"
    return f"  {name}: cross-validated log loss {old} -> {new}, {outcome}"
