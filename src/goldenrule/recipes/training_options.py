"""What a user may say about training a named network one way, checked at once (`goldenrule train`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

from goldenrule.foundation.errors import OptionError
from goldenrule.foundation.schema import IF_OTHERWISE

TrainingType = Literal["fromzero", "transfer_learning", "fine_tuning"]
EPOCHS: Mapping[TrainingType, int] = {"fromzero": 30, "transfer_learning": 5, "fine_tuning": 5}
"""How long each way of training takes where nothing was said: enough for small sets on a CPU."""
WAYS: Mapping[TrainingType, str] = {
    "fromzero": "from zero",
    "transfer_learning": "transfer learning",
    "fine_tuning": "fine-tuning",
}
"""What people call them."""
TYPES = tuple(WAYS)
MOST_EPOCHS = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingOptions:
    """How a network is trained; None means: goldenrule decides.

    `converged` ends it where validation has not improved for so many epochs, `overfit` where over-fitting is confirmed
    at the ends of so many epochs in a row; 0: never. After every `save_every` epochs the weights as they stand are kept
    as a classifier of their own in RUN/epochs; 0: none are.
    """

    type: TrainingType
    epochs: int | None = None
    optimizer: str | None = None
    lr: float | None = None  # the head's full rate; None: found by lr_find
    batch_size: int | None = None
    converged: int = 0
    overfit: int = 0
    save_every: int = field(default=0, metadata=IF_OTHERWISE)

    def __post_init__(self) -> None:
        if self.type not in get_args(TrainingType):
            raise OptionError(f"-t {self.type}: wanted one of {', '.join(get_args(TrainingType))}.")
        if self.epochs is not None and not 1 <= self.epochs <= MOST_EPOCHS:
            raise OptionError(f"--epochs {self.epochs}: wanted 1 to {MOST_EPOCHS:,}.")
        if self.lr is not None and not 0 < self.lr <= 100:
            raise OptionError(f"--lr {self.lr:g}: wanted a learning rate above 0, such as 1e-3.")
        if self.batch_size is not None and not 2 <= self.batch_size <= 65_536:
            raise OptionError(f"--batch-size {self.batch_size}: wanted how many images a step looks at, 2 or more.")
        if min(self.converged, self.overfit) < 0:
            raise OptionError("--stop converged:N, --stop overfit:N: wanted a number of epochs, 1 or more.")
        if self.save_every and not 1 <= self.save_every <= self.most_epochs:
            raise OptionError(
                f"--save-every {self.save_every}: wanted after how many epochs the weights are kept, 1 to "
                f"{self.most_epochs:,}, as many as there are (--epochs)."
            )
        if self.optimizer is not None:
            from goldenrule.training.loop import optimizer_class

            optimizer_class(self.optimizer)

    @property
    def solved(self) -> bool:
        """Whether the head is solved instead of trained: transfer learning of which nothing else was said."""
        said = (self.epochs, self.optimizer, self.lr, self.batch_size, self.converged, self.overfit, self.save_every)
        return self.type == "transfer_learning" and not any(said)

    @property
    def most_epochs(self) -> int:
        """How many epochs it may take."""
        return self.epochs or EPOCHS[self.type]

    @property
    def stops(self) -> bool:
        """Whether it may end before its last epoch."""
        return bool(self.converged or self.overfit)


def stopping(said: list[str]) -> dict[str, int]:
    """Give what "converged:5" and "overfit:3" stand for.

    >>> stopping(["converged:5", "overfit:3"])
    {'converged': 5, 'overfit': 3}
    """
    found = {}
    for one in said:
        rule, _, epochs = one.partition(":")
        if rule not in ("converged", "overfit") or not epochs.isdecimal() or not 1 <= int(epochs) <= MOST_EPOCHS:
            raise OptionError(f"--stop {one}: wanted converged:EPOCHS or overfit:EPOCHS, such as converged:5.")
        found[rule] = int(epochs)
    return found
