"""A node that is another machine than the rows are to come from says so, before it computes one."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from goldenrule.tasks.cluster.node_checks import MOST_FILES, NodeCheck, problem_here, some_of


@pytest.fixture
def check(tmp_path: Path) -> NodeCheck:
    files = [tmp_path / f"{number}.jpg" for number in range(3)]
    for file in (tmp_path / "token", *files):
        file.write_bytes(b"")
    return NodeCheck.of_here(tmp_path / "token", [os.fsencode(file) for file in files])


def test_the_machine_that_asks_would_do(check: NodeCheck) -> None:
    assert problem_here(check) == ""


@pytest.mark.parametrize("package", ["goldenrule", "openvino", "pillow"])
def test_a_node_with_another_version_is_refused(check: NodeCheck, package: str) -> None:
    other = replace(check, versions={**check.versions, package: "0.0.1"})
    assert problem_here(other).startswith(f"it has {package} ")
    assert "this command runs 0.0.1" in problem_here(other)


def test_a_node_whose_processor_computes_in_another_precision_is_refused(check: NodeCheck) -> None:
    other = "fp32" if check.precision == "bf16" else "bf16"
    found = problem_here(replace(check, precision=other))
    assert f"computes in {check.precision}" in found
    assert f"kept under {other}" in found


def test_a_node_that_sees_another_cache_is_refused(check: NodeCheck) -> None:
    Path(check.token).unlink()
    assert problem_here(check).startswith(f"it can't read {check.token}. Images, cache and classifier must lie")


def test_a_node_that_can_t_see_an_image_is_refused_and_the_image_named(check: NodeCheck, tmp_path: Path) -> None:
    (tmp_path / "1.jpg").unlink()
    assert str(tmp_path / "1.jpg") in problem_here(check)


def test_files_that_are_gone_here_too_are_not_asked_for(tmp_path: Path) -> None:
    (tmp_path / "token").write_bytes(b"")
    gone = [os.fsencode(tmp_path / f"{number}.jpg") for number in range(100)]
    assert problem_here(NodeCheck.of_here(tmp_path / "token", gone)) == ""
    assert len(some_of(gone, MOST_FILES)) == MOST_FILES
