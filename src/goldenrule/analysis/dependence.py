"""Are images that stand near each other alike, and does that flatter? Asked of the images, not guessed by their names.

1. `nearness`: an exact permutation test. Of each image the nearest neighbour of its kind is found (cosine of features);
   how often it stands nearby in an order, or in the same group, is compared with the same after the names were
   permuted within kinds. Independent images have no reason to stand near those like them.
2. `flattery`: out-of-fold numbers with neighbours kept together, against folds of the same sizes drawn at random.
   Where these are better, a network is asked for what its neighbours have taught, which new images will not do.

Roberts et al. (2017), Ecography 40:913-929, on block cross-validation; Phipson and Smyth (2010), Statistical
Applications in Genetics and Molecular Biology 9:39, on p-values by permutation.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from goldenrule.core.progress import Progress, Silent
from goldenrule.core.randomness import generator
from goldenrule.core.schema import IF_OTHERWISE
from goldenrule.data.name_order import Proposal
from goldenrule.data.splits.evaluated_classes import NOT_EVALUATED, evaluable_folds, traits
from goldenrule.data.splits.stretches import FEWEST
from goldenrule.features.linear import Rows, fit_linear
from goldenrule.metrics import Predictions, quality
from goldenrule.metrics.basic import hits, image_losses, log_loss
from goldenrule.metrics.estimate import Estimate, value_and_interval, value_beside_interval
from goldenrule.metrics.grouped.clusters import clustered_mean, group_numbers
from goldenrule.metrics.uncertainty.paired import holm

Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]

WINDOW = 20
"""Nearby is within a twentieth of the images of a kind: wide enough for a film of many frames, and 10 % by chance."""
PERMUTATIONS = 999
LEVEL = 0.01
"""Of all orders and groups tried together (Holm): one set of a hundred independent ones is called dependent."""
LEAST_DROP, LEAST_RISE = 0.01, 0.05
"""It flatters where accuracy is a point better, or log loss 5 % lower. Less would change no decision: intervals of a
thousand images are wider.
"""
HARMLESS_DROP, HARMLESS_RISE = 0.03, 0.25
"""A difference that is not beyond chance is harmless where its interval ends below this. Of few films hardly any
difference is beyond chance, and a wrong number costs more than a cautious one.
"""
FEW_IMAGES = 2
"""A difference of so many images is none."""
LEAST_LOSS = 0.01
"""Below a hundredth of a nat a share of it says nothing."""
FEWEST_IMAGES = 20
"""Of fewer images that can be compared nothing is said."""
DRAWS = 3
"""Random folds are drawn so often: their mean has less noise than a difference of two draws."""
MOST_COMPARED = 1 << 27
"""So many pairs are compared: above it a sample of images is asked for its neighbours, 200 of a kind at least."""
FEWEST_ASKED = 200
_BLOCK = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Nearness:
    """How often the nearest neighbour of an image is nearby (`share`), and how often by chance.

    `p_value` is one-sided and holds for all proposals that were tried together; `images` were asked.
    """

    proposal: Proposal
    share: float
    chance: float
    p_value: float
    images: int

    @property
    def shown(self) -> bool:
        """Whether neighbours are alike."""
        return self.p_value <= LEVEL

    @property
    def sentence(self) -> str:
        """What was seen, with numbers."""
        return (
            f"{100 * self.share:.0f} % of {self.images:,} images have their nearest neighbour of the same class "
            f"{self.proposal.where}, {100 * self.chance:.0f} % by chance (p = {self.p_value:.2g})"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Flattery:
    """Numbers out-of-fold with neighbours kept together (`apart` from what evaluates them) and at random.

    `drop` is by how much accuracy falls when they are kept together (None for several labels), `rise` by how much log
    loss rises, as a share of it: both with intervals over blocks.
    """

    random: Estimate
    together: Estimate
    random_loss: Estimate
    together_loss: Estimate
    drop: Estimate | None = field(default=None, metadata=IF_OTHERWISE)
    rise: Estimate

    @property
    def shown(self) -> bool:
        """Whether random folds flatter: by so much that it matters, and it is more than chance or may be much."""
        if self.drop is None:
            return _beyond_chance(self.rise, LEAST_RISE) or _may_be_much(self.rise, LEAST_RISE, HARMLESS_RISE)
        falls = _beyond_chance(self.drop, LEAST_DROP) or _may_be_much(self.drop, LEAST_DROP, HARMLESS_DROP)
        some = self.drop.value * self.drop.n > FEW_IMAGES
        return (falls and some) or _beyond_chance(self.rise, LEAST_RISE)

    @property
    def texts(self) -> dict[str, str]:
        """The numbers of both, as the fields of a finding."""
        together = value_and_interval(self.together)
        return {"metric": self.together.name, "together": together, "random": value_beside_interval(self.random)[0]}

    @property
    def visible_drop(self) -> float | None:
        """The drop in points that would have been found four times of five where none was; None where one was."""
        if self.shown or self.drop is None or not self.drop.bounded:
            return None
        return max(100 * (self.drop.high - self.drop.low) / 2 * (1.96 + 0.84) / 1.96, 0.1)


def nearest_of_kind(
    read: Callable[[Sequence[int]], npt.NDArray[np.floating]],
    kinds: Integers,
    *,
    apart: npt.NDArray[np.bool_] | None = None,
    seed: int = 0,
) -> tuple[Integers, Integers]:
    """Return images that are asked (q,) and the nearest neighbour of each (q,) of its kind, by cosine.

    `read` returns the features (n, features) of row numbers, `kinds` (n,) are numbers, -1 for what takes no part.
    Kinds of fewer than eight images take no part. With `apart` (n,) those for which it is true are asked for their
    neighbours among the others. How many pairs are compared is bounded, and memory does not grow with the images.
    """
    members = [np.flatnonzero(kinds == kind) for kind in np.unique(kinds[kinds >= 0])]
    members = [rows for rows in members if len(rows) >= FEWEST]
    share = MOST_COMPARED / max(sum(len(rows) ** 2 for rows in members), 1)
    asked, nearest = [], []
    for every in members:
        mine, rows = (every, every) if apart is None else (every[apart[every]], every[~apart[every]])
        if not len(mine) or not len(rows):
            continue
        count = min(len(mine), max(FEWEST_ASKED, int(share * len(mine))))
        draws = generator(seed, "nearest of kind", len(mine))
        sample = mine if count == len(mine) else np.sort(draws.choice(mine, count, replace=False))
        for start in range(0, len(sample), _BLOCK):
            block = sample[start : start + _BLOCK]
            queries = _unit(read(block.tolist()))
            best, where = np.full(len(block), -np.inf, np.float32), np.zeros(len(block), np.int64)
            for first in range(0, len(rows), _BLOCK):
                others = rows[first : first + _BLOCK]
                cosines = queries @ _unit(read(others.tolist())).T
                cosines[block[:, np.newaxis] == others] = -np.inf
                place = cosines.argmax(axis=1)
                value = cosines[np.arange(len(block)), place]
                better = value > best
                best[better], where[better] = value[better], others[place[better]]
            asked.append(block)
            nearest.append(where)
    if not asked:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    return np.concatenate(asked), np.concatenate(nearest)


def nearness(
    proposals: Sequence[Proposal],
    asked: Integers,
    nearest: Integers,
    kinds: Integers,
    *,
    apart: npt.NDArray[np.bool_] | None = None,
    seed: int = 0,
) -> list[Nearness]:
    """Return for each proposal how often neighbours (`nearest_of_kind`) are near in it, tested by permuting its names.

    With `apart` (n,) the names of these images are shifted along their order instead, all by as much: they may well be
    like each other, and what is asked is whether they are like the others that are near. All are tested at once: the
    p-values are those of Holm (1979).
    """
    found = []
    for proposal in proposals:
        hits_now, by_chance = _permuted(proposal, asked, nearest, kinds, apart, seed=seed)
        p_value = (1 + int((by_chance >= hits_now).sum())) / (1 + PERMUTATIONS)
        count = max(len(asked), 1)
        found.append(
            Nearness(
                proposal=proposal,
                share=hits_now / count,
                chance=float(by_chance.mean()) / count,
                p_value=p_value,
                images=len(asked),
            )
        )
    adjusted = holm([one.p_value for one in found])
    return [replace(one, p_value=p_value) for one, p_value in zip(found, adjusted, strict=True)]


def flattery(
    rows: Rows,
    apart: Integers,
    *,
    classes: Sequence[str],
    task: Literal["single", "multi"],
    labels: Sequence[Sequence[int]],
    units: Sequence[bytes],
    kinds: Integers,
    groups: Sequence[str | None],
    seed: int = 0,
    progress: Progress | None = None,
) -> Flattery:
    """Compare folds `apart` (n,) that keep neighbours together with folds of the same sizes drawn at random.

    `rows` are plain features; random folds deal the units of each kind anew to the places that `apart` has for
    them, so both train on as many images of each. Each chooses its own penalty. `groups` (n,) are the blocks that
    the intervals resample.
    """
    shown = traits(labels, task=task)
    folds = int(apart.max()) + 1
    dealt = [
        evaluable_folds(_shuffled(apart, units, kinds, draw, seed=seed), shown, units, count=folds)
        for draw in range(DRAWS)
    ]
    evaluated = np.all([fold_of != NOT_EVALUATED for fold_of in (apart, *dealt)], axis=0)
    numbers = group_numbers(list(groups))

    def said(logits: Floats) -> Predictions:
        every = Predictions.from_logits(logits, classes, truth=rows.targets, group=numbers, task=task)
        return every.select(evaluated)

    with (progress or Silent()).task("dependence", DRAWS + 1, "folds") as task_shown:
        randoms = []
        for fold_of in dealt:
            randoms.append(said(fit_linear(replace(rows, folds=fold_of)).fold_logits))
            task_shown.advance()
        together = said(fit_linear(replace(rows, folds=apart)).fold_logits)
        task_shown.advance()
    losses = np.mean([image_losses(predictions) for predictions in randoms], axis=0)
    base = max(float(losses.mean()), LEAST_LOSS)
    rises = (image_losses(together) - losses) / base
    falls = (
        np.mean([hits(predictions) for predictions in randoms], axis=0) - hits(together) if task == "single" else None
    )
    return Flattery(
        random=_mean_of([quality(predictions) for predictions in randoms]),
        together=quality(together),
        random_loss=_mean_of([log_loss(predictions) for predictions in randoms]),
        together_loss=log_loss(together),
        drop=None if falls is None else _difference("drop of accuracy", falls, numbers[evaluated]),
        rise=_difference("rise of log loss", rises, numbers[evaluated]),
    )


def _beyond_chance(difference: Estimate, least: float) -> bool:
    """Return whether a difference matters, and its interval leaves out that there is none."""
    return difference.value >= least and difference.bounded and difference.low > 0


def _may_be_much(difference: Estimate, least: float, harmless: float) -> bool:
    """Return whether a difference matters, and it is not known to be harmless."""
    return difference.value >= least and not (difference.bounded and difference.high <= harmless)


def _difference(name: str, values: npt.NDArray[np.float64], groups: Integers) -> Estimate:
    about = clustered_mean(values, groups).about
    return Estimate(name=name, value=float(values.mean()), n=len(values), kind="points", **about)


def _permuted(
    proposal: Proposal,
    asked: Integers,
    nearest: Integers,
    kinds: Integers,
    apart: npt.NDArray[np.bool_] | None,
    *,
    seed: int,
) -> tuple[int, npt.NDArray[np.float64]]:
    """Return how many neighbours are near, and how many after each permutation of the names within kinds."""
    draws = generator(seed, "nearness", proposal.name)
    grouped = proposal.groups is not None
    codes = group_numbers(list(proposal.groups)) if proposal.groups is not None else np.array(proposal.places)
    now, by_chance = 0, np.zeros(PERMUTATIONS)
    for kind in np.unique(kinds[asked]):
        rows = np.flatnonzero(kinds == kind)
        of_kind = asked[kinds[asked] == kind]
        one, other = np.searchsorted(rows, of_kind), np.searchsorted(rows, nearest[kinds[asked] == kind])
        names = codes[rows] if grouped else np.argsort(np.argsort(codes[rows], kind="stable"), kind="stable")
        window = 0.0 if grouped else max(1.0, len(rows) / WINDOW)
        now += int((np.abs(names[one] - names[other]) <= window).sum())
        mine = np.arange(len(rows)) if apart is None else np.flatnonzero(apart[rows])
        mine = mine[np.argsort(names[mine], kind="stable")]
        for number in range(PERMUTATIONS):
            if apart is None:
                mixed = draws.permutation(names)
            else:
                mixed = names.copy()
                mixed[mine] = np.roll(names[mine], int(draws.integers(len(mine))))
            by_chance[number] += (np.abs(mixed[one] - mixed[other]) <= window).sum()
    return now, by_chance


def _shuffled(apart: Integers, units: Sequence[bytes], kinds: Integers, draw: int, *, seed: int) -> Integers:
    """Return the folds with those of the units of each kind permuted among them."""
    first: dict[bytes, int] = {}
    for row, unit in enumerate(units):
        first.setdefault(unit, row)
    leaders = np.array(list(first.values()))
    folds = apart[leaders].copy()
    draws = generator(seed, "random folds", draw)
    for kind in np.unique(kinds[leaders]):
        of_kind = np.flatnonzero(kinds[leaders] == kind)
        folds[of_kind] = draws.permutation(folds[of_kind])
    of_unit = dict(zip(first, folds.tolist(), strict=True))
    return np.array([of_unit[unit] for unit in units], np.int64)


def _unit(rows: npt.NDArray[np.floating]) -> Floats:
    whole = np.asarray(rows, np.float32)
    return np.asarray(whole / np.maximum(np.linalg.norm(whole, axis=1, keepdims=True), 1e-12), np.float32)


def _mean_of(estimates: Sequence[Estimate]) -> Estimate:
    """Return the mean of the same number over several draws of folds; its interval is the mean one."""
    means: dict[str, Any] = {
        name: float(np.mean([getattr(one, name) for one in estimates])) for name in ("value", "low", "high")
    }
    return replace(estimates[0], **means)
