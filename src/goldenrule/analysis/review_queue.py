"""In which order images are looked at again: the most doubtful label first, copies of an image on one card.

What makes an image suspect comes from several sides, each with its doubt from 0 to 1: how probably something about it
has to be changed. A card gathers what is said of an image and its copies, and stands where its largest doubt puts it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from goldenrule.core.findings import plural
from goldenrule.storage.files import digest

SuspicionKind = Literal["conflict", "label", "leak", "mistake", "ood", "duplicate"]
KINDS: tuple[SuspicionKind, ...] = get_args(SuspicionKind)
NAMED: Mapping[SuspicionKind, str] = {
    "conflict": "conflicting label",
    "label": "doubtful label",
    "leak": "leak",
    "mistake": "confident mistake",
    "ood": "odd image",
    "duplicate": "duplicate",
}
LEAK, OOD, DUPLICATE = 0.75, 0.3, 0.05
"""Doubts of what has no probability: a leak is certain, and flatters; an odd image may be fine; copies do little."""
MISTAKE_WEIGHT = 0.5
"""A mistake of the classifier is one opinion, a label that heads contradict out-of-fold another: the latter leads."""
LEAST_CONFIDENT = 0.9
"""A mistake is shown where the classifier was as confident as this."""
FAR_OUT = 1.5
"""So many quartile ranges above the third quartile of all distances an image is unlike the others (Tukey 1977)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspicion:
    """Why images may be wrong: rows of the table, the doubt, a sentence, and the label they should rather have."""

    kind: SuspicionKind
    rows: tuple[int, ...]
    doubt: float
    reason: str
    suggested: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewCard:
    """An image and its copies, to be decided on at once.

    `rows` are all of them, `marked` those that are suspect, `reasons` what is said, the largest doubt first.
    """

    id: str
    rows: tuple[int, ...]
    marked: tuple[int, ...]
    kinds: tuple[SuspicionKind, ...]
    reasons: tuple[str, ...]
    doubt: float
    suggested: str = ""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ReviewedImages:
    """What is known of n images: path, split, label, and the name that each shares with its copies.

    `same_file` (n,) are the digests of their bytes. `probabilities` (n, classes) are those of heads that have not seen
    the image; nan where no head could say.
    """

    classes: tuple[str, ...]
    uris: Sequence[str]
    splits: Sequence[str | None]
    labels: npt.NDArray[np.int64]
    units: Sequence[Hashable]
    same_file: Sequence[bytes | None]
    probabilities: npt.NDArray[np.float64]

    def copies(self) -> list[tuple[int, ...]]:
        """Return the rows of each image with its copies."""
        found: dict[Hashable, list[int]] = defaultdict(list)
        for row, unit in enumerate(self.units):
            found[unit].append(row)
        return [tuple(rows) for rows in found.values()]


def review_queue(images: ReviewedImages, suspicions: Sequence[Suspicion]) -> list[ReviewCard]:
    """Return the cards in the order of their doubts; of equal ones in the order of the images."""
    of_unit: dict[Hashable, list[Suspicion]] = defaultdict(list)
    for one in suspicions:
        of_unit[images.units[one.rows[0]]].append(one)
    cards = []
    for rows in images.copies():
        said = sorted(of_unit.get(images.units[rows[0]], ()), key=lambda one: (-one.doubt, KINDS.index(one.kind)))
        if said:
            cards.append(
                ReviewCard(
                    id=digest("\0".join(images.uris[row] for row in rows).encode())[:8].hex(),
                    rows=rows,
                    marked=said[0].rows,
                    kinds=tuple(dict.fromkeys(one.kind for one in said)),
                    reasons=tuple(dict.fromkeys(one.reason for one in said)),
                    doubt=said[0].doubt,
                    suggested=next((one.suggested for one in said if one.suggested), ""),
                )
            )
    return sorted(cards, key=lambda card: (-card.doubt, card.rows))


def label_suspicions(images: ReviewedImages) -> Iterator[Suspicion]:
    """Return a suspicion for each label that is contradicted: another class is likelier. Copies share theirs."""
    told = ~np.isnan(images.probabilities).any(axis=1)
    given = np.where(told, images.probabilities[np.arange(len(images.labels)), images.labels], 1.0)
    likely = np.where(told, np.nan_to_num(images.probabilities).argmax(axis=1), images.labels)
    for rows in images.copies():
        of_label: dict[int, list[int]] = defaultdict(list)
        for row in rows:
            if likely[row] != images.labels[row]:
                of_label[int(images.labels[row])].append(row)
        for label, doubted in of_label.items():
            worst = min(doubted, key=lambda row: (given[row], row))
            rather = images.classes[likely[worst]]
            chance = images.probabilities[worst, likely[worst]]
            yield Suspicion(
                kind="label",
                rows=tuple(doubted),
                doubt=float(1 - given[worst]),
                reason=f"Labelled {images.classes[label]}; heads that have not seen it say {rather} "
                f"({percent(chance)}).",
                suggested=rather,
            )


