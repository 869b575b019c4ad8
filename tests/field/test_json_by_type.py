"""Values stand in JSON by one rule and are read from it by another; no value writes or reads itself."""

from __future__ import annotations

import ast
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

import goldenrule as gr
from goldenrule.analysis.learning_curve import Needed
from goldenrule.core.errors import FormatError, OptionError
from goldenrule.core.schema import as_json, from_json
from goldenrule.data.augmentation.augment import PLAIN, View, views
from goldenrule.data.augmentation.presets import side_on
from goldenrule.engines import EngineKind
from goldenrule.pipelines.comparison.entries import Network
from goldenrule.runs.training_options import TrainingOptions
from goldenrule.training.loss import CustomLoss, Objective
from goldenrule.training.schedule import Constant, OneCycle, Sgdr
from goldenrule.training.settings import Settings

SOURCE = Path(gr.__file__).parent
GROUPED = {"groups": 9, "effective_n": 12.5}
NUMBERS = {"name": "loss", "n": 30, "method": "bootstrap 95 %", "kind": "number", "basis": "held out"}

WRITTEN: Mapping[str, tuple[Any, Mapping[str, Any]]] = {
    "estimate": (
        gr.Estimate(value=0.5, low=0.25, high=0.75, **NUMBERS),
        {"value": 0.5, "low": 0.25, "high": 0.75} | NUMBERS,
    ),
    "estimate of groups": (
        gr.Estimate(value=0.5, low=math.nan, high=math.nan, **GROUPED, **NUMBERS),
        {"value": 0.5, "low": None, "high": None} | GROUPED | NUMBERS,
    ),
    "estimate of nothing": (
        gr.Estimate.undefined("loss", "bootstrap 95 %"),
        {"value": None, "low": None, "high": None} | NUMBERS | {"n": 0},
    ),
    "temperature": (gr.metrics.Temperature(value=2.0, n=8), {"kind": "temperature", "value": 2.0, "n": 8}),
    "scaling": (
        gr.metrics.PlattScaling(classes=("a",), slopes=(1.0,), intercepts=(0.5,), positives=(3,), n=8),
        {"kind": "platt", "classes": ["a"], "slopes": [1.0], "intercepts": [0.5], "positives": [3], "n": 8},
    ),
    "thresholds": (
        gr.metrics.Thresholds(classes=("b", "a"), values=(0.5, 0.25), beta=1.0, n=8, per_class=True),
        {"values": {"b": 0.5, "a": 0.25}, "beta": 1.0, "n": 8, "per_class": True},
    ),
    "sets": (
        gr.metrics.PredictionSets(threshold=math.inf, method="lac", coverage=0.95, n=8),
        {"threshold": None, "method": "lac", "coverage": 0.95, "n": 8, "randomised": False}
        | {"seed": 0, "penalty": 0.0, "unpenalised": 0, "basis": "held out"},
    ),
    "engine": (
        EngineKind(name="torch", precision="fp32", version="2"),
        {"name": "torch", "precision": "fp32", "version": "2"},
    ),
    "engine elsewhere": (
        EngineKind(name="torch", precision="fp32", version="2", device="cuda"),
        {"name": "torch", "precision": "fp32", "version": "2", "device": "cuda"},
    ),
    "preprocessing": (
        gr.data.Preprocessing(size=64, levels=(0, 9)),
        {"size": 64, "crop_fraction": 0.875, "interpolation": "bicubic", "resize": "shorter", "mean": [0.5] * 3}
        | {"std": [0.5] * 3, "name": "canonical", "levels": [0, 9]},
    ),
    "plain view": (PLAIN, {"kind": "plain"}),
    "view": (
        views(side_on(), 1)[1],
        {"kind": "augmented", "by": as_json(side_on()), "index": 1, "seed": 0},
    ),
    "network": (Network("resnet50", 96, Path("a/b.pth")), {"name": "resnet50", "size": 96, "weights": "a/b.pth"}),
    "options": (
        TrainingOptions(type="fine_tuning"),
        {"type": "fine_tuning", "epochs": None, "optimizer": None, "lr": None, "batch_size": None}
        | {"stop": [], "save_every": 0},
    ),
}
ONLY_WRITTEN: Mapping[str, tuple[Any, Mapping[str, Any]]] = {
    "schedule": (Sgdr(cycles=2), {"kind": "sgdr", "cycles": 2, "length": 1, "mult": 1}),
    "same rate": (Constant(epochs=2), {"kind": "constant", "epochs": 2}),
    "one cycle": (
        OneCycle(epochs=2),
        {"kind": "one-cycle", "epochs": 2, "warm_share": 0.25, "start_divisor": 25.0, "end_divisor": 1e5},
    ),
    "objective": (Objective(mixup=0.5), {"mixup": 0.5, "cutmix": 0.0, "label_smoothing": 0.0, "loss": None}),
    "finding": (
        gr.Finding(
            severity="note",
            code="odd",
            fields={"sentence": "odd files", "advice": "Look."},
            evidence=("a.jpg",),
        ),
        {"severity": "note", "code": "odd", "sentence": "odd files", "evidence": ["a.jpg"], "advice": "Look."}
        | {"leads": False, "variant": "", "fields": {"sentence": "odd files", "advice": "Look."}},
    ),
    "needed": (
        Needed(target=0.9, images_per_class=9.0, low=8.0, high=math.inf, farthest=80.0, outlook="needed"),
        {"target": 0.9, "images_per_class": 9.0, "low": 8.0, "high": None, "farthest": 80.0, "outlook": "needed"},
    ),
    "numbers of numpy": ({"a": np.float32(0.5), "b": np.arange(2)}, {"a": 0.5, "b": [0, 1]}),
}


