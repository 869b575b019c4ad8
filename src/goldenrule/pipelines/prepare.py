"""How every fit begins: read the images, find the run's folder, precompute the plain features, fix the split."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from goldenrule.analysis.audit import at_a_glance
from goldenrule.analysis.duplicate_findings import near_duplicates
from goldenrule.core.errors import FormatError, OptionError, RunError
from goldenrule.core.findings import Finding
from goldenrule.core.progress import Progress, Silent
from goldenrule.data.pictures.deep_pixels import levels_text
from goldenrule.data.pictures.levels import levels_findings, levels_found
from goldenrule.data.pictures.unread import unreadable
from goldenrule.data.scan import closed_files, glance, looked
from goldenrule.data.sources.label_tables import from_source
from goldenrule.data.sources.left_out import unusable_classes
from goldenrule.data.sources.origin import origin_line
from goldenrule.data.splits.folds import all_in_train, fold_drawn, without_valid
from goldenrule.data.splits.splitting import check_enough, sample_per_class, torn_groups, with_split
from goldenrule.data.table import ImageTable, Split
from goldenrule.features.extractor import FeatureExtractor, Features
from goldenrule.models.backbone import Backbone, check_backbone, kept
from goldenrule.models.backbone import backbone as load_backbone
from goldenrule.models.classifier import Classifier
from goldenrule.models.graphs.compiled import available_threads, check_device
from goldenrule.pipelines.backbone_selection import with_chosen_backbone
from goldenrule.pipelines.changed_files import stamps_of
from goldenrule.pipelines.context import FitContext, precomputed
from goldenrule.pipelines.dependent_images import keep_neighbours_together, torn_splits
from goldenrule.pipelines.fit_result import FitState
from goldenrule.pipelines.planning import ALL_STEPS, expected_seconds
from goldenrule.pipelines.split_together import joined_groups, kept_together, leaked, near_pairs
from goldenrule.runs.decided_labels import about_decisions
from goldenrule.runs.options import FitOptions
from goldenrule.runs.store import about_images, check_ours, check_same, differences, opened
from goldenrule.runs.verified_files import drew_split, is_run, known_split

SMALLEST_CLASS_TO_SPLIT, SMALLEST_CLASS_TO_LEARN = 3, 2


@contextmanager
def prepared_fit(
    source: str | os.PathLike[str] | ImageTable,
    *,
    options: FitOptions | None = None,
    out: str | Path | None = None,
    runs: str | Path = Path("runs"),
    progress: Progress | None = None,
    also: Mapping[str, Any] | None = None,
) -> Iterator[tuple[FitContext, Features]]:
    """Open the run of these images and options; it stays locked while the block runs.

    `also` is what makes a run that is no fit another one, beside its options: such a run keeps the splits of the
    fits of these images in `runs`.

    The plain features of all images do not depend on the split, so they come first: near duplicates are found by
    them, and stay in one split and one fold. Killed before the split is written, a fit finds the same ones again.
    """
    options, progress, state = options or FitOptions(), progress or Silent(), FitState()
    device = check_device(options.device)
    check_backbones(options)
    with state.stage("read"):
        table, seen = read_images(source, options, progress)
        state.stamps = stamps_of(table)
        options.check_metrics(table.classes, table.task)
    state.findings += table.findings
    if out and Path(out).resolve() in _folders_of(table):
        raise OptionError(
            f"--out {out}: the images lie there. Give a folder of its own, such as {Path(runs) / 'NAME'}."
        )
    if out:
        check_ours(Path(out))
    about, options = _about(table, options, also), seen
    place = _place_of(table, about, out=out, runs=Path(runs), shares_split=also is not None, progress=progress)
    if place.torn:
        table = table.with_findings(_drawn_anew(place.earlier, place.torn))
        state.findings += table.findings[-1:]
    with state.stage("backbone"):
        backbones = candidate_backbones(options, progress)
        if options.from_scratch:
            backbone_from_scratch(options, progress)  # one that can't be had says so before anything is written
        backbone = backbones[0]
        extractor = FeatureExtractor.of(backbone, device=device, threads=options.threads, progress=progress)
    progress.expect(ALL_STEPS, expected_seconds(table, extractor, options))
    with opened(place.folder) as run:
        check_same(place.folder, about, table)  # again: another process may have begun a run here since
        context = FitContext(run=run, table=table, extractor=extractor, options=options, state=state, progress=progress)
        features = precomputed(context, 0)
        context = _with_split(context, features, place)
        run.begin(about, context.table)
        yield with_chosen_backbone(context, features, backbones) if len(backbones) > 1 else (context, features)


def _about(table: ImageTable, options: FitOptions, also: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return what tells one run from another: its images, options and split."""
    given = "valid" in table.splits or options.folds is not None
    return {
        "images": about_images(table),
        "options": {**options.kept_under(), **(also or {}), **about_decisions(table)},
        "split": "given" if given else "drawn",
        "quick": options.quick,
    }


