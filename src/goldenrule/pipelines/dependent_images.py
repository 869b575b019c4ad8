"""Whether a fit's images depend on their neighbours; where they do, folds and drawn splits keep neighbours together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import psutil

from goldenrule.analysis.dependence import (
    FEWEST_IMAGES,
    Flattery,
    Nearness,
    flattery,
    nearest_of_kind,
    nearness,
)
from goldenrule.core.errors import FormatError
from goldenrule.core.findings import Finding
from goldenrule.core.messages import Message
from goldenrule.core.schema import as_json, from_json
from goldenrule.data.duplicates.likeness import NearDuplicate
from goldenrule.data.name_order import Proposal, by_name, by_time, named_groups
from goldenrule.data.splits.folds import evaluation_folds
from goldenrule.data.splits.stretches import REST, blocks, kinds, torn
from goldenrule.data.table import ImageTable, Split
from goldenrule.data.units import duplicate_units, is_named
from goldenrule.features.extractor import Features
from goldenrule.features.linear import Rows
from goldenrule.metrics.estimate import Estimate, value_and_interval
from goldenrule.pipelines.context import FitContext
from goldenrule.pipelines.linear_heads import FOLDS
from goldenrule.pipelines.split_together import kept_together
from goldenrule.runs.store import Outcome, about_images
from goldenrule.storage.tensors import Array, check_arrays

VERSION = 1
"""Goes up when other answers are found: an earlier run's are not replayed then."""
FEWEST_PER_CLASS = 10
"""Of fewer images a class on average nothing is said."""
OFF = "--group-by none turns this off, --group-by REGEX names other groups."
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class DependentImages:
    """The images, with groups or places where they depend on their neighbours, and what is to be said of it."""

    table: ImageTable
    findings: tuple[Finding, ...]
    about: dict[str, Any]


def keep_neighbours_together(
    context: FitContext, features: Features, table: ImageTable, pairs: Sequence[NearDuplicate]
) -> DependentImages:
    """Test whether images are like their neighbours and whether that flatters; tested once a run, then replayed.

    `table` has its near duplicates (`pairs`) in groups. Names propose groups and orders, the images decide. With
    `--group-by none` nothing changes, and a warning says what was found.
    """
    key = {
        "step": "dependence",
        "version": VERSION,
        "images": about_images(table),
        "cache": features.caches[0].name,
        "seed": context.options.seed,
        "group by": context.options.group_by,
    }

    def asked() -> Outcome:
        found = _Question(context, features, table, pairs).result()
        groups, places = found.table.rows["group"].to_pylist(), found.table.places
        said = {
            "groups": groups if groups != table.rows["group"].to_pylist() else None,
            "findings": as_json(found.findings),
            "about": found.about,
        }
        tensors = {"places": np.array([-1 if place is None else place for place in places], np.int64)}
        return Outcome(tensors, said)

    with context.state.stage("dependence"):
        outcome, _ = context.run.step(key, asked, check=lambda kept: _read(kept, table))
    return _read(outcome, table)


def _read(outcome: Outcome, table: ImageTable) -> DependentImages:
    """Return the answer that an outcome holds. Raises `FormatError` for one of other images."""
    check_arrays(outcome.tensors, {"places": Array((len(table),), kind="whole")}, what="the question of dependence")
    places = outcome.tensors["places"]
    if places.size and not -1 <= places.min() <= places.max() < len(table):
        raise FormatError(f"The question of dependence names places beyond the {len(table)} images that there are.")
    about = dict(outcome.facts["about"])
    if about["outcome"] == "dependent":
        from_json(about["together"], Estimate)
    if (groups := outcome.facts["groups"]) is not None:
        table = table.with_groups(groups)
    if (places >= 0).any():
        table = table.with_places([None if place < 0 else place for place in places.tolist()])
    findings = [from_json(one, Finding) for one in outcome.facts["findings"]]
    return DependentImages(table=table, findings=tuple(findings), about=about)