@pytest.mark.parametrize("name", [*WRITTEN, *ONLY_WRITTEN])
def test_a_value_stands_in_json_as_files_and_keys_have_it(name: str) -> None:
    value, wanted = (WRITTEN | ONLY_WRITTEN)[name]
    assert json.loads(json.dumps(as_json(value), allow_nan=False)) == wanted


@pytest.mark.parametrize("name", WRITTEN)
def test_a_value_is_read_again_and_nothing_else_is_taken_for_it(name: str) -> None:
    value, written = WRITTEN[name]
    assert from_json(dict(written), type(value)) == value
    for wrong in ({**written, "more": 1}, dict(list(written.items())[1:]), {**written, next(iter(written)): [{}]}, {}):
        with pytest.raises(FormatError):
            from_json(wrong, type(value))


def test_a_view_of_a_users_function_is_written_and_not_read() -> None:
    changed = gr.data.custom(np.multiply, key="mine")
    assert as_json(changed)["custom"] == {"name": "multiply", "key": "mine"}
    with pytest.raises(FormatError, match="Only who has the function"):
        from_json(as_json(View(augmentation=changed, index=1)), View)


def test_settings_are_kept_under_what_decides_and_metrics_are_only_looked_at() -> None:
    settings = Settings(
        optimizer="adamw", weight_decay=0, loss=None, clip_norm=None, accumulate=1, metrics={"share": float}
    )
    wanted = {"optimizer": "adamw", "weight_decay": 0.0, "loss": None, "clip_norm": None, "accumulate": 1}
    assert as_json(settings) == wanted
    assert as_json(replace(settings, loss=CustomLoss(np.multiply, "mine")))["loss"] == {
        "name": "multiply",
        "key": "mine",
    }


def test_what_has_no_place_in_json_is_an_error_that_names_its_type() -> None:
    with pytest.raises(TypeError, match="no place for a value of the type object"):
        as_json({"a": [object()]})


def test_no_value_writes_or_reads_itself() -> None:
    methods = [
        f"{path.name}: {node.name}.{value.name}"
        for path in SOURCE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef)
        for value in node.body
        if isinstance(value, ast.FunctionDef) and value.name in ("to_json", "from_json", "as_json")
    ]
    assert methods == []


@dataclass(frozen=True)
class Linear:
    """A user's schedule: the rate falls evenly."""

    kind: ClassVar[str] = "linear"
    epochs: int

    @property
    def cycle_ends(self) -> tuple[int, ...]:
        """After the last epoch."""
        return (self.epochs,)

    def factor(self, position: float) -> float:
        """Return what is left."""
        return 1 - position / self.epochs

    def momentum(self, position: float) -> float:
        """Return .9."""
        return 0.9


class Nameless(Linear):
    """A schedule that can't be told from others: no name of its own."""

    kind = None  # type: ignore[assignment]


@pytest.mark.usefixtures("cache")
def test_a_users_schedule_is_kept_under_its_kind_and_fields(
    picture_folder: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    learn = gr.Learner(gr.with_split(gr.from_folder(picture_folder(each=8)), seed=0))
    learn.fit(1e-2, schedule=Linear(epochs=1))
    with pytest.raises(OptionError, match=r"Nameless can't be told from others: wanted .* `kind`"):
        learn.fit(1e-2, schedule=Nameless(epochs=1))
