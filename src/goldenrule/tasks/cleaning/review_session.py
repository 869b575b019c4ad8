"""`ReviewSession`: the cards of a run, the decisions on them, and the head that is fitted again beside."""

from __future__ import annotations

import hashlib
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from goldenrule.analysis.review_queue import ReviewCard
from goldenrule.core.errors import GoldenRuleError, OptionError, first_line
from goldenrule.core.schema import as_json
from goldenrule.metrics import value_and_interval
from goldenrule.runs.decided_labels import sha256_of
from goldenrule.runs.review_journal import VERDICTS, DecidedImage, Decision, Journal, Verdict, label_changes, standing
from goldenrule.storage.files import digest
from goldenrule.tasks.cleaning.refit import HeadRefitter, Refit
from goldenrule.tasks.cleaning.suspects import Suspects

MOST_NEIGHBOURS = 4
MOST_CHOICES = 9
MOST_SHOWN = 24
"""So many copies of a card are shown; a decision counts for all that are marked."""


class OtherDecision(GoldenRuleError):
    """A card was decided on meanwhile, in another tab."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progressed:
    """What the page shows of a session: how many cards are decided, how, and what the heads say."""

    revision: int
    cards: int
    decided: int
    counts: Mapping[str, int]
    changes: Sequence[tuple[str, Mapping[str, Any] | None]]
    last: int | None
    refit: Mapping[str, Any]


class ReviewSession:
    """One review of a run: the only place where decisions are made, whichever tab they come from."""

    def __init__(self, suspects: Suspects, journal: Journal) -> None:
        self.suspects, self.journal = suspects, journal
        self.cards = {card.id: card for card in suspects.cards}
        self._card_of = {suspects.known.uris[row]: card.id for card in suspects.cards for row in card.rows}
        self._row_of = {uri: row for row, uri in enumerate(suspects.known.uris)}
        self._lock = threading.Lock()
        self._refits = Refits(suspects)
        self.stale = self._not_of_these_images()
        self._refits.ask(self.changes())

    def changes(self) -> dict[str, str | None]:
        """Return the labels that were decided, by path; None is out."""
        return label_changes(self._standing())

    def card(self, name: str) -> dict[str, Any]:
        """Return what a card shows, with the nearest images of the label it has and of another."""
        card, known = self._card(name), self.suspects.known
        changes = self.changes()
        row = card.marked[0]
        given = int(known.labels[row])
        other = known.classes.index(card.suggested) if card.suggested else -1
        now = np.array([self._label_now(uri, number, changes) for number, uri in enumerate(known.uris)])
        if other in (-1, given):
            near = self.suspects.neighbours(row, np.flatnonzero((now != given) & (now >= 0)), 1)
            other = int(now[near[0]]) if near else given
        beside = [
            {
                "label": known.classes[label],
                "images": [
                    self._image(one)
                    for one in self.suspects.neighbours(row, np.flatnonzero(now == label), MOST_NEIGHBOURS)
                ],
            }
            for label in dict.fromkeys((given, other))
        ]
        return {
            "id": card.id,
            "kinds": card.kinds,
            "reasons": card.reasons,
            "suggested": card.suggested,
            "choices": self._choices(row),
            "images": [self._image(one) | {"marked": one in card.marked} for one in card.rows[:MOST_SHOWN]],
            "more": max(0, len(card.rows) - MOST_SHOWN),
            "neighbours": beside,
            "decision": self._decision_on(card, self._standing()),
        }

    def picture(self, row: int) -> bytes:
        """Return the bytes of an image. Raises `OptionError` for a number that no image has."""
        if not 0 <= row < len(self.suspects.known.uris):
            raise OptionError(f"There is no image {row}.")
        return self.suspects.images.read(self.suspects.known.uris[row])

    def decide(
        self, name: str, verdict: Verdict, *, session: str, to: str = "", rows: Sequence[int] | None = None, seen: int
    ) -> Decision:
        """Write down what was decided on the marked images of a card, and on those of its copies that are not shown.

        `seen` is the number of the decision that the page showed on this card, 0 for none. Raises `OtherDecision`
        where another tab has decided since, `OptionError` for what can't be decided, `StorageError` where the journal
        can't be written.
        """
        card, known = self._card(name), self.suspects.known
        if verdict not in VERDICTS or verdict == "undo":
            raise OptionError(f"decision {verdict!r}: wanted one of {', '.join(VERDICTS[:-1])}.")
        if (verdict == "relabel") != bool(to) or (to and to not in known.classes):
            raise OptionError(f"{to!r} is no class of this run: wanted one of {', '.join(known.classes[:8])}.")
        chosen = card.marked if rows is None else tuple(dict.fromkeys(rows))
        hidden = [row for row in card.rows[MOST_SHOWN:] if row in card.marked and row not in chosen]
        if not chosen or not {*chosen} <= {*card.rows}:
            raise OptionError("No image of this card is marked: mark those that the decision is about.")
        with self._lock:
            before = self._decision_on(card, self._standing())
            if (before["number"] if before else 0) != seen:
                raise OtherDecision("This card was decided in another tab meanwhile: look at it again.")
            made = self.journal.append(
                verdict, [self._decided(row) for row in (*chosen, *hidden)], session=session, to=to
            )
            self._refits.ask(self.changes())
        return made

    def undo(self, number: int, *, session: str) -> Decision:
        """Undo a decision; what was decided before it holds again. Raises `OptionError` where it is undone already."""
        with self._lock:
            undone = {one.undoes for one in self.journal.decisions}
            known = {one.number for one in self.journal.decisions if one.verdict != "undo"}
            if number not in known or number in undone:
                raise OptionError("There is nothing to undo.")
            made = self.journal.append("undo", session=session, undoes=number)
            self._refits.ask(self.changes())
        return made

    def progressed(self, after: int = 0) -> Progressed:
        """Return how far the review is, and the cards that were decided, or undone, since the decision `after`."""
        decisions = self.journal.decisions
        held = self._standing()
        decided = {self._card_of[uri]: one for uri, one in held.items() if uri in self._card_of}
        touched = {
            self._card_of[image.uri]
            for one in self._with_undone(decisions, after)
            for image in one.images
            if image.uri in self._card_of
        }
        undone = {one.undoes for one in decisions}
        made = [one.number for one in decisions if one.verdict != "undo" and one.number not in undone]
        return Progressed(
            revision=len(decisions),
            cards=len(self.cards),
            decided=len(decided),
            counts=Counter(one.verdict for one in decided.values()),
            changes=[(name, self._decision_on(self.cards[name], held)) for name in sorted(touched)],
            last=made[-1] if made else None,
            refit=self._refits.state(),
        )

    def close(self) -> None:
        """End the thread that fits."""
        self._refits.close()

    def _standing(self) -> dict[str, Decision]:
        return {uri: one for uri, (one, _) in standing(self.journal.decisions).items() if uri not in self.stale}

    def _not_of_these_images(self) -> frozenset[str]:
        """Return the images of earlier decisions that are none of this run, or hold other bytes by now."""
        images = self.suspects.images
        return frozenset(
            uri
            for uri, (_, image) in standing(self.journal.decisions).items()
            if uri not in self._row_of or sha256_of(images, uri) != image.sha256
        )

    @staticmethod
    def _with_undone(decisions: Sequence[Decision], after: int) -> list[Decision]:
        new = decisions[after:]
        return [*new, *(decisions[one.undoes - 1] for one in new if one.undoes is not None)]

    def _card(self, name: str) -> ReviewCard:
        if name not in self.cards:
            raise OptionError("There is no such card: load the page again.")
        return self.cards[name]

    def _decision_on(self, card: ReviewCard, held: Mapping[str, Decision]) -> dict[str, Any] | None:
        found = [held[uri] for row in card.rows if (uri := self.suspects.known.uris[row]) in held]
        if not found:
            return None
        last = max(found, key=lambda one: one.number)
        about = {self._row_of[image.uri] for image in last.images if image.uri in self._row_of}
        return {"number": last.number, "verdict": last.verdict, "to": last.to, "rows": sorted(about)}

    def _decided(self, row: int) -> DecidedImage:
        known, images = self.suspects.known, self.suspects.images
        uri = known.uris[row]
        try:
            content = images.read(uri)
        except OSError as error:
            raise OptionError(f"{uri} can't be read ({error.strerror or error}): nothing was decided.") from error
        if digest(content) != known.same_file[row]:
            raise OptionError(f"{uri} was changed since the fit: nothing was decided. Fit again.")
        return DecidedImage(uri=uri, sha256=hashlib.sha256(content).hexdigest(), label=known.classes[known.labels[row]])

    def _choices(self, row: int) -> list[str]:
        """Return the classes that have a key: all where there are few, else the likeliest."""
        known = self.suspects.known
        if len(known.classes) <= MOST_CHOICES:
            return list(known.classes)
        chances = np.nan_to_num(known.probabilities[row])
        return [known.classes[label] for label in np.argsort(-chances, kind="stable")[:MOST_CHOICES]]

    def _image(self, row: int) -> dict[str, Any]:
        known = self.suspects.known
        return {
            "row": row,
            "path": known.uris[row],
            "split": known.splits[row] or "",
            "label": known.classes[known.labels[row]],
        }

    def _label_now(self, uri: str, row: int, changes: Mapping[str, str | None]) -> int:
        if uri not in changes:
            return int(self.suspects.known.labels[row])
        name = changes[uri]
        return -1 if name is None else self.suspects.known.classes.index(name)


class Refits:
    """A thread that fits the head on the latest decisions: no decision waits for it, and it passes over older ones."""

    def __init__(self, suspects: Suspects) -> None:
        self._suspects = suspects
        self._wanted: dict[str, str | None] | None = None
        self._found: Refit | None = None
        self._problem = ""
        self._busy, self._closed = False, False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="refit", daemon=True)
        self._thread.start()

    def ask(self, changes: dict[str, str | None]) -> None:
        """Fit on these decisions as soon as the fit before has ended."""
        with self._changed:
            self._wanted, self._busy = changes, True
            self._changed.notify_all()

    def state(self) -> dict[str, Any]:
        """Return the latest numbers as JSON, with their texts, and whether newer ones are on their way."""
        with self._changed:
            found, busy, problem = self._found, self._busy, self._problem
        if found is None:
            return {"busy": busy, "problem": problem}
        texts = {
            "before_text": value_and_interval(found.before),
            "after_text": value_and_interval(found.after),
            "n": found.after.n,
            "basis": str(found.after.basis),
            "sentence": found.sentence,
        }
        return {"busy": busy, "problem": problem, **as_json(found), **texts}

    def close(self) -> None:
        """End the thread."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join()

    def _run(self) -> None:
        refitter: HeadRefitter | None = None
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._wanted is not None or self._closed)
                if self._closed:
                    return
                changes, self._wanted = self._wanted or {}, None
            found, problem = None, ""
            try:
                refitter = refitter or HeadRefitter(
                    self._suspects.images, self._suspects.features, seed=self._suspects.seed
                )
                found = refitter.refit(changes)
            except GoldenRuleError as error:
                problem = str(error)
            except Exception as error:  # noqa: BLE001 - decisions go on, whatever is wrong with the numbers
                problem = f"The head could not be fitted: {first_line(error)}."
            with self._changed:
                self._found, self._problem = found, problem
                self._busy = self._wanted is not None