def run_before(table: ImageTable, options: FitOptions, *, out: Path | None, runs: Path) -> Path | None:
    """Return the folder of the run that a fit of these images, as they were read, would go on in; None: a new one.

    Raises `FormatError` for one that is damaged, `RunError` where `out` holds something else or another run.
    """
    about = _about(table, options)
    if out is not None:
        check_ours(out)
        check_same(out, about, table)
    folder = out or _free_folder(runs / table.name, about, table, Silent())[0]
    return folder if is_run(folder) and not differences(folder, about, table) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """The folder of a run, the run whose split it keeps, that split (digest to split), and the groups that it tears."""

    folder: Path
    earlier: Path
    before: Mapping[bytes, Split]
    torn: Sequence[str]


def _place_of(
    table: ImageTable,
    about: Mapping[str, Any],
    *,
    out: str | Path | None,
    runs: Path,
    shares_split: bool,
    progress: Progress,
) -> _Place:
    """Return where a run of these images goes; with `shares_split` it keeps the split of the fits in `runs`."""
    base, given = runs / table.name, about["split"] == "given"
    folder, earlier = (Path(out), Path(out)) if out else _free_folder(base, about, table, progress)
    if shares_split and not drew_split(folder):
        earlier = latest_split(base)
    before = known_split(earlier)
    torn = [] if given or earlier == folder else torn_groups(table, before)
    if out:
        check_same(folder, about, table)
    elif folder not in (base, earlier) and not is_run(folder):
        kept_splits = "" if given or torn or not drew_split(earlier) else " Its images keep the splits they had there."
        progress.say(f"{earlier} was made with {differences(earlier, about, table)}: writing to {folder}.{kept_splits}")
    return _Place(folder=folder, earlier=earlier, before={} if torn else before, torn=torn)


def _with_split(context: FitContext, features: Features, place: _Place) -> FitContext:
    """Return the context with every image in a split; what belongs together, found by the features, stays together."""
    state, table = context.state, context.table
    usable = [digest is not None and digest in features.caches[0] for digest in table.digests]
    state.findings += unusable_classes(table, usable)
    pairs = near_pairs(context, features)
    together = kept_together(table, pairs)
    state.findings += joined_groups(table, together, pairs)
    asked = keep_neighbours_together(context, features, together, pairs)
    table = asked.table
    if context.options.folds is None:  # a split may have been drawn here since
        before = known_split(place.folder) if place.earlier == place.folder else place.before
        table = with_split(table, seed=context.options.seed, before=before)
    state.findings += (*table.findings[len(context.table.findings) :], *near_duplicates(table, pairs))
    state.findings = [*asked.findings, *torn_splits(table, asked.about), *state.findings]
    state.dependence, state.leaks = asked.about, leaked(table, pairs)
    return replace(context, table=table)


def _drawn_anew(earlier: Path, torn: Sequence[str]) -> Finding:
    """Return a finding on a split that is not kept, because it tears what is to stay together now."""
    return Finding(
        severity="warning",
        code="split-drawn-anew",
        fields={"run": str(earlier), "n": len(torn)},
        evidence=tuple(torn),
    )


def candidate_backbones(options: FitOptions, progress: Progress) -> list[Backbone]:
    """Return the backbones to choose from (`--backbone auto`), or the one to start from."""
    names = options.candidates or (options.backbone,)
    return [first_backbone(replace(options, backbone=name), progress) for name in names]


def check_backbones(options: FitOptions) -> None:
    """Raise `UnknownBackbone` for a name that there is not, before minutes of reading."""
    if options.start_from is None:
        how: dict[str, Any] = {"weights": options.weights, "size": options.size, "pooling": options.pooling}
        for name in options.candidates or (options.backbone,):
            check_backbone(name, **how, drawn=options.seed if options.from_scratch else None)


def backbone_from_scratch(options: FitOptions, progress: Progress) -> Backbone:
    """Return the backbone that is trained from scratch: random weights, drawn under the seed."""
    return load_backbone(
        options.backbone,
        size=options.size,
        pooling=options.pooling,
        squish=options.crop == "squish",
        decoding=options.decoding,
        levels=options.fixed_levels,
        drawn=options.seed,
        progress=progress,
    )


