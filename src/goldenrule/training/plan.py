"""What will be done and what it will cost: a pure function of counts, options and measured speed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

DEFAULT_VIEWS = 4
SPEED_UNKNOWN = 120.0
"""Views per second assumed before anything was measured on this machine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One stage: what, how many seconds, how many bytes it leaves in the bank."""

    name: str
    seconds: float
    stored_bytes: int = 0
    condition: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The stages in order."""

    steps: tuple[Step, ...]

    @property
    def seconds(self) -> float:
        """The time of all steps, those with a condition included."""
        return sum(step.seconds for step in self.steps)

    @property
    def stored_bytes(self) -> int:
        """What all steps leave in the bank."""
        return sum(step.stored_bytes for step in self.steps)


def plan_answer(
    *,
    images: int,
    train_images: int,
    missing_plain: int,
    missing_augmented: int,
    features: int,
    classes: int,
    views: int | None,
    views_per_second: float | None,
    head: Literal["linear", "concat-pool"] = "linear",
) -> Plan:
    """Give the plan of the answer in seconds.

    `missing_plain` and `missing_augmented` count the rows the bank does not have yet; `views` is None where
    the plain head's result decides about them.

    >>> plan = plan_answer(images=1000, train_images=800, missing_plain=1000, missing_augmented=3200, features=1280,
    ...                    classes=2, views=None, views_per_second=200.0)
    >>> for step in plan.steps[:4]:
    ...     print(f"{step.name}: {step.seconds:.0f} s {step.condition}".strip())
    read 1,000 images: 0 s
    precompute 1,000 plain views: 5 s
    solve the head: 0 s
    precompute 3,200 augmented views: 16 s if the plain head leaves room
    """
    speed = views_per_second or SPEED_UNKNOWN
    row_bytes = 2 * features + 40

    def solve_seconds(rows: int) -> float:
        work = 250 * 2 * 2 * rows * features * classes * 5  # iterations x (forward, backward) x folds
        return 0.3 + work / 60e9 + (5.0 * rows * 1e-3 if head == "concat-pool" else 0.0)

    steps = [
        Step(name=f"read {images:,} images", seconds=0.1 + images / 5000),
        Step(
            name=f"precompute {missing_plain:,} plain views",
            seconds=missing_plain / speed,
            stored_bytes=missing_plain * row_bytes,
        ),
        Step(name="solve the head", seconds=solve_seconds(train_images)),
    ]
    if views != 0:
        number = DEFAULT_VIEWS if views is None else views
        condition = "if the plain head leaves room" if views is None else ""
        steps += [
            Step(
                name=f"precompute {missing_augmented:,} augmented views",
                seconds=missing_augmented / speed,
                stored_bytes=missing_augmented * row_bytes,
                condition=condition,
            ),
            Step(
                name="solve the head with views",
                seconds=solve_seconds(train_images * (1 + number)),
                condition=condition,
            ),
        ]
    steps.append(Step(name="judge and report", seconds=1.0))
    return Plan(steps=tuple(steps))
