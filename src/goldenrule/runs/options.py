"""What a user may say about a fit, checked at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from goldenrule.core.errors import OptionError
from goldenrule.core.option import Decoding, HeadKind, check_options, default_of, option, options_of
from goldenrule.models.catalog import AUTO, DEFAULT_BACKBONE, canonical_name, named_candidates
from goldenrule.runs.machines import MOST_DEVICES, MOST_NODES, Machines, Precision, Strategy
from goldenrule.runs.training_options import TrainingOptions

if TYPE_CHECKING:
    from goldenrule.data.augmentation.augment import Augmentation
    from goldenrule.data.pictures.deep_pixels import Levels
    from goldenrule.metrics import Task
    from goldenrule.models.backbone import Pooling

CropOption = Literal["random", "centre", "resized", "squish"]
"""How training cuts its views (`augment.Crop`); with "squish" all see the whole picture, brought to a square."""
FEWEST_FOLDS, MOST_FOLDS = 2, 20
MOST_VIEWS, MOST_THREADS, MOST_MINUTES, MOST_BETA = 64, 4096, 1e6, 1e3
SHEET_VIEWS, SHEET_SIZE = 6, 224
"""How many views of what size are drawn to look at."""
NETWORK, AUGMENTATION, TRAINING, EVALUATION, MACHINE = (
    "Network",
    "Augmentation",
    "Training",
    "Evaluation",
    "This machine",
)
"""The panels of --help."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FitOptions:
    """All options of a fit; None means: goldenrule decides."""

    backbone: str = option(
        DEFAULT_BACKBONE,
        "The network: efficientnet_lite0, 1, 2, original, resnet, any timm name, or several: lite0+lite1. "
        "Of fit alone: auto.",
        flags=("-m", "--model", "--backbone"),
        metavar="NAME",
        panel=NETWORK,
    )
    weights: Path | None = option(
        None,
        "The backbone's pretrained weights: .safetensors or .pth.",
        unset="the packaged ones, or the hub's",
        metavar="FILE",
        panel=NETWORK,
        rare=True,
    )
    size: int | None = option(
        None, "Input side in px.", unset="the network's own", metavar="PX", panel=NETWORK, rare=True
    )
    head: HeadKind | None = option(
        None,
        "linear or root (fitted); concat-pool (fastai's), gap-1024 or flatten-64 (trained).",
        unset="linear, or root where it is clearly better",
        metavar="KIND",
        panel=NETWORK,
        rare=True,
    )
    start_from: Path | None = option(
        None,
        "Start from the trained network of an earlier run.",
        flags=("--from",),
        metavar="RUN",
        panel=NETWORK,
        rare=True,
    )
    views: int | None = option(
        None,
        "Augmented views per training image.",
        unset="4 where they can pay",
        least=0,
        most=MOST_VIEWS,
        wanted=f"the number of augmented views per image, 0 to {MOST_VIEWS}",
        metavar="K",
        panel=AUGMENTATION,
    )
    augment: str = option(
        "auto",
        "auto, side_on, top_down, basic, keras, trivial, none, FILE.py:NAME.",
        metavar="KIND",
        panel=AUGMENTATION,
    )
    crop: CropOption = option(
        "random",
        "How views are cut: random, centre, resized (random window), or squish.",
        choices=get_args(CropOption),
        metavar="KIND",
        panel=AUGMENTATION,
        rare=True,
    )
    decoding: Decoding = option(
        "canonical",
        "canonical, or scaled: large JPEGs at 1/2, 1/4 or 1/8, several times as fast.",
        choices=get_args(Decoding),
        metavar="KIND",
        panel="Images",
        rare=True,
    )
    levels: str | None = option(
        None,
        "Black and white of pictures of more than 8 bits: LOW..HIGH, or full.",
        unset="found out",
        metavar="LOW..HIGH",
        panel="Images",
        rare=True,
    )
    sample: int | None = option(
        None,
        "Take at most N images per class and split.",
        least=1,
        wanted="a number of images per class, at least 1",
        metavar="N",
        panel="Images",
    )
    min_per_class: int | None = option(
        None,
        "Accept classes with as few images as this.",
        unset="2 with a train folder, else 3",
        least=1,
        wanted="at least 1",
        metavar="N",
        panel="Images",
        rare=True,
    )
    group_by: str = "auto"  # as `ImageSource` has it, for a source that is only a folder
    fold: str | None = option(
        None,
        "2/5: of five folds the second validates (no test split is carved).",
        metavar="N/FOLDS",
        panel=TRAINING,
        rare=True,
    )
    folds: int | None = option(
        None,
        "Average the linear heads of K folds; no live training.",
        least=FEWEST_FOLDS,
        most=MOST_FOLDS,
        wanted=f"{FEWEST_FOLDS} to {MOST_FOLDS}, such as 5",
        metavar="K",
        panel=TRAINING,
    )
    quick: bool = option(
        False,
        "End with the linear head, in seconds.",
        panel=TRAINING,
        keeps_run=True,  # it is the first step of a whole fit
    )
    all_steps: bool = option(
        False,
        "Take every step, also those of which no gain is expected.",
        panel=TRAINING,
        keeps_run=True,  # a fit goes on with the steps that were left out
    )
    minutes: float | None = option(
        None,
        "End within so many minutes.",
        above=0,
        below=MOST_MINUTES,
        wanted="how long it may take, more than 0",
        keeps_run=True,  # with more of them, or without, a fit goes on
        metavar="M",
        panel=TRAINING,
    )
    seed: int = option(0, "Seed of splits, folds, weights and training.", metavar="N", panel=TRAINING)
    metrics: tuple[str, ...] = option(
        (),
        "Measure this too: f1, roc_auc, kappa ... Repeatable.",
        flags=("--metric",),
        metavar="NAME",
        panel=EVALUATION,
        keeps_run=True,
    )
    beta: float = option(
        1.0,
        "F-beta: 2 counts recall twice. Multi-label: the thresholds are chosen for it.",
        above=0,
        below=MOST_BETA,
        wanted="how much recall counts, 1 as much as precision, 2 twice",
        metavar="B",
        panel=EVALUATION,
        keeps_run=True,
        rare=True,
    )
    coverage: float = option(
        0.95,
        "Target coverage of prediction sets.",
        above=0,
        below=1,
        wanted="a share between 0 and 1, such as .95",
        metavar="P",
        panel=EVALUATION,
        keeps_run=True,
        rare=True,
    )
    false_positive_rate: float = option(
        0.02,
        "Target false-positive rate of the OOD detector.",
        above=0,
        below=1,
        wanted="a share between 0 and 1, such as .02",
        metavar="P",
        panel=EVALUATION,
        keeps_run=True,
        rare=True,
    )
    device: str = option("cpu", "cpu, cuda or mps.", metavar="NAME", panel=MACHINE, rare=True)
    devices: int = option(
        1,
        "Processes that train together, each with a device.",
        least=1,
        most=MOST_DEVICES,
        wanted=f"a number, 1 to {MOST_DEVICES}",
        metavar="N",
        panel=MACHINE,
        keeps_run=True,
        rare=True,
    )
    nodes: int = option(
        1,
        "Machines that train together, each started by torchrun or srun.",
        least=1,
        most=MOST_NODES,
        wanted=f"a number, 1 to {MOST_NODES:,}",
        metavar="N",
        panel=MACHINE,
        keeps_run=True,
        rare=True,
    )
    strategy: Strategy = option(
        "ddp",
        "How processes train together: each its part of every batch.",
        choices=get_args(Strategy),
        wanted="ddp: each process has the whole network",
        metavar="NAME",
        panel=MACHINE,
        keeps_run=True,
        rare=True,
    )
    precision: Precision = option(
        "32-true",
        "What live training computes in.",
        choices=get_args(Precision),
        wanted=f"one of {', '.join(get_args(Precision))}",
        metavar="NAME",
        panel=MACHINE,
        rare=True,
    )
    threads: int | None = option(
        None,
        "Processors to use.",
        unset="all",
        least=1,
        most=MOST_THREADS,
        wanted=f"at least 1, at most {MOST_THREADS:,}",
        metavar="N",
        panel=MACHINE,
        keeps_run=True,
    )
    training: TrainingOptions | None = None  # of `goldenrule train`; None: by the golden rule

    def __post_init__(self) -> None:
        from goldenrule.data.pictures.levels import levels_named
        from goldenrule.data.pictures.preprocess import Preprocessing
        from goldenrule.data.splits.folds import number_of_folds
        from goldenrule.metrics.registry import metric_named
        from goldenrule.models.heads import check_head

        check_options(self)
        if self.size is not None:
            Preprocessing(size=self.size)
        check_head(self.head_kind)
        self._check_machines()
        for name in self.metrics:
            metric_named(name)
        if self.start_from is not None and self.weights is not None:
            raise OptionError("--from and --weights both say what to start from: wanted one of them.")
        if self.start_from is not None and canonical_name(self.backbone) != DEFAULT_BACKBONE:
            raise OptionError("--from and --backbone both name a network: wanted one of them.")
        if self.candidates and self.weights is not None:
            raise OptionError(f"--backbone {self.backbone} tries several networks, and --weights is of one: name it.")
        if self.fold is not None:
            number_of_folds(self.fold)
        if self.folds is not None:
            self._check_folds(self.folds)
        if self.training is not None:
            self._check_training(self.training)
        if self.levels is not None:
            levels_named(self.levels)
        if self.augmentation is None and self.crop in ("resized", "centre"):
            raise OptionError(f"--crop {self.crop} cuts augmented views, and --augment none makes none: give one.")
        if self.linear_only:
            self._check_linear_only(f"--folds {self.folds}" if self.folds is not None else "--quick")

    def _check_linear_only(self, why: str) -> None:
        if self.minutes is not None:
            raise OptionError(
                f"--minutes {self.minutes:g} has no effect: {why} fits linear heads alone, and trains nothing live. "
                "Omit one of them."
            )
        if self.all_steps:
            raise OptionError(f"--all-steps has no effect: {why} fits linear heads alone. Omit one of them.")
        if self.views == 0 and (self.augment not in ("auto", "none") or self.crop in ("resized", "centre")):
            name = f"--augment {self.augment}" if self.augment not in ("auto", "none") else f"--crop {self.crop}"
            raise OptionError(
                f"{name} has no effect: --views 0 makes no augmented views, and {why} trains nothing live. Omit one of "
                "them."
            )

    def _check_machines(self) -> None:
        """Check that what is said of processes and precision is of use."""
        if self.linear_only:
            option = "--quick" if self.quick else f"--folds {self.folds}"
            for name in ("devices", "nodes", "precision"):
                if getattr(self, name) != default_of(FitOptions, name):
                    said = f"--{name} {getattr(self, name)}"
                    raise OptionError(f"{said} is of live training, and {option} has none: wanted one of them.")
        _ = self.machines

    def _check_folds(self, folds: int) -> None:
        if self.fold is not None:
            raise OptionError(
                f"--folds {folds} averages the heads of all folds, --fold {self.fold} fits one: give one option."
            )
        if self.head_kind != "linear":
            raise OptionError(
                f"--folds {folds} --head {self.head}: the average of linear heads is one linear head, that of "
                f"{self.head} heads is none. Omit --head, or fit one fold at a time with --fold 1/{folds}."
            )

    def _check_training(self, training: TrainingOptions) -> None:
        if self.all_steps:
            raise OptionError("all_steps has no effect: gr.train does what it is told, and no step of its own.")
        if self.candidates:
            raise OptionError(f"-m {self.backbone} names several networks: one is trained, name it.")
        if training.type == "fromzero" and (self.weights is not None or self.start_from is not None):
            raise OptionError("-t fromzero begins with random weights: omit --weights, or give -t fine_tuning.")

    @property
    def from_scratch(self) -> bool:
        """Whether the network begins with random weights."""
        return self.training is not None and self.training.type == "fromzero"

    @property
    def machines(self) -> Machines:
        """On what live training runs; `OptionError` where device and precision do not go together."""
        return Machines(
            device=self.device,
            devices=self.devices,
            nodes=self.nodes,
            strategy=self.strategy,
            precision=self.precision,
        )

    @property
    def head_kind(self) -> HeadKind:
        """The head that was asked for, or the one that a fit begins with."""
        return self.head or "linear"

    @property
    def linear_only(self) -> bool:
        """Whether the fit ends with linear heads: no live training."""
        return self.quick or self.folds is not None

    def check_metrics(self, classes: Sequence[str], task: Task = "single") -> None:
        """Raise `OptionError` for a metric that classifiers of these classes do not have."""
        if task == "multi" and self.coverage != FitOptions().coverage:
            raise OptionError(
                f"--coverage {self.coverage:g} has no effect: images with several labels get no prediction sets. "
                "Omit it."
            )
        import numpy as np

        from goldenrule.metrics import Predictions
        from goldenrule.metrics.registry import metric_named

        each = np.eye(len(classes))
        truth = np.arange(len(classes)) if task == "single" else each.astype(np.int8)
        likely = Predictions.from_logits(each, classes, truth=truth, task=task)
        for name in self.metrics:
            metric_named(name)(likely)

    @property
    def augmentation(self) -> Augmentation | None:
        """How views are made, None where there are none."""
        return self.augmentation_named(self.augment)

    def augmentation_named(self, name: str) -> Augmentation | None:
        """Return the augmentation of that name with the crop that was asked for."""
        from goldenrule.data.augmentation.presets import by_name

        crop = "random" if self.crop == "squish" else self.crop
        return by_name(name, crop=crop)

    @property
    def fixed_levels(self) -> Levels | None:
        """The values that become black and white in pictures of more than 8 bits, where that was asked for."""
        from goldenrule.data.pictures.levels import levels_named

        return levels_named(self.levels) if self.levels is not None else None

    @property
    def candidates(self) -> tuple[str, ...]:
        """The backbones to choose from, where that was asked for."""
        return named_candidates(self.backbone)

    @property
    def pooling(self) -> Pooling:
        """The pooling that the head stands on."""
        from goldenrule.models.backbone import pooling_for

        return pooling_for(self.head_kind)

    @property
    def most_views(self) -> int | None:
        """The number of augmented views, 0 where augmentation is off."""
        return 0 if self.augment == "none" else self.views

    def said(self, *names: str) -> str:
        """Return those of these options that are not as always, as words of a command line, a blank before each.

        >>> FitOptions(seed=3, group_by="a b").said("backbone", "seed", "group_by")
        " --seed 3 --group-by 'a b'"
        """
        from goldenrule.storage.files import in_shell

        given, always = self.kept_under(), FitOptions().kept_under()
        told = [name for name in names if given[name] != always[name]]
        return "".join(f" --{name.replace('_', '-')} {in_shell(given[name])}" for name in told)

    def kept_under(self) -> dict[str, Any]:
        """Return the options that make a run another one, as JSON."""
        from goldenrule.core.schema import as_json

        value = {name: item for name, item in asdict(self).items() if name not in KEEPING_RUNS}
        return value | {
            "backbone": self.backbone if self.backbone == AUTO else _canonical(self.backbone),
            "weights": str(self.weights) if self.weights else None,
            "start_from": str(self.start_from) if self.start_from else None,
            "training": as_json(self.training),
            "custom": as_json(self.augmentation.custom) if self.augmentation else None,
        }

    def shown(self) -> dict[str, Any]:
        """Return `state` for files that others may see: of each path the name alone."""
        value = self.kept_under()
        for name in PATHS:
            value[name] = Path(value[name]).name if value[name] else None
        file, colon, function = self.augment.rpartition(":")
        return value | ({"augment": f"{Path(file).name}{colon}{function}"} if colon else {})


KEEPING_RUNS = frozenset(name for name, one in options_of(FitOptions).items() if one.keeps_run)
"""Options that change how fast a run is, or what is reported of its end: no part of what it is kept under."""
PATHS = tuple(one.name for one in fields(FitOptions) if str(one.type).startswith("Path"))
"""Options that are paths of the user's."""


def _canonical(name: str) -> str:
    candidates = named_candidates(name)
    return f"{AUTO}:{','.join(candidates)}" if candidates else canonical_name(name)