def copy_suspicions(images: ReviewedImages) -> Iterator[Suspicion]:
    """Return suspicions of copies: with different labels, in two splits, or in one split under one label.

    Of those in two splits the ones that train are suspect: without them the other split stays what it is.
    """
    for rows in images.copies():
        if len(rows) < 2:
            continue
        labels = sorted({int(images.labels[row]) for row in rows})
        splits = sorted({images.splits[row] or "" for row in rows}, key=_place)
        same = len({images.same_file[row] for row in rows}) == 1
        what = "The same file" if same else "Nearly the same picture"
        if len(labels) > 1:
            right = _likeliest(images, rows, labels)
            yield Suspicion(
                kind="conflict",
                rows=tuple(row for row in rows if images.labels[row] != right),
                doubt=1.0,
                reason=f"{what} is labelled {_listed([images.classes[label] for label in labels])}.",
                suggested=images.classes[right],
            )
        if len(splits) > 1:
            yield Suspicion(
                kind="leak",
                rows=tuple(row for row in rows if (images.splits[row] or "") == splits[0]),
                doubt=LEAK,
                reason=f"{what} is in {_listed(splits)}: the scores flatter.",
            )
        elif len(labels) == 1:
            yield Suspicion(
                kind="duplicate",
                rows=rows[1:],
                doubt=DUPLICATE,
                reason=f"{what} is there {len(rows):,} times; a copy adds nothing to learn from.",
            )


def mistake_suspicions(images: ReviewedImages, said: Mapping[str, tuple[str, float, float]]) -> Iterator[Suspicion]:
    """Return a suspicion for each confident mistake: `said` has class, its probability and the label's, by path."""
    for row, uri in enumerate(images.uris):
        if uri not in said:
            continue
        predicted, confidence, given = said[uri]
        if predicted != images.classes[images.labels[row]] and confidence >= LEAST_CONFIDENT:
            yield Suspicion(
                kind="mistake",
                rows=(row,),
                doubt=MISTAKE_WEIGHT * (1 - given),
                reason=f"The classifier takes it for {predicted} ({percent(confidence)}), without having learned from "
                "it.",
                suggested=predicted,
            )


def far_suspicions(distances: npt.NDArray[np.float32]) -> Iterator[Suspicion]:
    """Return a suspicion for each image that is far from all others: a distance (n,), nan where there is none."""
    known = distances[~np.isnan(distances)]
    if not len(known):
        return
    low, high = np.quantile(known, (0.25, 0.75))
    bound, farthest = high + FAR_OUT * (high - low), max(float(known.max()), 1e-12)
    for row in np.flatnonzero(distances > bound):
        yield Suspicion(
            kind="ood",
            rows=(int(row),),
            doubt=OOD + 0.1 * float(distances[row]) / farthest,
            reason="It is unlike all the other images: it may be no image of this set.",
        )


def percent(share: float) -> str:
    """Return a probability in percent that never reads as certain.

    >>> percent(0.983), percent(0.9999)
    ('98 %', 'over 99 %')
    """
    return "over 99 %" if share > 0.995 else f"{100 * share:.0f} %"


def counted(cards: Sequence[ReviewCard]) -> str:
    """Return how many cards there are of each kind, each counted under its first: "3 labels, 1 leak"."""
    counts = {kind: sum(card.kinds[0] == kind for card in cards) for kind in KINDS}
    return ", ".join(plural(count, NAMED[kind]) for kind, count in counts.items() if count)


def _likeliest(images: ReviewedImages, rows: Sequence[int], labels: Sequence[int]) -> int:
    """Return which of the labels the copies rather have: by the mean of what heads say, else the most frequent."""
    means = [float(np.nan_to_num(images.probabilities[list(rows), label]).mean()) for label in labels]
    counts = [sum(int(images.labels[row]) == label for row in rows) for label in labels]
    return max(zip(means, counts, [-label for label in labels], strict=True))[2] * -1


def _place(split: str) -> int:
    return ("train", "valid", "test", "").index(split)


def _listed(names: Sequence[str]) -> str:
    """Return names as a sentence has them.

    >>> _listed(["cat", "dog"]), _listed(["a", "b", "c"])
    ('cat and dog', 'a, b and c')
    """
    return f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else "".join(names)
