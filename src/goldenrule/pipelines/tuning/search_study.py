"""The trials of a search on disk: an Optuna study in SQLite that goes on where it was killed.

Each draw is a pure function of the seed, the trial's number, the setting's name and the trials before, so that a search
that was killed ends with the trials of one that was not. Bergstra et al., "Algorithms for hyper-parameter
optimization", 2011 (the tree-structured Parzen estimator); a trial worse than the median at the same share of its way
is given up. Nothing here knows what is tried.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from goldenrule.core.errors import FormatError, MissingExtra
from goldenrule.core.randomness import key
from goldenrule.pipelines.tuning.search_space import Drawn, Draws

try:
    import optuna
    from optuna.trial import FrozenTrial, TrialState
    from sqlalchemy.exc import SQLAlchemyError
except ImportError as error:
    raise MissingExtra('goldenrule tune needs optuna: pip install "goldenrule[tune]".') from error

FILE = "tune.sqlite3"
RANDOM_TRIALS = 12
"""So many trials are drawn at random before the good ones are looked at."""
CANDIDATES = 8
"""Of so many draws the most promising is taken: of more it would always be the same category."""
STEPS = 8
"""A training reports its loss at eighths of its way, where it is compared with those before."""
MOST_REPEATS = 200
"""After so many draws in a row of what was tried before a search is over."""
FEWEST_TO_GIVE_UP, FIRST_STEP_TO_GIVE_UP = 5, 2

optuna.logging.set_verbosity(optuna.logging.WARNING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """A finished trial: what was drawn, how it ended, and the log loss where it came to its end."""

    number: int
    drawn: Drawn
    state: str  # "finished" or "given up"
    log_loss: float | None
    facts: Mapping[str, Any]


class Repeatable(optuna.samplers.BaseSampler):
    """Draws each setting by a sampler of its own, seeded by the trial's number and the setting's name.

    After a draw of what was tried before it draws at random.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def infer_relative_search_space(self, study: Any, trial: FrozenTrial) -> dict[str, Any]:  # noqa: ARG002
        """Return nothing: settings are drawn one by one, as which are needed depends on those before."""
        return {}

    def sample_relative(self, study: Any, trial: FrozenTrial, search_space: Any) -> dict[str, Any]:  # noqa: ARG002
        """Draw nothing together."""
        return {}

    def sample_independent(self, study: Any, trial: FrozenTrial, param_name: str, param_distribution: Any) -> Any:
        """Draw one setting."""
        seed = int.from_bytes(key(self._seed, "search", trial.number, param_name)[:4], "little")
        before = [one.state for one in study.get_trials(deepcopy=False) if one.number == trial.number - 1]
        if before == [TrialState.FAIL]:  # what the estimator likes best was tried already
            sampler: Any = optuna.samplers.RandomSampler(seed=seed)
        else:
            sampler = optuna.samplers.TPESampler(
                seed=seed, n_startup_trials=RANDOM_TRIALS, n_ei_candidates=CANDIDATES, multivariate=False
            )
        return sampler.sample_independent(study, trial, param_name, param_distribution)


class Study:
    """One search, open: its trials so far, the next one, and what became of it."""

    def __init__(self, folder: Path, name: str, *, seed: int, first: Sequence[Drawn]) -> None:
        try:
            self._storage = optuna.storages.RDBStorage(f"sqlite:///{(folder / FILE).resolve()}")
            self._study = optuna.create_study(
                storage=self._storage,
                study_name=name,
                load_if_exists=True,
                sampler=Repeatable(seed),
                pruner=optuna.pruners.MedianPruner(
                    n_startup_trials=FEWEST_TO_GIVE_UP, n_warmup_steps=FIRST_STEP_TO_GIVE_UP
                ),
            )
        except SQLAlchemyError as error:
            raise FormatError(f"{folder / FILE} can't be read as a search: {error}. Take another --out.") from error
        for settings in first[len(self._study.trials) :]:
            self._study.enqueue_trial(dict(settings))

    @property
    def trials(self) -> tuple[Trial, ...]:
        """The finished trials, in their order; draws of what was tried before are none."""
        return tuple(_plain(one) for one in self._study.trials if one.state in (TrialState.COMPLETE, TrialState.PRUNED))

    def run_next(
        self, draw: Callable[[Draws], Drawn], evaluate: Callable[[Drawn, TrialReporter], Result | None]
    ) -> Trial | None:
        """Run the trial that was interrupted, or else the next one, and write down what became of it.

        None where nothing is drawn but what was tried before: there is nothing left to try.
        """
        tried = [trial.drawn for trial in self.trials]
        for _ in range(MOST_REPEATS):
            running = [trial for trial in self._study.trials if trial.state == TrialState.RUNNING]
            known = running[0].intermediate_values if running else {}
            trial = optuna.trial.Trial(self._study, running[0]._trial_id) if running else self._study.ask()
            drawn = draw(trial)
            if drawn not in tried:
                return self._ended(trial, evaluate(drawn, TrialReporter(trial, known)))
            self._study.tell(trial, state=TrialState.FAIL)
        return None

    def _ended(self, trial: optuna.trial.Trial, result: Result | None) -> Trial:
        if result is None or not math.isfinite(result.log_loss):
            return _plain(self._study.tell(trial, state=TrialState.PRUNED))
        for name, value in result.facts.items():
            trial.set_user_attr(name, value)
        return _plain(self._study.tell(trial, result.log_loss))

    def close(self) -> None:
        """Close the file."""
        self._storage.remove_session()
        self._storage.engine.dispose()

    def importance(self) -> dict[str, float]:
        """Return each setting's share in what tells the better trials from the others; nothing where too few are done.

        PED-ANOVA: Watanabe et al., arXiv:2304.10255; in spaces where settings depend on others, arXiv:2601.20800.
        """
        if len([trial for trial in self.trials if trial.log_loss is not None]) < RANDOM_TRIALS:
            return {}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # experimental, or nothing varied
            found = optuna.importance.get_param_importances(self._study)
        return {name: float(share) for name, share in found.items() if math.isfinite(share)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a trial that came to its end gave."""

    log_loss: float
    facts: Mapping[str, Any]


class TrialReporter:
    """Reports a training's losses at eighths of its way, and says whether to give it up."""

    def __init__(self, trial: Any, known: Mapping[int, float]) -> None:
        self._trial = trial
        self._known = set(known)

    def __call__(self, loss: float, done: int, of: int) -> bool:
        """Return whether a training with this validation loss after `done` of its epochs is to be given up."""
        step = STEPS * done // of
        if step not in self._known and math.isfinite(loss):
            self._known.add(step)
            self._trial.report(loss, step)
        return done < of and bool(self._trial.should_prune())


def _plain(trial: FrozenTrial) -> Trial:
    ended = trial.state == TrialState.COMPLETE
    return Trial(
        number=trial.number,
        drawn=dict(trial.params),
        state="finished" if ended else "given up",
        log_loss=trial.value if ended else None,
        facts=dict(trial.user_attrs),
    )
