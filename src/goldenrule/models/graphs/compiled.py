"""Which engine runs a backbone: exported once per machine, checked against PyTorch, chosen, said."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from goldenrule.core.errors import BackboneError, MissingExtra, OptionError, first_sentence, is_installed
from goldenrule.core.extras import need
from goldenrule.core.progress import Progress, Silent
from goldenrule.data.sample_photos import sample_photos
from goldenrule.engines import Engine, EngineKind, Precision
from goldenrule.engines import openvino as ov
from goldenrule.models.backbone import Backbone
from goldenrule.models.graphs import carried
from goldenrule.models.graphs.graph_check import LOWEST_COSINE, compared, drawn_batch
from goldenrule.models.graphs.map_output import NO_MAPS, MapsEngine
from goldenrule.models.graphs.prepared import is_there, is_whole, sealed_folder
from goldenrule.storage.cache_folder import cache_folder
from goldenrule.storage.files import json_digest, read_json, write_json
from goldenrule.storage.tensors import tensors_content

FORMAT = 2
"""2: with PyTorch's features of drawn pictures, and whether a picture has the same bits alone."""
MOST_THREADS = 1024
_ANNOUNCED: set[tuple[Path, str]] = set()
Prepared = tuple[Path, dict[str, Any]]
"""The folder of an engine's graph, and how well it agrees with PyTorch."""


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
    _, check = _made_here(backbone, progress or Silent())
    return _best(check)


def _best(check: dict[str, Any]) -> EngineKind:
    """Return OpenVINO in the fastest precision that agrees with PyTorch, else PyTorch."""
    for precision in ("bf16", "fp32"):
        if check["cosine"].get(precision, 0.0) >= LOWEST_COSINE[precision]:
            return _openvino_kind(check, precision)
    from goldenrule.engines.pytorch import torch_kind

    return torch_kind()


def _openvino_kind(check: dict[str, Any], precision: Precision) -> EngineKind:
    alone = not check["alone"].get(precision, False)
    return EngineKind(name="openvino", precision=precision, version=ov.version(), alone=alone)


def serving_kind(
    backbone: Backbone, scored_with: EngineKind, *, device: str = "cpu", progress: Progress | None = None
) -> EngineKind:
    """Return the engine to predict with: the one a classifier was scored with if it runs here, else the best.

    Without PyTorch that is the graph which the classifier carries. On another device than the CPU it is PyTorch.
    """
    device = check_device(device)
    if device != "cpu":
        from goldenrule.engines.pytorch import torch_kind

        return torch_kind(device)
    _, check = _made_here_or_carried(backbone, progress or Silent())
    best = _best(check)
    if (best.name, best.precision) == (scored_with.name, scored_with.precision):
        return best
    if scored_with.name == "torch" and is_installed("torch"):
        from goldenrule.engines.pytorch import torch_kind

        return torch_kind()
    runs = check["cosine"].get(scored_with.precision, 0.0)
    if best.name == "openvino" and runs >= LOWEST_COSINE[scored_with.precision]:
        return _openvino_kind(check, scored_with.precision)
    return best


def serving_engine(backbone: Backbone, kind: EngineKind, *, images: int, threads: int) -> Engine:
    """Return the engine that predicts so many images: one at a time where they are fewer than a batch.

    A picture alone takes a fraction of a batch's time. Its features have the same bits as in a full batch, which was
    tried when the graph was checked; where they have not, all pictures are run alone, in a fit too.
    """
    check_threads(threads)
    if kind.name == "torch":
        return compiled(backbone, kind, threads=threads)
    folder, _ = _made_here_or_carried(backbone, Silent())
    return _openvino(backbone, folder, kind, threads=threads, one_by_one=images < ov.BATCH_SIZE)


def maps_engine(backbone: Backbone, kind: EngineKind, *, threads: int) -> MapsEngine:
    """Return the engine that gives the last feature maps too; `BackboneError` where there is none without PyTorch."""
    if kind.name == "torch":
        raise BackboneError(NO_MAPS.format(name=backbone.spec.name))
    folder, _ = _made_here_or_carried(backbone, Silent())
    return MapsEngine(folder / carried.GRAPH[0], kind.precision, name=backbone.spec.name, threads=threads)


def carry_graph(backbone: Backbone, target: Path) -> None:
    """Write the graph of a backbone into the folder of a classifier, where OpenVINO runs it."""
    if backbone.maker is not None:
        return  # its function is needed wherever it is loaded, and PyTorch with it
    if not is_installed("torch") and carried.carries_graph(backbone):
        carried.copy_carried(backbone, target)
        return
    try:
        folder, check = _made_here(backbone, Silent())
    except (BackboneError, MissingExtra):
        return  # it can be saved, and says what is wrong with it where it is used
    if "failed" not in check:
        carried.copy_graph(folder, target)


def compiled(backbone: Backbone, kind: EngineKind, *, threads: int | None = None) -> Engine:
    """Return the backbone's backbone, ready to run as `kind` says: engine, precision and device are all there.

    Raises `OptionError` where this machine runs it in another way.
    """
    check_threads(threads)
    threads = threads or available_threads()
    if kind.name == "torch":
        from goldenrule.engines.pytorch import TorchEngine

        return _as_wanted(backbone, TorchEngine(backbone.module, device=kind.device, threads=threads), kind)
    folder, _ = _made_here(backbone, Silent())  # its files are read after this: none that is damaged
    return _openvino(backbone, folder, kind, threads=threads)


