"""From a folder of images to an image classifier that its owner can trust.

    import goldenrule as gr

    result = gr.fit("photos", quick=True)        # read, split, compute features, fit the head, judge, save, report
    result.classifier.predict("new.jpg")

or by hand, over the same parts: `gr.from_folder`, `gr.with_split`, `gr.backbone`, `gr.activations_of`, `gr.fit_head`.
Names are loaded when they are first used, so that importing goldenrule costs nothing.
"""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from goldenrule.analysis.audit import Audit
    from goldenrule.analysis.explanation import Explained
    from goldenrule.analysis.gradcam import heatmap
    from goldenrule.analysis.label_issues import LabelErrors, label_errors
    from goldenrule.analysis.mistakes import most_uncertain, surest_right
    from goldenrule.analysis.nearest_images import nearest
    from goldenrule.api import compare, fit, search, train
    from goldenrule.core.errors import GoldenRuleError
    from goldenrule.core.findings import Finding
    from goldenrule.core.schema import as_json, from_json
    from goldenrule.data.arrays import from_arrays
    from goldenrule.data.augmentation.augment import Augmentation
    from goldenrule.data.augmentation.presets import basic, keras, own, side_on, top_down, trivial
    from goldenrule.data.classes import with_classes
    from goldenrule.data.pictures.preprocess import Preprocessing
    from goldenrule.data.sources.folders import from_folder
    from goldenrule.data.sources.label_tables import from_csv, from_dataframe
    from goldenrule.data.splits.folds import k_fold
    from goldenrule.data.splits.splitting import Shares, with_split
    from goldenrule.data.table import ImageTable
    from goldenrule.features.extractor import Activations, FeatureExtractor
    from goldenrule.metrics import (
        ConformalSets,
        Estimate,
        Familiar,
        PlattScaling,
        Predictions,
        Temperature,
        Thresholds,
        accuracy,
        average_precision,
        averages,
        balanced_accuracy,
        best_thresholds,
        brier_score,
        calibrated_by_fold,
        calibration_error,
        cohen_kappa,
        confusion,
        f_beta,
        fit_platt,
        fit_temperature,
        log_loss,
        matthews_correlation,
        mcnemar,
        mean_set_size,
        metric_named,
        most_confident_mistakes,
        paired_bootstrap,
        per_class,
        ranking_per_class,
        reliability,
        roc_auc,
        set_coverage,
        singletons,
        top_k_accuracy,
    )
    from goldenrule.metrics.arrow import from_arrow, to_arrow
    from goldenrule.models.backbone import Backbone, backbone
    from goldenrule.models.classifier import Classifier
    from goldenrule.models.custom_backbone import own_backbone
    from goldenrule.models.custom_head import own_head
    from goldenrule.models.summary import summary
    from goldenrule.pipelines.comparison.compared_networks import ComparedNetworks
    from goldenrule.pipelines.fit_result import Answer
    from goldenrule.pipelines.linear_heads import FittedHead, fit_head
    from goldenrule.report.figures.heat import explanation_figure
    from goldenrule.report.figures.plot import plot
    from goldenrule.report.figures.reliability import reliability_figure
    from goldenrule.runs.history import History
    from goldenrule.tasks.auditing import audit_images
    from goldenrule.tasks.explaining import explain
    from goldenrule.tasks.foreign import Evaluation, evaluate
    from goldenrule.tasks.insights import Insights, insights
    from goldenrule.tasks.precompute import activations_of
    from goldenrule.tasks.run_comparison import compare_runs
    from goldenrule.tasks.run_learning_curve import learning_curve_of
    from goldenrule.tasks.split_folder import split_folder, verify_split
    from goldenrule.training.learner import Learner
    from goldenrule.training.loggers import MLflow, TensorBoard, WandB
    from goldenrule.training.loss import asymmetric_loss
    from goldenrule.training.lr_finder import RangeTest
    from goldenrule.training.schedule import OneCycle, Sgdr

__version__ = "0.1.0"

