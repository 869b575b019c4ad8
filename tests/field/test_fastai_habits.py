"""What hands trained on fastai type: fine_tune, predict, and figures for show_batch and plot_top_losses."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import goldenrule as gr
from goldenrule.core.errors import OptionError
from goldenrule.core.progress import Silent

Draw = Callable[..., Path]


@pytest.fixture
def images(draw_classes: Draw, tmp_path: Path, cache: Path) -> gr.ImageTable:
    return gr.from_folder(draw_classes(tmp_path / "set", ("cats", "dogs", "horses")))


def titles(figure: object) -> list[str]:
    return [axes.get_title(loc="left") for axes in figure.axes if axes.images]  # type: ignore[attr-defined]


def test_fine_tune_trains_the_head_and_then_the_network_at_rates_it_has_measured(
    images: gr.ImageTable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, short_plan: None
) -> None:
    learn = gr.Learner(images, folder=tmp_path / "kept", progress=Silent(), threads=1)
    rows = learn.fine_tune(2, frozen_epochs=1)
    assert len(rows) == len(learn.history) == 3
    head, *network = (row.rates for row in rows)
    assert len(head) == 1  # the head alone
    assert head[0] > 0
    assert all(0 < early < late < top for early, late, top in network)
    (one,) = learn.predict(images.root / images.uris[0])
    assert one.label in images.classes
    assert one.probability == pytest.approx(
        learn.classifier().predict(images.root / images.uris[0]).probabilities.max()
    )


def test_images_are_a_strip_per_class(images: gr.ImageTable) -> None:
    assert titles(gr.plot(images, each=3)) == ["cats (8)", "", "", "dogs (8)", "", "", "horses (8)", "", ""]
    (images.root / "cats" / "00.png").write_bytes(b"no picture")
    assert titles(gr.plot(images, each=3))[:2] == ["cats (8)", ""]
    with pytest.raises(OptionError, match="1 or more"):
        gr.plot(images, each=0)


def test_the_hardest_images_come_first_with_what_is_true_and_what_was_predicted(images: gr.ImageTable) -> None:
    logits = np.tile(np.array([3.0, 0.0, 0.0], np.float32), (len(images), 1))
    said = gr.Predictions.from_logits(logits, images.classes, ids=images.uris, truth=images.targets)
    shown = titles(gr.plot(images, predictions=said))
    assert len(shown) == 12
    assert set(shown) == {"dogs\ncats 91 %", "horses\ncats 91 %"}
    few = said.select([0, 8])
    assert titles(gr.plot(images, predictions=few)) == ["dogs\ncats 91 %", "cats\n= 91 %"]
    assert gr.plot(said).axes[0].get_ylabel() == "true class"
    with pytest.raises(OptionError, match="other images"):
        gr.plot(images, predictions=gr.Predictions.from_logits(logits, images.classes, truth=images.targets))
