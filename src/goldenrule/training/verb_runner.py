"""What the verbs of a learner do: states in, states out, each outcome stored under its key (law 7)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from goldenrule.core.errors import FormatError, OptionError
from goldenrule.core.findings import Finding
from goldenrule.core.memory import keep_freed_memory
from goldenrule.core.randomness import generator
from goldenrule.core.schema import as_json
from goldenrule.data.pictures.decode import DECODING
from goldenrule.models.backbone import Backbone, kept
from goldenrule.models.classifier import Classifier
from goldenrule.models.custom import Maker
from goldenrule.models.custom_heads import CustomHead, head_digest
from goldenrule.models.heads import Head, fresh_head
from goldenrule.models.network import head_module
from goldenrule.models.trainable import Trainable, moving_norms, rates_of_groups, tensors_of, under, with_weights
from goldenrule.runs.history import EpochRow, History, epoch_row
from goldenrule.runs.store import Outcome, Run, about_images
from goldenrule.storage.tensors import Array, array_of, arrays_in, check_arrays, check_like
from goldenrule.training.checkpoint import remove, row_facts, seen_in, seen_tensors
from goldenrule.training.custom_metrics import measured
from goldenrule.training.diagnostics import MOST, STOPPED, Level, arithmetic, before, ended_worse, hints, level_of
from goldenrule.training.fitting import Fit, Keep, StoppedBy, find_rate, run
from goldenrule.training.inputs.batches import ValidationLogits
from goldenrule.training.inputs.training_data import TrainingData
from goldenrule.training.kept_epochs import KeptEpochs
from goldenrule.training.loggers import LoggedFit, Logger, logged
from goldenrule.training.loss import Objective
from goldenrule.training.lr_finder import STEPS_LIVE, STEPS_ON_ROWS, RangeTest, read_curve
from goldenrule.training.runtime import one_of, runtime
from goldenrule.training.schedule import Constant, Schedule, schedule_json
from goldenrule.training.settings import Settings, plain
from goldenrule.training.snapshots import Snapshots
from goldenrule.training.state import HEAD, LearnerState, Standing, next_key


@dataclass(frozen=True, kw_only=True, eq=False)
class VerbRunner:
    """Tells a run: does what the verbs say, or replays what was done. `run` None: nothing is kept."""

    data: TrainingData
    run: Run | None
    settings: Settings
    on_epoch: Callable[[EpochRow], None]
    loggers: Sequence[Logger] = ()

    def begin(self, head: str | Head | Maker) -> LearnerState:
        """Return the first state; its key is all that the run depends on."""
        data = self.data
        first = self._fresh_head(head) if isinstance(head, str | Maker) else head
        about = {
            "images": about_images(data.table)["digest"],
            "weights": data.base.spec.weights,
            "backbone": data.base.spec.timm_name,
            "preprocessing": as_json(data.base.spec.preprocessing),
            "decoding": DECODING,
            "pooling": data.base.spec.pooling,
            "engine": as_json(data.kind(data.base)),
            "augmentation": as_json(data.augmentation),
            **as_json(self.settings),
            "augmented_views": data.augmented_views,
            "late_views": data.late_views,
            "batch_size": data.batch_size,
            "class_weights": data.class_weights,
            "sampling": data.sampling,
            "seed": data.seed,
            **as_json(data.machines),
            "threads": data.threads,
            "torch": torch.__version__,
            "numpy": np.__version__,
            "head": head if isinstance(head, str) else head_digest(first),
        }
        key, standing = next_key("", "start", about), Standing(data.base, first, None)
        return LearnerState(key=key, backbone=data.base, head=first, standing=standing)

    def loaded(self, state: LearnerState, other: Classifier) -> LearnerState:
        """Return the state with the weights of a classifier."""
        base, spec = self.data.base, other.backbone.spec
        built = spec.built_for_size
        known = replace(base, spec=replace(base.spec, preprocessing=spec.preprocessing, built_for_size=built))
        same = (spec.weights, spec.timm_name) == (base.spec.weights, base.spec.timm_name)
        backbone = known if same else kept(other.backbone)
        arguments = {"backbone": spec.weights, "head": head_digest(other.head), "size": spec.preprocessing.size}
        return state.after("load", arguments, backbone=backbone, head=other.head, ends=Snapshots())

    def find_rate(
        self,
        state: LearnerState,
        *,
        rates: float | Sequence[float],
        lowest: float,
        highest: float,
        steps: int | None,
    ) -> RangeTest:
        """Return the curve of the learning-rate finder; the state stays as it is."""
        count = steps or (STEPS_ON_ROWS if state.precompute else STEPS_LIVE)
        groups = rates_of_groups(plain(rates))
        arguments = {"rates": list(groups), "lowest": lowest, "highest": highest, "steps": count}

        def compute() -> Outcome:
            test = find_rate(
                self._fit(state, self.network(state), groups, Constant(epochs=1), "lr_find"),
                steps=count,
                lowest=lowest,
                highest=highest,
                progress=self.data.progress,
            )
            return Outcome(
                {"rates": np.array(test.rates), "losses": np.array(test.losses)}, {"ratio": list(test.ratio)}
            )

        found = self.outcome(next_key(state.key, "lr_find", arguments), "lr_find", compute, check=_check_curve(count))
        curve = found.tensors["rates"].tolist(), found.tensors["losses"].tolist()
        return read_curve(*curve, ratio=found.facts["ratio"], chance=self.data.table.guessing_loss)

    def fit(
        self,
        state: LearnerState,
        *,
        lr: float | Sequence[float],
        schedule: Schedule,
        spread: float | None,
        keep: Keep,
        until_over_fitting: bool | int,
        until_converged: int,
        objective: Objective,
        ema: float,
        stage: str,
        out_of_time: Callable[[EpochRow], bool] | None,
        epochs: KeptEpochs | None = None,
        measured: RangeTest | None = None,
        advise: bool = True,
    ) -> LearnerState:
        """Return the state after a fit; `advise` says what its rates may do, and whether it ended worse than before."""
        rates = rates_of_groups(plain(lr), spread=spread)
        if not 0 <= ema < 1:
            raise OptionError(f"ema={ema}: wanted 0 (the last weights) to less than 1; 0.99 is usual.")
        if until_converged and (until_converged < 0 or not len(self.data.split("valid"))):
            raise OptionError(
                f"until_converged={until_converged}: wanted for how many epochs validation no longer improves, 1 or "
                "more, and labelled validation images."
            )
        if objective.cutmix and (state.frozen_backbone or state.precompute):
            raise OptionError("cutmix cuts pixels, and what learns here begins with features: unfreeze() first.")
        objective = replace(objective, loss=self.settings.loss)
        say = self.data.progress.detail
        arguments = {
            "rates": list(rates),
            "schedule": schedule_json(schedule),
            "keep": keep,
            "until_over_fitting": until_over_fitting,
            "objective": as_json(objective),
            "ema": ema,
            "stage": stage,
        }
        if until_converged:
            arguments["until_converged"] = until_converged
        if epochs:
            arguments["save_every"] = epochs.every
        key = next_key(state.key, "fit", arguments)
        checkpoint = self.run.folder / "steps" / f"{key[:32]}.checkpoint" if self.run else None
        ends = Snapshots(checkpoint)

        def compute() -> Outcome:
            network = self.network(state)
            began = self._level(state, network) if advise else None
            fit = self._fit(state, network, rates, schedule, stage)
            fit = replace(fit, keep=keep, until_over_fitting=until_over_fitting, until_converged=until_converged)
            fit = replace(fit, objective=objective, ema=ema, checkpoint=checkpoint)
            fit = replace(fit, on_cycle=lambda cycle: ends.keep(cycle, tensors_of(network, state.head)))
            if epochs:
                fit = replace(fit, on_saved=lambda epoch: self._keep(epochs, epoch, state, network, key))
            if out_of_time:
                stop = self.run.journaled(key, out_of_time) if self.run else out_of_time
                fit = replace(fit, out_of_time=stop)
            say(f"{stage}: {arithmetic(fit.source.count, fit.source.batch_size, schedule.epochs)}")
            for finding in self._before(state, rates, network, measured) if advise else ():
                say(str(finding))

            def on_epoch(row: EpochRow) -> None:
                self.on_epoch(row)
                note(row)

            done = run(fit, on_epoch=on_epoch, progress=self.data.progress)
            facts = {"rows": row_facts(done.rows), "averaged": done.averaged, "stopped": done.stopped}
            facts |= {"began": [began.loss, began.accuracy]} if began else {}
            return Outcome(tensors_of(network, state.head) | seen_tensors(done.seen), facts)

        settings = {"backbone": state.backbone.spec.name, **as_json(self.settings), **arguments}
        fit_facts = LoggedFit(key=key, images=self.data.table.name, stage=stage, settings=settings)
        with logged(self.loggers, fit_facts) as note:
            outcome = self.outcome(key, stage, compute, check=lambda kept: self._check_fit(kept, state))
            rows = self._rows(outcome)
            for row in rows:  # of a replayed fit
                note(row)
        cut_short = outcome.facts["stopped"] == StoppedBy.CLOCK
        if checkpoint and not cut_short:  # with more time it goes on from there
            remove(checkpoint)
        if outcome.facts["stopped"]:
            say(f"{stage}: {STOPPED[outcome.facts['stopped']]}")
        if outcome.facts["averaged"]:
            averaged = outcome.facts["averaged"]
            say(f"{stage}: the mean of the weights at the ends of {averaged} cycles validates best.")
        chance, best = self.data.table.guessing_loss, keep == "best"
        stayed = outcome.facts["stopped"] == "diverged" and not best
        began = state.standing.level if state.standing and state.is_known else None
        began = Level(*outcome.facts["began"]) if "began" in outcome.facts else began
        ended = began if stayed else level_of(rows, keeps_best=best)
        worse = ended_worse(began, ended) if advise and began and ended else None
        said = hints(rows, rate=max(rates), chance=chance, keeps_best=best)
        for finding in (*([worse] if worse else []), *said)[:MOST]:
            say(str(finding))
        backbone, head = self.weights(state, outcome)
        return replace(
            state,
            key=next_key(key, "out of time", {"epochs": len(rows)}) if cut_short else key,
            backbone=backbone,
            head=head,
            epochs=state.epochs + len(rows),
            history=state.history + History(rows),
            start=(state.backbone, state.head),
            ends=ends,
            standing=Standing(backbone, head, ended),
            out_of_time=cut_short,
        )

    def _level(self, state: LearnerState, network: torch.nn.Module) -> Level | None:
        """Return how good a network is before a fit, where that is not known from the last one."""
        validate = None if state.is_known else self.data.validation(state)
        if validate is None:
            return None
        found = validate(network)
        return Level(float(found.tempered_loss), float(found.accuracy))

    def _fresh_head(self, kind: str | Maker) -> Head:
        features, classes = self.data.base.spec.features, len(self.data.table.classes)
        draws = generator(self.data.seed, "fresh head")
        if isinstance(kind, Maker):
            return CustomHead.fresh(kind, features=features, classes=classes, seed=int(draws.integers(2**62)))
        return fresh_head(kind, features=features, classes=classes, draws=draws)

    def outcome(
        self, key: str, what: str, compute: Callable[[], Outcome], *, check: Callable[[Outcome], object]
    ) -> Outcome:
        """Return the outcome of a verb: computed now, or kept from when it was done before and fit to `check`."""
        if self.run is None:
            return compute()
        outcome, replayed = self.run.step({"learner": key}, compute, check=check)
        if replayed:
            self.data.progress.detail(f"{what}: done before, replayed from {self.run.folder}.")
        return outcome

    def network(self, state: LearnerState) -> torch.nn.Module:
        """Return a new module to train: the head alone where the backbone is frozen."""
        torch.set_num_threads(self.data.threads)
        if state.frozen_backbone:
            return head_module(state.head)
        keep_freed_memory()
        network = Trainable(
            state.backbone,
            state.head,
            first_trained=state.first_trained,
            bn_frozen=state.bn_frozen,
            from_boundary=state.precompute,
        )
        return network.to(memory_format=torch.channels_last)

    def _fit(
        self, state: LearnerState, network: torch.nn.Module, rates: Sequence[float], schedule: Schedule, stage: str
    ) -> Fit:
        source, machines = self.data.source(state), self.data.machines
        if not isinstance(network, Trainable):  # one process trains a head in seconds
            machines = one_of(machines)
        return Fit(
            network=network,
            groups=network.groups() if isinstance(network, Trainable) else ([], [], list(network.parameters())),
            source=source,
            validate=self.data.validation(state),
            measure=self._custom_metrics,
            rates=rates,
            schedule=schedule,
            seed=self.data.seed,
            runtime=runtime(machines, threads=self.data.threads),
            stage=stage,
            first_epoch=state.epochs,
            optimizer=self.settings.optimizer,
            weight_decay=self.settings.weight_decay,
            objective=Objective(loss=self.settings.loss),
            clip_norm=self.settings.clip_norm,
            accumulate=self.settings.accumulate,
        )

    def _keep(self, epochs: KeptEpochs, epoch: int, state: LearnerState, network: torch.nn.Module, key: str) -> None:
        """Keep the network as it stands after an epoch, where its turn has come."""
        if not epochs.due(epoch, key):
            return
        table, kind = self.data.table, self.data.kind(state.backbone)
        path = epochs.keep(epoch, network, state, classes=table.classes, task=table.task, engine=kind, fit_key=key)
        self.data.progress.say(f"Epoch {epoch} is kept: {path}")

    def _rows(self, outcome: Outcome) -> tuple[EpochRow, ...]:
        """Return the epochs of a fit, with the metrics that are wanted now."""
        rows = [epoch_row(row) for row in outcome.facts["rows"]]
        if seen := seen_in(outcome.tensors):
            rows = [
                replace(row, metrics=self._custom_metrics(outputs)) for row, outputs in zip(rows, seen, strict=True)
            ]
        return tuple(rows)

    def _custom_metrics(self, seen: ValidationLogits) -> dict[str, float]:
        return measured(self.settings.metrics, self.data.table.classes, seen)

    def _before(
        self, state: LearnerState, rates: Sequence[float], network: torch.nn.Module, measured: RangeTest | None
    ) -> tuple[Finding, ...]:
        """Return what should be known before this fit begins; `measured` by `lr_find` on these layers."""
        last = state.history.rows[-1].accuracy if state.history else None
        backbone = slice(state.first_trained, HEAD)
        return before(
            optimizer=self.settings.optimizer,
            backbone_rate=0.0 if state.backbone.spec.source.get("from_scratch") else max(rates[backbone], default=0.0),
            measured=measured.suggestion * max(measured.ratio[backbone], default=0.0) if measured else None,
            moving_norms=moving_norms(network) if state.bn_frozen == "none" else 0,
            accuracy=last,
        )

    def check_weights(self, outcome: Outcome, state: LearnerState) -> None:
        """Raise `FormatError` where an outcome holds no weights for this state's network."""
        head = {name: array_of(value) for name, value in state.head.tensors.items()}
        check_like(under("head.", outcome.tensors), head, what="the trained head")
        if backbone := under("backbone.", outcome.tensors):
            check_like(backbone, arrays_in(state.backbone.weights_file), what="the trained backbone")

    def _check_fit(self, outcome: Outcome, state: LearnerState) -> None:
        self.check_weights(outcome, state)
        rows = [epoch_row(row) for row in outcome.facts["rows"]]
        if len(seen_in(outcome.tensors)) not in (0, len(rows)):
            raise FormatError("What was seen is not that of each epoch.")
        began = outcome.facts.get("began", [0.0, 0.0])
        if len(began) != 2 or not all(isinstance(number, int | float) for number in began):
            raise FormatError("What a fit says of its beginning can't be read.")
        if outcome.facts["stopped"] not in ("", *STOPPED) or not isinstance(outcome.facts["averaged"], int):
            raise FormatError("What a fit says of its end can't be read.")

    def weights(self, state: LearnerState, outcome: Outcome) -> tuple[Backbone, Head]:
        """Return backbone and head of an outcome; the backbone is the state's where only the head was trained."""
        head = state.head.with_tensors(under("head.", outcome.tensors))
        backbone = under("backbone.", outcome.tensors)
        return (with_weights(state.backbone, backbone) if backbone else state.backbone), head


def _check_curve(steps: int) -> Callable[[Outcome], None]:
    """Return what raises `FormatError` where an outcome is no curve of at most so many steps."""

    def check(outcome: Outcome) -> None:
        wanted = {"rates": Array(("steps",)), "losses": Array(("steps",), finite=False)}
        check_arrays(outcome.tensors, wanted, what="the curve")
        rates = outcome.tensors["rates"]
        rising = 0 < len(rates) <= steps and rates[0] > 0 and bool((np.diff(rates) > 0).all())
        if not rising or not all(isinstance(share, int | float) for share in outcome.facts["ratio"]):
            raise FormatError("The rates of the curve can't be read.")

    return check