_HOMES = {
    "Activations": "features.extractor",
    "Answer": "pipelines.fit_result",
    "Audit": "analysis.audit",
    "Augmentation": "data.augmentation.augment",
    "Backbone": "models.backbone",
    "Classifier": "models.classifier",
    "ComparedNetworks": "pipelines.comparison.compared_networks",
    "ConformalSets": "metrics",
    "Estimate": "metrics",
    "Evaluation": "tasks.foreign",
    "Explained": "analysis.explanation",
    "Familiar": "metrics",
    "FeatureExtractor": "features.extractor",
    "Finding": "core.findings",
    "FittedHead": "pipelines.linear_heads",
    "GoldenRuleError": "core.errors",
    "History": "runs.history",
    "ImageTable": "data.table",
    "Insights": "tasks.insights",
    "LabelErrors": "analysis.label_issues",
    "Learner": "training.learner",
    "MLflow": "training.loggers",
    "OneCycle": "training.schedule",
    "PlattScaling": "metrics",
    "Predictions": "metrics",
    "Preprocessing": "data.pictures.preprocess",
    "RangeTest": "training.lr_finder",
    "Sgdr": "training.schedule",
    "Shares": "data.splits.splitting",
    "Temperature": "metrics",
    "TensorBoard": "training.loggers",
    "Thresholds": "metrics",
    "WandB": "training.loggers",
    "accuracy": "metrics",
    "activations_of": "tasks.precompute",
    "as_json": "core.schema",
    "asymmetric_loss": "training.loss",
    "audit_images": "tasks.auditing",
    "average_precision": "metrics",
    "averages": "metrics",
    "backbone": "models.backbone",
    "balanced_accuracy": "metrics",
    "basic": "data.augmentation.presets",
    "best_thresholds": "metrics",
    "brier_score": "metrics",
    "calibrated_by_fold": "metrics",
    "calibration_error": "metrics",
    "cohen_kappa": "metrics",
    "compare": "api",
    "compare_runs": "tasks.run_comparison",
    "confusion": "metrics",
    "evaluate": "tasks.foreign",
    "explain": "tasks.explaining",
    "explanation_figure": "report.figures.heat",
    "f_beta": "metrics",
    "fit": "api",
    "fit_head": "pipelines.linear_heads",
    "fit_platt": "metrics",
    "fit_temperature": "metrics",
    "from_arrays": "data.arrays",
    "from_arrow": "metrics.arrow",
    "from_csv": "data.sources.label_tables",
    "from_dataframe": "data.sources.label_tables",
    "from_folder": "data.sources.folders",
    "from_json": "core.schema",
    "heatmap": "analysis.gradcam",
    "insights": "tasks.insights",
    "k_fold": "data.splits.folds",
    "keras": "data.augmentation.presets",
    "label_errors": "analysis.label_issues",
    "learning_curve_of": "tasks.run_learning_curve",
    "log_loss": "metrics",
    "matthews_correlation": "metrics",
    "mcnemar": "metrics",
    "mean_set_size": "metrics",
    "metric_named": "metrics",
    "most_confident_mistakes": "metrics",
    "most_uncertain": "analysis.mistakes",
    "nearest": "analysis.nearest_images",
    "own": "data.augmentation.presets",
    "own_backbone": "models.custom_backbone",
    "own_head": "models.custom_head",
    "paired_bootstrap": "metrics",
    "per_class": "metrics",
    "plot": "report.figures.plot",
    "ranking_per_class": "metrics",
    "reliability": "metrics",
    "reliability_figure": "report.figures.reliability",
    "roc_auc": "metrics",
    "search": "api",
    "set_coverage": "metrics",
    "side_on": "data.augmentation.presets",
    "singletons": "metrics",
    "split_folder": "tasks.split_folder",
    "summary": "models.summary",
    "surest_right": "analysis.mistakes",
    "to_arrow": "metrics.arrow",
    "top_down": "data.augmentation.presets",
    "top_k_accuracy": "metrics",
    "train": "api",
    "trivial": "data.augmentation.presets",
    "verify_split": "tasks.split_folder",
    "with_classes": "data.classes",
    "with_split": "data.splits.splitting",
}

__all__ = [
    "Activations",
    "Answer",
    "Audit",
    "Augmentation",
    "Backbone",
    "Classifier",
    "ComparedNetworks",
    "ConformalSets",
    "Estimate",
    "Evaluation",
    "Explained",
    "Familiar",
    "FeatureExtractor",
    "Finding",
    "FittedHead",
    "GoldenRuleError",
    "History",
    "ImageTable",
    "Insights",
    "LabelErrors",
    "Learner",
    "MLflow",
    "OneCycle",
    "PlattScaling",
    "Predictions",
    "Preprocessing",
    "RangeTest",
    "Sgdr",
    "Shares",
    "Temperature",
    "TensorBoard",
    "Thresholds",
    "WandB",
    "accuracy",
    "activations_of",
    "as_json",
    "asymmetric_loss",
    "audit_images",
    "average_precision",
    "averages",
    "backbone",
    "balanced_accuracy",
    "basic",
    "best_thresholds",
    "brier_score",
    "calibrated_by_fold",
    "calibration_error",
    "cohen_kappa",
    "compare",
    "compare_runs",
    "confusion",
    "evaluate",
    "explain",
    "explanation_figure",
    "f_beta",
    "fit",
    "fit_head",
    "fit_platt",
    "fit_temperature",
    "from_arrays",
    "from_arrow",
    "from_csv",
    "from_dataframe",
    "from_folder",
    "from_json",
    "heatmap",
    "insights",
    "k_fold",
    "keras",
    "label_errors",
    "learning_curve_of",
    "log_loss",
    "matthews_correlation",
    "mcnemar",
    "mean_set_size",
    "metric_named",
    "most_confident_mistakes",
    "most_uncertain",
    "nearest",
    "own",
    "own_backbone",
    "own_head",
    "paired_bootstrap",
    "per_class",
    "plot",
    "ranking_per_class",
    "reliability",
    "reliability_figure",
    "roc_auc",
    "search",
    "set_coverage",
    "side_on",
    "singletons",
    "split_folder",
    "summary",
    "surest_right",
    "to_arrow",
    "top_down",
    "top_k_accuracy",
    "train",
    "trivial",
    "verify_split",
    "with_classes",
    "with_split",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'goldenrule' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"goldenrule.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]


def _in_a_notebook() -> None:
    """Let a notebook that is running show figures."""
    if "IPython" in sys.modules and (shell := sys.modules["IPython"].get_ipython()) is not None:
        from goldenrule.notebook import register

        register(shell)


_in_a_notebook()
