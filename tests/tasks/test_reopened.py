"""A finished run can be looked into again."""

from typing import Any

import numpy as np
import pytest

from goldenrule.core.errors import SourceError
from goldenrule.tasks.reopened import reopened


def test_a_run_is_opened_with_its_images_and_activations_and_computes_nothing(fitted: Any, monkeypatch: Any) -> None:
    monkeypatch.setenv("GOLDENRULE_CACHE", str(fitted.folder.parent / "cache"))
    again = reopened(fitted.folder)
    assert again.table.rows.equals(fitted.table.rows)
    assert again.classifier.classes == fitted.classifier.classes
    assert (again.backbone.spec, again.kind) == (fitted.classifier.backbone.spec, fitted.classifier.engine)

    def never(*arguments: object, **options: object) -> None:
        raise AssertionError("an engine was compiled")

    monkeypatch.setattr("goldenrule.features.extractor.compiled", never)
    features = again.features()
    digests = [digest for digest in again.table.digests if digest]
    assert features.rows(digests).shape == (len(digests), again.backbone.spec.features)
    assert np.isfinite(features.rows(digests)).all()


def test_a_folder_that_is_no_run_is_a_clear_error(tmp_path: Any) -> None:
    with pytest.raises(SourceError, match="no finished run"):
        reopened(tmp_path)
