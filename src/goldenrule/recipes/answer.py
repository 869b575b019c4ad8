"""The answer in seconds: read, split, precompute, solve the head, judge it, save it, report."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from goldenrule.activations.bank import enforce_limit
from goldenrule.activations.precompute import Activations, precompute
from goldenrule.engine import EngineKind
from goldenrule.evaluation import Estimate, Predictions, accuracy, log_loss
from goldenrule.evaluation.predictions_csv import to_csv
from goldenrule.foundation.errors import RunError, TooFewImages
from goldenrule.foundation.files import write_atomic, write_json
from goldenrule.foundation.findings import Finding
from goldenrule.foundation.progress import Progress, Silent
from goldenrule.images.augment import by_name, views
from goldenrule.images.read import unreadable, with_digests
from goldenrule.images.sources import from_folder
from goldenrule.images.split import check_enough, duplicate_units, sample_per_class, with_split
from goldenrule.images.table import ImageTable, Part
from goldenrule.models.backbone import Backbone, backbone
from goldenrule.models.classifier import Classifier
from goldenrule.models.compiled import available_threads, check_device, compiled, engine_kind
from goldenrule.recipes.checks import contradictions, duplicates
from goldenrule.recipes.environment import environment
from goldenrule.recipes.heads import SOLVER_VERSION, FittedHead, fit_outcome, fitted
from goldenrule.recipes.options import FitOptions
from goldenrule.recipes.speed import remember_speed
from goldenrule.training.choice import Verdict, later_replaces, views_are_worth_it
from goldenrule.training.plan import DEFAULT_VIEWS
from goldenrule.training.run import Run, about_images, check_same, differences, known_split, opened

RESULT_SCHEMA = 1
SMALLEST_CLASS_TO_SPLIT, SMALLEST_CLASS_TO_LEARN = 3, 2


@dataclass(slots=True)
class Story:
    """What is known so far while the answer is being found; ends as an `Answer`."""

    stages: list[tuple[str, float]] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    computed: int = 0
    reused: int = 0

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time a stage."""
        began = time.perf_counter()
        yield
        self.stages.append((name, round(time.perf_counter() - began, 3)))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Candidate:
    """A head that was fitted, and how it compared with the one before."""

    name: str
    fitted: FittedHead
    verdict: Verdict | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Answer:
    """What a fit gives: the run's folder, the classifier, its predictions per part, and the numbers."""

    folder: Path
    classifier: Classifier
    table: ImageTable
    predictions: Mapping[str, Predictions]  # "test", "valid", "out-of-fold": labelled or not
    candidates: tuple[Candidate, ...]
    chosen: str
    options: FitOptions
    stages: tuple[tuple[str, float], ...]
    activations: Mapping[str, int]
    findings: tuple[Finding, ...]

    @property
    def scored(self) -> dict[str, Predictions]:
        """The parts with labelled, readable images, the cleanest first."""
        return {name: own for name, own in self.predictions.items() if len(own.scored)}

    @property
    def headline_part(self) -> str:
        """The part whose accuracy is the headline: test, else valid (no choice has seen it), else out-of-fold."""
        return next(iter(self.scored))

    @property
    def headline(self) -> Estimate:
        """The accuracy to quote."""
        return accuracy(self.scored[self.headline_part])

    @property
    def report(self) -> Path:
        """The report's file."""
        return self.folder / "report.html"

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{part}</td><td>{accuracy(own)}</td><td>{log_loss(own)}</td></tr>"
            for part, own in self.scored.items()
        )
        return f"<table><tr><th>part</th><th>accuracy</th><th>log loss</th></tr>{rows}</table>"


def answer(
    source: str | os.PathLike[str] | ImageTable,
    *,
    options: FitOptions | None = None,
    out: Path | None = None,
    runs: Path = Path("runs"),
    progress: Progress | None = None,
) -> Answer:
    """Fit a classifier on a folder of images (or a table) and judge it, in seconds.

    Writes the run to `out`, by default the next free `runs/NAME`; goes on where a killed run stopped. Raises
    a `GoldenRuleError` for what the user can mend.
    """
    options = options or FitOptions()
    progress = progress or Silent()
    story = Story()
    device = check_device(options.device)
    with story.stage("read"):
        table = read_table(source, options, progress)
    story.findings += table.findings
    about = {"images": about_images(table), "options": options.story()}
    folder, earlier = (out, out) if out else _free_folder(runs / _name(table), about, table)
    if out:
        check_same(out, about, table)
    elif folder != runs / _name(table) and not (folder / "run.json").exists():
        progress.say(f"{earlier} holds another story: writing to {folder}. Its images keep the parts they had there.")
    with story.stage("backbone"):
        body = backbone(
            options.backbone,
            weights=options.weights,
            size=options.size,
            pooling=options.pooling,
            progress=progress,
        )
        kind = engine_kind(body, device=device, progress=progress)
    with opened(folder) as run:
        check_same(folder, about, table)  # again: another process may have begun a story here since
        table = with_split(table, seed=options.seed, before=known_split(earlier))
        run.begin(about, table)
        return _answer(run, table, body, kind, options, story, progress)


