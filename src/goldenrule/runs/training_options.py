"""What a user may say about training a named network one way, checked at once (`goldenrule train`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from goldenrule.core.errors import OptionError
from goldenrule.core.option import check_options, option

TrainingType = Literal["fromzero", "transfer_learning", "fine_tuning"]
EPOCHS: Mapping[TrainingType, int] = {"fromzero": 30, "transfer_learning": 5, "fine_tuning": 5}
"""How long each way of training takes where nothing was said: enough for small sets on a CPU."""
WAYS: Mapping[TrainingType, str] = {
    "fromzero": "from scratch",
    "transfer_learning": "transfer learning",
    "fine_tuning": "fine-tuning",
}
"""What people call them."""
TYPES = tuple(WAYS)
MOST_EPOCHS = 10_000
PANEL = "Training"
RULES = ("converged", "overfit")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingOptions:
    """How a network is trained; None means: goldenrule decides.

    `stop` ends it earlier: "converged:5" where validation has not improved for 5 epochs, "overfit:3" where over-fitting
    is confirmed at the ends of 3 epochs in a row. After every `save_every` epochs the weights as they stand are kept
    as a classifier of their own in RUN/epochs; 0: none are.
    """

    type: TrainingType = option(
        "transfer_learning",
        "fromzero, transfer_learning (the head alone) or fine_tuning.",
        flags=("-t", "--type"),
        metavar="WAY",
        panel=PANEL,
    )
    epochs: int | None = option(
        None,
        "Epochs of live training, at most.",
        unset="fromzero 30, else 5",
        least=1,
        most=MOST_EPOCHS,
        wanted=f"1 to {MOST_EPOCHS:,}",
        metavar="N",
        panel=PANEL,
    )
    optimizer: str | None = option(None, "One of torch.optim, such as sgd.", unset="adamw", metavar="NAME", panel=PANEL)
    lr: float | None = option(
        None,
        "The head's learning rate.",
        unset="found by lr-find",
        above=0,
        most=100,
        wanted="a learning rate above 0, such as 1e-3",
        metavar="RATE",
        panel=PANEL,
    )
    batch_size: int | None = option(
        None,
        "Images a step looks at.",
        unset="32, fewer of few",
        least=2,
        most=65_536,
        wanted="how many images a step looks at, 2 or more",
        metavar="N",
        panel=PANEL,
        rare=True,
    )
    stop: tuple[str, ...] = option(
        (),
        "End earlier: converged:5, overfit:3. Repeatable.",
        metavar="RULE:N",
        panel=PANEL,
    )
    save_every: int = option(
        0,
        "Keep the weights after every so many epochs too, each a classifier in RUN/epochs.",
        metavar="N",
        panel=PANEL,
        rare=True,
    )

    def __post_init__(self) -> None:
        if self.type not in get_args(TrainingType):
            raise OptionError(f"-t {self.type}: wanted one of {', '.join(get_args(TrainingType))}.")
        check_options(self)
        stopping(self.stop)
        if self.save_every and not 1 <= self.save_every <= self.most_epochs:
            raise OptionError(
                f"--save-every {self.save_every}: wanted after how many epochs the weights are kept, 1 to "
                f"{self.most_epochs:,}, as many as there are (--epochs)."
            )
        if self.optimizer is not None:
            from goldenrule.runs.optimizers import optimizer_class

            optimizer_class(self.optimizer)

    @property
    def linear(self) -> bool:
        """Whether the head is fitted instead of trained: transfer learning of which nothing else was said."""
        said = (self.epochs, self.optimizer, self.lr, self.batch_size, self.stop, self.save_every)
        return self.type == "transfer_learning" and not any(said)

    @property
    def most_epochs(self) -> int:
        """How many epochs it may take."""
        return self.epochs or EPOCHS[self.type]

    @property
    def converged(self) -> int:
        """After how many epochs without an improvement of validation it ends; 0: never."""
        return stopping(self.stop).get("converged", 0)

    @property
    def overfit(self) -> int:
        """After how many epochs in a row that confirm over-fitting it ends; 0: never."""
        return stopping(self.stop).get("overfit", 0)

    @property
    def stops(self) -> bool:
        """Whether it may end before its last epoch."""
        return bool(self.stop)


def stopping(said: Sequence[str]) -> dict[str, int]:
    """Return what "converged:5" and "overfit:3" stand for.

    >>> stopping(["converged:5", "overfit:3"])
    {'converged': 5, 'overfit': 3}
    """
    found = {}
    for one in said:
        rule, _, epochs = one.partition(":")
        if rule not in RULES or not epochs.isdecimal() or not 1 <= int(epochs) <= MOST_EPOCHS:
            raise OptionError(f"--stop {one}: wanted converged:EPOCHS or overfit:EPOCHS, such as converged:5.")
        found[rule] = int(epochs)
    return found
