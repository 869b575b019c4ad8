"""`History`: a row per epoch, for people and programs."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from goldenrule.foundation.errors import MissingExtra

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLUMNS = ("stage", "epoch", "train_loss", "valid_loss", "accuracy", "rates", "cycle_end", "tempered_loss")
HEADER = f"{'epoch':>5} {'train loss':>11} {'valid loss':>11} {'accuracy':>9}  rate"


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochRow:
    """One epoch: which stage, losses in nats, the share of validation images that were right, the highest rates.

    `tempered_loss` is the validation loss at the temperature that suits it best: by it cycles are compared, since
    over-confidence can be taken back.
    """

    stage: str
    epoch: int  # counted over all stages, from 1
    train_loss: float
    valid_loss: float | None
    accuracy: float | None
    rates: tuple[float, ...]
    cycle_end: bool
    tempered_loss: float | None = None

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> EpochRow:
        """Read what `dataclasses.asdict` gave."""
        return cls(**{**value, "rates": tuple(value["rates"])})


@dataclass(frozen=True, slots=True)
class History:
    """The epochs of a training story, in order."""

    rows: tuple[EpochRow, ...] = ()

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[EpochRow]:
        return iter(self.rows)

    def __add__(self, other: History) -> History:
        return History((*self.rows, *other.rows))

    def to_csv(self) -> str:
        """Give the rows as CSV, rates joined by spaces."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(COLUMNS)
        for row in self.rows:
            value = asdict(row) | {"rates": " ".join(f"{rate:.6g}" for rate in row.rates)}
            writer.writerow(["" if value[name] is None else value[name] for name in COLUMNS])
        return text.getvalue()

    def to_frame(self) -> Any:
        """Give a pandas.DataFrame: a row per epoch, the columns of the CSV, rates as tuples; wants pandas."""
        try:
            import pandas
        except ImportError as error:
            raise MissingExtra("A data frame needs pandas: pip install pandas. to_csv() needs nothing.") from error
        return pandas.DataFrame([asdict(row) for row in self.rows], columns=list(COLUMNS))

    def plot(self) -> Figure:
        """Draw losses, accuracy and rates over the epochs."""
        from goldenrule.training.curves import history_figure

        return history_figure(self)

    def __str__(self) -> str:
        return "\n".join([HEADER, *map(line, self.rows)])

    def _repr_html_(self) -> str:
        head = "<tr><th>epoch</th><th>train loss</th><th>valid loss</th><th>accuracy</th><th>rate</th></tr>"
        body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in cells(row)) + "</tr>" for row in self.rows)
        return f"<table>{head}{body}</table>"


def line(row: EpochRow) -> str:
    """Give a row as a line under `HEADER`."""
    return "{:>5} {:>11} {:>11} {:>9}  {}".format(*cells(row))


def cells(row: EpochRow) -> tuple[str, str, str, str, str]:
    """Give the cells of a row: epoch, train loss, valid loss, accuracy, highest rate.

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
        f"{rate:.0e} ({rate:.6g})",
    )
