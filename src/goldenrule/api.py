"""What Python calls: whole fits, trainings, comparisons and searches, with the options as keywords."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Sequence
from dataclasses import fields, replace
from inspect import Parameter, signature
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from goldenrule.core.errors import OptionError, nearest
from goldenrule.core.progress import bars_if_seen
from goldenrule.pipelines.comparison.entries import DEFAULT_MODELS
from goldenrule.runs.image_source import ImageSource
from goldenrule.runs.options import FitOptions
from goldenrule.runs.training_options import TYPES, TrainingOptions

if TYPE_CHECKING:
    from goldenrule.core.progress import Progress
    from goldenrule.data.table import ImageTable
    from goldenrule.pipelines.comparison.compared_networks import ComparedNetworks
    from goldenrule.pipelines.fit_result import FitResult
    from goldenrule.pipelines.tuning.search_result import SearchResult
    from goldenrule.training.loggers import Logger

ALSO_CALLED = {"model": "backbone", "metric": "metrics", "from_run": "start_from"}
"""What the command line, or another library, calls an option."""
P = ParamSpec("P")
R = TypeVar("R")
Options = TypeVar("Options")


def _taking(*kinds: type) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Show the fields of these options in place of `**options` in the signature that `help` prints."""

    def shown(function: Callable[P, R]) -> Callable[P, R]:
        wanted = signature(function)
        named = [one for one in wanted.parameters.values() if one.kind is not Parameter.VAR_KEYWORD]
        more = {one.name: one for kind in kinds for one in fields(kind)}
        for name in ("training", "folder", *(one.name for one in named)):
            more.pop(name, None)
        options = [
            Parameter(name, Parameter.KEYWORD_ONLY, default=one.default, annotation=one.type)
            for name, one in more.items()
        ]
        function.__signature__ = wanted.replace(parameters=[*named, *options])  # type: ignore[attr-defined]
        return function

    return shown


@_taking(FitOptions, ImageSource)
def fit(
    source: str | os.PathLike[str] | ImageTable,
    *,
    out: str | Path | None = None,
    runs: str | Path = Path("runs"),
    on_first: Callable[[FitResult], None] | None = None,
    loggers: Sequence[Logger] = (),
    progress: Progress | None = None,
    **options: Any,
) -> FitResult:
    """Fit a classifier on a folder of images, or an `ImageTable`, by the golden rule; evaluate it and write the run.

    `options` are those of `goldenrule fit`, with the same names and defaults, those about images and tables too
    (`csv="table.csv"`). `gr.fit("photos", quick=True)` ends with the linear head, in seconds and without torch.
    Without `quick` a first answer is saved after seconds too, and given to `on_first`; a later network takes its place
    only where it is clearly better on validation. Writes to `out`, by default the next free `runs/NAME`; goes on where
    a killed run stopped. `loggers` keep the epochs elsewhere too.

    Raises a `GoldenRuleError` for what can be mended: `OptionError` for an option that does not exist or a value that
    it does not take, `SourceError` for a folder that can't be read.
    """
    images = _images(source, options)
    chosen = _options(FitOptions, options, "fit")
    if chosen.linear_only:
        from goldenrule.pipelines.quick_fit import quick_fit

        return quick_fit(images, options=chosen, out=out, runs=runs, progress=progress or bars_if_seen())
    from goldenrule.pipelines.golden_rule import golden_rule

    return golden_rule(
        images,
        options=chosen,
        out=out,
        runs=runs,
        on_result=on_first,
        loggers=loggers,
        progress=progress or bars_if_seen(),
    )


@_taking(FitOptions, TrainingOptions, ImageSource)
def train(
    source: str | os.PathLike[str] | ImageTable,
    *,
    out: str | Path | None = None,
    runs: str | Path = Path("runs"),
    progress: Progress | None = None,
    **options: Any,
) -> FitResult:
    """Train the network that `backbone` names in the way that `type` names; evaluate it and write the run.

    `options` are those of `goldenrule train`: `gr.train("photos", backbone="resnet", type="fine_tuning", epochs=10)`.
    Writes and raises as `fit` does.
    """
    from goldenrule.pipelines.named_training import train as trained

    images = _images(source, options)
    of_training = {one.name for one in fields(TrainingOptions)}
    how = _options(TrainingOptions, {name: option for name, option in options.items() if name in of_training}, "train")
    rest = {name: option for name, option in options.items() if name not in of_training}
    chosen = replace(_options(FitOptions, rest, "train", of_training), training=how)
    return trained(images, options=chosen, out=out, runs=runs, progress=progress or bars_if_seen())


