"""The photos that come with scikit-learn are read as it reads them, and it is not imported for that."""

from __future__ import annotations

import subprocess
from collections.abc import Callable

import numpy as np

from goldenrule.data.sample_photos import sample_photos


def test_the_photos_are_those_of_scikit_learn() -> None:
    from sklearn.datasets import load_sample_images

    for found, wanted in zip(sample_photos(), load_sample_images().images, strict=True):
        assert found.dtype == wanted.dtype
        np.testing.assert_array_equal(found, wanted)


def test_to_read_them_imports_no_scikit_learn(start: Callable[..., subprocess.Popen[str]]) -> None:
    code = "import sys; from goldenrule.data.sample_photos import sample_photos; sample_photos()"
    out, errors = start("-c", f"{code}; print([name for name in sys.modules if 'sklearn' in name])").communicate()
    assert out == "[]\n", errors
