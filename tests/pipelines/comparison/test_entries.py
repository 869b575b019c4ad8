"""What is compared, by name; and seconds that go on counting."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from goldenrule.core.errors import OptionError, UnknownBackbone
from goldenrule.core.schema import as_json, from_json
from goldenrule.pipelines.comparison.entries import Entry, Network, Stopwatch


def test_a_name_may_bring_its_size_and_its_weights() -> None:
    network = Network.named("resnet@96", {"resnet": Path("r.pth")})
    assert network == Network("resnet50", 96, Path("r.pth"))
    assert from_json(as_json(network), Network) == network
    assert Entry(network, "fine_tuning").name == "resnet50@96-fine_tuning"


@pytest.mark.parametrize("text", ["original@", "original@big", "original@8"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(OptionError):
        Network.named(text, {})


def test_a_name_that_nobody_knows_is_refused_with_the_nearest() -> None:
    with pytest.raises(UnknownBackbone, match="original"):
        Network.named("orignal", {})


def test_a_stopwatch_goes_on_from_what_an_interrupted_one_has_written(tmp_path: Path) -> None:
    path = tmp_path / "watch.json"
    watch = Stopwatch(path)
    watch.__enter__()
    time.sleep(0.05)
    watch.__exit__(KeyboardInterrupt, KeyboardInterrupt(), None)
    before = json.loads(path.read_text())["seconds"]
    assert before >= 0.05
    with Stopwatch(path) as watch:
        time.sleep(0.05)
        watch.end(trained=True)
    after = json.loads(path.read_text())
    assert after["trained"]
    assert after["seconds"] >= before + 0.05