def read_table(source: str | os.PathLike[str] | ImageTable, options: FitOptions, progress: Progress) -> ImageTable:
    """Give the table to fit on, sampled and checked, with digests."""
    table = source if isinstance(source, ImageTable) else from_folder(source)
    if options.sample is not None:
        table = sample_per_class(table, options.sample, seed=options.seed)
    fixed = "train" in table.parts
    smallest = options.min_per_class or (SMALLEST_CLASS_TO_LEARN if fixed else SMALLEST_CLASS_TO_SPLIT)
    check_enough(table, min_per_class=smallest)
    threads = options.threads or available_threads()
    return with_digests(table, threads=2 * threads, progress=progress)


def _answer(
    run: Run,
    table: ImageTable,
    body: Backbone,
    kind: EngineKind,
    options: FitOptions,
    story: Story,
    progress: Progress,
) -> Answer:
    activations = _precomputed(table, body, kind, options, 0, story, progress)
    if activations.failures:
        story.findings.append(unreadable([f"{uri}: {why}" for uri, why in activations.failures.items()]))
    train = _readable(table, "train", activations)
    _check_learnable(train, activations.failures)
    name = "solved head" if options.head == "linear" else "concat-pool head"
    candidates = [Candidate(name=name, fitted=_fit(run, train, activations, body, kind, options, 0, story, progress))]
    chosen = candidates[0]
    count = options.most_views
    if count is None:
        count = DEFAULT_VIEWS if views_are_worth_it(chosen.fitted.out_of_fold) else 0
    if count:
        more = _precomputed(table, body, kind, options, count, story, progress)
        with_views = f"{name}, {count} views"
        own = _fit(run, train, more, body, kind, options, count, story, progress)
        verdict = later_replaces(chosen.fitted.out_of_fold, own.out_of_fold, names=(chosen.name, with_views))
        candidates.append(Candidate(name=with_views, fitted=own, verdict=verdict))
        chosen = candidates[-1] if verdict.replaced else chosen
    with story.stage("judge"):
        classifier = _saved(run, chosen, table, body, kind, options)
        write_json(
            run.folder / "choice.json",
            {"chosen": chosen.name, "why": [c.verdict.sentence for c in candidates if c.verdict]},
        )
        predictions = _judged(run, classifier, table, chosen.fitted.out_of_fold, activations)
    story.findings += duplicates(table)
    story.findings += contradictions({part: own for part, own in predictions.items() if len(own.scored)})
    result = Answer(
        folder=run.folder,
        classifier=classifier,
        table=table,
        predictions=predictions,
        candidates=tuple(candidates),
        chosen=chosen.name,
        options=options,
        stages=tuple(story.stages),
        activations={"computed": story.computed, "reused": story.reused},
        findings=tuple(story.findings),
    )
    return _reported(run, result, story)


def _precomputed(
    table: ImageTable,
    body: Backbone,
    kind: EngineKind,
    options: FitOptions,
    count: int,
    story: Story,
    progress: Progress,
) -> Activations:
    threads = options.threads or available_threads()
    began = time.perf_counter()
    with story.stage("precompute views" if count else "precompute"):
        activations = precompute(
            table,
            body.spec,
            kind,
            partial(compiled, body, kind, device=options.device, threads=threads),
            views=views(by_name(options.augment), count),
            augmented=np.array([part == "train" for part in table.parts]) if count else None,
            threads=threads,
            progress=progress,
        )
    remember_speed(body.spec, kind, sum(activations.computed), time.perf_counter() - began)
    for removed in enforce_limit(keep=[bank.name for bank in activations.banks]):
        progress.say(f"The bank {removed['name'][:8]} ({removed['rows']:,} rows) gave way to the limit.")
    new = slice(1 if count else 0, None)  # the plain view was counted before
    story.computed += sum(activations.computed[new])
    story.reused += sum(activations.reused[new])
    return activations


