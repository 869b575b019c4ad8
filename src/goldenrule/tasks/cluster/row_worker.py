"""Rows of the feature cache by workers of a cluster: files in, features out, on the engine that the key names."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from goldenrule.core.errors import OptionError
from goldenrule.core.extras import Late
from goldenrule.core.reason import Reason
from goldenrule.core.schema import as_json, from_json
from goldenrule.data.augmentation.augment import View
from goldenrule.data.sources.picture_files import read_picture
from goldenrule.data.table import ImageTable
from goldenrule.engines import EngineKind
from goldenrule.features.extractor import FeatureExtractor, MadeRow, MissingRows
from goldenrule.models.backbone import Backbone, BackboneSpec
from goldenrule.storage.cache_folder import VARIABLE, cache_folder
from goldenrule.tasks.cluster.block_stream import reason_columns, reasons_in
from goldenrule.tasks.cluster.ray_cluster import Cluster

pa = Late("pyarrow")


class ClusterRows:
    """Computes the rows of an extractor on a cluster: its `elsewhere`."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster

    def rows(
        self, extractor: FeatureExtractor, table: ImageTable, missing: Sequence[MissingRows], views: Sequence[View]
    ) -> Iterator[Sequence[MadeRow]]:
        """Yield rows as workers give them; nothing, from time to time, where none has come.

        Raises `OptionError` for what can't be computed elsewhere, `ClusterError` where the cluster can't do the work.
        """
        check_goes_elsewhere(extractor.backbone, extractor.kind, views)
        root = table.root.absolute()
        paths = [[os.fsencode(root / uri) for uri in one.uris] for one in missing]
        told = {
            "cache": str(cache_folder().absolute()),
            "backbone": as_json(extractor.spec),
            "folder": str(extractor.backbone.folder.absolute()),
            "kind": as_json(extractor.kind),
            "views": [as_json(view) for view in views],
        }
        whole = pa.table(
            {
                "paths": pa.array(paths, pa.list_(pa.binary())),
                "digest": pa.array([one.digest for one in missing], pa.binary()),
                "views": pa.array([one.views for one in missing], pa.list_(pa.int32())),
            }
        )
        files = [each[-1] for each in paths]
        for found in self.cluster.stream(whole, RowWorker, told, files=files, in_order=False):
            yield [] if found is None else made_rows(found)


def check_goes_elsewhere(backbone: Backbone, kind: EngineKind, views: Sequence[View]) -> None:
    """Raise `OptionError` for what only this process can run."""
    if kind.device != "cpu":
        raise OptionError(f"--device {kind.device} and --cluster: workers compute on processors. Omit one of them.")
    if backbone.maker is not None:
        raise OptionError(
            "--cluster and a backbone of your own: its function is known to this process alone. Omit one."
        )
    if any(view.augmentation is not None and view.augmentation.custom is not None for view in views):
        raise OptionError(
            "--cluster and --augment FILE.py:NAME: that function is known to this process alone. Omit one."
        )


class RowWorker:
    """A worker: the prepared backbone is compiled once, then every block of files becomes rows."""

    def __init__(
        self,
        *,
        cache: str,
        backbone: Mapping[str, Any],
        folder: str,
        kind: Mapping[str, Any],
        views: Sequence[Any],
        threads: int,
    ) -> None:
        os.environ[VARIABLE] = cache
        self.views = [from_json(view, View) for view in views]
        self.extractor = FeatureExtractor(
            backbone=Backbone(from_json(backbone, BackboneSpec), Path(folder)),
            kind=from_json(kind, EngineKind),
            threads=threads,
        )
        assert self.extractor.engine  # another engine than the rows are kept under is refused here

    def __call__(self, block: Any) -> Any:
        """Return the rows of a block of files: a table of digest, view, row, and why a file can't be read."""
        columns = (block[name].to_pylist() for name in ("paths", "digest", "views"))
        missing = [
            MissingRows(number=number, uris=tuple(map(os.fsdecode, paths)), digest=digest, views=tuple(views))
            for number, (paths, digest, views) in enumerate(zip(*columns, strict=True))
        ]
        made = [
            row
            for rows in self.extractor.rows_here(missing, self.views, lambda path: read_picture(Path(path)))
            for row in rows
        ]
        reasons = [row if isinstance(row, Reason) else None for _, _, row in made]
        return pa.table(
            {
                "digest": pa.array([digest for digest, _, _ in made], pa.binary()),
                "view": pa.array([view for _, view, _ in made], pa.int32()),
                "row": pa.array(
                    [None if isinstance(row, Reason) else row.tobytes() for _, _, row in made], pa.binary()
                ),
                **reason_columns(reasons),
            }
        )


def made_rows(table: Any) -> list[MadeRow]:
    """Return what a worker made."""
    columns = (table[name].to_pylist() for name in ("digest", "view", "row"))
    return [
        (digest, view, reason or np.frombuffer(row, np.float16))
        for (digest, view, row), reason in zip(zip(*columns, strict=True), reasons_in(table), strict=True)
    ]
