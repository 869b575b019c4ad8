"""What will be done and what it will cost: a pure function of counts, options and measured speed."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from itertools import accumulate
from typing import Literal

from goldenrule.core.findings import plural
from goldenrule.core.option import HeadKind
from goldenrule.core.progress import time_text
from goldenrule.metrics.selection_rules import DomainShift
from goldenrule.training.lr_finder import STEPS_LIVE

DEFAULT_VIEWS = 4
MOST_ROWS, MOST_PIXELS, FEWEST, STEPS = 64, 32, 8, 20
"""Batches have at most so many rows or pictures, at least FEWEST, and where it can be an epoch has STEPS of them."""
HEAD_EPOCHS, HEAD_CYCLES = 2, 3
MOST_PASSES = {4: 3_000, 3: 3_000, 2: 5_000}
"""How many images a training of so many cycles may look at in all: 1,000 photos take about five minutes."""
RATIO = (1 / 9, 1 / 3, 1.0)
"""Rates of early layers, late layers and head: the lesson says 3 to 10 times lower for earlier layers."""
LIVE_SPEED_UNKNOWN = 16.0
"""Training images per second of a whole network, validation included, before anything was measured."""
FAR_TIMES = 2.5
"""How many times as many where the pictures are far from those the backbone knows: there every epoch gains."""
LATE_EPOCHS, FEWEST_LATE_EPOCHS, MOST_LATE_PASSES = 8, 3, 40_000
"""Late layers train for so many epochs; fewer, down to three, where they would look at more rows than that."""
LATE_VIEWS = 3
"""Augmented views kept before the late layers, beside the plain one."""
LATE_SPEED = 4.0
"""How many times faster late layers and head train from the cache than the whole network does."""
LATE_BYTES = 44_000
"""What a view takes in the cache before the late layers of the default backbone at 224 px."""
MOST_BOUNDARY_BYTES = 8_000_000_000
"""How much of the disk activations before the late layers may take per augmentation; some 40 KB each."""
SPEED_UNKNOWN = 120.0
"""Views per second assumed before anything was measured on this machine."""
LEAST_EXPECTED = 0.005
"""An attempt of which a lower gain in log loss (nats) is expected is left out."""


class LiveStep(StrEnum):
    """The steps after the linear head, as they are called where there was no time for one."""

    SIDE_BY_SIDE = "backbones side by side"
    HEAD = "head"
    LATE_LAYERS = "late layers"
    NETWORK = "whole network"
    TTA = "test-time augmentation"


ATTEMPTS = {LiveStep.SIDE_BY_SIDE: "several backbones side by side", LiveStep.NETWORK: "training the network"}
"""What is decided on, in the order in which it is tried."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """What an attempt is expected to lower the log loss by, in nats: of `sets` sets at the same domain shift.

    `share`, `low` and `high` are shares of the loss so far, `loss`: None before it is known. `tried`: whether the
    attempt is made.
    """

    attempt: str
    share: float | None
    low: float | None
    high: float | None
    sets: int
    seconds: float
    loss: float | None = None
    tried: bool = True

    @property
    def gain(self) -> float | None:
        """The expected gain in nats."""
        return None if self.share is None or self.loss is None else self.share * self.loss

    @property
    def name(self) -> str:
        """The attempt in words."""
        return ATTEMPTS[LiveStep(self.attempt)]

    @property
    def sentence(self) -> str:
        """What was decided on, how long it takes, and what it is expected to gain."""
        about = f"{self.name}, about {time_text(self.seconds)}"
        if self.loss is None or self.gain is None:
            return f"{about}: {self.expected}"
        said = f"{about}: expected to lower the cross-validated log loss, {self.loss:.2g}, by {self.expected}"
        return f"{said}; a step is taken from {LEAST_EXPECTED:g} on" if self.gain < LEAST_EXPECTED else said

    @property
    def expected(self) -> str:
        """The gain in words: in log loss where that is known so far, else as a share of it."""
        if self.share is None or self.low is None or self.high is None:
            return f"not known ({self.sets} measured sets are as far from ImageNet)"
        if self.loss is None:
            return f"{100 * self.share:.0f} % [{100 * self.low:.0f}, {100 * self.high:.0f}]"
        gain, low, high = (share * self.loss for share in (self.share, self.low, self.high))
        return f"{gain:.2g} [{low:.1g}, {high:.1g}]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One stage: what, how many seconds, how many bytes it leaves in the cache."""

    name: str
    seconds: float
    stored_bytes: int = 0
    condition: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The stages in order, and what is expected of the attempts among them.

    `run` is the folder of a run that the fit would go on in, "" where it begins anew, and `done` what that one has come
    to the end of.
    """

    steps: tuple[Step, ...]
    attempts: tuple[Expectation, ...] = ()
    run: str = ""
    done: Literal["nothing", "quick", "whole"] = "nothing"

    @property
    def seconds(self) -> float:
        """The time of all steps, those with a condition included."""
        return sum(step.seconds for step in self.steps)

    @property
    def stored_bytes(self) -> int:
        """What all steps leave in the cache."""
        return sum(step.stored_bytes for step in self.steps)

    def too_late(self, seconds: float) -> tuple[Step, ...]:
        """Return the steps that would end later than so many seconds, if all before them are taken."""
        ends = accumulate(step.seconds for step in self.steps)
        return tuple(step for step, end in zip(self.steps, ends, strict=True) if end > seconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class LivePlan:
    """How long steps 2 to 7 of the golden rule train: a pure function of counts (law 6).

    `cycles` of the whole network begin with one of `cycle_len` epochs, each twice as long as the one before.
    `ratio` are the rates of the groups as shares of the head's, early layers first. `late_epochs` are for
    pictures at moderate or high domain `shift` (None before the head is fitted).
    """

    shift: DomainShift | None
    head_epochs: int
    live_cycles: int
    late_epochs: int
    cycles: int
    cycle_len: int
    ratio: tuple[float, ...]
    head_seconds: float
    late_seconds: float
    late_bytes: int
    network_seconds: float
    tta_seconds: float

    @property
    def network_epochs(self) -> int:
        """Epochs of the whole network at most."""
        return self.cycle_len * ((1 << self.cycles) - 1)

    def seconds_of(self, left_out: Collection[str]) -> float:
        """Return how long these steps take, all of them where none is named.

        >>> plan = live_plan(train_images=400)
        >>> plan.seconds_of([LiveStep.HEAD, LiveStep.TTA]) == plan.head_seconds + plan.tta_seconds
        True
        """
        if not left_out:
            return sum(step.seconds for step in self.steps())
        seconds = {
            LiveStep.HEAD: self.head_seconds,
            LiveStep.LATE_LAYERS: self.late_seconds,
            LiveStep.NETWORK: self.network_seconds,
            LiveStep.TTA: self.tta_seconds,
        }
        return sum(took for step, took in seconds.items() if step in left_out)

    def steps(self) -> tuple[Step, ...]:
        """Return the stages, the longest they can take."""
        late = Step(
            name=f"train the late layers first: {self.late_epochs} epochs",
            seconds=self.late_seconds,
            stored_bytes=self.late_bytes,
            condition="unless the linear head is nearly always right" if self.shift is None else "",
        )
        return (
            Step(name=f"train a fresh head: {self.head_epochs} + {self.live_cycles} epochs", seconds=self.head_seconds),
            *((late,) if self.shift != "low" else ()),
            Step(
                name=f"train the whole network: up to {plural(self.network_epochs, 'epoch')}",
                seconds=self.network_seconds,
                condition="until over-fitting; longer if the linear head is often wrong"
                if self.shift is None
                else "until over-fitting",
            ),
            Step(name="try test-time augmentation", seconds=self.tta_seconds),
        )


def live_plan(
    *,
    train_images: int,
    valid_images: int = 0,
    views_per_second: float | None = None,
    images_per_second: float | None = None,
    shift: DomainShift | None = None,
) -> LivePlan:
    """Return the plan of the live steps; speeds are those of the frozen backbone and of training the whole network.

    Cycles of 1, 2, 4 ... epochs end where over-fitting is confirmed. Far pictures are not over-fitted so soon:
    they get the same number of epochs, of a longer plan, in one cycle.

    >>> [live_plan(train_images=n).network_epochs for n in (200, 400, 800, 1763, 50_000)]
    [15, 7, 3, 1, 1]
    >>> live_plan(train_images=1763, shift="high").network_epochs
    3
    """
    high = shift == "high"
    allowed = {count: (FAR_TIMES if high else 1.0) * most for count, most in MOST_PASSES.items()}
    cycles = max((count for count, most in allowed.items() if ((1 << count) - 1) * train_images <= most), default=1)
    epochs, head_cycles = (1 << cycles) - 1, 1 if high else HEAD_CYCLES
    late_epochs = max(FEWEST_LATE_EPOCHS, min(LATE_EPOCHS, MOST_LATE_PASSES // max(train_images, 1)))
    late_views = (1 + LATE_VIEWS) * train_images + valid_images
    frozen, whole = views_per_second or SPEED_UNKNOWN, images_per_second or LIVE_SPEED_UNKNOWN
    passes = epochs * train_images
    return LivePlan(
        head_epochs=HEAD_EPOCHS,
        shift=shift,
        live_cycles=head_cycles,
        late_epochs=late_epochs,
        cycles=1 if high else cycles,
        cycle_len=epochs if high else 1,
        ratio=RATIO,
        head_seconds=3 + head_cycles * train_images / frozen,
        late_seconds=3 + late_views / frozen + late_epochs * train_images / (LATE_SPEED * whole),
        late_bytes=late_views * LATE_BYTES,
        network_seconds=5 + (passes + STEPS_LIVE * batch_size(train_images, most=MOST_PIXELS)) / whole,
        tta_seconds=1 + 5 * valid_images / frozen,
    )


def views_that_fit(views: int, *, images: int, train_images: int, features: int) -> int:
    """Return how many of so many augmented views of the training images keep all rows below `MOST_BOUNDARY_BYTES`.

    -1 where not even one plain row of every image does.

    >>> [views_that_fit(4, images=n, train_images=n, features=14 * 14 * 112) for n in (1_000, 60_000, 200_000)]
    [4, 2, -1]
    """
    rows = MOST_BOUNDARY_BYTES // (2 * features)
    if images > rows:
        return -1
    return min(views, (rows - images) // max(train_images, 1))


def batch_size(count: int, *, most: int) -> int:
    """Return how many of so many training images a batch has.

    >>> [batch_size(count, most=32) for count in (40, 400, 4000)]
    [8, 20, 32]
    """
    return max(FEWEST, min(most, count // STEPS))


def plan_quick_fit(
    *,
    images: int,
    train_images: int,
    missing_plain: int,
    missing_augmented: int,
    features: int,
    classes: int,
    views: int | None,
    views_per_second: float | None,
    head: HeadKind = "linear",
    live: LivePlan | None = None,
) -> Plan:
    """Return the plan of the quick fit.

    `missing_plain` and `missing_augmented` count the rows the cache does not have yet; `views` is None where
    the plain head's result decides about them.

    >>> plan = plan_quick_fit(images=1000, train_images=800, missing_plain=1000, missing_augmented=3200, features=1280,
    ...                    classes=2, views=None, views_per_second=200.0)
    >>> for step in plan.steps[:4]:
    ...     print(f"{step.name}: {step.seconds:.0f} s {step.condition}".strip())
    read 1,000 images: 0 s
    precompute 1,000 plain views: 5 s
    fit the linear head: 0 s
    precompute 3,200 augmented views: 16 s if the plain head is taken and leaves room
    """
    speed = views_per_second or SPEED_UNKNOWN
    row_bytes = 2 * features + 40

    def linear_seconds(rows: int) -> float:
        context = 250 * 2 * 2 * rows * features * classes * 5  # iterations x (forward, backward) x folds
        return 0.3 + context / 60e9 + (5.0 * rows * 1e-3 if head != "linear" else 0.0)

    steps = [
        Step(name=f"read {images:,} images", seconds=0.1 + images / 5000),
        Step(
            name=f"precompute {missing_plain:,} plain views",
            seconds=missing_plain / speed,
            stored_bytes=missing_plain * row_bytes,
        ),
        Step(name=f"fit the {head} head", seconds=linear_seconds(train_images)),
    ]
    if views != 0:
        number = DEFAULT_VIEWS if views is None else views
        condition = "if the plain head is taken and leaves room" if views is None else ""
        steps += [
            Step(
                name=f"precompute {missing_augmented:,} augmented views",
                seconds=missing_augmented / speed,
                stored_bytes=missing_augmented * row_bytes,
                condition=condition,
            ),
            Step(
                name=f"fit the {head} head with views",
                seconds=linear_seconds(train_images * (1 + number)),
                condition=condition,
            ),
        ]
    steps.append(Step(name="evaluate and report", seconds=1.0))
    if live is not None:
        steps += live.steps()
    return Plan(steps=tuple(steps))
