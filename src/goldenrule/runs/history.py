"""`History`: a row per epoch, for people and programs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from goldenrule.core.cells import csv_text
from goldenrule.core.errors import MissingExtra
from goldenrule.core.schema import as_json, as_type

COLUMNS = ("stage", "epoch", "train_loss", "valid_loss", "accuracy", "rates", "cycle_end", "tempered_loss")


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochRow:
    """One epoch: which stage, losses in nats, the share of validation images that were right, the highest rates.

    `tempered_loss` is the validation loss at the temperature that suits it best: by it cycles are compared, since
    over-confidence can be taken back. `metrics` are the user's own, by name.
    """

    stage: str
    epoch: int  # counted over all stages, from 1
    train_loss: float
    valid_loss: float | None
    accuracy: float | None
    rates: tuple[float, ...]
    cycle_end: bool
    tempered_loss: float | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)


def epoch_row(value: Mapping[str, Any]) -> EpochRow:
    """Return the row that stands in a file; columns that came later may be missing."""
    return as_type(value, EpochRow, what="this epoch", optional={field.name for field in fields(EpochRow)})


@dataclass(frozen=True, slots=True)
class History:
    """The epochs of a training run, in order."""

    rows: tuple[EpochRow, ...] = ()

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[EpochRow]:
        return iter(self.rows)

    def __add__(self, other: History) -> History:
        return History((*self.rows, *other.rows))

    @property
    def metrics(self) -> tuple[str, ...]:
        """The names of the user's own metrics, in the order in which they appeared."""
        return tuple(dict.fromkeys(name for row in self.rows for name in row.metrics))

    def to_csv(self) -> str:
        """Return the rows as CSV, rates joined by spaces; own metrics are the last columns."""
        columns = [*COLUMNS, *self.metrics]
        values = [_flat(row) | {"rates": " ".join(f"{rate:.6g}" for rate in row.rates)} for row in self.rows]
        return csv_text([columns, *([value.get(name) for name in columns] for value in values)])

    def to_frame(self) -> Any:
        """Return a pandas.DataFrame: a row per epoch, the columns of the CSV, rates as tuples; wants pandas."""
        try:
            import pandas
        except ImportError as error:
            raise MissingExtra("A data frame needs pandas: pip install pandas. to_csv() needs nothing.") from error
        return pandas.DataFrame([_flat(row) for row in self.rows], columns=[*COLUMNS, *self.metrics])

    def __str__(self) -> str:
        return "\n".join([header(self.metrics), *(line(row, self.metrics) for row in self.rows)])


@as_json.register(History)
def _(value: History) -> Any:
    return as_json(value.rows)


def header(metrics: Sequence[str] = ()) -> str:
    """Return the line above rows with these own metrics.

    >>> header(["f1"])
    'epoch  train loss  valid loss  accuracy        f1  rate'
    """
    return _aligned(("epoch", "train loss", "valid loss", "accuracy", *metrics, "rate"), metrics)


def line(row: EpochRow, metrics: Sequence[str] = ()) -> str:
    """Return a row as a line under `header(metrics)`."""
    return _aligned(cells(row, metrics), metrics)


def _aligned(shown: Sequence[str], metrics: Sequence[str]) -> str:
    widths = (5, 11, 11, 9, *(max(len(name), 9) for name in metrics))
    return " ".join(f"{cell:>{width}}" for cell, width in zip(shown[:-1], widths, strict=True)) + f"  {shown[-1]}"


def _flat(row: EpochRow) -> dict[str, Any]:
    """Return the values of a row by column, own metrics beside the others."""
    value = asdict(row)
    metrics: Mapping[str, float] = value.pop("metrics")
    return {**value, **metrics}


def cells(row: EpochRow, metrics: Sequence[str] = ()) -> tuple[str, ...]:
    """Return the cells of a row: epoch, train loss, valid loss, accuracy, own metrics, highest rate.

    >>> row = EpochRow(stage="a", epoch=1, train_loss=1, valid_loss=.25, accuracy=.9, rates=(1e-3,), cycle_end=True)
    >>> cells(row)
    ('1', '1.0000', '0.2500', '0.9000', '1e-03 (0.001)')
    """
    rate = max(row.rates, default=0.0)
    return (
        str(row.epoch),
        f"{row.train_loss:.4f}",
        "" if row.valid_loss is None else f"{row.valid_loss:.4f}",
        "" if row.accuracy is None else f"{row.accuracy:.4f}",
        *(f"{row.metrics[name]:.4f}" if name in row.metrics else "" for name in metrics),
        f"{rate:.0e} ({rate:.6g})",
    )
