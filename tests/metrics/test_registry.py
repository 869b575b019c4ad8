import numpy as np
import pytest

from goldenrule.core.errors import OptionError
from goldenrule.metrics import Estimate, Predictions, f_beta, metric_named, top_k_accuracy
from goldenrule.metrics.registry import METRICS

SINGLE = Predictions.from_logits(np.random.default_rng(0).normal(size=(30, 6)), list("abcdef"), truth=np.arange(30) % 6)
MULTI = Predictions.from_logits(SINGLE.logits, SINGLE.classes, truth=np.eye(6, dtype=int)[SINGLE.truth], task="multi")
ONE_LABEL_ONLY = {
    "accuracy",
    "balanced_accuracy",
    "calibration_error",
    "kappa",
    "linear_kappa",
    "quadratic_kappa",
    "matthews_correlation",
}
MANY_LABELS_ONLY = {"samples_f1", "samples_f2"}


@pytest.mark.parametrize("name", sorted(METRICS))
def test_every_named_metric_gives_an_estimate_or_says_which_labels_it_is_for(name):
    for predictions, others in ((SINGLE, MANY_LABELS_ONLY), (MULTI, ONE_LABEL_ONLY)):
        if name in others:
            with pytest.raises(OptionError):
                metric_named(name)(predictions)
        else:
            estimate = metric_named(name)(predictions)
            assert isinstance(estimate, Estimate)
            assert estimate.n == 30


def test_names_mean_what_they_say():
    assert metric_named("f2")(SINGLE) == metric_named("macro_f2")(SINGLE) == f_beta(SINGLE, 2)
    assert metric_named("samples_f2")(MULTI) == f_beta(MULTI, 2, average="samples")
    assert metric_named("top_5_accuracy")(SINGLE) == top_k_accuracy(SINGLE, 5)
    assert metric_named("top_2_accuracy")(SINGLE).name == "top-2 accuracy"


def test_an_unknown_metric_is_refused_with_the_names():
    with pytest.raises(OptionError, match=r"no metric 'acuracy'; wanted one of accuracy, .*Did you mean accuracy\?"):
        metric_named("acuracy")
    with pytest.raises(OptionError, match="top_5_accuracy"):
        metric_named("top_0_accuracy")
    with pytest.raises(OptionError, match="k = 7: wanted 1 to 6"):
        metric_named("top_7_accuracy")(SINGLE)