@_taking(FitOptions, ImageSource)
def compare_models(
    source: str | os.PathLike[str] | ImageTable,
    models: Sequence[str] = DEFAULT_MODELS,
    types: Sequence[str] = TYPES,
    *,
    epochs: int | None = None,
    stop: Sequence[str] = (),
    weights_of: dict[str, Path] | None = None,
    out: str | Path | None = None,
    runs: str | Path = Path("runs"),
    progress: Progress | None = None,
    **options: Any,
) -> ComparedNetworks:
    """Train every network in every way that it can be, choose on validation, then open the test split.

    `models` are names, or NAME@PX for an input of so many pixels; `weights_of` gives files of pretrained weights by
    name. `options` are those of `goldenrule compare-models`. The same call goes on where a killed one stopped, and with
    other names the same comparison grows. Writes to `out`, by default `runs/NAME-compare`; raises as `fit` does.
    """
    from goldenrule.pipelines.comparison.comparing import compare_networks

    images = _images(source, options)
    chosen = _options(FitOptions, options, "compare_models")
    how: dict[str, Any] = {"epochs": epochs, "stop": stop, "weights": weights_of}
    return compare_networks(
        images, models, types, options=chosen, out=out, runs=runs, progress=progress or bars_if_seen(), **how
    )


@_taking(FitOptions, ImageSource)
def tune(
    source: str | os.PathLike[str] | ImageTable,
    *,
    trials: int = 50,
    live: bool = False,
    minutes: float | None = None,
    out: str | Path | None = None,
    runs: str | Path = Path("runs"),
    progress: Progress | None = None,
    **options: Any,
) -> SearchResult:
    """Search for settings that do better on validation than the head of a quick fit, as `goldenrule tune` does.

    Wants the extra `search`. The same call goes on where a killed one stopped, and does no more than what is left.
    """
    from goldenrule.pipelines.tuning.search import search as searched

    images = _images(source, options)
    chosen = _options(FitOptions, options, "tune")
    how: dict[str, Any] = {"trials": trials, "live": live, "minutes": minutes}
    return searched(images, options=chosen, out=out, runs=runs, progress=progress or bars_if_seen(), **how)


def _images(source: str | os.PathLike[str] | ImageTable, said: dict[str, Any]) -> str | os.PathLike[str] | ImageTable:
    """Return the images as they are asked for; what says so is taken out of `said`."""
    types = {one.name: str(one.type) for one in fields(ImageSource)}
    asked = {
        name: _as_field(said.pop(name), types[name]) for name in types.keys() & said.keys() - {"group_by", "folder"}
    }
    if not asked:
        if isinstance(source, str | os.PathLike):
            ImageSource(folder=Path(source)).images()  # a run, or a table, says so
        return source
    if not isinstance(source, str | os.PathLike):
        raise OptionError(
            f"{', '.join(sorted(asked))}: wanted with a folder; the images of a table are labelled already."
        )
    if "group_by" in said:
        asked["group_by"] = said["group_by"]
    return ImageSource(folder=Path(source), **asked).images()


def _options(kind: type[Options], said: dict[str, Any], function: str, others: Collection[str] = ()) -> Options:
    """Return the options with what was said, paths and lists as the fields have them."""
    types = {one.name: str(one.type) for one in fields(kind)}  # type: ignore[arg-type]  # a dataclass
    types.pop("training", None)
    for name in said:
        if name not in types:
            known = {*types, *others, *(one.name for one in fields(ImageSource))} - {"folder"}
            close = [ALSO_CALLED[name]] if name in ALSO_CALLED else nearest(name, sorted(known))
            meant = f" Did you mean {' or '.join(close)}?" if close else ""
            raise OptionError(f"gr.{function} has no option {name}.{meant}")
    return kind(**{name: _as_field(value, types[name]) for name, value in said.items()})


def _as_field(value: Any, written: str) -> Any:
    if written.startswith("Path") and isinstance(value, str | os.PathLike):
        return Path(value)
    if written.startswith("tuple["):
        return (value,) if isinstance(value, str) else tuple(value)
    return value
