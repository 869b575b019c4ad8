"""What a result was made with: versions and hardware, without importing what is only named."""

from __future__ import annotations

import functools
import platform
from importlib import metadata
from pathlib import Path

import psutil

from goldenrule.core.version import __version__
from goldenrule.models.graphs.compiled import available_threads

NAMED = (
    "numpy",
    "openvino",
    "torch",
    "timm",
    "scikit-learn",
    "pyarrow",
    "pillow",
    "simplejpeg",
)


def environment() -> dict[str, str]:
    """Return versions, processor, cores and memory by name."""
    memory = psutil.virtual_memory().total / 2**30
    return {
        "python": platform.python_version(),
        "goldenrule": __version__,
        **{name: _version(name) for name in NAMED},
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "processor": processor(),
        "cores": str(available_threads()),
        "memory": f"{memory:.0f} GiB",
    }


@functools.cache
def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"


def processor() -> str:
    """Return the processor's name."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or "unknown"
