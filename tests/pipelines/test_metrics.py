"""Metrics that were asked for by name: measured on every split, and told where they can't be."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from goldenrule.core.errors import OptionError
from goldenrule.core.schema import as_json
from goldenrule.metrics import balanced_accuracy, roc_auc
from goldenrule.pipelines.quick_fit import quick_fit
from goldenrule.runs.options import FitOptions


def test_they_stand_in_result_json_and_the_report_and_change_nothing(
    fitted: Any, small_photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOLDENRULE_CACHE", str(fitted.folder.parent / "cache"))
    run = Path(shutil.copytree(fitted.folder, tmp_path / "run"))
    found = quick_fit(small_photos, out=run, options=FitOptions(metrics=("roc_auc", "balanced_accuracy")))
    assert found.chosen == fitted.chosen
    stated = json.loads((run / "result.json").read_text())["metrics"]
    assert list(stated) == ["roc_auc", "balanced_accuracy"]
    for split, predictions in found.scored.items():
        assert stated["roc_auc"][split.replace("-", "_")] == as_json(roc_auc(predictions))
        assert stated["balanced_accuracy"][split.replace("-", "_")]["value"] == balanced_accuracy(predictions).value
    page = (run / "report.html").read_text()
    assert '<th scope="col">roc auc</th>' in page


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("rocauc", "no metric 'rocauc'.*Did you mean roc_auc"),
        ("samples_f2", "wanted one of .*macro"),
        ("top_9_accuracy", "k = 9"),
    ],
)
def test_a_metric_that_there_is_not_is_told_before_anything_is_done(
    small_photos: Path, tmp_path: Path, name: str, said: str
) -> None:
    with pytest.raises(OptionError, match=said):
        quick_fit(small_photos, out=tmp_path / "run", options=FitOptions(metrics=(name,)))
    assert not (tmp_path / "run").exists()
