"""Which engine runs a backbone: exported once per machine, checked against PyTorch, chosen, said."""

from __future__ import annotations

import errno
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from goldenrule.core.errors import OptionError
from goldenrule.core.progress import Progress, Silent
from goldenrule.data.sample_photos import sample_photos
from goldenrule.engines import Engine, EngineKind, Precision
from goldenrule.engines import openvino as ov
from goldenrule.models.backbone import Backbone
from goldenrule.models.graphs.prepared import is_there, is_whole, sealed_folder
from goldenrule.storage.cache_folder import cache_folder
from goldenrule.storage.files import json_digest, read_json, write_json

FORMAT = 1
MOST_THREADS = 1024
LOWEST_COSINE: dict[Precision, float] = {"fp32": 0.9999, "bf16": 0.98}
"""Mean cosine between an engine's features and PyTorch's fp32 ones below which the engine is not used."""


def available_threads() -> int:
    """Return the number of processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def engine_kind(backbone: Backbone, *, device: str = "cpu", progress: Progress | None = None) -> EngineKind:
    """Return the engine and effective precision that `compiled` will use, without compiling.

    On a CPU: OpenVINO in bf16 where the processor has it and the features agree with PyTorch's, else in
    fp32, else PyTorch. The comparison is made once per backbone and machine and kept in the cache.
    """
    device = check_device(device)
    if device != "cpu":
        from goldenrule.engines.pytorch import torch_kind

        return torch_kind(device)
    check = _checked(backbone, progress or Silent())
    for precision in ("bf16", "fp32"):
        if check["cosine"].get(precision, 0.0) >= LOWEST_COSINE[precision]:
            return EngineKind(name="openvino", precision=precision, version=ov.version())
    from goldenrule.engines.pytorch import torch_kind

    return torch_kind()


def serving_kind(backbone: Backbone, scored_with: EngineKind) -> EngineKind:
    """Return the engine to predict with: the one a classifier was scored with if it runs here, else the best."""
    best = engine_kind(backbone)
    if (best.name, best.precision) == (scored_with.name, scored_with.precision):
        return best
    if scored_with.name == "torch":
        from goldenrule.engines.pytorch import torch_kind

        return torch_kind()
    runs = _checked(backbone, Silent())["cosine"].get(scored_with.precision, 0.0)
    if best.name == "openvino" and runs >= LOWEST_COSINE[scored_with.precision]:
        return replace(best, precision=scored_with.precision)
    return best


def compiled(backbone: Backbone, kind: EngineKind, *, threads: int | None = None) -> Engine:
    """Return the backbone's backbone, ready to run as `kind` says: engine, precision and device are all there.

    Raises `OptionError` where this machine runs it in another way.
    """
    check_threads(threads)
    threads = threads or available_threads()
    engine: Engine
    if kind.name == "torch":
        from goldenrule.engines.pytorch import TorchEngine

        engine = TorchEngine(backbone.module, device=kind.device, threads=threads)
    else:
        _checked(backbone, Silent())  # its files are read after this: none that is damaged
        engine = ov.OpenVinoEngine(_folder(backbone) / "backbone.xml", kind.precision, threads=threads)
    if engine.kind != kind:
        raise OptionError(f"{backbone.spec.name} runs {engine.kind} here, wanted {kind}.")
    return engine


def check_threads(threads: int | None) -> None:
    """Raise `OptionError` for a number of threads that no machine has."""
    if threads is not None and not 1 <= threads <= MOST_THREADS:
        raise OptionError(f"--threads {threads}: wanted at least 1, at most {MOST_THREADS:,}.")


def check_device(device: str) -> str:
    """Return "cpu" or a device PyTorch has; anything else is an `OptionError`."""
    if device == "cpu":
        return device
    import torch

    name = "cuda" if device == "gpu" else device
    usable = (name.startswith("cuda") and torch.cuda.is_available()) or (
        name == "mps" and torch.backends.mps.is_available()
    )
    if not usable:
        raise OptionError(f"--device {device}: PyTorch finds no such device here. Wanted cpu, cuda or mps.")
    return name


def _checked(backbone: Backbone, progress: Progress) -> dict[str, Any]:
    """Return the comparison of a backbone's engine with PyTorch, made before or now; its files are whole then."""
    folder = _folder(backbone)
    capable = ov.best_precision()
    if is_whole(folder, ("check.json",)):
        check = read_json(folder / "check.json")
        complete = "failed" in check or is_whole(folder, ("backbone.xml", "backbone.bin"))
        if complete and (capable == "fp32" or "bf16" in check["cosine"]):
            return check
    elif is_there(folder):
        progress.say(
            f"The engine of {backbone.spec.name} in {folder} is damaged or of another version, and is made anew."
        )
    progress.say(f"Compiling {backbone.spec.name} for this processor and comparing with PyTorch (once) ...")
    with sealed_folder(folder) as temporary:
        check = _export_and_compare(backbone, temporary, capable)
        write_json(temporary / "check.json", check)
    return check


def _folder(backbone: Backbone) -> Path:
    spec = backbone.spec
    identity = {
        "weights": spec.weights,
        "timm_name": spec.timm_name,
        "pooling": spec.pooling,
        "tap": spec.tap,
        "size": spec.preprocessing.size,
        "openvino": ov.version(),
        "format": FORMAT,
    }
    return cache_folder() / "engines" / json_digest(identity)[:32]


def _export_and_compare(backbone: Backbone, folder: Path, capable: Precision) -> dict[str, Any]:
    """Export the backbone and give the mean cosine of its features to PyTorch's on real photos, per precision."""
    import torch

    module = backbone.module  # weights that can't be used are no fault of the converter's
    try:
        ov.export(module, backbone.spec.preprocessing.size, folder / "backbone.xml")
        pixels = _photos(backbone)
        with torch.inference_mode():
            wanted = module(torch.from_numpy(pixels)).numpy()
        cosine = {}
        precisions: set[Precision] = {"fp32", capable}
        for precision in precisions:
            engine = ov.OpenVinoEngine(folder / "backbone.xml", precision, threads=available_threads())
            (_, features), *_ = engine.run([(None, pixels)])
            cosine[engine.kind.precision] = round(_cosine(features, wanted), 6)
        return {"cosine": cosine, "photos": len(pixels)}
    except Exception as error:  # whatever the converter can't do, PyTorch can
        if shutil.disk_usage(folder).free < backbone.weights_file.stat().st_size:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from error  # no fault of the converter's
        return {"cosine": {"bf16": 0.0, "fp32": 0.0}, "failed": f"{type(error).__name__}: {error}"[:500]}


def _photos(backbone: Backbone) -> Any:
    """Return a batch of crops of the two photos that ship with scikit-learn (batch, 3, size, size)."""
    photos = sample_photos()
    crops = []
    for number in range(ov.BATCH_SIZE):
        photo = photos[number % len(photos)]
        top, left = 20 * (number // 2), 30 * (number // 2)
        crops.append(backbone.spec.preprocessing.pixels(photo[top : top + 260, left : left + 320]))
    return np.stack(crops)


def _cosine(one: Any, other: Any) -> float:
    lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    mean = float(np.mean(np.sum(one * other, axis=1) / np.maximum(lengths, 1e-12)))
    return mean if np.isfinite(mean) else 0.0  # a backbone that gives NaN: whoever sees its features says so
