"""From a folder of images to an image classifier that its owner can trust.

    import goldenrule as gr

    result = gr.fit("photos", quick=True)        # read, split, compute features, fit the head, evaluate, save, report
    result.classifier.predict("new.jpg")

or by hand, over the same parts: `gr.from_folder`, `gr.with_split`, `gr.backbone`, `gr.features_of`, `gr.fit_head`.
Names are loaded when they are first used, so that importing goldenrule costs nothing.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from goldenrule.core.lazy import lazy
from goldenrule.core.version import __version__ as __version__

if TYPE_CHECKING:
    from goldenrule import analysis, data, metrics, models, report, training
    from goldenrule.analysis.audit import Audit
    from goldenrule.analysis.explanation import Explained
    from goldenrule.api import audit_images, compare_models, evaluate, fit, train, tune
    from goldenrule.core.errors import GoldenRuleError
    from goldenrule.core.findings import Finding
    from goldenrule.core.schema import as_json, from_json
    from goldenrule.data.arrays import from_arrays
    from goldenrule.data.classes import with_classes
    from goldenrule.data.hugging_face import from_hf
    from goldenrule.data.sources.folders import from_folder
    from goldenrule.data.sources.label_tables import from_csv, from_dataframe
    from goldenrule.data.sources.shards import from_shards
    from goldenrule.data.splits.folds import k_fold
    from goldenrule.data.splits.splitting import with_split
    from goldenrule.data.table import ImageTable
    from goldenrule.features.extractor import FeatureExtractor, Features
    from goldenrule.metrics import Estimate, Predictions
    from goldenrule.models.backbone import backbone
    from goldenrule.models.classifier import Classifier
    from goldenrule.models.summary import summary
    from goldenrule.pipelines.comparison.compared_networks import ComparedNetworks
    from goldenrule.pipelines.fit_result import FitResult
    from goldenrule.pipelines.linear_heads import FittedHead, fit_head
    from goldenrule.report.figures.plot import plot
    from goldenrule.runs.history import History
    from goldenrule.tasks.explaining import explain
    from goldenrule.tasks.foreign import Evaluation
    from goldenrule.tasks.image_classifier import ImageClassifier
    from goldenrule.tasks.label_check import LabelCheck, check_labels
    from goldenrule.tasks.precompute import features_of
    from goldenrule.tasks.run_comparison import compare_runs
    from goldenrule.tasks.run_learning_curve import learning_curve_of
    from goldenrule.tasks.split_folder import split_folder, verify_split
    from goldenrule.training.learner import Learner

_HOMES = {
    "Audit": "analysis.audit",
    "Classifier": "models.classifier",
    "ComparedNetworks": "pipelines.comparison.compared_networks",
    "Estimate": "metrics",
    "Evaluation": "tasks.foreign",
    "Explained": "analysis.explanation",
    "FeatureExtractor": "features.extractor",
    "Features": "features.extractor",
    "Finding": "core.findings",
    "FitResult": "pipelines.fit_result",
    "FittedHead": "pipelines.linear_heads",
    "GoldenRuleError": "core.errors",
    "History": "runs.history",
    "ImageClassifier": "tasks.image_classifier",
    "ImageTable": "data.table",
    "LabelCheck": "tasks.label_check",
    "Learner": "training.learner",
    "Predictions": "metrics",
    "analysis": "",
    "as_json": "core.schema",
    "audit_images": "api",
    "backbone": "models.backbone",
    "check_labels": "tasks.label_check",
    "compare_models": "api",
    "compare_runs": "tasks.run_comparison",
    "data": "",
    "evaluate": "api",
    "explain": "tasks.explaining",
    "features_of": "tasks.precompute",
    "fit": "api",
    "fit_head": "pipelines.linear_heads",
    "from_arrays": "data.arrays",
    "from_csv": "data.sources.label_tables",
    "from_dataframe": "data.sources.label_tables",
    "from_folder": "data.sources.folders",
    "from_hf": "data.hugging_face",
    "from_json": "core.schema",
    "from_shards": "data.sources.shards",
    "k_fold": "data.splits.folds",
    "learning_curve_of": "tasks.run_learning_curve",
    "metrics": "",
    "models": "",
    "plot": "report.figures.plot",
    "report": "",
    "split_folder": "tasks.split_folder",
    "summary": "models.summary",
    "train": "api",
    "training": "",
    "tune": "api",
    "verify_split": "tasks.split_folder",
    "with_classes": "data.classes",
    "with_split": "data.splits.splitting",
}

__all__ = [
    "Audit",
    "Classifier",
    "ComparedNetworks",
    "Estimate",
    "Evaluation",
    "Explained",
    "FeatureExtractor",
    "Features",
    "Finding",
    "FitResult",
    "FittedHead",
    "GoldenRuleError",
    "History",
    "ImageClassifier",
    "ImageTable",
    "LabelCheck",
    "Learner",
    "Predictions",
    "analysis",
    "as_json",
    "audit_images",
    "backbone",
    "check_labels",
    "compare_models",
    "compare_runs",
    "data",
    "evaluate",
    "explain",
    "features_of",
    "fit",
    "fit_head",
    "from_arrays",
    "from_csv",
    "from_dataframe",
    "from_folder",
    "from_hf",
    "from_json",
    "from_shards",
    "k_fold",
    "learning_curve_of",
    "metrics",
    "models",
    "plot",
    "report",
    "split_folder",
    "summary",
    "train",
    "training",
    "tune",
    "verify_split",
    "with_classes",
    "with_split",
]

_WITHOUT_EXTRAS = {
    "Classifier",
    "Estimate",
    "Finding",
    "GoldenRuleError",
    "Predictions",
    "as_json",
    "data",
    "from_json",
    "metrics",
    "models",
}
"""What does with the packages that `pip install goldenrule` installs."""


_MEANT = {
    "load": "Classifier.load",
    "predict": "Classifier.load(RUN).predict",
    "from_pretrained": "Classifier.from_pretrained",
}
"""What other libraries call it."""


def _need_packages(name: str) -> None:
    """Raise `MissingExtra` for a name that needs packages which are not installed."""
    if name not in _WITHOUT_EXTRAS:
        from goldenrule.core.extras import need

        need("fit", what=f"goldenrule.{name}")


__getattr__, __dir__ = lazy(__name__, _HOMES, before=_need_packages, meant=_MEANT)


def _in_a_notebook() -> None:
    """Make a running notebook show figures."""
    if "IPython" in sys.modules and (shell := sys.modules["IPython"].get_ipython()) is not None:
        from goldenrule.notebook import register

        register(shell)


_in_a_notebook()
