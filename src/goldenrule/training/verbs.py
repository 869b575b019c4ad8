"""What the verbs of a learner do: states in, states out, each outcome stored under its key (law 7)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
import torch

from goldenrule.foundation.errors import OptionError
from goldenrule.foundation.files import digest, json_digest, read_json, write_json
from goldenrule.foundation.randomness import generator
from goldenrule.images.read import DECODING
from goldenrule.models.backbone import Backbone, kept
from goldenrule.models.classifier import Classifier
from goldenrule.models.head import Head, HeadKind, cooled, fresh_head, head_from_tensors
from goldenrule.models.network import head_module
from goldenrule.models.trainable import GROUPS, Trainable, head_of, rates_of_groups, with_body
from goldenrule.training.checkpoint import between, copied
from goldenrule.training.fitting import Fit, Keep, find_rate, run
from goldenrule.training.history import EpochRow, History
from goldenrule.training.loop import optimizer_class
from goldenrule.training.losses import Objective, OwnLoss
from goldenrule.training.material import Material
from goldenrule.training.range_test import STEPS_LIVE, STEPS_ON_ROWS, RangeTest, read_curve
from goldenrule.training.run import Outcome, Run, Tensors, about_images
from goldenrule.training.runtime import runtime
from goldenrule.training.schedule import Constant, Schedule
from goldenrule.training.state import LearnerState, next_key

STOPPED = {
    "over-fitting": "stopped, over-fitting is confirmed: training still improves, validation gets worse.",
    "out of time": "stopped, another epoch would end too late.",
    "diverged": "stopped, the loss is no number any more: take a lower rate (lr_find() shows which).",
}


@dataclass(frozen=True, kw_only=True, eq=False)
class Teller:
    """Tells a story: does what the verbs say, or replays what was done. `run` None: nothing is kept."""

    material: Material
    run: Run | None
    optimizer: str
    weight_decay: float | Sequence[float]
    loss: OwnLoss | None
    clip_norm: float | None
    accumulate: int
    on_epoch: Callable[[EpochRow], None]

    def __post_init__(self) -> None:
        optimizer_class(self.optimizer)
        decays = self.weight_decay if isinstance(self.weight_decay, Sequence) else [self.weight_decay]
        if len(decays) not in (1, len(GROUPS)) or not all(0 <= decay < 1 for decay in decays):
            groups = ", ".join(GROUPS)
            raise OptionError(f"weight_decay={self.weight_decay}: wanted 0 to 1, one or one per group: {groups}.")
        if self.clip_norm is not None and not 0 < self.clip_norm < math.inf:
            raise OptionError(f"clip_norm={self.clip_norm}: wanted the longest gradient, above 0; 1 is usual.")
        if self.accumulate < 1:
            raise OptionError(f"accumulate={self.accumulate}: wanted in how many parts a batch is computed, 1 or more.")

    def begin(self, head: str | Head) -> LearnerState:
        """Give the first state; its key is all that the story depends on."""
        material = self.material
        first = self._fresh_head(head) if isinstance(head, str) else head
        about = {
            "images": about_images(material.table)["digest"],
            "weights": material.base.spec.weights,
            "backbone": material.base.spec.timm_name,
            "preprocessing": material.base.spec.preprocessing.to_json(),
            "decoding": DECODING,
            "pooling": material.base.spec.pooling,
            "engine": material.kind(material.base).to_json(),
            "augmentation": material.augmentation.to_json() if material.augmentation else None,
            "augmented_views": material.augmented_views,
            "batch_size": material.batch_size,
            "optimizer": self.optimizer,
            "weight_decay": _plain(self.weight_decay),
            "loss": self.loss.to_json() if self.loss else None,
            "clip_norm": self.clip_norm,
            "accumulate": self.accumulate,
            "class_weights": material.class_weights,
            "sampling": material.sampling,
            "seed": material.seed,
            "device": material.device,
            "threads": material.threads,
            "torch": torch.__version__,
            "numpy": np.__version__,
            "head": head if isinstance(head, str) else _digest(first),
        }
        return LearnerState(key=next_key("", "start", about), backbone=material.base, head=first)

    def loaded(self, state: LearnerState, other: Classifier) -> LearnerState:
        """Give the state with the weights of a classifier."""
        base, spec = self.material.base, other.backbone.spec
        known = Backbone(replace(base.spec, preprocessing=spec.preprocessing), base.folder)
        body = known if spec.weights == base.spec.weights else kept(other.backbone)
        arguments = {"body": spec.weights, "head": _digest(other.head), "size": spec.preprocessing.size}
        return state.after("load", arguments, backbone=body, head=other.head)

    def find_rate(
        self,
        state: LearnerState,
        *,
        rates: float | Sequence[float],
        lowest: float,
        highest: float,
        steps: int | None,
    ) -> RangeTest:
        """Give the curve of the learning-rate finder; the state stays as it is."""
        count = steps or (STEPS_ON_ROWS if state.precompute else STEPS_LIVE)
        groups = rates_of_groups(_plain(rates))
        arguments = {"rates": list(groups), "lowest": lowest, "highest": highest, "steps": count}

        def compute() -> Outcome:
            test = find_rate(
                self._fit(state, self._network(state), groups, Constant(epochs=1), "lr_find"),
                steps=count,
                lowest=lowest,
                highest=highest,
                progress=self.material.progress,
            )
            return Outcome(
                {"rates": np.array(test.rates), "losses": np.array(test.losses)}, {"ratio": list(test.ratio)}
            )

        found = self._outcome(next_key(state.key, "lr_find", arguments), "lr_find", compute)
        curve = found.tensors["rates"].tolist(), found.tensors["losses"].tolist()
        return read_curve(*curve, ratio=found.facts["ratio"], chance=math.log(len(self.material.table.classes)))

    def fit(
        self,
        state: LearnerState,
        *,
        lr: float | Sequence[float],
        schedule: Schedule,
        spread: float | None,
        keep: Keep,
        until_over_fitting: bool,
        objective: Objective,
        ema: float,
        stage: str,
        out_of_time: Callable[[EpochRow], bool] | None,
    ) -> LearnerState:
        """Give the state after a fit."""
        rates = rates_of_groups(_plain(lr), spread=spread)
        if not 0 <= ema < 1:
            raise OptionError(f"ema={ema}: wanted 0 (the last weights) to less than 1; 0.99 is usual.")
        if objective.cutmix and state.frozen_body:
            raise OptionError("cutmix cuts pixels, and a frozen body's head learns from activations: unfreeze() first.")
        objective = replace(objective, loss=self.loss)
        arguments = {
            "rates": list(rates),
            "schedule": schedule.to_json(),
            "keep": keep,
            "until_over_fitting": until_over_fitting,
            "objective": objective.to_json(),
            "ema": ema,
            "stage": stage,
        }
        key = next_key(state.key, "fit", arguments)
        checkpoint = self.run.folder / "story" / f"{key[:32]}.checkpoint" if self.run else None

        def compute() -> Outcome:
            network = self._network(state)
            fit = self._fit(state, network, rates, schedule, stage)
            fit = replace(fit, keep=keep, until_over_fitting=until_over_fitting, checkpoint=checkpoint)
            fit = replace(fit, objective=objective, ema=ema)
            if out_of_time:
                stop = _journaled(self.run, key, out_of_time) if self.run else out_of_time
                fit = replace(fit, out_of_time=stop)
            done = run(fit, on_epoch=self.on_epoch, progress=self.material.progress)
            facts = {"rows": [asdict(row) for row in done.rows], "averaged": done.averaged, "stopped": done.stopped}
            return Outcome(_tensors_of(network, state.head.kind), facts)

        outcome = self._outcome(key, stage, compute)
        if checkpoint:
            checkpoint.unlink(missing_ok=True)
        if outcome.facts["stopped"]:
            self.material.progress.say(f"{stage}: {STOPPED[outcome.facts['stopped']]}")
        if outcome.facts["averaged"]:
            ends = outcome.facts["averaged"]
            self.material.progress.say(f"{stage}: the mean of the weights at the ends of {ends} cycles validates best.")
        rows = tuple(EpochRow.from_json(row) for row in outcome.facts["rows"])
        body, head = self._weights(state, outcome)
        return replace(
            state,
            key=key,
            backbone=body,
            head=head,
            epochs=state.epochs + len(rows),
            history=state.history + History(rows),
            start=(state.backbone, state.head),
        )

    def blend(self, state: LearnerState, shares: tuple[float, ...]) -> tuple[LearnerState, float]:
        """Give the state between the weights before the last fit and after it that validates best, and its share."""
        if state.start is None or not all(0 <= share <= 1 for share in shares) or not shares:
            raise OptionError(f"blend({list(shares)}): wanted shares from 0 to 1, after a fit.")
        key = next_key(state.key, "blend", {"shares": list(shares)})
        backbone, head = state.start
        start = replace(state, backbone=backbone, head=head)

        def compute() -> Outcome:
            validate = self.material.validation(state)
            if validate is None:
                raise OptionError("blend() chooses on validation images, and there are none.")
            network, first, last = self._network(state), copied(self._network(start)), copied(self._network(state))
            losses = []
            for share in shares:
                network.load_state_dict(between(first, last, share))
                losses.append(validate(network).tempered_loss)
            best = int(np.argmin(losses))
            network.load_state_dict(between(first, last, shares[best]))
            facts = {"share": shares[best], "losses": losses, "shares": list(shares)}
            return Outcome(_tensors_of(network, state.head.kind), facts)

        outcome = self._outcome(key, "blend", compute)
        body, own = self._weights(state, outcome)
        return replace(state, key=key, backbone=body, head=own), float(outcome.facts["share"])

    def calibrate(self, state: LearnerState) -> tuple[LearnerState, float]:
        """Give the state with the head's logits divided by the temperature that suits validation, and that."""
        key = next_key(state.key, "calibrate", {})

        def compute() -> Outcome:
            validate = self.material.validation(state)
            if validate is None:
                raise OptionError("calibrate() chooses on validation images, and there are none.")
            return Outcome({}, {"temperature": validate(self._network(state)).temperature})

        temperature = float(self._outcome(key, "calibrate", compute).facts["temperature"])
        return replace(state, key=key, head=cooled(state.head, temperature)), temperature

    def _fresh_head(self, kind: str) -> Head:
        material = self.material
        return fresh_head(
            kind,
            features=material.base.spec.features,
            classes=len(material.table.classes),
            draws=generator(material.seed, "fresh head"),
        )

    def _outcome(self, key: str, what: str, compute: Callable[[], Outcome]) -> Outcome:
        if self.run is None:
            return compute()
        outcome, replayed = self.run.step({"learner": key}, compute)
        if replayed:
            self.material.progress.say(f"{what}: done before, replayed from {self.run.folder}.")
        return outcome

    def _network(self, state: LearnerState) -> torch.nn.Module:
        """Give a new module to train: the head alone where the body is frozen."""
        torch.set_num_threads(self.material.threads)
        if state.frozen_body:
            return head_module(state.head)
        network = Trainable(state.backbone, state.head, first_trained=state.first_trained, bn_frozen=state.bn_frozen)
        return network.to(memory_format=torch.channels_last)

    def _fit(
        self, state: LearnerState, network: torch.nn.Module, rates: Sequence[float], schedule: Schedule, stage: str
    ) -> Fit:
        return Fit(
            network=network,
            groups=network.groups() if isinstance(network, Trainable) else ([], [], list(network.parameters())),
            source=self.material.source(state),
            validate=self.material.validation(state),
            rates=rates,
            schedule=schedule,
            seed=self.material.seed,
            runtime=runtime(self.material.device),
            stage=stage,
            first_epoch=state.epochs,
            optimizer=self.optimizer,
            weight_decay=self.weight_decay,
            objective=Objective(loss=self.loss),
            clip_norm=self.clip_norm,
            accumulate=self.accumulate,
        )

    def _weights(self, state: LearnerState, outcome: Outcome) -> tuple[Backbone, Head]:
        """Give body and head of an outcome; the body is the state's where only the head was trained."""
        head = head_from_tensors(state.head.kind, _under("head.", outcome.tensors))
        body = _under("body.", outcome.tensors)
        return (with_body(state.backbone, body) if body else state.backbone), head


