"""What a search found."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from goldenrule.metrics import Estimate, Predictions, log_loss
from goldenrule.metrics.selection_rules import Verdict
from goldenrule.pipelines.tuning.search_space import Drawn
from goldenrule.pipelines.tuning.search_study import Trial
from goldenrule.runs.options import FitOptions


@dataclass(frozen=True, kw_only=True, eq=False)
class SearchResult:
    """What a search found: all trials by study ("bank", "live"), the best against the default, both on validation."""

    folder: Path
    images: Path
    task: str
    counts: dict[str, int]
    options: FitOptions
    drawn_split: bool
    trials: dict[str, tuple[Trial, ...]]
    importance: dict[str, dict[str, float]]
    default: Drawn
    default_predictions: Predictions
    best: Trial
    best_predictions: Predictions
    verdict: Verdict | None
    asked: int
    seconds: float
    created: str
    exclude: tuple[str, ...] = ()  # what was left out of the folder

    @property
    def default_log_loss(self) -> Estimate:
        """The default head's log loss on validation."""
        return log_loss(self.default_predictions)

    @property
    def best_log_loss(self) -> Estimate:
        """The best trial's log loss on validation; it was chosen for it, so it flatters."""
        return log_loss(self.best_predictions)

    @property
    def replaced(self) -> bool:
        """Whether the best trial is clearly better than the default, on the images it was chosen by."""
        return self.verdict is not None and self.verdict.replaced

    def __repr__(self) -> str:
        tried = sum(map(len, self.trials.values()))
        return (
            f"SearchResult({tried:,} trials; best {self.best_log_loss}, default {self.default_log_loss}; {self.page})"
        )

    @property
    def page(self) -> Path:
        """The page for people."""
        return self.folder / "tune.html"
