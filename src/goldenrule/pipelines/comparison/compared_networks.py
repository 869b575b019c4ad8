"""What a comparison of networks gives: a row each, the choice on validation, and what the test split says of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from goldenrule.core.errors import first_sentence
from goldenrule.core.findings import Finding, plural
from goldenrule.core.schema import as_json
from goldenrule.metrics import (
    Comparison,
    Estimate,
    McNemar,
    Predictions,
    log_loss,
    mcnemar,
    paired_bootstrap,
    quality,
    value_and_interval,
)
from goldenrule.metrics.selection_rules import Verdict, later_replaces
from goldenrule.metrics.uncertainty.paired import RESAMPLES, holm
from goldenrule.report.sentences import duration
from goldenrule.runs.training_options import WAYS, TrainingType
from goldenrule.storage.outputs import shown_path

SCHEMA_VERSION = 2
MOST_BY_CHANCE = 0.05


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Row:
    """One network trained one way.

    `seconds` are those it takes from reading the images to its report, `activation_seconds` of them for features of
    the pretrained backbone, by the speed measured here, whether or not the cache had them. `epochs` is None where
    nothing was trained live.
    """

    network: str
    type: TrainingType
    folder: Path
    valid: Predictions
    test: Predictions | None
    epochs: int | None
    seconds: float
    activation_seconds: float
    parameters: int
    trained_parameters: int
    after_test: bool = False  # trained when the test split had been opened for others

    @property
    def name(self) -> str:
        """What to call it."""
        return f"{self.network}, {WAYS[self.type]}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The row to take, by its name, and the verdicts that led to it: each row against the one that stood before."""

    chosen: str
    verdicts: Mapping[str, Verdict]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A row against the chosen one on the same images.

    `p_value` is McNemar's, for several labels that of the log loss by bootstrap; `adjusted` is the same after Holm,
    since many rows are asked. `points` is the gain in accuracy, None for several labels.
    """

    points: Comparison | None
    loss: Comparison
    right: McNemar | None
    p_value: float
    adjusted: float

    @property
    def verdict(self) -> str:
        """In a word: "better", "worse" or "tie"; of several labels by the log loss."""
        if self.adjusted >= MOST_BY_CHANCE:
            return "tie"
        if self.right is None:
            return "better" if self.loss.gain.value > 0 else "worse"
        return "better" if self.right.only_b_right > self.right.only_a_right else "worse"

    @property
    def tie(self) -> bool:
        """Whether neither accuracy nor log loss can tell the two apart."""
        return self.verdict == "tie" and self.loss.better == "neither"


def choose(rows: Sequence[Row]) -> Choice:
    """Choose on validation: from the quickest on, a slower one is taken where it is clearly better.

    By the rule of every other choice (`later_replaces`): the log loss of the same images, by pairs, both as sure of
    themselves as these images allow.
    """
    ordered = sorted(rows, key=lambda row: (row.seconds, row.name))
    standing, verdicts = ordered[0], {}
    for row in ordered[1:]:
        verdict = later_replaces(standing.valid, row.valid, names=(standing.name, row.name), tempered=True)
        verdicts[row.name] = verdict
        standing = row if verdict.replaced else standing
    return Choice(chosen=standing.name, verdicts=verdicts)


@dataclass(frozen=True, kw_only=True, eq=False)
class ComparedNetworks:
    """Every network and way of training, the choice, and what was left out and why."""

    folder: Path
    images: Path
    counts: Mapping[str, Mapping[str, int]]
    rows: tuple[Row, ...]
    choice: Choice
    left_out: Mapping[str, str]
    seed: int
    beta: float
    findings: tuple[Finding, ...] = ()  # of the images, shared by all
    commands: tuple[str, ...] = ()  # that fit these images, and that add ANOTHER network

    @property
    def page(self) -> Path:
        """The page for people."""
        return self.folder / "comparison.html"

    @property
    def chosen(self) -> Row:
        """The row to take."""
        return next(row for row in self.rows if row.name == self.choice.chosen)

    @property
    def ranked(self) -> tuple[Row, ...]:
        """The chosen row, then the others by their log loss on validation."""
        return tuple(sorted(self.rows, key=lambda row: (row is not self.chosen, log_loss(row.valid).value)))

    def quality(self, said: Predictions) -> Estimate:
        """Return the accuracy, of several labels F-beta averaged over images."""
        return quality(said, beta=self.beta)

    @cached_property
    def valid_pairs(self) -> dict[str, Pair]:
        """Every other row against the chosen one on the validation images, which chose it."""
        return _pairs(self.chosen, [(row, row.valid) for row in self.rows], self.chosen.valid)

    @cached_property
    def test_pairs(self) -> dict[str, Pair]:
        """Every other row against the chosen one on the test images; empty where none are labelled."""
        if self.chosen.test is None:
            return {}
        return _pairs(self.chosen, [(row, row.test) for row in self.rows if row.test is not None], self.chosen.test)

    @property
    def front(self) -> tuple[Row, ...]:
        """The rows that no other beats in seconds and in accuracy on validation, the quickest first."""
        best, found = float("-inf"), []
        for row in sorted(self.rows, key=lambda row: (row.seconds, -self.quality(row.valid).value)):
            if self.quality(row.valid).value > best:
                best = self.quality(row.valid).value
                found.append(row)
        return tuple(found)

    @property
    def headline(self) -> str:
        """Return which to select."""
        return f"Take {self.chosen.name}" if len(self.rows) > 1 else f"{self.chosen.name} alone was trained"

    @property
    def sentences(self) -> list[str]:
        """Return why, what is tied with it, what the test split says of it, and what was left out."""
        return [*self._why(), *self._test(), *self._left_out()]

    def _why(self) -> list[str]:
        chosen, n = self.chosen, f"{plural(len(self.chosen.valid.scored), 'validation image')}"
        accuracy = self.quality(chosen.valid)
        said = [f"Chosen on {n}: {accuracy.name} {value_and_interval(accuracy)} there, {duration(chosen.seconds)}."]
        others = [row for row in self.rows if row is not chosen]
        if not others:
            return said
        slower = [row for row in others if row.seconds > chosen.seconds]
        taken = self.choice.verdicts.get(chosen.name)
        if taken:
            said.append(f"A slower one is selected only where it is clearly better: {taken.sentence}.")
        if slower:
            none = "" if len(slower) == 1 else f"None of the {len(slower):,} that take longer still is clearly better."
            said.append(none or f"{slower[0].name} takes longer still and is not clearly better.")
        ties = [row for row in others if self.valid_pairs[row.name].tie]
        if ties:
            said.append(f"Tied with it there: {_listed(ties)}.")
        return said

    def _test(self) -> list[str]:
        chosen = self.chosen
        if chosen.test is None:
            return ["There are no labelled test images: the selected one will probably do worse on new images."]
        accuracy, evaluated = self.quality(chosen.test), [row for row in self.rows if row.name in self.test_pairs]
        said = f"On test, opened afterwards, {chosen.name} has {value_and_interval(accuracy)} of {accuracy.n:,}"
        by = {
            verdict: [row for row in evaluated if self.test_pairs[row.name].verdict == verdict]
            for verdict in ("better", "tie", "worse")
        }
        ended = [
            f"{words}: {_listed(by[verdict])}"
            for verdict, words in (
                ("better", "clearly better there"),
                ("tie", "no clear difference to it"),
                ("worse", "clearly worse"),
            )
            if by[verdict]
        ]
        late = [row for row in self.rows if row.after_test]
        more = f"{_listed(late)}: trained when the test split had been opened for others; validation alone chose."
        return ["; ".join([said, *ended]) + ".", *([more] if late else [])]

    def _left_out(self) -> list[str]:
        names: dict[str, list[str]] = {}
        for name, why in self.left_out.items():
            names.setdefault(first_sentence(why).rstrip("."), []).append(name)
        said = [f"Left out: {'; '.join(left_out)}. {why}." for why, left_out in names.items()]
        return [*said, "Weights of your own: --weights-of NAME=FILE."] if said else []

    def __repr__(self) -> str:
        return f"ComparedNetworks({self.folder}: {self.headline}, of {plural(len(self.rows), 'row')})"


@as_json.register(Choice)
def _(value: Choice) -> dict[str, Any]:
    return {"chosen": value.chosen, "why": {name: one.sentence for name, one in value.verdicts.items()}}


@as_json.register(Pair)
def _(value: Pair) -> Any:
    return as_json(
        {
            "verdict": value.verdict,
            "gain_in_accuracy": value.points.gain if value.points else None,
            "gain_in_log_loss": value.loss.gain,
            "p_value": value.p_value,
            "p_value_holm": value.adjusted,
        }
    )


@as_json.register(ComparedNetworks)
def _(value: ComparedNetworks) -> Any:
    return as_json(
        {
            "schema_version": SCHEMA_VERSION,
            "images": shown_path(value.images),
            "counts": value.counts,
            "seed": value.seed,
            "chosen": value.choice,
            "says": [f"{value.headline}.", *value.sentences],
            "left_out": value.left_out,
            "findings": value.findings,
            "rows": [_row_json(value, row) for row in value.ranked],
        }
    )


def _row_json(found: ComparedNetworks, row: Row) -> dict[str, Any]:
    splits = {"valid": row.valid} | ({"test": row.test} if row.test is not None else {})
    pairs = {"valid": found.valid_pairs.get(row.name), "test": found.test_pairs.get(row.name)}
    return {
        "network": row.network,
        "type": row.type,
        "run": row.folder.name,
        "chosen": row is found.chosen,
        "on_the_front": row in found.front,
        **{
            split: {"quality": found.quality(predictions), "log_loss": log_loss(predictions)}
            for split, predictions in splits.items()
        },
        "against_chosen": {split: pair for split, pair in pairs.items() if pair},
        "epochs": row.epochs,
        "seconds": round(row.seconds, 2),
        "activation_seconds": round(row.activation_seconds, 2),
        "parameters": row.parameters,
        "trained_parameters": row.trained_parameters,
    }


def _pairs(chosen: Row, others: Sequence[tuple[Row, Predictions]], predictions: Predictions) -> dict[str, Pair]:
    rows = [(row, said) for row, said in others if row is not chosen]
    single = predictions.task == "single"
    right = [mcnemar(predictions, said) if single else None for _, said in rows]
    losses = [paired_bootstrap(predictions, said) for _, said in rows]
    by_chance = [_two_sided(loss) if one is None else one.p_value for one, loss in zip(right, losses, strict=True)]
    adjusted = holm(by_chance)
    return {
        row.name: Pair(
            points=paired_bootstrap(predictions, said, metric="accuracy") if single else None,
            loss=losses[place],
            right=right[place],
            p_value=by_chance[place],
            adjusted=adjusted[place],
        )
        for place, (row, said) in enumerate(rows)
    }


def _two_sided(loss: Comparison) -> float:
    """Return how likely the resamples hold so one-sided a difference to be by chance, never less than they can tell.

    Davison and Hinkley (1997), Bootstrap methods and their application: (1 + as far) / (1 + resamples).
    """
    other_side = min(loss.probability_better, 1 - loss.probability_better)
    return min(1.0, 2 * (1 + other_side * RESAMPLES) / (1 + RESAMPLES))


def _listed(rows: Sequence[Row]) -> str:
    return "; ".join(row.name for row in rows)
