"""`Learner`: the verbs of fast.ai's lesson 2, a thin shell around an immutable `LearnerState`.

    images = gr.from_folder("dogscats")
    learn = gr.Learner(images, "efficientnet_lite0", precompute=True, augment=gr.data.side_on(max_zoom=1.1))
    gr.plot(learn.lr_find())
    learn.fit(1e-2, 1)
    learn.precompute = False
    learn.fit(1e-2, 3, cycle_len=1)
    learn.unfreeze()
    learn.fit([1e-4, 1e-3, 1e-2], 3, cycle_len=1, cycle_mult=2)
    predictions = learn.tta()

Every verb's outcome is stored under the hash of all that led to it: the same script run again replays what is
finished and goes on where it was killed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from goldenrule.core.errors import OptionError
from goldenrule.core.progress import Bars, Progress
from goldenrule.data.augmentation.augment import PLAIN, Augmentation, views
from goldenrule.data.pictures.levels import glanced
from goldenrule.data.splits.splitting import with_split
from goldenrule.data.table import ImageTable, Split
from goldenrule.metrics import Predictions
from goldenrule.models.backbone import Backbone, pooling_for, resized, with_levels
from goldenrule.models.backbone import backbone as load_backbone
from goldenrule.models.catalog import DEFAULT_BACKBONE
from goldenrule.models.custom_heads import AnyHead, head_or_maker
from goldenrule.models.graphs.compiled import available_threads, check_device
from goldenrule.models.trainable import GROUPS, BatchNormFrozen
from goldenrule.runs.history import EpochRow, History
from goldenrule.runs.machines import Machines, Precision, Strategy
from goldenrule.runs.store import Run
from goldenrule.storage.cache_folder import cache_folder
from goldenrule.training import averaging as afterwards
from goldenrule.training import crossing
from goldenrule.training import verb_runner as verbs
from goldenrule.training.crossing import Crossed
from goldenrule.training.custom_metrics import Metric, Metrics, metrics_of
from goldenrule.training.fitting import Keep
from goldenrule.training.inputs.batches import Sampling
from goldenrule.training.inputs.terminal_curves import LiveCurves
from goldenrule.training.inputs.training_data import ClassWeights, TrainingData
from goldenrule.training.kept_epochs import KeptEpochs
from goldenrule.training.loggers import Logger
from goldenrule.training.loss import CustomLoss, Objective
from goldenrule.training.lr_finder import HIGHEST_RATE, LOWEST_RATE, RangeTest
from goldenrule.training.plan import RATIO
from goldenrule.training.schedule import Constant, OneCycle, Schedule, Sgdr
from goldenrule.training.settings import Settings
from goldenrule.training.state import HEAD, LearnerState

if TYPE_CHECKING:
    import torch

    from goldenrule.models.classifier import Classifier

SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)


class Learner:
    """A training run in progress. `images` without splits are split 8:1:1; the head begins with random weights.

    Head and backbone may be made by functions of your own: `head=make` (`custom_head`), `custom_backbone(make, ...)`.
    `augment` makes the training images vary: with `precompute` as `augmented_views` cached views of each beside
    the plain one (`late_views` before the late layers, by default as many), else anew in every epoch. `folder` keeps
    the outcomes of verbs, by default in the cache; `replay=False` neither looks for them nor keeps them. The same seed
    gives the same weights.

    `optimizer` is one of torch.optim by name; `weight_decay` one number or one per group. `loss(logits, targets)`
    gives a loss per example instead of the cross-entropy; it is known by its source, or by `loss_key`: without either
    nothing is kept. With `class_weights="balanced"` every class counts the same, with `sampling="balanced"` it comes
    equally often. `clip_norm` shortens gradients; `accumulate=4` computes each batch in four parts, for want of memory.
    `metrics` are functions of `Predictions`, or such by name, computed on validation after every epoch.
    `loggers` keep the epochs elsewhere too: `gr.training.TensorBoard("logs")`.
    """

    def __init__(
        self,
        images: ImageTable,
        backbone: str | Backbone = DEFAULT_BACKBONE,
        *,
        precompute: bool = False,
        augment: Augmentation | None = None,
        augmented_views: int = 4,
        late_views: int | None = None,
        head: AnyHead = "linear",
        optimizer: str = "adamw",
        weight_decay: float | Sequence[float] = 0.01,
        loss: Callable[[torch.Tensor, torch.Tensor], torch.Tensor] | None = None,
        loss_key: str | None = None,
        class_weights: ClassWeights | None = None,
        sampling: Sampling = "uniform",
        metrics: Metrics | Sequence[Metric] = (),
        clip_norm: float | None = None,
        accumulate: int = 1,
        batch_size: int | None = None,
        seed: int = 0,
        device: str = "cpu",
        devices: int = 1,
        nodes: int = 1,
        strategy: Strategy = "ddp",
        precision: Precision = "32-true",
        threads: int | None = None,
        folder: str | Path | None = None,
        replay: bool = True,
        loggers: Sequence[Logger] = (),
        progress: Progress | None = None,
    ) -> None:
        first = head_or_maker(head)
        shown = progress or Bars(verbose=True)
        base = (
            backbone
            if isinstance(backbone, Backbone)
            else load_backbone(backbone, pooling=pooling_for(first), progress=shown)
        )
        if pooling_for(first) == "flattened" and base.spec.pooling not in ("flattened", "none"):
            raise OptionError(
                f"The head flatten-64 stands on whole feature maps, and this backbone gives {base.spec.pooling} "
                "features: "
                'wanted backbone(..., pooling="flattened").'
            )
        table = images
        if None in images.digests:
            table, levels, said = glanced(images, progress=shown)
            if base.spec.preprocessing.levels is None and said:
                shown.say(f"{said[0].sentence}. {said[0].advice}")
                base = with_levels(base, levels)
        self.data = TrainingData(
            table=with_split(table, seed=seed),
            base=base,
            augmentation=augment,
            augmented_views=augmented_views,
            late_views=late_views,
            seed=seed,
            batch_size=batch_size,
            class_weights=class_weights,
            sampling=sampling,
            machines=Machines(
                device=check_device(device), devices=devices, nodes=nodes, strategy=strategy, precision=precision
            ),
            threads=threads or available_threads(),
            progress=shown,
        )
        custom_loss = CustomLoss.of(loss, loss_key) if loss else None
        if replay and custom_loss and custom_loss.untold:
            shown.say(custom_loss.untold)
        kept = replay and not (custom_loss and custom_loss.untold)
        self._curves = LiveCurves(shown)
        self._runner = verbs.VerbRunner(
            data=self.data,
            run=Run(Path(folder) if folder else cache_folder() / "stories") if kept else None,
            settings=Settings(
                optimizer=optimizer,
                weight_decay=weight_decay,
                loss=custom_loss,
                clip_norm=clip_norm,
                accumulate=accumulate,
                metrics=metrics_of(metrics),
            ),
            on_epoch=self._curves.show,
            loggers=tuple(loggers),
        )
        self._folder = Path(folder) if folder else None
        self._measured: RangeTest | None = None
        self.state: LearnerState = self._runner.begin(first)
        if precompute:
            self.precompute = True

    @property
    def precompute(self) -> bool:
        """Whether what is trained begins with cached rows. Setting it is a verb; `unfreeze` turns it off by itself.

        With `freeze()` these are pooled features, with `freeze_to(1)` the activations before the late layers.
        """
        return self.state.precompute

    @precompute.setter
    def precompute(self, on: bool) -> None:
        if on and self.state.first_trained == 0:
            raise OptionError("precompute=True needs frozen early layers: call freeze() or freeze_to(1) first.")
        self.state = self.state.after("precompute", {"on": bool(on)}, precompute=bool(on))

    @property
    def history(self) -> History:
        """A row per epoch of the run so far."""
        return self.state.history

    def can_precompute(self) -> bool:
        """Return whether what flows into the layers that are trained now can be kept in the cache.

        Not where all are trained; nor before the late layers of a backbone that can't be cut there, or of too many
        images.
        """
        return self.state.frozen_backbone or (self.state.first_trained > 0 and self.data.can_keep(self.state))

    def freeze(self) -> None:
        """Train the head only."""
        self.freeze_to(HEAD)

    def freeze_to(self, group: int) -> None:
        """Freeze the groups before number `group`: 0 trains all, 1 late layers and head, 2 the head.

        With `precompute`, what is frozen runs once per view and stays in the cache, at some 40 KB a view before the
        late layers; how much that takes is said first. For a backbone that can't be cut there a fit raises
        `OptionError`.
        """
        if group not in range(len(GROUPS)):
            raise OptionError(f"freeze_to({group}): wanted 0 to {HEAD}, the groups being {', '.join(GROUPS)}.")
        precompute = self.state.precompute and group > 0
        changes = {"first_trained": group, "precompute": precompute}
        self.state = self.state.after("freeze_to", {"group": group}, **changes)

    def unfreeze(self) -> None:
        """Train all layers, on live images."""
        self.freeze_to(0)

    def set_size(self, size: int) -> None:
        """Go on at another side of the network's input in px, with the same weights: small pictures first is quick.

        What is validated, tested and saved from then on has that size. Howard, "Training ImageNet in 3 hours for 25
        minutes", 2018 (progressive resizing).
        """
        self.state = self.state.after("set_size", {"size": size}, backbone=resized(self.state.backbone, size))

    def bn_freeze(self, on: bool | Literal["early"] = True) -> None:
        """Keep the BatchNorm statistics of trained layers too (the default), or let them follow the batches.

        `"early"` keeps those of the early layers alone: for pictures unlike those the backbone was trained with.
        """
        kept: BatchNormFrozen = "early" if on == "early" else "all" if on else "none"
        self.state = self.state.after("bn_freeze", {"kept": kept}, bn_frozen=kept)

    def lr_find(
        self,
        *,
        rates: float | Sequence[float] = 1.0,
        lowest: float = LOWEST_RATE,
        highest: float = HIGHEST_RATE,
        steps: int | None = None,
    ) -> RangeTest:
        """Raise the rate from step to step and watch the loss; leaves no trace in the learner.

        `rates` per group are kept in their ratio. By default 100 steps on precomputed rows, 40 on live images.
        """
        test = self._runner.find_rate(self.state, rates=rates, lowest=lowest, highest=highest, steps=steps)
        self._measured = None if self.state.frozen_backbone else test
        return test

    def fit(
        self,
        lr: float | Sequence[float],
        cycles: int = 1,
        *,
        cycle_len: int | None = None,
        cycle_mult: int = 1,
        schedule: Schedule | None = None,
        spread: float | None = None,
        keep: Keep = "last",
        until_over_fitting: bool | int = False,
        until_converged: int = 0,
        mixup: float = 0.0,
        cutmix: float = 0.0,
        label_smoothing: float = 0.0,
        ema: float = 0.0,
        save_every: int = 0,
        stage: str = "fit",
        out_of_time: Callable[[EpochRow], bool] | None = None,
        advise: bool = True,
    ) -> History:
        """Train what is not frozen and give the new rows of the history.

        `fit(lr, 3)` keeps the rate for 3 epochs; with `cycle_len` the rate falls by a cosine in every cycle of so
        many epochs and restarts, each cycle `cycle_mult` times as long as the one before (SGDR). `lr` is one rate,
        or one per layer group, early layers first; `spread=10` lets earlier groups learn 10 times slower each.
        `keep="best"` goes back to the end of the cycle with the lowest validation loss, or takes the mean of the
        weights at the ends so far where that is lower. `until_over_fitting` and `until_converged`=5
        (in five epochs the validation loss has not fallen by 2 %; with cycles their ends count) end it earlier;
        `until_over_fitting`=3 wants it confirmed at three ends of cycles in a row.
        Against over-fitting: `mixup`=.4 blends pictures (or rows) in
        pairs, `cutmix`=1 lays rectangles of one into the other, `label_smoothing`=.1 (`training.losses.Objective`);
        the train loss shown is then that of the blends. `ema`=.99 keeps the moving average of the weights.
        `save_every`=5 keeps what was learned after epochs 5, 10 ... of the run as classifiers of their own, to `load`
        and to predict with: FOLDER/epochs/epoch-005, beside the checkpoint; the learner needs a `folder` then.
        Where it ends clearly worse than it began it says so, and how to go back: `blend([0])`.
        `advise=False` is for who has chosen the rates by a rule, and selects afterwards: neither that is said, nor
        anything of high rates.
        """
        if schedule is None:
            schedule = (
                Constant(epochs=cycles) if cycle_len is None else Sgdr(cycles=cycles, length=cycle_len, mult=cycle_mult)
            )
        before = len(self.history)
        self._curves.begin()
        self.state = self._runner.fit(
            self.state,
            lr=lr,
            schedule=schedule,
            spread=spread,
            keep=keep,
            until_over_fitting=until_over_fitting,
            until_converged=until_converged,
            objective=Objective(mixup=mixup, cutmix=cutmix, label_smoothing=label_smoothing),
            ema=ema,
            stage=stage,
            out_of_time=out_of_time,
            epochs=self._kept_epochs(save_every),
            measured=self._measured,
            advise=advise,
        )
        self._curves.end()
        return History(self.history.rows[before:])

    def fit_one_cycle(self, lr: float | Sequence[float], epochs: int, **how: Any) -> History:
        """Train one cycle: the rate warms up for a quarter of the epochs, then falls by a cosine; momentum mirrors it.

        `how` is the rest of what `fit` takes. Smith, "A disciplined approach to neural network hyper-parameters",
        arXiv:1803.09820, with fastai's shares.
        """
        return self.fit(lr, schedule=OneCycle(epochs=epochs), **how)

    def fine_tune(self, epochs: int, *, frozen_epochs: int = 1, **how: Any) -> History:
        """Train the head, then the whole network, each for one cycle at the rate that `lr_find` suggests for it.

        fastai's `fine_tune`, with measured rates; earlier groups learn slower. `how` is the rest of what `fit` takes.
        """
        before = len(self.history)
        self.freeze()
        self.fit_one_cycle(self.lr_find().suggestion, frozen_epochs, **how)
        self.unfreeze()
        rate = self.lr_find(rates=RATIO).suggestion
        self.fit_one_cycle([rate * share for share in RATIO], epochs, **how)
        return History(self.history.rows[before:])

    def fit_until_overfit(
        self, lr: float | Sequence[float], *, most_cycles: int = 5, cycle_len: int = 1, cycle_mult: int = 2, **how: Any
    ) -> History:
        """Train in ever longer cycles until over-fitting is confirmed; the best cycle is kept.

        Over-fitting: at the end of a cycle training is better than at the best one, validation worse. `how` is the
        rest of what `fit` takes.
        """
        options = {"keep": "best", "until_over_fitting": True, **how}
        return self.fit(lr, most_cycles, cycle_len=cycle_len, cycle_mult=cycle_mult, **options)

    @property
    def cycles(self) -> tuple[int, ...]:
        """The cycles of the last fit, from 1, whose ends are kept: the newest 20, up to 200 MB of weights."""
        return self.state.ends.cycles

    def back_to(self, cycle: int) -> None:
        """Go back to what the last fit had learned at the end of a cycle, counted from 1."""
        self.state = afterwards.back_to(self._runner, self.state, cycle)

    def soup(self) -> tuple[int, ...]:
        """Average the weights at those ends of the last fit's cycles that validate best together; gives them.

        The best one first, then each other only where the mean with it is better: a greedy soup. Wortsman et al.,
        "Model soups", arXiv:2203.05482.
        """
        self.state, cycles = afterwards.soup(self._runner, self.state)
        return cycles

    def blend(self, shares: Sequence[float] = SHARES) -> float:
        """Go back a part of the way from the weights before the last fit; validation chooses the share.

        w = (1 - a) * before + a * after, a from `shares`; gives a. Wortsman et al., "Robust fine-tuning of
        zero-shot models", arXiv:2109.01903.
        """
        self.state, share = afterwards.blend(self._runner, self.state, tuple(shares))
        return share

    def calibrate(self) -> float:
        """Divide the logits by the temperature, 1 or more, at which the validation loss is lowest; gives it.

        Takes back over-confidence and changes no ranking. Guo et al., "On calibration of modern neural networks",
        arXiv:1706.04599.
        """
        self.state, temperature = afterwards.calibrate(self._runner, self.state)
        return temperature

    def crossed(self, shares: Sequence[float] = SHARES, *, keep: Keep = "best", temper: bool = True) -> Crossed | None:
        """Evaluate the last fit on validation by what had no say in it, before `blend` and `calibrate` choose on all.

        Each half is predicted by the cycle (of a fit with `keep="best"`), share and temperature that the other half
        chooses. None where validation has fewer than eight labelled images, or is one group. Leaves no trace in the
        learner. Raises `OptionError` before a fit.
        """
        return crossing.crossed(self._runner, self.state, shares=tuple(shares), keep=keep, temper=temper)

    def evaluate(self, split: Split = "valid") -> Predictions:
        """Return the predictions on the plain views of a split, by the engine that serves the classifier."""
        return self._predicted(split, 0)

    def predict(self, images: Any) -> Predictions:
        """Return the predictions for pictures, given as `Classifier.predict` takes them."""
        return self.classifier().predict(images, threads=self.data.threads)

    def tta(self, split: Split = "valid", *, augmented_views: int = 4) -> Predictions:
        """Return predictions averaged over the plain and some augmented views (test-time augmentation)."""
        if self.data.augmentation is None:
            raise OptionError("tta() needs a way to augment: Learner(..., augment=gr.data.side_on()).")
        return self._predicted(split, augmented_views)

    def classifier(self) -> Classifier:
        """Return what is saved, shared and served; multi-label: those are called that have a probability of .5."""
        from goldenrule.models.classifier import Classifier

        state, table = self.state, self.data.table
        facts = {"made_by": "Learner", "epochs": state.epochs}
        kind = self.data.kind(state.backbone)
        return Classifier(table.classes, state.backbone, state.head, kind, facts, task=table.task)

    def save(self, folder: str | Path) -> Path:
        """Write the classifier to a folder (safetensors and JSON)."""
        return self.classifier().save(folder)

    def load(self, source: str | Path | Classifier) -> None:
        """Load the weights of a classifier, or of one that was saved; its classes must be those of these images."""
        from goldenrule.models.classifier import Classifier

        other = source if isinstance(source, Classifier) else Classifier.load(source)
        table, several = self.data.table, {"single": "one label", "multi": "several labels"}
        if other.classes != table.classes or other.task != table.task:
            raise OptionError(
                f"{source} knows {several[other.task]} an image, of {', '.join(other.classes)}; these images have "
                f"{several[table.task]}, of {', '.join(table.classes)}. Wanted the same."
            )
        self.state = self._runner.loaded(self.state, other)

    def _kept_epochs(self, every: int) -> KeptEpochs | None:
        if every < 0 or (every and self._folder is None):
            raise OptionError(
                f"save_every={every}: wanted after how many epochs a classifier is kept, 1 or more, and where: "
                'Learner(..., folder="runs/by hand").'
            )
        return KeptEpochs(every=every, folder=self._folder / "epochs") if every and self._folder else None

    def _predicted(self, split: Split, count: int) -> Predictions:
        table = self.data.table.split(split)
        every = views(self.data.augmentation, count) if count else (PLAIN,)
        return self.classifier().predict_table(
            table, views=every, threads=self.data.threads, progress=self.data.progress
        )

    def __repr__(self) -> str:
        state = self.state
        trained = ", ".join(GROUPS[state.first_trained :])
        rows = "precomputed rows" if state.precompute else "live images"
        about = f"{state.backbone.spec.name}; {state.epochs} epochs; trains {trained} on {rows}"
        return f"Learner({self.data.table!r}, {about})"
