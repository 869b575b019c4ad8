"""Keeping freed memory: only where it is asked for, and it does what it says."""

from __future__ import annotations

import subprocess
import sys

import pytest

COUNT_FAULTS = """
import resource, sys
import numpy as np
import goldenrule
if sys.argv[1] == "keep":
    from goldenrule.core.memory import keep_freed_memory
    assert keep_freed_memory()
for _ in range(3):
    np.ones(8 << 20)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    np.ones(8 << 20)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's allocator")
def test_kept_memory_is_not_faulted_in_again() -> None:
    faults = {
        how: int(subprocess.check_output([sys.executable, "-c", COUNT_FAULTS, how], text=True))
        for how in ("keep", "leave")
    }
    assert faults["keep"] < faults["leave"] / 5, faults