def _fit(
    run: Run,
    train: ImageTable,
    activations: Activations,
    body: Backbone,
    kind: EngineKind,
    options: FitOptions,
    count: int,
    story: Story,
    progress: Progress,
) -> FittedHead:
    key = {
        "step": "fit head",
        "version": SOLVER_VERSION,
        "numpy": np.__version__,
        "head": options.head,
        "images": about_images(train),
        "seed": options.seed,
        "views": count,
        "augment": options.augment,
        "weights": body.spec.weights,
        "banks": [bank.name for bank in activations.banks],
        "engine": kind.to_json(),
    }
    with story.stage("solve with views" if count else "solve"):
        outcome, replayed = run.step(
            key,
            lambda: fit_outcome(
                train, activations, views=count, kind=options.head, seed=options.seed, progress=progress
            ),
        )
    if replayed:
        progress.say(f"The {'head with views' if count else 'head'} was solved before: replayed from {run.folder}.")
    return fitted(train, outcome, options.head)


def _saved(
    run: Run, chosen: Candidate, table: ImageTable, body: Backbone, kind: EngineKind, options: FitOptions
) -> Classifier:
    """Save the classifier and give what was saved: the numbers are those of the file (law 1)."""
    provenance = {
        "goldenrule": environment()["goldenrule"],
        "images": about_images(table) | {"folder": _name(table)},  # a classifier is shared: no paths of its maker
        "counts": table.counts(),
        "options": options.story(),
        "candidate": chosen.name,
        "solver": dict(chosen.fitted.facts),
    }
    Classifier(table.classes, body, chosen.fitted.head, kind, provenance).save(run.folder / "classifier")
    return Classifier.load(run.folder / "classifier")


def _judged(
    run: Run, classifier: Classifier, table: ImageTable, out_of_fold: Predictions, activations: Activations
) -> dict[str, Predictions]:
    """Score valid and test by the saved classifier; the test part is opened here, after the choice is written."""
    predictions = {}
    for part in ("test", "valid"):
        own = table.part(part)
        if len(own):
            predictions[part] = _scored(classifier, own, activations)
    predictions["out-of-fold"] = out_of_fold
    for part, own_predictions in predictions.items():
        write_atomic(run.folder / "predictions" / f"{part}.csv", to_csv(own_predictions))
    return predictions


def _scored(classifier: Classifier, table: ImageTable, activations: Activations) -> Predictions:
    digests = table.digests
    known = [row for row, digest in enumerate(digests) if digest is not None and digest in activations.banks[0]]
    logits = np.full((len(table), len(classifier.classes)), np.nan, np.float32)
    for start in range(0, len(known), 4096):
        block = known[start : start + 4096]
        logits[block] = classifier.logits(activations.rows([digests[row] or b"" for row in block]))
    return Predictions.from_logits(
        logits,
        classifier.classes,
        truth=table.targets,
        ids=table.uris,
        status=np.where(np.isnan(logits[:, 0]), "unreadable", "ok"),
    )


def _readable(table: ImageTable, part: Part, activations: Activations) -> ImageTable:
    bank = activations.banks[0]
    own: list[bool] = [
        p == part and d is not None and d in bank for p, d in zip(table.parts, table.digests, strict=True)
    ]
    mask: npt.NDArray[np.bool_] = np.array(own, dtype=bool)
    return table.where(mask)


def _check_learnable(train: ImageTable, failures: Mapping[str, str]) -> None:
    if len(np.unique(train.targets)) < 2:
        listed = "; ".join(f"{uri}: {why}" for uri, why in sorted(failures.items())[:3])
        raise TooFewImages(
            f"Fewer than two classes of {train.root} have a readable training image: {len(failures):,} files can't be "
            f"read ({listed}{'; ...' if len(failures) > 3 else ''}). Replace them and start again."
        )
    if len(set(duplicate_units(train))) < 2:
        raise TooFewImages(
            f"All {len(train):,} readable training images of {train.root} are the same picture, or of one group: "
            "there is nothing to judge a classifier on. Add others."
        )


def _free_folder(base: Path, about: Mapping[str, Any], table: ImageTable) -> tuple[Path, Path]:
    """Give the folder for this story, and the one whose split it keeps.

    NAME where it is free or holds this story, else NAME-2, NAME-3 ... so that nothing finished is overwritten.
    """
    latest = base
    for number in range(1, 10_000):
        folder = base if number == 1 else base.with_name(f"{base.name}-{number}")
        if not (folder / "run.json").exists():
            return folder, latest
        if not differences(folder, about, table):
            return folder, folder
        latest = folder
    raise RunError(f"{base.parent} holds 9,999 runs of {base.name}. Give --out.")


def _name(table: ImageTable) -> str:
    return table.root.resolve().name or "images"


def _reported(run: Run, result: Answer, story: Story) -> Answer:
    from dataclasses import replace

    from goldenrule.recipes.reporting import report_content, result_json

    with story.stage("report"):
        from goldenrule.report.page import render_page

        write_atomic(result.report, render_page(report_content(result)))
    finished = replace(result, stages=tuple(story.stages))
    write_json(run.folder / "result.json", result_json(finished))
    return finished
