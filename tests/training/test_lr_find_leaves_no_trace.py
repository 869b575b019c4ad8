"""`lr_find` leaves no trace in any state a learner can be in: a fit after it gives the bits of a fit without it."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import goldenrule as gr
from goldenrule.core.progress import Silent

Do = Callable[[gr.Learner], object]


def surprise(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.cross_entropy(logits, targets, reduction="none") ** 2


def trained(learn: gr.Learner, *verbs: Do) -> None:
    """Fit the head for an epoch, then do as told."""
    learn.fit(1e-2, 1)
    for verb in verbs:
        verb(learn)


STATES: dict[str, Do] = {
    "head on rows": lambda learn: setattr(learn, "precompute", True),
    "head on live images": lambda learn: None,
    "late layers": lambda learn: learn.freeze_to(1),
    "whole network": lambda learn: learn.unfreeze(),
    "BatchNorms free": lambda learn: (learn.unfreeze(), learn.bn_freeze(False)),
    "late BatchNorms free": lambda learn: (learn.freeze_to(1), learn.bn_freeze("early")),
    "frozen again": lambda learn: (learn.unfreeze(), learn.freeze()),
    "after a fit": trained,
    "after a fit of the late layers": lambda learn: (learn.freeze_to(1), learn.fit(1e-4, 1)),
    "after a fit with free BatchNorms": lambda learn: (learn.freeze_to(1), learn.bn_freeze(False), learn.fit(1e-4, 1)),
    "at another size": lambda learn: learn.set_size(96),
    "after load": lambda learn: learn.load(replace(learn.classifier())),
    "after blend": lambda learn: trained(learn, lambda learner: learner.blend()),
    "after calibrate": lambda learn: trained(learn, lambda learner: learner.calibrate()),
    "after mixup, smoothing and a moving average": lambda learn: learn.fit(
        1e-2, 1, mixup=0.4, label_smoothing=0.1, ema=0.9
    ),
    "after cutmix": lambda learn: (learn.freeze_to(1), learn.fit(1e-4, 1, cutmix=1.0)),
    "after a fit that diverged": lambda learn: learn.fit(1e30, 1),
}
OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "a loss of one's own": {"loss": surprise},
    "one batch": {"batch_size": 1000, "precompute": True},
    "SGD, clipped, in splits": {"optimizer": "sgd", "clip_norm": 1.0, "accumulate": 3, "precompute": True},
    "balanced": {"sampling": "balanced", "precompute": True},
    "a head with dropout": {"head": "concat-pool", "precompute": True},
}


@pytest.fixture(scope="module")
def cache(prepared_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One cache for all cases: what is looked at here are learners."""
    ours = tmp_path_factory.mktemp("no trace") / "cache"
    shutil.copytree(prepared_cache, ours)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GOLDENRULE_CACHE", str(ours))
        yield ours


MORE = (
    "head on live images",
    "late BatchNorms free",
    "frozen again",
    "after a fit with free BatchNorms",
    "after blend",
    "after calibrate",
    "after cutmix",
    "one batch",
    "balanced",
    "a loss of one's own",
)
"""States and options that go the ways of others: tried by `make test-all`."""

CASES = [
    pytest.param(options, state, marks=[pytest.mark.exhaustive] * bool({options, state} & {*MORE}))
    for options, state in [
        *(("plain", name) for name in STATES),
        *((name, "after a fit") for name in OPTIONS if name != "plain"),
    ]
]


def bits(learn: gr.Learner) -> dict[str, bytes]:
    """All tensors of backbone (BatchNorm statistics with them) and head, as bytes."""
    head = {name: value.tobytes() for name, value in learn.state.head.tensors.items()}
    return head | {"backbone": learn.state.backbone.weights_file.read_bytes()}


def random_states() -> tuple[Any, ...]:
    """What the generators of torch, numpy and Python would draw next."""
    name, words, *place = np.random.get_state()  # noqa: NPY002 - that nobody touches it is the point
    return torch.random.get_rng_state().tolist(), name, words.tolist(), place, random.getstate()


@pytest.mark.parametrize(("options", "state"), CASES)
def test_a_fit_after_lr_find_gives_the_bits_of_a_fit_without_it(
    small_photos: Path, cache: Path, options: str, state: str
) -> None:
    images = gr.from_folder(small_photos)
    images = images.where(np.arange(len(images)) % 3 == 0)

    usual = {"augment": gr.data.side_on(), "augmented_views": 1, "replay": False, "progress": Silent()}
    learn = gr.Learner(images, **(usual | OPTIONS[options]))
    STATES[state](learn)
    start, before, draws = learn.state, bits(learn), random_states()
    learn.fit(1e-4, 1)
    without = bits(learn), learn.history
    learn.state = start
    tests = [learn.lr_find(steps=4), learn.lr_find(steps=4)]
    assert tests[0] == tests[1], "twice in a row it sees the same"
    assert learn.state is start
    assert bits(learn) == before
    assert random_states() == draws
    learn.fit(1e-4, 1)
    assert (bits(learn), learn.history) == without
