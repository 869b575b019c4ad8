"""Training on one screen each: the loop, what a fit does around it, and the learner of lesson 2.

Reading order: loop · loss, schedule, runtime · fitting · checkpoint, early_stopping, snapshots, kept_epochs ·
lr_finder · state, verb_runner, learner · averaging, crossing · plan, settings, diagnostics · custom_metrics, loggers;
then inputs, processes.
"""

from typing import TYPE_CHECKING

from goldenrule.core.lazy import lazy

if TYPE_CHECKING:
    from goldenrule.training.loggers import MLflow, TensorBoard, WandB
    from goldenrule.training.loss import asymmetric_loss
    from goldenrule.training.lr_finder import RangeTest
    from goldenrule.training.schedule import OneCycle, Sgdr

__all__ = [
    "MLflow",
    "OneCycle",
    "RangeTest",
    "Sgdr",
    "TensorBoard",
    "WandB",
    "asymmetric_loss",
]

__getattr__, __dir__ = lazy(
    __name__,
    {
        "MLflow": "loggers",
        "OneCycle": "schedule",
        "RangeTest": "lr_finder",
        "Sgdr": "schedule",
        "TensorBoard": "loggers",
        "WandB": "loggers",
        "asymmetric_loss": "loss",
    },
)