def first_backbone(options: FitOptions, progress: Progress) -> Backbone:
    """Return the backbone to start from: a pretrained one, or that of an earlier classifier (`--from`).

    What is trained from scratch starts from none: the default one then finds near duplicates, and looks into the run.
    """
    if options.from_scratch:
        return load_backbone(levels=options.fixed_levels, progress=progress)
    if options.start_from is None:
        return load_backbone(
            options.backbone,
            weights=options.weights,
            size=options.size,
            pooling=options.pooling,
            squish=options.crop == "squish",
            decoding=options.decoding,
            levels=options.fixed_levels,
            progress=progress,
        )
    earlier = Classifier.load(options.start_from).backbone
    own = "average" if earlier.spec.pooling == "token" else earlier.spec.pooling  # the network's own pooling
    if own != options.pooling or options.size not in (None, earlier.spec.preprocessing.size):
        raise OptionError(
            f"--from {options.start_from}: that classifier's backbone has {earlier.spec.pooling} pooling at "
            f"{earlier.spec.preprocessing.size} px. Omit --size and give the --head it was made with."
        )
    preprocessing = earlier.spec.preprocessing
    if (options.crop == "squish" and preprocessing.resize != "squish") or (
        options.decoding == "scaled" and preprocessing.name != "scaled"
    ):
        raise OptionError(
            f"--from {options.start_from}: that classifier looks at pictures otherwise (resize {preprocessing.resize}, "
            f"decoding {preprocessing.name}), and its backbone learned from that. Leave --crop squish and --decoding "
            "away."
        )
    if options.levels is not None and options.fixed_levels != preprocessing.levels:
        raise OptionError(
            f"--from {options.start_from}: that classifier learned from pictures with --levels "
            f"{levels_text(preprocessing.levels)}. Omit --levels."
        )
    return kept(earlier)


def read_images(
    source: str | os.PathLike[str] | ImageTable, options: FitOptions, progress: Progress
) -> tuple[ImageTable, FitOptions]:
    """Return the table to fit on, sampled, checked and folded, and the options with the levels that were found.

    The table has digests, and what a glance at every file found.
    """
    table = source if isinstance(source, ImageTable) else from_source(source, group_by=options.group_by)
    progress.say(origin_line(table))
    if options.fold is not None:
        table = without_valid(table)
    if options.folds is not None:
        table = all_in_train(table)
    if options.sample is not None:
        table = sample_per_class(table, options.sample, seed=options.seed)
    fixed = "train" in table.splits
    smallest = options.min_per_class or (SMALLEST_CLASS_TO_LEARN if fixed else SMALLEST_CLASS_TO_SPLIT)
    check_enough(table, min_per_class=smallest)
    threads = options.threads or available_threads()
    looks = looked(table, by=glance, threads=2 * threads, progress=progress)
    closed = closed_files(table, looks)
    table = table.with_digests([scan.digest for scan in looks])
    if options.fold is not None:
        table = fold_drawn(table, options.fold, seed=options.seed)
    levels, asked = options.fixed_levels, options.levels is not None
    if options.start_from is not None and not asked:
        levels, asked = Classifier.load(options.start_from).preprocessing.levels, True
    elif not asked:
        levels = levels_found(table, looks)
    found = (*at_a_glance(table, looks), *levels_findings(table, looks, levels, asked=asked))
    if levels is not None:
        options = replace(options, levels=levels_text(levels))
    return table.with_findings(*([unreadable(closed)] if closed else []), *found), options


def _folders_of(table: ImageTable) -> set[Path]:
    """Return the images' folder and all folders in it that hold images, or folders with images."""
    root = table.place
    nearest = {Path(uri.rpartition("/")[0]) for uri in table.uris}
    return {root, *(root / folder for path in nearest for folder in (path, *path.parents))}


def latest_split(base: Path) -> Path:
    """Return the latest of NAME, NAME-2 ... that has drawn a split, or NAME where none has."""
    latest = base
    for number in range(1, 10_000):
        folder = base if number == 1 else base.with_name(f"{base.name}-{number}")
        if not is_run(folder):
            break
        with contextlib.suppress(FormatError):  # a damaged run has no split to keep
            latest = folder if drew_split(folder) else latest
    return latest


def _free_folder(base: Path, about: Mapping[str, Any], table: ImageTable, progress: Progress) -> tuple[Path, Path]:
    """Return the folder for this run, and the latest one with a split that it keeps.

    NAME where it is free or holds this run, else NAME-2, NAME-3 ... so that nothing finished is overwritten.
    """
    latest, damaged = base, set[Path]()
    for number in range(1, 10_000):
        folder = base if number == 1 else base.with_name(f"{base.name}-{number}")
        if not is_run(folder):
            return folder, folder if latest in damaged else latest
        try:
            if not differences(folder, about, table):
                return folder, folder
            if drew_split(folder):
                latest = folder
        except FormatError as error:  # nothing finished is overwritten, and nothing damaged is gone on with
            progress.say(f"{error} This fit goes to another folder.")
            damaged.add(folder)
    raise RunError(f"{base.parent} holds 9,999 runs of {base.name}. Give --out.")
