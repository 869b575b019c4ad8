"""What a user may say about a fit, checked at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from goldenrule.evaluation import Predictions, Task
from goldenrule.evaluation.named import metric_named
from goldenrule.evaluation.novelty import FALSE_ALARMS
from goldenrule.foundation.errors import OptionError
from goldenrule.foundation.files import in_shell
from goldenrule.foundation.schema import as_json
from goldenrule.images.augment import Augmentation, Crop
from goldenrule.images.deep import Levels
from goldenrule.images.folds import number_of_folds
from goldenrule.images.kinds import by_name
from goldenrule.images.levels import levels_named
from goldenrule.images.preprocess import Decoding, Preprocessing
from goldenrule.models.backbone import Pooling, pooling_for
from goldenrule.models.catalog import AUTO, DEFAULT_BACKBONE, canonical_name, named_candidates
from goldenrule.models.head import check_head
from goldenrule.models.layers import HeadKind
from goldenrule.recipes.training_options import TrainingOptions

CropOption = Literal["random", "centre", "resized", "squish"]
"""How training cuts its views (`augment.Crop`); with "squish" all see the whole picture, brought to a square."""
STORY_FREE = ("threads", "coverage", "metrics", "beta", "false_alarms")
"""Options that change how fast a story is told, or what is said of its end, never the story."""

FEWEST_FOLDS, MOST_FOLDS = 2, 20


PATHS = ("weights", "start_from")
"""Options that are paths of the user's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FitOptions:
    """All options of a fit; None means: goldenrule decides."""

    backbone: str = DEFAULT_BACKBONE  # a name, "auto" or "auto:NAME,NAME": the best of these
    weights: Path | None = None
    size: int | None = None
    views: int | None = None  # augmented views per training image; None: as many as pay
    augment: str = "auto"  # a kind, or FILE.py:NAME
    crop: CropOption = "random"
    decoding: Decoding = "canonical"
    levels: str | None = None  # LOW..HIGH or "full": black and white of more than 8 bits; None: found over the set
    head: HeadKind = "linear"
    seed: int = 0
    device: str = "cpu"
    threads: int | None = None
    sample: int | None = None  # images per class and part
    min_per_class: int | None = None
    group_by: str = "auto"  # what in a name makes images belong together
    fold: str | None = None  # "2/5": of five drawn folds the second validates, the others train
    folds: int | None = None  # the average of the solved heads of so many folds; all but test images train
    quick: bool = False  # end with the solved head
    minutes: float | None = None  # begin nothing that would end later
    start_from: Path | None = None  # a run: start from its classifier's body
    metrics: tuple[str, ...] = ()  # what is measured beside accuracy and log loss, by name
    coverage: float = 0.95  # how often the sets of classes hold the true one
    beta: float = 1.0  # how much recall counts against precision
    false_alarms: float = FALSE_ALARMS  # how often a familiar image is flagged as unlike anything seen
    training: TrainingOptions | None = None  # of `goldenrule train`; None: by the golden rule

    def __post_init__(self) -> None:
        if self.size is not None:
            Preprocessing(size=self.size)
        if self.views is not None and not 0 <= self.views <= 64:
            raise OptionError(f"--views {self.views}: wanted the number of augmented views per image, 0 to 64.")
        if self.threads is not None and self.threads < 1:
            raise OptionError(f"--threads {self.threads}: wanted at least 1.")
        if self.sample is not None and self.sample < 1:
            raise OptionError(f"--sample {self.sample}: wanted a number of images per class, at least 1.")
        if self.min_per_class is not None and self.min_per_class < 1:
            raise OptionError(f"--min-per-class {self.min_per_class}: wanted at least 1.")
        check_head(self.head)
        if self.minutes is not None and not 0 < self.minutes < 1e6:
            raise OptionError(f"--minutes {self.minutes:g}: wanted how long the fit may take, more than 0.")
        for name in self.metrics:
            metric_named(name)
        if not 0 < self.coverage < 1:
            raise OptionError(f"--coverage {self.coverage:g}: wanted a share between 0 and 1, such as .95.")
        if not 0 < self.beta < 1e3:
            raise OptionError(f"--beta {self.beta:g}: wanted how much recall counts, 1 as much as precision, 2 twice.")
        if not 0 < self.false_alarms < 1:
            raise OptionError(f"--false-alarms {self.false_alarms:g}: wanted a share between 0 and 1, such as .02.")
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
        if self.crop not in get_args(CropOption):
            raise OptionError(f"--crop {self.crop}: wanted one of {', '.join(get_args(CropOption))}.")
        if self.decoding not in get_args(Decoding):
            raise OptionError(f"--decoding {self.decoding}: wanted one of {', '.join(get_args(Decoding))}.")
        if self.levels is not None:
            levels_named(self.levels)
        if self.augmentation is None and self.crop in ("resized", "centre"):
            raise OptionError(f"--crop {self.crop} cuts augmented views, and --augment none makes none: give one.")

    def _check_folds(self, folds: int) -> None:
        if not FEWEST_FOLDS <= folds <= MOST_FOLDS:
            raise OptionError(f"--folds {folds}: wanted {FEWEST_FOLDS} to {MOST_FOLDS}, such as 5.")
        if self.fold is not None:
            raise OptionError(
                f"--folds {folds} averages the heads of all folds, --fold {self.fold} fits one: give one option."
            )
        if self.head != "linear":
            raise OptionError(
                f"--folds {folds} --head {self.head}: the average of linear heads is one linear head, that of "
                f"{self.head} heads is none. Leave --head away, or fit one fold at a time with --fold 1/{folds}."
            )

    def _check_training(self, training: TrainingOptions) -> None:
        if self.candidates:
            raise OptionError(f"-m {self.backbone} names several networks: one is trained, name it.")
        if training.type == "fromzero" and (self.weights is not None or self.start_from is not None):
            raise OptionError("-t fromzero begins with random weights: leave --weights away, or give -t fine_tuning.")

    @property
    def from_zero(self) -> bool:
        """Whether the network begins with random weights."""
        return self.training is not None and self.training.type == "fromzero"

    @property
    def solved_only(self) -> bool:
        """Whether the fit ends with solved heads: no live training."""
        return self.quick or self.folds is not None

    def check_metrics(self, classes: Sequence[str], task: Task = "single") -> None:
        """Raise `OptionError` for a metric that classifiers of these classes do not have."""
        if task == "multi" and self.coverage != FitOptions().coverage:
            raise OptionError(
                f"--coverage {self.coverage:g} has no effect: images with several labels get no prediction sets. "
                "Leave it away."
            )
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
        """Give the augmentation of that name with the crop that was asked for."""
        crop: Crop = "random" if self.crop == "squish" else self.crop
        return by_name(name, crop=crop)

    @property
    def own_levels(self) -> Levels | None:
        """The values that become black and white in pictures of more than 8 bits, where that was asked for."""
        return levels_named(self.levels) if self.levels is not None else None

    @property
    def candidates(self) -> tuple[str, ...]:
        """The backbones to choose from, where that was asked for."""
        return named_candidates(self.backbone)

    @property
    def pooling(self) -> Pooling:
        """The pooling that the head stands on."""
        return pooling_for(self.head)

    @property
    def most_views(self) -> int | None:
        """The number of augmented views, 0 where augmentation is off."""
        return 0 if self.augment == "none" else self.views

    def said(self, *names: str) -> str:
        """Give those of these options that are not as always, as words of a command line, a blank before each.

        >>> FitOptions(seed=3, group_by="a b").said("backbone", "seed", "group_by")
        " --seed 3 --group-by 'a b'"
        """
        own, always = self.story(), FitOptions().story()
        told = [name for name in names if own[name] != always[name]]
        return "".join(f" --{name.replace('_', '-')} {in_shell(own[name])}" for name in told)

    def story(self) -> dict[str, Any]:
        """Give the options that make a story another one, as JSON."""
        value = {name: item for name, item in asdict(self).items() if name not in STORY_FREE}
        return value | {
            "backbone": self.backbone if self.backbone == AUTO else _canonical(self.backbone),
            "weights": str(self.weights) if self.weights else None,
            "start_from": str(self.start_from) if self.start_from else None,
            "training": as_json(self.training),
            "own": as_json(self.augmentation.own) if self.augmentation else None,
        }

    def shown(self) -> dict[str, Any]:
        """Return `story` for files that others may see: of each path the name alone."""
        value = self.story()
        for name in PATHS:
            value[name] = Path(value[name]).name if value[name] else None
        file, colon, function = self.augment.rpartition(":")
        return value | ({"augment": f"{Path(file).name}{colon}{function}"} if colon else {})


def _canonical(name: str) -> str:
    candidates = named_candidates(name)
    return f"{AUTO}:{','.join(candidates)}" if candidates else canonical_name(name)
