"""What Python calls: whole fits, trainings, comparisons and searches, with the options as keywords."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import fields, replace
from inspect import Parameter, signature
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeAlias, TypeVar

from goldenrule.core.errors import InputError, OptionError, nearest, system_errors
from goldenrule.core.progress import bars_if_seen
from goldenrule.pipelines.comparison.entries import DEFAULT_MODELS
from goldenrule.runs.image_source import ImageSource, is_table_file
from goldenrule.runs.options import FitOptions
from goldenrule.runs.training_options import TYPES, TrainingOptions

if TYPE_CHECKING:
    from goldenrule.analysis.audit import Audit
    from goldenrule.core.progress import Progress
    from goldenrule.data.classes import Renaming
    from goldenrule.data.table import ImageTable
    from goldenrule.models.classifier import Classifier
    from goldenrule.pipelines.comparison.compared_networks import ComparedNetworks
    from goldenrule.pipelines.fit_result import FitResult
    from goldenrule.pipelines.tuning.search_result import SearchResult
    from goldenrule.tasks.foreign import Evaluation
    from goldenrule.training.loggers import Logger

    DataFrame: TypeAlias = Any

ALSO_CALLED = {"model": "backbone", "metric": "metrics", "from_run": "start_from"}
"""What the command line, or another library, calls an option."""
OF_FRAMES = ("exclude", "group", "id", "label", "rename", "separator", "split")
"""What may be asked of the images that a data frame, or a file without a folder, names."""
Source: TypeAlias = "str | os.PathLike[str] | ImageTable | DataFrame"
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
@system_errors()
def fit(
    source: Source | None = None,
    *,
    out: str | Path | None = None,
    runs: str | Path = Path("runs"),
    on_first: Callable[[FitResult], None] | None = None,
    loggers: Sequence[Logger] = (),
    progress: Progress | None = None,
    **options: Any,
) -> FitResult:
    """Fit a classifier on a folder of images by the golden rule; evaluate it and write the run.

    `source` may be an `ImageTable`, or a data frame with a column of paths and one of labels, too.

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
    from goldenrule.training.processes.together import together

    with together(chosen) as chosen:
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
@system_errors()
def train(
    source: Source | None = None,
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
    from goldenrule.training.processes.together import together

    images = _images(source, options)
    of_training = {one.name for one in fields(TrainingOptions)}
    how = _options(TrainingOptions, {name: option for name, option in options.items() if name in of_training}, "train")
    rest = {name: option for name, option in options.items() if name not in of_training}
    chosen = replace(_options(FitOptions, rest, "train", of_training), training=how)
    with together(chosen) as chosen:
        return trained(images, options=chosen, out=out, runs=runs, progress=progress or bars_if_seen())


@_taking(FitOptions, ImageSource)
@system_errors()
def compare_models(
    source: Source | None = None,
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
@system_errors()
def tune(
    source: Source | None = None,
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


@_taking(ImageSource)
@system_errors()
def evaluate(
    run: str | os.PathLike[str] | Classifier,
    source: Source | None = None,
    *,
    classifier: Classifier | None = None,
    rename: Renaming | str | Sequence[str] | None = None,
    skip_unknown: bool = False,
    out: str | os.PathLike[str] | None = None,
    threads: int | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> Evaluation:
    """Evaluate a classifier on labelled images from elsewhere: a folder, a table, a data frame.

    `run` is what `fit` returned, the folder of a run or of a classifier, or a classifier that lies in one;
    `classifier` that of the run, where it was loaded before (one with a head or backbone of your own). `options` are
    those of `goldenrule evaluate` about images and tables (`csv="truth.csv"`). Classes are matched by name: `rename`
    gives new names for those of the images (None leaves a class out; also "OLD=NEW"), `skip_unknown` leaves out the
    classes that the classifier does not know. Images with the very bytes of a training image of the run are left out,
    and counted. With `out` a page, the numbers and the predictions are written there.

    Raises `SourceError` where there is no such run or no labelled image, `OptionError` where a class is unknown,
    naming it, or nothing is left to evaluate.
    """
    from goldenrule.data.classes import renaming_of
    from goldenrule.models.classifier import Classifier
    from goldenrule.runs.finished import check_run_first
    from goldenrule.tasks.foreign import evaluate as evaluated

    if isinstance(source, Classifier):
        raise OptionError("The classifier comes first, then the images: gr.evaluate(classifier, images).")
    if isinstance(run, Classifier):
        classifier, run = classifier or run, _folder_of(run)
    check_run_first("evaluate", run, source)
    renaming = (
        rename if isinstance(rename, Mapping) else renaming_of([rename] if isinstance(rename, str) else rename or ())
    )
    _check_names({one.name for one in fields(ImageSource)}, options, "evaluate")
    return evaluated(
        run,
        _images(source, {"group_by": "none"} | options),
        classifier=classifier,
        rename=renaming,
        skip_unknown=skip_unknown,
        out=out,
        threads=threads,
        progress=progress,
    )


@_taking(ImageSource)
@system_errors()
def audit_images(
    source: Source | None = None,
    *,
    out: str | os.PathLike[str] | None = None,
    threads: int = 4,
    progress: Progress | None = None,
    **options: Any,
) -> Audit:
    """Look at every image of a folder, table or data frame: return what was found, and write it where `out` is given.

    `out/audit.html` is one page with sample sheets and pictures of the findings, `out/audit.json` the same for
    programs. `options` are those of `goldenrule audit` about images and tables. Files are only read; one that can't be
    is a finding. Where a cache has features of these images, near duplicates are looked for among their neighbours too;
    none are computed.
    """
    from goldenrule.tasks.auditing import audit_images as audited

    _check_names({one.name for one in fields(ImageSource)}, options, "audit_images")
    group_by = options.get("group_by", "auto")
    return audited(_images(source, options), out=out, group_by=group_by, threads=threads, progress=progress)


def _images(source: Source, said: dict[str, Any]) -> str | os.PathLike[str] | ImageTable:
    """Return the images as they are asked for; what says so is taken out of `said`."""
    types = {one.name: str(one.type) for one in fields(ImageSource)}
    asked = {
        name: _as_field(said.pop(name), types[name]) for name in types.keys() & said.keys() - {"group_by", "folder"}
    }
    if isinstance(source, str | os.PathLike) and "csv" not in asked and is_table_file(Path(source)):
        asked["csv"] = Path(source)
        source = None
    if source is None or not isinstance(source, str | os.PathLike):
        return _of_values(source, asked, said.get("group_by", "auto"))
    if not asked:
        if isinstance(source, str | os.PathLike):
            ImageSource(folder=Path(source)).images()  # a run, or a table, says so
        return source
    if "group_by" in said:
        asked["group_by"] = said["group_by"]
    return ImageSource(folder=Path(source), **asked).images()


def _folder_of(classifier: Classifier) -> Path:
    """Return the folder of the run that a classifier lies in, or its own."""
    folder = classifier.folder
    if folder is None:
        raise OptionError("This classifier lies in no folder: give the run that made it, or save() it and give that.")
    return folder.parent if folder.name == "classifier" else folder


def _of_values(source: Any, asked: dict[str, Any], group_by: str) -> ImageTable:
    """Return the images of an `ImageTable`, or of a data frame or file of labels whose columns may be named."""
    from goldenrule.data.classes import renaming_of, with_classes
    from goldenrule.data.sources.label_tables import from_csv, from_dataframe
    from goldenrule.data.table import ImageTable

    if isinstance(source, ImageTable):
        if asked:
            raise OptionError(
                f"{', '.join(sorted(asked))}: wanted with a folder; the images of a table are labelled already."
            )
        return source
    file = asked.pop("csv", None) if source is None else None
    if source is None and file is None:
        raise OptionError("Wanted images: a folder, an ImageTable, a data frame, or csv=FILE with paths and labels.")
    if file is None and not any(hasattr(source, name) for name in ("__arrow_c_stream__", "__dataframe__", "columns")):
        raise InputError(
            f"{type(source).__name__}: wanted a folder, an ImageTable, or a data frame with a column of paths and one "
            "of labels. Arrays: gr.from_arrays(images, labels)."
        )
    if others := sorted(asked.keys() - OF_FRAMES):
        raise OptionError(f"{', '.join(others)}: wanted with a folder; a table takes {', '.join(OF_FRAMES)}.")
    renaming = renaming_of(list(asked.pop("rename", ())), None)
    table = from_csv(file, group_by=group_by, **asked) if file else from_dataframe(source, group_by=group_by, **asked)
    return with_classes(table, renaming) if renaming else table


def _options(kind: type[Options], said: dict[str, Any], function: str, others: Collection[str] = ()) -> Options:
    """Return the options with what was said, paths and lists as the fields have them."""
    types = {one.name: str(one.type) for one in fields(kind)}  # type: ignore[arg-type]  # a dataclass
    types.pop("training", None)
    _check_names(set(types), said, function, others)
    return kind(**{name: _as_field(value, types[name]) for name, value in said.items()})


def _check_names(names: Collection[str], said: Collection[str], function: str, others: Collection[str] = ()) -> None:
    """Raise `OptionError` for an option that is none of these names; `others` are looked at elsewhere."""
    for name in said:
        if name not in names:
            known = {*names, *others, *(one.name for one in fields(ImageSource))} - {"folder"}
            close = [ALSO_CALLED[name]] if name in ALSO_CALLED else nearest(name, sorted(known))
            meant = f" Did you mean {' or '.join(close)}?" if close else ""
            raise OptionError(f"gr.{function} has no option {name}.{meant}")


def _as_field(value: Any, written: str) -> Any:
    if written.startswith("Path") and isinstance(value, str | os.PathLike):
        return Path(value)
    if written.startswith("tuple["):
        return (value,) if isinstance(value, str) else tuple(value)
    return value