def _plain(rates: float | Sequence[float]) -> float | list[float]:
    return list(map(float, rates)) if isinstance(rates, Sequence) else float(rates)


def _digest(head: Head) -> str:
    """Give what identifies a head's weights."""
    return json_digest({name: digest(value.tobytes()).hex() for name, value in sorted(head.tensors.items())})


def _tensors_of(network: torch.nn.Module, kind: HeadKind) -> Tensors:
    """Give what a fit has changed: the head, and the body where it was trained."""
    if not isinstance(network, Trainable):
        return {f"head.{name}": value for name, value in head_of(network, kind).tensors.items()}
    head = {f"head.{name}": value for name, value in network.head_value().tensors.items()}
    return head | {f"body.{name}": value for name, value in network.body_state().items()}


def _under(prefix: str, tensors: Tensors) -> Tensors:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def _journaled(run: Run, key: str, out_of_time: Callable[[EpochRow], bool]) -> Callable[[EpochRow], bool]:
    """Write a decision of the clock down before it is obeyed, and obey what was written (law 6)."""
    path = run.folder / "story" / f"{key[:32]}.stopped.json"

    def decided(row: EpochRow) -> bool:
        if path.exists():
            return row.epoch >= int(read_json(path)["after_epoch"])
        if out_of_time(row):
            write_json(path, {"after_epoch": row.epoch})
            return True
        return False

    return decided
