"""The graph that a classifier carries, so that it predicts where PyTorch is not installed (decision 50).

`graph.xml` and `graph.bin` in the folder of a classifier are what was prepared where it was saved; `graph.safetensors`
holds PyTorch's features of drawn pictures, to compare with on another machine. They are used only where there is no
PyTorch to make a graph from the weights, and have a place of their own in the cache.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from goldenrule.core.errors import BackboneError, FormatError, MissingExtra, first_line
from goldenrule.core.progress import Progress
from goldenrule.core.schema import as_json
from goldenrule.engines import Precision
from goldenrule.engines import openvino as ov
from goldenrule.models.graphs.graph_check import LOWEST_COSINE, compared, drawn_batch, full_batch
from goldenrule.models.graphs.prepared import is_whole, sealed_folder
from goldenrule.storage.cache_folder import cache_folder
from goldenrule.storage.files import file_record, json_digest, read_json, write_json
from goldenrule.storage.manifest import Record, Sealed, is_sealed
from goldenrule.storage.tensors import Array, check_like, read_tensors

if TYPE_CHECKING:
    from goldenrule.models.backbone import Backbone

GRAPH = ("backbone.xml", "backbone.bin")
DRAWN = "drawn.safetensors"
CHECK = "check.json"
PREPARED = (*GRAPH, DRAWN, CHECK)
CARRIED = {"backbone.xml": "graph.xml", "backbone.bin": "graph.bin", DRAWN: "graph.safetensors"}
"""What a file of the cache is called in the folder of a classifier."""


def carries_graph(backbone: Backbone) -> bool:
    """Return whether a backbone lies in the folder of a classifier that carries its graph."""
    if not is_sealed(backbone.folder):
        return False
    sealed = Sealed(backbone.folder)
    return all(name in sealed for name in CARRIED.values())


def copy_graph(source: Path, target: Path) -> None:
    """Copy a prepared graph into the folder of a classifier."""
    for kept, carried in CARRIED.items():
        shutil.copyfile(source / kept, target / carried)


def copy_carried(backbone: Backbone, target: Path, *, into_cache: bool = False) -> None:
    """Copy the graph that a classifier carries into another folder, under its names there; it is whole."""
    sealed = Sealed(backbone.folder)
    for kept, carried in CARRIED.items():
        copy = target / (kept if into_cache else carried)
        shutil.copyfile(sealed.check(carried), copy)
        if Record(*file_record(copy)) not in sealed.files[carried]:
            raise FormatError(f"{backbone.folder / carried} has changed while it was read. Give the command again.")


def prepared_from_carried(
    backbone: Backbone, identity: dict[str, Any], *, capable: Precision, threads: int, progress: Progress
) -> tuple[Path, dict[str, Any]]:
    """Return the folder of the cache with the carried graph, and how well it does on this machine.

    Raises `MissingExtra` where none is carried, `BackboneError` where it can't be used here.
    """
    name = backbone.spec.name
    if not carries_graph(backbone):
        raise MissingExtra(
            f"{name} in {backbone.folder} carries no graph that runs without PyTorch, and PyTorch is not installed. "
            "Install it: pip install 'goldenrule[fit]'. Or, where it is installed, make a copy that carries its graph: "
            "goldenrule share CLASSIFIER -o COPY."
        )
    sealed = Sealed(backbone.folder)
    records = {file: as_json(sealed.files[file]) for file in CARRIED.values()}
    folder = cache_folder() / "engines" / json_digest({**identity, "carried": records})[:32]
    if is_whole(folder, PREPARED):
        check = read_json(folder / CHECK)
        if capable == "fp32" or "bf16" in check["cosine"]:
            return folder, check
    progress.say(f"Checking the graph of {name} on this processor (once) ...")
    with sealed_folder(folder) as temporary:
        copy_carried(backbone, temporary, into_cache=True)
        check = _compared_here(backbone, temporary, capable, threads)
        write_json(temporary / CHECK, check)
    return folder, check


def _compared_here(backbone: Backbone, folder: Path, capable: Precision, threads: int) -> dict[str, Any]:
    """Return how well the graph in a folder agrees here with the features that PyTorch gave where it was saved."""
    spec = backbone.spec
    tensors, _ = read_tensors(folder / DRAWN)
    pixels = drawn_batch(spec.preprocessing)
    check_like(tensors, {"features": Array((len(pixels), spec.features))}, what=CARRIED[DRAWN])
    wanted = full_batch(tensors["features"].astype(np.float32))
    try:
        check = compared(folder / GRAPH[0], full_batch(pixels), wanted, {"fp32", capable}, threads=threads)
    except Exception as error:
        raise BackboneError(
            f"OpenVINO {ov.version()} can't run the graph of {spec.name} here ({first_line(error)}). Install the "
            "version of OpenVINO that it was saved with, or PyTorch: pip install 'goldenrule[fit]'."
        ) from error
    if (found := check["cosine"].get("fp32", 0.0)) < (wanted_cosine := LOWEST_COSINE["fp32"]):
        raise BackboneError(
            f"The graph of {spec.name} gives other features here than PyTorch gave where it was saved: their mean "
            f"cosine is {found:.4f}, wanted {wanted_cosine}. Install PyTorch: pip install 'goldenrule[fit]'."
        )
    return {**check, "drawn": len(pixels)}
