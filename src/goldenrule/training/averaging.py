"""What is done with weights after a fit: going back a part of the way or to a cycle's end, averages, temperature."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from goldenrule.core.errors import FormatError, OptionError
from goldenrule.models.network import State, between, copied
from goldenrule.models.trainable import tensors_of
from goldenrule.runs.store import Outcome
from goldenrule.training.snapshots import greedy_soup
from goldenrule.training.state import LearnerState, next_key
from goldenrule.training.verb_runner import VerbRunner


def blend(runner: VerbRunner, state: LearnerState, shares: tuple[float, ...]) -> tuple[LearnerState, float]:
    """Return the state between the weights before the last fit and after it that validates best, and its share."""
    if state.start is None or not all(0 <= share <= 1 for share in shares) or not shares:
        raise OptionError(f"blend({list(shares)}): wanted shares from 0 to 1, after a fit.")
    key = next_key(state.key, "blend", {"shares": list(shares)})
    backbone, head = state.start
    start = replace(state, backbone=backbone, head=head)

    def compute() -> Outcome:
        validate = runner.data.validation(state)
        if validate is None:
            raise OptionError("blend() chooses on validation images, and there are none.")
        network, first, last = runner.network(state), copied(runner.network(start)), copied(runner.network(state))
        losses = []
        for share in shares:
            network.load_state_dict(between(first, last, share))
            losses.append(validate(network).tempered_loss)
        best = int(np.argmin(losses))
        network.load_state_dict(between(first, last, shares[best]))
        facts = {"share": shares[best], "losses": losses, "shares": list(shares)}
        return Outcome(tensors_of(network, state.head), facts)

    outcome = runner.outcome(key, "blend", compute, check=lambda kept: _check_mixed(runner, state, kept, "share"))
    trained, weights = runner.weights(state, outcome)
    return replace(state, key=key, backbone=trained, head=weights), float(outcome.facts["share"])


def back_to(runner: VerbRunner, state: LearnerState, cycle: int) -> LearnerState:
    """Return the state with what the last fit had learned at the end of a cycle, counted from 1."""
    try:
        end = Outcome(state.ends[cycle], {})
        runner.check_weights(end, state)
        backbone, head = runner.weights(state, end)
    except KeyError as error:
        kept_ones = ", ".join(map(str, state.ends.cycles)) or "none"
        raise OptionError(f"back_to({cycle}): wanted a cycle of the last fit. Kept: {kept_ones}.") from error
    return state.after("back_to", {"cycle": cycle}, backbone=backbone, head=head)


def soup(runner: VerbRunner, state: LearnerState) -> tuple[LearnerState, tuple[int, ...]]:
    """Return the state with the mean of those ends of cycles that validate best together, and their numbers."""
    cycles = state.ends.cycles
    if not cycles:
        raise OptionError("soup() averages the ends of the last fit's cycles, and there are none: fit first.")

    def compute() -> Outcome:
        validate = runner.data.validation(state)
        if validate is None:
            raise OptionError("soup() chooses on validation images, and there are none.")
        network = runner.network(state)

        def loss(weights: State) -> float:
            network.load_state_dict(weights)
            return validate(network).tempered_loss

        states = [copied(runner.network(back_to(runner, state, cycle))) for cycle in cycles]
        mixed, taken, _ = greedy_soup(states, loss)
        network.load_state_dict(mixed)
        return Outcome(tensors_of(network, state.head), {"cycles": [cycles[place] for place in taken]})

    key = next_key(state.key, "soup", {"cycles": list(cycles)})
    outcome = runner.outcome(key, "soup", compute, check=lambda kept: _check_mixed(runner, state, kept, "cycles"))
    backbone, head = runner.weights(state, outcome)
    return replace(state, key=key, backbone=backbone, head=head), tuple(outcome.facts["cycles"])


def calibrate(runner: VerbRunner, state: LearnerState) -> tuple[LearnerState, float]:
    """Return the state with the head's logits divided by the temperature that suits validation, and that."""
    key = next_key(state.key, "calibrate", {})

    def compute() -> Outcome:
        validate = runner.data.validation(state)
        if validate is None:
            raise OptionError("calibrate() chooses on validation images, and there are none.")
        return Outcome({}, {"temperature": validate(runner.network(state)).temperature})

    temperature = float(runner.outcome(key, "calibrate", compute, check=_check_temperature).facts["temperature"])
    return replace(state, key=key, head=state.head.with_temperature(temperature)), temperature


def _check_mixed(runner: VerbRunner, state: LearnerState, kept: Outcome, fact: str) -> None:
    """Raise `FormatError` where a kept outcome holds no weights, or not what they were mixed of."""
    runner.check_weights(kept, state)
    found = kept.facts[fact]
    if not all(isinstance(number, int | float) for number in (found if fact == "cycles" else [found])):
        raise FormatError(f"The {fact} of a mean of weights can't be read.")


def _check_temperature(kept: Outcome) -> None:
    """Raise `FormatError` for a temperature that divides no logits."""
    if not 0 < float(kept.facts["temperature"]) < math.inf:
        raise FormatError(f"The temperature {kept.facts['temperature']} divides no logits.")
