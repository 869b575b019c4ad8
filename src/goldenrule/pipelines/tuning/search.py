"""Hyper-parameter search on validation: heads from the cache in seconds, live training where asked for; goes on."""

from __future__ import annotations

import contextlib
import datetime
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from goldenrule.core.errors import OptionError, TooFewImages
from goldenrule.core.progress import Progress, Silent
from goldenrule.data.sources.label_tables import from_source
from goldenrule.data.table import ImageTable
from goldenrule.metrics import log_loss, quality
from goldenrule.metrics.selection_rules import later_replaces
from goldenrule.pipelines.prepare import prepared_fit
from goldenrule.pipelines.tuning.search_report import write_report, write_trials
from goldenrule.pipelines.tuning.search_result import SearchResult
from goldenrule.pipelines.tuning.search_space import (
    FIRST_LIVE,
    FIRST_TRAINED,
    SPACE_VERSION,
    Drawn,
    Draws,
    Setting,
    described,
    head_settings,
    live_settings,
)
from goldenrule.pipelines.tuning.search_study import Result, Study, TrialReporter
from goldenrule.pipelines.tuning.search_trials import Trials
from goldenrule.runs.history import EpochRow
from goldenrule.runs.options import FitOptions
from goldenrule.runs.verified_files import drew_split

LIVE_SHARE = 5
"""With `live` one live trial is run for so many on the cache."""


