"""`ImageTable`: the labelled files of one run, immutable, with one class map over all splits."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, Self, cast

import numpy as np
import numpy.typing as npt

from goldenrule.core.errors import InputError
from goldenrule.core.extras import Late
from goldenrule.core.findings import Finding
from goldenrule.core.lazy import from_above
from goldenrule.core.progress import Progress
from goldenrule.data.containers.inside import container_name, is_folder
from goldenrule.data.containers.objects import absolute
from goldenrule.data.sources.picture_files import open_picture, read_picture
from goldenrule.storage.files import DIGEST_BYTES

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.compute as pc
else:
    pa, pc = Late("pyarrow"), Late("pyarrow.compute")  # predicting files needs no table

Split = Literal["train", "valid", "test"]
Task = Literal["single", "multi"]
"""One label an image, or as many as are true of it."""
SPLITS: tuple[Split, ...] = ("train", "valid", "test")


@cache
def table_schema() -> pa.Schema:
    """Return the columns of an `ImageTable`."""
    return pa.schema(
        [
            pa.field("uri", pa.string(), nullable=False),  # relative to the root, with forward slashes
            pa.field("split", pa.string()),  # train, valid or test; null: not split yet
            pa.field("labels", pa.list_(pa.int32()), nullable=False),  # indices into classes; empty: unlabelled
            pa.field("group", pa.string()),  # images of one group stay in one split and one fold
            pa.field("fold", pa.string()),  # images of one fold validate together; null: not dealt out, always trains
            pa.field("place", pa.int64()),  # in an order in which neighbours are alike; null: no such order is known
            pa.field("weight", pa.float32(), nullable=False),
            pa.field("digest", pa.binary(DIGEST_BYTES)),  # blake2b of the bytes; null: not read yet or unreadable
        ]
    )


NAMELESS = "images"
"""What images are called whose folder has no name: those of whole paths that have nothing in common."""


@dataclass(frozen=True, slots=True, eq=False)
class ImageTable:
    """Labelled files as an Arrow table (columns of `table_schema`) with the class names its labels point into.

    Bytes are reached only through `open` and `read`: the root is a folder or an archive, and a file's path goes on into
    it (`photos.zip/cats/1.jpg`). An image costs some bytes here, never its pixels. The task is "multi" where an image
    has several labels, and stays so for a split whose images have one each.
    """

    root: Path
    classes: tuple[str, ...]
    rows: pa.Table
    findings: tuple[Finding, ...] = ()
    task: Task = "single"
    exclude: tuple[str, ...] = ()  # patterns of what is left out below the root
    labels_table: str | None = None  # the table that says the labels, "" for names of folders; None: nobody knows

    def __post_init__(self) -> None:
        if self.rows.schema != (schema := table_schema()):
            raise InputError(f"An ImageTable has the columns {schema.names}, got {self.rows.schema.names}.")
        if (pc.max(pc.list_value_length(self.rows["labels"])).as_py() or 0) > 1:
            object.__setattr__(self, "task", "multi")

    @property
    def name(self) -> str:
        """What the images are called, and what is made of them: as their folder or archive, else NAMELESS."""
        return container_name(self.place) or NAMELESS

    @property
    def place(self) -> Path:
        """Where the images are, wherever the program runs: the whole path of the root, or its address."""
        return absolute(self.root)

    @property
    def is_there(self) -> bool:
        """Whether the folder or archive of the images is where it was."""
        return is_folder(self.root)

    def __len__(self) -> int:
        return int(self.rows.num_rows)

    @property
    def uris(self) -> list[str]:
        """The files, relative to the root."""
        return list(self.rows["uri"].to_pylist())

    @property
    def splits(self) -> list[Split | None]:
        """The part of each row, None where it is not split yet."""
        return list(self.rows["split"].to_pylist())

    @property
    def digests(self) -> list[bytes | None]:
        """blake2b of each file's bytes, None where it was not or could not be read."""
        return list(self.rows["digest"].to_pylist())

    @property
    def targets(self) -> npt.NDArray[np.int64]:
        """The class index of each row (n,), -1 where unlabelled; single label only."""
        if self.task == "multi":
            raise InputError("These images have several labels each; wanted one class per image here.")
        targets = np.full(len(self), -1, np.int64)
        targets[self.labelled] = _flat(self.rows["labels"])
        return targets

    @property
    def truth(self) -> npt.NDArray[np.int64] | npt.NDArray[np.int8]:
        """What is true of each row, as `Predictions` has it.

        Single label: `targets`. Several: 0 or 1 per class, (n, classes) int8, a row of -1 where unlabelled.
        """
        if self.task == "single":
            return self.targets
        marks = np.zeros((len(self), len(self.classes)), np.int8)
        marks[self._rows_of_labels, _flat(self.rows["labels"])] = 1
        marks[~self.labelled] = -1
        return marks

    @property
    def labelled(self) -> npt.NDArray[np.bool_]:
        """Which rows have a label, (n,)."""
        return np.asarray(pc.list_value_length(self.rows["labels"]).to_numpy() > 0)

    @property
    def teaching(self) -> npt.NDArray[np.bool_]:
        """Which rows are learned from, (n,): those of train that have a label."""
        return np.asarray(self.labelled & self._in_split("train"))

    @property
    def guessing_loss(self) -> float:
        """The log loss in nats of giving all classes the same probability, each of several labels one half."""
        return math.log(len(self.classes) if self.task == "single" else 2)

    @property
    def folds(self) -> list[str | None]:
        """The name of each row's fold, None where it is of none."""
        return list(self.rows["fold"].to_pylist())

    @property
    def places(self) -> list[int | None]:
        """The place of each row in an order in which neighbours are alike, None where there is none.

        Folds and drawn splits take whole stretches of it (`goldenrule.data.splits.stretches`).
        """
        return list(self.rows["place"].to_pylist())

    def open(self, uri: str) -> BinaryIO:
        """Open one file for reading bytes: the only way to them. A pipe, a device or a huge file is an `OSError`."""
        return open_picture(self.root / uri)

    def read(self, uri: str) -> bytes:
        """Return the bytes of one file. Raises `OSError` where it is none, or too large for a picture."""
        return read_picture(self.root / uri)

    def features(
        self, backbone: Any = None, *, threads: int | None = None, progress: Progress | None = None
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[Any], list[str]]:
        """Return the features of the readable images, from the cache: X float32 (n, d), y as `truth`, and their files.

        `backbone` is a name or what `gr.backbone` returns, by default the default one. Short for `gr.features_of`
        where plain arrays are wanted.
        """
        found = from_above("tasks.precompute", "feature_arrays")(self, backbone, threads=threads, progress=progress)
        return cast("tuple[npt.NDArray[np.float32], npt.NDArray[Any], list[str]]", found)

    def split(self, name: Split) -> Self:
        """Return the rows of one split, in order."""
        return self.where(self._in_split(name))

    def only_labelled(self) -> LabelledTable:
        """Return the rows that have a label, in order: what a classifier can learn from."""
        return LabelledTable(**_fields(self.where(self.labelled)))

    def where(self, mask: npt.NDArray[np.bool_]) -> Self:
        """Return the rows where `mask` (n,) is true, in order."""
        return replace(self, rows=self.rows.filter(pa.array(mask)))

    def with_splits(self, splits: Sequence[str | None]) -> Self:
        """Return the same images with other splits (n)."""
        return self._with("split", pa.array(splits, pa.string()))

    def with_labels(self, labels: Sequence[Sequence[int]]) -> Self:
        """Return the same images with other labels (n), as indices into the classes."""
        return self._with("labels", pa.array([list(row) for row in labels], pa.list_(pa.int32())))

    def with_groups(self, groups: Sequence[str | None]) -> Self:
        """Return the same images with their groups (n); None stands for itself alone."""
        return self._with("group", pa.array(groups, pa.string()))

    def with_folds(self, folds: Sequence[str | None]) -> Self:
        """Return the same images with the names of their folds (n); None always trains."""
        return self._with("fold", pa.array(folds, pa.string()))

    def with_places(self, places: Sequence[int | None]) -> Self:
        """Return the same images with their places (n) in an order in which neighbours are alike."""
        return self._with("place", pa.array(places, pa.int64()))

    def with_weights(self, weights: npt.NDArray[np.float32]) -> Self:
        """Return the same images with what each counts in training (n)."""
        return self._with("weight", pa.array(weights, pa.float32()))

    def with_digests(self, digests: Sequence[bytes | None]) -> Self:
        """Return the same images with their digests (n)."""
        return self._with("digest", pa.array(digests, pa.binary(DIGEST_BYTES)))

    def with_findings(self, *findings: Finding) -> Self:
        """Return the same images with more findings."""
        return replace(self, findings=(*self.findings, *findings))

    def counts(self) -> dict[str, dict[str, int]]:
        """Return the number of images per split and class, in class order; "" counts the unlabelled ones."""
        counts: dict[str, dict[str, int]] = {}
        rows, labels = self._rows_of_labels, _flat(self.rows["labels"])
        for split in (*SPLITS, None):
            chosen = self._in_split(split)
            if chosen.any():
                each = np.bincount(labels[chosen[rows]], minlength=len(self.classes)).tolist()
                unlabelled = int((chosen & ~self.labelled).sum())
                counts[split or "all"] = dict(zip((*self.classes, ""), (*each, unlabelled), strict=True))
        return counts

    @property
    def _rows_of_labels(self) -> npt.NDArray[np.int64]:
        """The row of each label, (labels of all images,)."""
        lengths = pc.list_value_length(self.rows["labels"]).to_numpy()
        return np.repeat(np.arange(len(self)), lengths)

    def _in_split(self, split: Split | None) -> npt.NDArray[np.bool_]:
        """Return which rows are in a split, or in none yet, (n,)."""
        splits = self.rows["split"]
        found = pc.is_null(splits) if split is None else pc.fill_null(pc.equal(splits, split), fill_value=False)
        return np.asarray(found.to_numpy(), dtype=bool)

    def _with(self, column: str, values: pa.Array) -> Self:
        schema = table_schema()
        index = schema.get_field_index(column)
        return replace(self, rows=self.rows.set_column(index, schema.field(index), values))

    def __repr__(self) -> str:
        images = {split or "all": int(self._in_split(split).sum()) for split in (*SPLITS, None)}
        counts = {split: count for split, count in images.items() if count}
        several = ", several labels an image" if self.task == "multi" else ""
        return f"{type(self).__name__}({len(self):,} images, {len(self.classes)} classes{several}, {counts})"