def _openvino(backbone: Backbone, folder: Path, kind: EngineKind, *, threads: int, one_by_one: bool = False) -> Engine:
    how: dict[str, Any] = {"threads": threads, "batch_size": 1 if one_by_one else None, "alone": kind.alone}
    engine = ov.OpenVinoEngine(folder / carried.GRAPH[0], kind.precision, **how)
    return _as_wanted(backbone, engine, kind)


def _as_wanted(backbone: Backbone, engine: Engine, kind: EngineKind) -> Engine:
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
    need("fit", what=f"--device {device}")
    import torch

    name = "cuda" if device == "gpu" else device
    kind, _, number = name.partition(":")
    if kind == "cuda":
        usable = int(number or 0) < torch.cuda.device_count() if number.isdecimal() or name == kind else False
    else:
        usable = name == "mps" and torch.backends.mps.is_available()
    if not usable:
        raise OptionError(
            f"--device {device}: PyTorch finds no such device here. Omit it to use the processor; else cuda or mps."
        )
    return name


def _made_here_or_carried(backbone: Backbone, progress: Progress) -> Prepared:
    """Return the graph that was made here; without PyTorch the one that the classifier of the backbone carries."""
    if is_installed("torch") or _kept(_folder(backbone), ov.best_precision()) is not None:
        return _made_here(backbone, progress)
    return carried.prepared_from_carried(
        backbone, _identity(backbone), capable=ov.best_precision(), threads=available_threads(), progress=progress
    )


def _kept(folder: Path, capable: Precision) -> dict[str, Any] | None:
    """Return the comparison that was made before; None where its files are not whole, or it says too little."""
    if not is_whole(folder, (carried.CHECK,)):
        return None
    check = read_json(folder / carried.CHECK)
    complete = "failed" in check or is_whole(folder, carried.PREPARED)
    return check if complete and (capable == "fp32" or "bf16" in check["cosine"]) else None


def _made_here(backbone: Backbone, progress: Progress) -> Prepared:
    """Return a backbone's graph and its comparison with PyTorch, made before or now; its files are whole then."""
    folder = _folder(backbone)
    capable = ov.best_precision()
    if (check := _kept(folder, capable)) is not None:
        return folder, check
    need("fit", what=f"Preparing {backbone.spec.name}")
    if is_there(folder) and not is_whole(folder, (carried.CHECK,)):
        progress.say(
            f"The engine of {backbone.spec.name} in {folder} is damaged or of another version, and is made anew."
        )
    _announce(backbone, progress)
    with sealed_folder(folder) as temporary:
        check = _export_and_compare(backbone, temporary, capable)
        write_json(temporary / carried.CHECK, check)
    if "failed" in check:
        why = first_sentence(check["failed"])
        progress.say(f"OpenVINO can't run {backbone.spec.name} ({why}): PyTorch runs it, several times as slow.")
    return folder, check


def _announce(backbone: Backbone, progress: Progress) -> None:
    """Say what takes some seconds; once per network, though a fit compiles it again with other weights or cut short."""
    told = cache_folder(), backbone.spec.name
    if told not in _ANNOUNCED:
        _ANNOUNCED.add(told)
        progress.say(f"Compiling {backbone.spec.name} for this processor and comparing with PyTorch (once) ...")


def _folder(backbone: Backbone) -> Path:
    return cache_folder() / "engines" / json_digest(_identity(backbone))[:32]


def _identity(backbone: Backbone) -> dict[str, Any]:
    spec = backbone.spec
    return {
        "weights": spec.weights,
        "timm_name": spec.timm_name,
        "pooling": spec.pooling,
        "tap": spec.tap,
        "size": spec.preprocessing.size,
        "openvino": ov.version(),
        "format": FORMAT,
    }


def _export_and_compare(backbone: Backbone, folder: Path, capable: Precision) -> dict[str, Any]:
    """Export the backbone and give the mean cosine of its features to PyTorch's on real photos, per precision."""
    import torch

    module = backbone.module  # weights that can't be used are no fault of the converter's
    try:
        ov.export(module, backbone.spec.preprocessing.size, folder / carried.GRAPH[0])
        pixels, drawn = _photos(backbone), drawn_batch(backbone.spec.preprocessing)
        with torch.inference_mode():
            wanted, of_drawn = (module(torch.from_numpy(batch)).numpy() for batch in (pixels, drawn))
        (folder / carried.DRAWN).write_bytes(tensors_content({"features": of_drawn}))
        check = compared(folder / carried.GRAPH[0], pixels, wanted, {"fp32", capable}, threads=available_threads())
        return {**check, "photos": len(pixels)}
    except Exception as error:  # whatever the converter can't do, PyTorch can
        if shutil.disk_usage(folder).free < backbone.weights_file.stat().st_size:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from error  # no fault of the converter's
        return {"cosine": {"bf16": 0.0, "fp32": 0.0}, "alone": {}, "failed": f"{type(error).__name__}: {error}"[:500]}


def _photos(backbone: Backbone) -> Any:
    """Return a batch of crops of the two photos that ship with scikit-learn (batch, 3, size, size)."""
    photos = sample_photos()
    crops = []
    for number in range(ov.BATCH_SIZE):
        photo = photos[number % len(photos)]
        top, left = 20 * (number // 2), 30 * (number // 2)
        crops.append(backbone.spec.preprocessing.pixels(photo[top : top + 260, left : left + 320]))
    return np.stack(crops)
