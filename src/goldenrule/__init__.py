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
    from goldenrule.activations.extractor import Activations, FeatureExtractor
    from goldenrule.api import compare, fit, search, train
    from goldenrule.evaluation import (
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
    from goldenrule.evaluation.arrow import from_arrow, to_arrow
    from goldenrule.foundation.errors import GoldenRuleError
    from goldenrule.foundation.findings import Finding
    from goldenrule.foundation.schema import as_json, from_json
    from goldenrule.images.arrays import from_arrays
    from goldenrule.images.augment import Augmentation
    from goldenrule.images.classes import with_classes
    from goldenrule.images.folds import k_fold
    from goldenrule.images.kinds import basic, keras, own, side_on, top_down, trivial
    from goldenrule.images.labels import from_csv, from_dataframe
    from goldenrule.images.preprocess import Preprocessing
    from goldenrule.images.sources import from_folder
    from goldenrule.images.split import Shares, with_split
    from goldenrule.images.table import ImageTable
    from goldenrule.insight.audit import Audit
    from goldenrule.insight.explanation import Explained
    from goldenrule.insight.heatmap import heatmap
    from goldenrule.insight.label_errors import LabelErrors, label_errors
    from goldenrule.insight.mistakes import most_uncertain, surest_right
    from goldenrule.insight.neighbours import nearest
    from goldenrule.learner import Learner
    from goldenrule.models.backbone import Backbone, backbone
    from goldenrule.models.classifier import Classifier
    from goldenrule.models.own_backbone import own_backbone
    from goldenrule.models.own_head import own_head
    from goldenrule.models.summary import summary
    from goldenrule.recipes.auditing import audit_images
    from goldenrule.recipes.by_hand import activations_of
    from goldenrule.recipes.compared_networks import ComparedNetworks
    from goldenrule.recipes.compared_runs import compare_runs
    from goldenrule.recipes.evaluating import Evaluation, evaluate
    from goldenrule.recipes.explaining import explain
    from goldenrule.recipes.heads import FittedHead, fit_head
    from goldenrule.recipes.insights import Insights, insights
    from goldenrule.recipes.learning_curve import learning_curve_of
    from goldenrule.recipes.results import Answer
    from goldenrule.recipes.splitting import split_folder, verify_split
    from goldenrule.report.figures import plot
    from goldenrule.report.heat import explanation_figure
    from goldenrule.report.reliability_figure import reliability_figure
    from goldenrule.training.history import History
    from goldenrule.training.loggers import MLflow, TensorBoard, WandB
    from goldenrule.training.losses import asymmetric_loss
    from goldenrule.training.range_test import RangeTest
    from goldenrule.training.schedule import OneCycle, Sgdr

__version__ = "0.1.0"

_HOMES = {
    "Activations": "activations.extractor",
    "Answer": "recipes.results",
    "Audit": "insight.audit",
    "Augmentation": "images.augment",
    "Backbone": "models.backbone",
    "Classifier": "models.classifier",
    "ComparedNetworks": "recipes.compared_networks",
    "ConformalSets": "evaluation",
    "Estimate": "evaluation",
    "Evaluation": "recipes.evaluating",
    "Explained": "insight.explanation",
    "Familiar": "evaluation",
    "FeatureExtractor": "activations.extractor",
    "Finding": "foundation.findings",
    "FittedHead": "recipes.heads",
    "GoldenRuleError": "foundation.errors",
    "History": "training.history",
    "ImageTable": "images.table",
    "Insights": "recipes.insights",
    "LabelErrors": "insight.label_errors",
    "Learner": "learner",
    "MLflow": "training.loggers",
    "OneCycle": "training.schedule",
    "PlattScaling": "evaluation",
    "Predictions": "evaluation",
    "Preprocessing": "images.preprocess",
    "RangeTest": "training.range_test",
    "Sgdr": "training.schedule",
    "Shares": "images.split",
    "Temperature": "evaluation",
    "TensorBoard": "training.loggers",
    "Thresholds": "evaluation",
    "WandB": "training.loggers",
    "accuracy": "evaluation",
    "activations_of": "recipes.by_hand",
    "as_json": "foundation.schema",
    "asymmetric_loss": "training.losses",
    "audit_images": "recipes.auditing",
    "average_precision": "evaluation",
    "averages": "evaluation",
    "backbone": "models.backbone",
    "balanced_accuracy": "evaluation",
    "basic": "images.kinds",
    "best_thresholds": "evaluation",
    "brier_score": "evaluation",
    "calibrated_by_fold": "evaluation",
    "calibration_error": "evaluation",
    "cohen_kappa": "evaluation",
    "compare": "api",
    "compare_runs": "recipes.compared_runs",
    "confusion": "evaluation",
    "evaluate": "recipes.evaluating",
    "explain": "recipes.explaining",
    "explanation_figure": "report.heat",
    "f_beta": "evaluation",
    "fit": "api",
    "fit_head": "recipes.heads",
    "fit_platt": "evaluation",
    "fit_temperature": "evaluation",
    "from_arrays": "images.arrays",
    "from_arrow": "evaluation.arrow",
    "from_csv": "images.labels",
    "from_dataframe": "images.labels",
    "from_folder": "images.sources",
    "from_json": "foundation.schema",
    "heatmap": "insight.heatmap",
    "insights": "recipes.insights",
    "k_fold": "images.folds",
    "keras": "images.kinds",
    "label_errors": "insight.label_errors",
    "learning_curve_of": "recipes.learning_curve",
    "log_loss": "evaluation",
    "matthews_correlation": "evaluation",
    "mcnemar": "evaluation",
    "mean_set_size": "evaluation",
    "metric_named": "evaluation",
    "most_confident_mistakes": "evaluation",
    "most_uncertain": "insight.mistakes",
    "nearest": "insight.neighbours",
    "own": "images.kinds",
    "own_backbone": "models.own_backbone",
    "own_head": "models.own_head",
    "paired_bootstrap": "evaluation",
    "per_class": "evaluation",
    "plot": "report.figures",
    "ranking_per_class": "evaluation",
    "reliability": "evaluation",
    "reliability_figure": "report.reliability_figure",
    "roc_auc": "evaluation",
    "search": "api",
    "set_coverage": "evaluation",
    "side_on": "images.kinds",
    "singletons": "evaluation",
    "split_folder": "recipes.splitting",
    "summary": "models.summary",
    "surest_right": "insight.mistakes",
    "to_arrow": "evaluation.arrow",
    "top_down": "images.kinds",
    "top_k_accuracy": "evaluation",
    "train": "api",
    "trivial": "images.kinds",
    "verify_split": "recipes.splitting",
    "with_classes": "images.classes",
    "with_split": "images.split",
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
        from goldenrule.recipes.notebook import register

        register(shell)


_in_a_notebook()