@dataclass(frozen=True, slots=True, eq=False)
class LabelledTable(ImageTable):
    """Images that all have a label. What trains or is evaluated by its own labels takes this, so that none can slip in.

    Made by `ImageTable.only_labelled`. Raises `InputError` where a row has no label.
    """

    def __post_init__(self) -> None:
        ImageTable.__post_init__(self)
        if not self.labelled.all():
            count = int((~self.labelled).sum())
            raise InputError(f"{count:,} of {len(self):,} images have no label: only_labelled() leaves them out.")


def _fields(table: ImageTable) -> dict[str, Any]:
    return {field.name: getattr(table, field.name) for field in fields(table)}


def _flat(labels: pa.ChunkedArray) -> npt.NDArray[np.int64]:
    """Return the labels of all images, one after another."""
    return np.asarray(pc.list_flatten(labels).to_numpy(), dtype=np.int64)


def one_form(text: str) -> str:
    r"""Return a name in one normal form: macOS writes é as two characters, most others as one.

    >>> one_form("cafe\u0301") == "caf\u00e9"
    True
    """
    return unicodedata.normalize("NFC", text)


def image_table(
    root: Path,
    classes: Sequence[str],
    *,
    uris: Sequence[str],
    splits: Sequence[str | None],
    labels: Sequence[Sequence[int]],
    findings: Sequence[Finding] = (),
) -> ImageTable:
    """Make an `ImageTable` from plain lists of equal length, with weight 1, no groups and no folds."""
    count = len(uris)
    columns = [
        pa.array(uris, pa.string()),
        pa.array(splits, pa.string()),
        pa.array([list(row) for row in labels], pa.list_(pa.int32())),
        pa.nulls(count, pa.string()),
        pa.nulls(count, pa.string()),
        pa.nulls(count, pa.int64()),
        pa.array(np.ones(count, np.float32)),
        pa.nulls(count, pa.binary(DIGEST_BYTES)),
    ]
    return ImageTable(root, tuple(classes), pa.Table.from_arrays(columns, schema=table_schema()), tuple(findings))