def torn_splits(table: ImageTable, about: Mapping[str, Any]) -> Iterator[Finding]:
    """Return a warning for each split that has neighbours in train, beside what keeping them together gives."""
    splits: tuple[Split, ...] = ("valid", "test")
    mixed = [split for split in splits if split in table.splits and torn(table, split)]
    if mixed and about["outcome"] == "dependent":
        number = value_and_interval(from_json(about["together"], Estimate))
        yield Finding(
            severity="warning",
            code="neighbours-in-two-splits",
            fields={"splits": tuple(mixed), "n": len(mixed), "found": number},
            leads=True,
        )


class _Question:
    """One asking: the images that may be moved, their features, kinds and units."""

    def __init__(
        self, context: FitContext, features: Features, table: ImageTable, pairs: Sequence[NearDuplicate]
    ) -> None:
        self.context, self.features, self.table, self.pairs = context, features, table, pairs
        cache, digests = features.caches[0], table.digests
        self.labels = table.rows["labels"].to_pylist()
        self.readable = cache.has(digests) & table.labelled
        self.movable = self.readable & np.array([split in (None, "train") for split in table.splits], bool)
        self.units = duplicate_units(table)
        self.kinds = kinds(self.labels, self.units, task=table.task)

    def result(self) -> DependentImages:
        """Return the images as they are to be kept together, and what was found.

        Groups that names propose come first; where they are taken, orders are asked of what is left: of one image a
        group.
        """
        given = any(map(is_named, self.table.rows["group"].to_pylist()))
        named = [] if given else named_groups(self.table, np.where(self.movable, self.kinds, REST).tolist())
        orders = [
            proposal
            for proposal in (by_name(self.table), by_time(self.table, threads=self.context.threads))
            if proposal
        ]
        found = self._asked(named, orders)
        if found.table.rows["group"].equals(self.table.rows["group"]):
            return found
        more = _Question(self.context, self.features, found.table, self.pairs)._asked([], orders)
        if more.table is found.table:
            return found
        return DependentImages(table=more.table, findings=(*more.findings, *found.findings), about=more.about)

    def _asked(self, named: Sequence[Proposal], orders: Sequence[Proposal]) -> DependentImages:
        counted = self._counted(self.movable)
        if not (orders or named):
            return self._unchecked(Message("unchecked.hashes"))
        asked, nearest = nearest_of_kind(self._read, counted, seed=self.context.options.seed)
        if len(asked) < max(FEWEST_IMAGES, FEWEST_PER_CLASS * len(np.unique(counted[counted >= 0]))):
            return self._unchecked(Message("unchecked.few"))
        tried = nearness([*named, *orders], asked, nearest, counted, seed=self.context.options.seed)
        shown = [one for one in tried if one.shown]
        clearest = max((one.share - one.chance for one in shown), default=0.0)
        looked: list[tuple[Nearness, Flattery]] = []
        for one in sorted(shown, key=lambda one: (one.proposal.groups is None, one.chance - one.share)):
            if one.proposal.groups is not None and one.share - one.chance < clearest / 2:
                continue  # frames of the same number are alike, but those of the same film more so
            flatters = self._flattery(one.proposal)
            if flatters.shown:
                return self._dependent(tried, one, flatters)
            looked.append((one, flatters))
        return self._independent(tried, looked)

    def _counted(self, mask: Mask) -> npt.NDArray[np.int64]:
        """Return the kinds (n,) of the first image of each unit, -1 for all others: each unit counts once."""
        found = np.full(len(self.units), REST, np.int64)
        seen: set[bytes] = set()
        for row in np.flatnonzero(mask).tolist():
            if self.units[row] not in seen:
                seen.add(self.units[row])
                found[row] = self.kinds[row]
        return found

    def _read(self, rows: Sequence[int]) -> npt.NDArray[np.float16]:
        digests = self.table.digests
        return self.features.rows([digests[row] or b"" for row in rows])

    def _together(self, proposal: Proposal) -> ImageTable:
        """Return the images with what a proposal keeps together: groups, or places."""
        if proposal.groups is None:
            return self.table.with_places(list(proposal.places))
        return kept_together(self.table.with_groups(list(proposal.groups)), self.pairs)

    def _joined(self, proposal: Proposal) -> ImageTable:
        """Return the images with what a proposal keeps together, in given splits only where names go with train's.

        A split that is numbered for itself has nothing to do with the numbers of train: its images must be like those
        that train near them.
        """
        table = self._together(proposal)
        for split in ("valid", "test"):
            mine = self.readable & np.array([given == split for given in self.table.splits], bool)
            if not mine.any():
                continue
            counted = self._counted(self.movable | mine)
            pairs = nearest_of_kind(self._read, counted, apart=mine, seed=self.context.options.seed)
            seed = self.context.options.seed
            if len(pairs[0]) and nearness([proposal], *pairs, counted, apart=mine, seed=seed)[0].shown:
                continue
            alone = [given == split for given in self.table.splits]
            places = zip(table.places, alone, strict=True)
            table = table.with_places([None if stranger else place for place, stranger in places])
            if proposal.groups is not None:
                before = self.table.rows["group"].to_pylist()
                groups = zip(table.rows["group"].to_pylist(), before, alone, strict=True)
                table = table.with_groups([given if stranger else new for new, given, stranger in groups])
        return table

    def _flattery(self, proposal: Proposal) -> Flattery:
        rows = np.flatnonzero(self.movable).tolist()
        table = self._together(proposal).where(self.movable)
        labels = table.rows["labels"].to_pylist()
        digests = [digest or b"" for digest in table.digests]
        apart = evaluation_folds(table, FOLDS, seed=self.context.options.seed)
        return flattery(
            Rows(
                read=lambda start, stop: self.features.rows(digests[start:stop]),
                targets=table.truth,
                weights=table.rows["weight"].to_numpy(),
                folds=apart,
                features=self.features.caches[0].features,
                classes=len(table.classes),
                scored=len(table),
                budget_bytes=psutil.virtual_memory().total // 4,
            ),
            apart,
            classes=table.classes,
            task=table.task,
            labels=labels,
            units=[self.units[row] for row in rows],
            kinds=self.kinds[self.movable],
            groups=blocks(table) or [None] * len(table),
            seed=self.context.options.seed,
            progress=self.context.progress,
        )

    def _dependent(self, tried: Sequence[Nearness], found: Nearness, flatters: Flattery) -> DependentImages:
        about = _about("dependent", tried, found, flatters)
        if self.context.options.group_by == "none":
            variant, table = "left-apart", self.table
        else:
            variant, table = "", self._joined(found.proposal)
        return DependentImages(
            table=table,
            findings=(
                Finding(
                    severity="warning",
                    code="neighbours-alike",
                    variant=variant,
                    fields={"order": found.proposal.name, **flatters.texts},
                    evidence=(found.sentence,),
                    leads=True,
                ),
            ),
            about=about,
        )

    def _independent(self, tried: Sequence[Nearness], looked: Sequence[tuple[Nearness, Flattery]]) -> DependentImages:
        if not looked:
            return DependentImages(table=self.table, findings=(), about=_about("none", tried))
        found, flatters = max(looked, key=lambda one: one[0].share - one[0].chance)
        note = Finding(
            severity="note",
            code="neighbours-alike-harmless",
            variant="" if flatters.visible_drop is None else "tested",
            fields={
                "order": found.proposal.name,
                **flatters.texts,
                **({} if flatters.visible_drop is None else {"seen": flatters.visible_drop}),
            },
            evidence=(found.sentence,),
        )
        return DependentImages(table=self.table, findings=(note,), about=_about("alike", tried, found, flatters))

    def _unchecked(self, why: Message) -> DependentImages:
        note = Finding(
            severity="note",
            code="neighbours-unchecked",
            fields={"why": why},
        )
        return DependentImages(
            table=self.table, findings=(note,), about={"outcome": "unknown", "tried": [], "why": str(why)}
        )


def _about(
    outcome: str, tried: Sequence[Nearness], found: Nearness | None = None, flatters: Flattery | None = None
) -> dict[str, Any]:
    """Return what is kept in result.json."""
    value: dict[str, Any] = {
        "outcome": outcome,
        "tried": [
            {
                "what": one.proposal.name,
                "share": one.share,
                "chance": one.chance,
                "p_value": one.p_value,
                "images": one.images,
            }
            for one in tried
        ],
    }
    if found is not None and flatters is not None:
        value |= {"found": found.proposal.name, **as_json(flatters)}
    return value
