"""What a result was made with: versions and hardware, without importing what is only named."""

from __future__ import annotations

import platform
from importlib import metadata
from pathlib import Path

import psutil

from goldenrule.models.graphs.compiled import available_threads

NAMED = (
    "goldenrule",
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
    """Give versions, processor, cores and memory by name."""
    versions = {}
    for name in NAMED:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = "not installed"
    memory = psutil.virtual_memory().total / 2**30
    return {
        "python": platform.python_version(),
        **versions,
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "processor": processor(),
        "cores": str(available_threads()),
        "memory": f"{memory:.0f} GiB",
    }


def processor() -> str:
    """Give the processor's name."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or "unknown"