def search(
    source: str | os.PathLike[str] | ImageTable,
    *,
    trials: int = 50,
    live: bool = False,
    minutes: float | None = None,
    options: FitOptions | None = None,
    out: str | Path | None = None,
    runs: str | Path = Path("runs"),
    progress: Progress | None = None,
) -> SearchResult:
    """Try settings of head, optimizer, rate, decay, batch size, epochs, loss, mixup, views and augmentation.

    Each trial is evaluated by its log loss on validation; the test split is never evaluated, and where the folder has a
    valid and a test split its files are not even read. The first trial is the plain linear head of
    `fit --quick --head linear`. `trials` are those on cached rows; with `live` a fifth as many train late layers or the
    whole network. Written to `out`, by default `runs/NAME-tune`: the same call goes on where a killed one stopped, and
    does no more than what is left. With `minutes` no trial is begun that would probably end later. Raises a
    `GoldenRuleError` for what can be mended.
    """
    if not 1 <= trials <= 100_000:
        raise OptionError(f"--trials {trials}: wanted how many settings are tried in all, at least 1.")
    began, progress = time.monotonic(), progress or Silent()
    options = replace(options or FitOptions(), quick=True)
    table = source if isinstance(source, ImageTable) else from_source(source, group_by=options.group_by)
    folder = Path(out) if out else Path(runs) / f"{table.name}-tune"
    with _prepared_fit(table, options, folder, Path(runs), progress) as bench:
        clock = _Clock(began, minutes)
        kinds = {"cache": trials} | ({"live": -(-trials // LIVE_SHARE)} if live else {})
        with contextlib.ExitStack() as open_studies:
            studies = {name: _study(bench, name) for name in kinds}
            for study in studies.values():
                open_studies.callback(study.close)
            try:
                for name, wanted in kinds.items():
                    _run(bench, studies[name], name, wanted, clock, progress)
            finally:
                write_trials(folder, {name: study.trials for name, study in studies.items()})
            found = _concluded(bench, studies, trials, time.monotonic() - began)
            found = replace(found, options=replace(found.options, levels=options.levels))  # as asked: found again
        write_report(found)
        return found


@contextlib.contextmanager
def _prepared_fit(
    table: ImageTable, options: FitOptions, folder: Path, runs: Path, progress: Progress
) -> Iterator[Trials]:
    """Open the search's run without the test split; what is left of it after the split is drawn is dropped too."""
    if "valid" in table.splits:
        table = _without_test(table)
    with prepared_fit(
        table, options=options, out=folder, runs=runs, progress=progress, also={"search": SPACE_VERSION}
    ) as (
        context,
        features,
    ):
        bench = Trials(context=replace(context, table=_without_test(context.table)), features=features)
        if len(bench.valid) < 2:
            raise TooFewImages(
                f"{table.root} has {len(bench.valid)} labelled, readable validation images: a search is evaluated by "
                "them and wants two at least, better a hundred."
            )
        yield bench


def _without_test(table: ImageTable) -> ImageTable:
    return table.where(np.array([split != "test" for split in table.splits], dtype=bool))


def _study(bench: Trials, name: str) -> Study:
    first = [bench.default_settings, FIRST_TRAINED] if name == "cache" else [FIRST_LIVE]
    if name == "cache" and len(bench.train) < 2 * FIRST_TRAINED[Setting.BATCH_SIZE]:
        first = first[:1]
    return Study(bench.context.run.folder, name, seed=bench.context.options.seed, first=first)


def _run(bench: Trials, study: Study, name: str, wanted: int, clock: _Clock, progress: Progress) -> None:
    done = study.trials
    if done:
        progress.say(f"{len(done):,} trials ({name}) were done before: {max(0, wanted - len(done)):,} are left.")
    best = min((trial.log_loss for trial in done if trial.log_loss is not None), default=None)
    with progress.task(f"try ({name})", max(0, wanted - len(done)), "trials") as task:
        for _ in range(len(done), wanted):
            if clock.is_up():
                progress.say("Time is up: --minutes. The same command with more of them goes on.")
                break
            trial = study.run_next(_draw(bench, name), _evaluate(bench))
            if trial is None:
                progress.say("All settings that can be drawn were tried: the search is over.")
                break
            clock.took()
            task.advance()
            if trial.log_loss is not None and (best is None or trial.log_loss < best):
                best = trial.log_loss
                progress.say(f"Trial {trial.number}: log loss {best:.4f} on validation. {described(trial.drawn)}")


def _draw(bench: Trials, name: str) -> Callable[[Draws], Drawn]:
    task = bench.context.table.task
    if name == "live":
        return lambda draws: live_settings(draws, task=task)
    return lambda draws: head_settings(draws, images=len(bench.train), task=task)


def _evaluate(bench: Trials) -> Callable[[Drawn, TrialReporter], Result | None]:
    def evaluate(drawn: Drawn, watch: TrialReporter) -> Result | None:
        began = time.perf_counter()

        def seen(row: EpochRow, epochs: int) -> bool:
            loss = row.valid_loss if row.tempered_loss is None else row.tempered_loss
            return loss is not None and watch(loss, row.epoch, epochs)

        evaluated = bench.evaluated(drawn, seen)
        if evaluated is None:
            return None
        facts = {"quality": quality(evaluated).value, "seconds": round(time.perf_counter() - began, 2)}
        return Result(log_loss=log_loss(evaluated).value, facts=facts)

    return evaluate


def _concluded(bench: Trials, studies: dict[str, Study], asked: int, seconds: float) -> SearchResult:
    """Compare the best trial with the default; both are told again from what their trials have kept."""
    trials = {name: study.trials for name, study in studies.items()}
    ended = [trial for of_kind in trials.values() for trial in of_kind if trial.log_loss is not None]
    default = bench.evaluated(bench.default_settings)
    best = min(ended, key=lambda trial: (trial.log_loss, trial.number), default=None)
    if best is None:
        raise OptionError("No trial came to its end: give more --minutes.")
    evaluated = bench.evaluated(best.drawn)
    assert default is not None
    assert evaluated is not None
    if "live" in studies:
        bench.standing.save(bench.context.run.folder / "default")
    names = "the default head", f"trial {best.number} ({described(best.drawn)})"
    same = best.drawn == bench.default_settings
    return SearchResult(
        folder=bench.context.run.folder,
        images=bench.context.table.root,
        exclude=bench.context.table.exclude,
        task=bench.context.table.task,
        counts={"train": len(bench.train), "valid": len(bench.valid)},
        options=bench.context.options,
        drawn_split=drew_split(bench.context.run.folder),
        trials=trials,
        importance={name: study.importance() for name, study in studies.items()},
        default=bench.default_settings,
        default_predictions=default,
        best=best,
        best_predictions=evaluated,
        verdict=None if same else later_replaces(default, evaluated, names=names, tempered=True),
        asked=asked,
        seconds=seconds,
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    )


class _Clock:
    """Says when no further trial is begun: where the next would probably end after the minutes are over."""

    def __init__(self, began: float, minutes: float | None) -> None:
        self._end = None if minutes is None else began + 60 * minutes
        self._latest = time.monotonic()
        self._seconds: list[float] = []

    def took(self) -> None:
        """Note that a trial has ended."""
        now = time.monotonic()
        self._seconds.append(now - self._latest)
        self._latest = now

    def is_up(self) -> bool:
        """Return whether the next trial, as long as the mean of the last ten, would end too late."""
        latest = self._seconds[-10:]
        usual = sum(latest) / len(latest) if latest else 0.0
        return self._end is not None and time.monotonic() + usual > self._end
