"""`Classifier`: what is saved, shared and served: network, class names, preprocessing, engine, provenance."""

from __future__ import annotations

import shutil
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import numpy.typing as npt

from goldenrule.core.errors import FormatError, OptionError, SourceError, system_errors
from goldenrule.core.lazy import from_above
from goldenrule.core.progress import Progress, Silent
from goldenrule.core.reason import Reason
from goldenrule.core.schema import as_json, as_type, from_json
from goldenrule.data.augmentation.augment import PLAIN, View
from goldenrule.data.classes import with_class_map
from goldenrule.data.loader import DecodeJob
from goldenrule.data.pictures.preprocess import Preprocessing
from goldenrule.data.sources.given_pictures import are_paths, readers_of, several_of
from goldenrule.data.sources.picture_files import read_picture
from goldenrule.data.sources.streams import is_container, pictures_of
from goldenrule.data.table import ImageTable
from goldenrule.engines import Engine, EngineKind
from goldenrule.engines.openvino import BATCH_SIZE
from goldenrule.metrics import OODDetector, Predictions, PredictionSets, Task, Thresholds
from goldenrule.models.backbone import Backbone, BackboneSpec, from_files
from goldenrule.models.classifier_json import SCHEMA_VERSION, ClassifierJson, OODDetectorJson
from goldenrule.models.graphs.compiled import available_threads, carry_graph, check_device, serving_engine, serving_kind
from goldenrule.models.heads import Head, head_from_tensors
from goldenrule.models.seen import Odd, Seen, seen_in_blocks
from goldenrule.storage.files import atomic_folder, no_run_but, write_json
from goldenrule.storage.manifest import Sealed, seal
from goldenrule.storage.tensors import read_tensors, tensors_content

if TYPE_CHECKING:
    from goldenrule.models.custom import Maker
    from goldenrule.models.custom_backbones import MakeBackbone
    from goldenrule.models.custom_heads import MakeHead
    from goldenrule.models.network import Network

FILES = ("classifier.json", "head.safetensors", "backbone.safetensors")
"""By one of these the folder of a classifier is known."""
BLOCK_ROWS, MANY = 2048, 1 << 20
"""Rows that a stream of predictions gives at a time; how many images there are where nobody knows."""


@dataclass(frozen=True, eq=False)
class Classifier:
    """A trained classifier. `engine` is what its numbers were measured with.

    It looks at every image through `views` and averages: the plain one, and augmented ones where that was
    measured to help (test-time augmentation). `sets` are the classes that it can't rule out, where it was calibrated;
    `ood_detector` are images that it was trained on: what is far from them is flagged. `task` "multi" gives each label
    a probability of its own; from where on they are called is a matter of `thresholds`. `calibration` says which
    temperature its logits were divided by: it is in the head's weights, never to be applied.
    """

    classes: tuple[str, ...]
    backbone: Backbone
    head: Head
    engine: EngineKind
    provenance: Mapping[str, Any] = field(default_factory=dict)
    views: tuple[View, ...] = (PLAIN,)
    sets: PredictionSets | None = None
    task: Task = "single"
    thresholds: Thresholds | None = None
    ood_detector: OODDetector | None = None
    calibration: Mapping[str, Any] | None = None  # a record of what the head's weights hold already
    folder: Path | None = field(default=None, repr=False)  # that it was loaded from
    device: str = field(default="cpu", repr=False)  # that it predicts on
    _engines: dict[tuple[int, bool], Engine] = field(default_factory=dict, init=False, repr=False)

    @property
    def name(self) -> str:
        """What its backbone is called."""
        return self.backbone.spec.name

    @property
    def preprocessing(self) -> Preprocessing:
        """How a picture becomes the network's input: everywhere the same."""
        return self.backbone.spec.preprocessing

    @system_errors()
    def predict(
        self,
        images: Any,
        *,
        exclude: Sequence[str] = (),
        threads: int | None = None,
        progress: Progress | None = None,
    ) -> Predictions:
        """Return the predictions for a picture or several; a row per image, in order.

        A picture is the path of a file or folder, the bytes of a file, an open file, a PIL image, or an array of uint8
        (height, width, 3) or (height, width). A list, a column of a data frame, or an array (n, height, width, 3) are
        several; so are the path of an archive (.tar, .zip), of a list or table of paths (.txt, .csv), and a pattern.
        What can't be read has the status "unreadable", a reason and no prediction. `exclude` are patterns of what is
        left out of folders. Raises `InputError` for anything else.
        """
        several = several_of(images)
        if are_paths(several) and any(
            is_container(one) and (len(several) == 1 or Path(one).is_file()) for one in several
        ):
            return self._predict_paths(several, exclude, threads, progress)
        named = readers_of(several, exclude=exclude)
        readers = [read for _, read in named]
        return self.predictions(**self._seen(readers, threads, progress), ids=[name for name, _ in named])

    def _predict_paths(
        self, paths: Sequence[str | Path], exclude: Sequence[str], threads: int | None, progress: Progress | None
    ) -> Predictions:
        """Return the predictions for paths as the command line takes them; a damaged archive is a warning."""
        pictures = pictures_of(paths, exclude=exclude)
        each = ((one.name, one.read) for one in pictures)
        blocks = list(self.stream(each, total=pictures.total, threads=threads, progress=progress))
        for finding in pictures.findings:
            if finding.severity != "note":
                warnings.warn(str(finding), UserWarning, stacklevel=4)
        if not blocks:
            raise SourceError(f"{', '.join(map(str, paths))}: no picture is in there.")
        return Predictions.concatenate(blocks)

    @system_errors()
    def predict_files(
        self,
        files: list[tuple[str, Path]],
        *,
        threads: int | None = None,
        progress: Progress | None = None,
    ) -> Predictions:
        """Return the predictions for (name, path) pairs."""
        readers = [partial(read_picture, path) for _, path in files]
        return self.predictions(**self._seen(readers, threads, progress), ids=[name for name, _ in files])

    @system_errors()
    def predict_table(
        self,
        table: ImageTable,
        *,
        views: Sequence[View] | None = None,
        threads: int | None = None,
        progress: Progress | None = None,
    ) -> Predictions:
        """Return the predictions for the images of a table, with their truth, through `views` (default: its own).

        Classes are matched by name. A file with other bytes than its digest says is unreadable. Raises `OptionError`
        for a class that the classifier does not know.
        """
        table = with_class_map(table, self.classes, task=self.task)
        readers = [partial(table.read, uri) for uri in table.uris]
        seen = self._seen(readers, threads, progress, views, table.digests)
        return self.predictions(**seen, ids=table.uris, truth=table.truth)

    def predictions(
        self,
        logits: npt.NDArray[np.float32],
        *,
        ids: Sequence[str],
        truth: npt.NDArray[Any] | None = None,
        status: npt.NDArray[np.str_] | None = None,
        distance: npt.NDArray[np.float32] | None = None,
        reason: npt.NDArray[np.str_] | None = None,
    ) -> Predictions:
        """Return logits (n, classes) or (n, views, classes) of this classifier as predictions, with its thresholds.

        They have its prediction sets, and with `distance` what it flags as out-of-distribution.
        """
        known: dict[str, Any] = {"ids": ids, "truth": truth, "status": status, "distance": distance, "reason": reason}
        said = Predictions.from_logits(logits, self.classes, task=self.task, **known)
        said = said.with_flags(
            inside=self.sets.sets(said) if self.sets else None,
            ood=self.ood_detector.is_ood(said) if self.ood_detector and distance is not None else None,
        )
        return self.thresholds.apply(said) if self.thresholds else said

    def _seen(
        self,
        readers: Sequence[Callable[[], bytes]],
        threads: int | None,
        progress: Progress | None,
        views: Sequence[View] | None = None,
        digests: Sequence[bytes | None] | None = None,
    ) -> dict[str, Any]:
        """Return logits (n, views, classes), nan where a file can't be read, the status of each, and its distance.

        The distance to reference images is that of the first view, the plain one. A file whose bytes are not those of
        its digest any more counts as unreadable: it is another picture than the one that is asked for.
        """
        views, threads, progress = views or self.views, threads or available_threads(), progress or Silent()
        engine = self._compiled(threads, len(readers) * len(views), progress)
        known = digests or [None] * len(readers)
        jobs = (
            DecodeJob(row=row, read=read, views=range(len(views)), digest=digest)
            for row, (read, digest) in enumerate(zip(readers, known, strict=True))
        )
        odd, rows = Odd(), max(len(readers), 1)
        seen = Seen.nothing(len(readers), len(views), len(self.classes))
        with progress.task("predict", len(readers) * len(views), "views") as task:
            how: dict[str, Any] = {"engine": engine, "threads": 0 if len(readers) == 1 else threads, "rows": rows}
            for block in seen_in_blocks(self, jobs, views, **how, task=task, odd=odd):
                seen = block
        odd.tell(self.preprocessing.levels, progress)
        return self._as_arguments(seen)

    def stream(
        self,
        pictures: Iterable[tuple[str, Callable[[], bytes]]],
        *,
        total: int | None = None,
        rows: int | None = None,
        threads: int | None = None,
        progress: Progress | None = None,
    ) -> Iterator[Predictions]:
        """Yield the predictions for (name, what reads the bytes) pairs, in order, in blocks of `rows`.

        Of `total` pictures, None where that is not known: progress is told by it alone. Memory does not grow with them.
        """
        threads, progress, names = threads or available_threads(), progress or Silent(), deque[str]()
        several = MANY if total is None else total
        engine = self._compiled(threads, several * len(self.views), progress)

        def jobs() -> Iterator[DecodeJob]:
            for row, (name, read) in enumerate(pictures):
                names.append(name)
                yield DecodeJob(row=row, read=read, views=range(len(self.views)))

        odd = Odd()
        with progress.task("predict", (total or 0) * len(self.views), "views") as task:
            how: dict[str, Any] = {"engine": engine, "threads": threads, "rows": rows or BLOCK_ROWS}
            for seen in seen_in_blocks(self, jobs(), self.views, **how, task=task, odd=odd):
                ids = [names.popleft() for _ in range(len(seen.failed))]
                yield self.predictions_of(seen, ids)
        odd.tell(self.preprocessing.levels, progress)

    def predict_here(
        self, files: Sequence[tuple[str, bytes]], *, threads: int | None = None
    ) -> tuple[Predictions, dict[int, Reason]]:
        """Return the predictions for (name, content) pairs of a few files, and by place why one can't be read.

        The calling thread decodes them: for a program with threads of its own, such as a server. Several threads may
        call at once, and share an engine of `threads`.
        """
        readers = [partial(bytes, content) for _, content in files]
        seen = self.seen(readers, of=1, threads=threads or available_threads(), decoders=0, odd=Odd())
        return self.predictions_of(seen, [name for name, _ in files]), seen.reasons

    def seen(
        self, readers: Sequence[Callable[[], bytes]], *, of: int, threads: int, decoders: int | None = None, odd: Odd
    ) -> Seen:
        """Return what the network gives for a few of `of` views: a block of what `stream` goes through.

        `decoders` are the threads that decode, 0: the calling one; by default as many as run the engine.
        """
        engine = self._compiled(threads, of, Silent())
        jobs = (DecodeJob(row=row, read=read, views=range(len(self.views))) for row, read in enumerate(readers))
        seen, rows = Seen.nothing(len(readers), len(self.views), len(self.classes)), max(len(readers), 1)
        with Silent().task("predict", len(readers), "views") as task:
            how: dict[str, Any] = {"threads": threads if decoders is None else decoders, "rows": rows, "task": task}
            for block in seen_in_blocks(self, jobs, self.views, engine=engine, odd=odd, **how):
                seen = block
        return seen

    def predictions_of(self, seen: Seen, ids: Sequence[str]) -> Predictions:
        """Return what was seen of these images as predictions."""
        return self.predictions(**self._as_arguments(seen), ids=ids)

    def _as_arguments(self, seen: Seen) -> dict[str, Any]:
        return {
            "logits": seen.logits,
            "status": np.where(seen.failed, "unreadable", "ok"),
            "distance": seen.distance if self.ood_detector else None,
            "reason": seen.why() if seen.reasons else None,
        }

    def logits(self, features: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """Return the logits (n, classes) of pooled features (n, features), rounded as the cache keeps them."""
        return self.head.logits(features.astype(np.float16))

    def distances(self, features: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """Return the distances (n,) of features (n, features) to the reference images; nan where none are known."""
        if self.ood_detector is None:
            return np.full(len(features), np.nan, np.float32)
        return self.ood_detector.distances(self.backbone.spec.averaged(features.astype(np.float16)))

    @system_errors()
    def network(self) -> Network:
        """Return backbone and head as one PyTorch module in eval mode."""
        from goldenrule.models.network import Network, head_module

        return Network(self.backbone.module, head_module(self.head)).eval()

    @system_errors()
    def save(self, folder: str | Path) -> Path:
        """Write the classifier as a folder of safetensors and JSON; appears whole or not at all.

        One that is there is replaced; `StorageError` where the folder holds other files.
        """
        target = Path(folder)
        with atomic_folder(target, known_by=FILES) as temporary:
            self.write_into(temporary, graph=self.engine.name == "openvino")
        return target

    def write_into(self, folder: Path, *, graph: bool) -> None:
        """Write the files of a classifier and their manifest into a folder that is there; a backbone in it stays.

        With `graph` what runs it without PyTorch too, which takes seconds where it was not prepared before.
        """
        if graph:
            carry_graph(self.backbone, folder)
        if self.backbone.folder != folder:
            shutil.copyfile(self.backbone.weights_file, folder / "backbone.safetensors")
        (folder / "head.safetensors").write_bytes(tensors_content(self.head.tensors))
        if self.ood_detector:
            (folder / "ood_detector.safetensors").write_bytes(tensors_content(self.ood_detector.tensors))
        write_json(folder / "classifier.json", as_json(self))
        seal(folder)

    @classmethod
    @system_errors()
    def load(
        cls,
        folder: str | Path,
        *,
        head: MakeHead | Maker | None = None,
        backbone: MakeBackbone | Backbone | Maker | None = None,
        device: str = "cpu",
    ) -> Classifier:
        """Read a classifier from its folder, or from the folder of the run it belongs to, to predict on `device`.

        `head` and `backbone` are the functions that make these parts, where they are its owner's own and this
        program has not named them before: no code is run that a classifier names. Every file is compared with the
        manifest before it is believed. Raises `SourceError` where there is no classifier, `FormatError` where it is
        damaged, was changed, is of another version, or made by other functions.
        """
        path = Path(folder)
        if (path / "classifier" / "classifier.json").is_file():
            path = path / "classifier"
        if not (path / "classifier.json").is_file():
            raise SourceError(
                f"{folder} holds no classifier. Give the folder of a run: goldenrule fit writes one."
                f"{no_run_but(Path(folder))}"
            )
        files = Sealed(path)
        content = files.json("classifier.json", schema=SCHEMA_VERSION)
        said = as_type(content, ClassifierJson, what=str(path / "classifier.json"))
        spec, classes = said.backbone, said.classes
        try:
            tensors, _ = read_tensors(files.check("head.safetensors"))
            views = tuple(from_json(view, View) for view in said.views)
            sets = from_json(said.sets, PredictionSets) if said.sets else None
            thresholds = from_json(said.thresholds, Thresholds) if said.thresholds else None
            ood_detector = (
                _ood_detector(files, said.ood_detector, spec.features // spec.places) if said.ood_detector else None
            )
            maker = _custom_maker(spec, backbone)
            weights = "backbone.safetensors"
            loaded = from_files(spec, path / weights, digest=files.digest(weights), maker=maker)
            found = _custom_head(said, tensors, head) or head_from_tensors(said.head, tensors)
            logits = found.logits(np.zeros((1, spec.features), np.float16))
            if logits.shape != (1, len(classes)):
                raise ValueError(f"the head has {logits.shape[1]} outputs for {len(classes)} classes")
            if thresholds and set(thresholds.classes) != set(classes):
                raise ValueError("the thresholds are those of other classes")
        except (KeyError, TypeError, ValueError, OSError) as error:
            raise FormatError(f"{path} is damaged ({type(error).__name__}: {error}): copy it again, whole.") from error
        return cls(
            classes,
            loaded,
            found,
            said.engine,
            said.provenance,
            views,
            sets,
            said.task,
            thresholds,
            ood_detector,
            said.calibration,
            path,
            check_device(device),
        )

    @classmethod
    def from_pretrained(cls, folder: str | Path) -> Classifier:
        """Read a classifier from the folder that `save_pretrained` wrote, or that the hub's client has downloaded.

        Nothing is fetched: raises `SourceError` for the name of a repository, and says how to have it.
        """
        name = str(folder)
        if not Path(name).exists() and len(name.split("/")) == 2:
            raise SourceError(
                f"There is no folder {name}, and goldenrule fetches none. If it is a repository on the Hugging Face "
                f"hub: gr.Classifier.from_pretrained(huggingface_hub.snapshot_download({name!r}))."
            )
        return cls.load(folder)

    def save_pretrained(
        self,
        folder: str | Path,
        *,
        license: str = "other",  # noqa: A002
        keep_ood_detector: bool = False,
    ) -> Path:
        """Write a new folder to publish: safetensors, JSON, and a model card, README.md, with the numbers of its run.

        It holds what `goldenrule share` gives: no path, no name of a file, and no features of single images unless
        `keep_ood_detector` keeps those of the OOD detector. `license` is the hub's word for yours: "apache-2.0", "mit".
        Raises `StorageError` where something lies there already.
        """
        saved = from_above("tasks.pretrained", "save_pretrained")
        return cast("Path", saved(self, Path(folder), license=license, keep_ood_detector=keep_ood_detector))

    def push_to_hub(
        self,
        repo_id: str,
        *,
        token: str | None = None,
        endpoint: str | None = None,
        private: bool = True,
        license: str = "other",  # noqa: A002
        keep_ood_detector: bool = False,
    ) -> str:
        """Send what `save_pretrained` writes to OWNER/NAME on a Hugging Face hub; return its address.

        The one call of goldenrule that sends anything away. Without `token` the one that `hf auth login` has kept is
        used, without `endpoint` huggingface.co or HF_ENDPOINT. A repository that is there keeps its visibility.
        Raises `HubError` where the hub can't be reached or refuses.
        """
        pushed = from_above("tasks.pretrained", "push_to_hub")
        how = {"token": token, "endpoint": endpoint, "private": private, "license": license}
        return cast("str", pushed(self, repo_id, keep_ood_detector=keep_ood_detector, **how))

    def _compiled(self, threads: int, images: int, progress: Progress) -> Engine:
        """Return the compiled backbone for so many images; the second call costs nothing.

        Of a number of threads two are kept: one for few images, and one for whole batches.
        """
        wanted = threads, images < BATCH_SIZE
        engine = self._engines.get(wanted)
        if engine is None:
            kind = serving_kind(self.backbone, self.engine, device=self.device, progress=progress)
            engine = serving_engine(self.backbone, kind, images=images, threads=threads)
            for other in [key for key in self._engines if key[0] != threads]:
                del self._engines[other]
            self._engines[wanted] = engine
        return engine

    def __getstate__(self) -> dict[str, Any]:
        """Return what a copy has: all but the compiled engine, which is of this process."""
        return {**self.__dict__, "_engines": {}}

    def engine_note(self) -> str:
        """Return how the engine here differs from the one the classifier was scored with; empty if it does not."""
        here = serving_kind(self.backbone, self.engine, device=self.device)
        if replace(here, alone=self.engine.alone) == self.engine:
            return ""
        return f"Scored with {self.engine}, predicting with {here}: probabilities may differ a little."

    def __repr__(self) -> str:
        names = ", ".join(self.classes[:6]) + (", ..." if len(self.classes) > 6 else "")
        several = ", several labels an image" if self.task == "multi" else ""
        return f"Classifier({len(self.classes)} classes{several}: {names}; {self.backbone.spec.name}, {self.engine})"


@as_json.register(Classifier)
def _(value: Classifier) -> Any:
    """Return all but the weights."""
    return as_json(
        {
            "schema_version": SCHEMA_VERSION,
            "task": value.task,
            "classes": value.classes,
            "backbone": value.backbone.spec,
            "head": value.head.kind,
            "head_made_by": getattr(value.head, "made_by", None),
            "engine": value.engine,
            "views": value.views,
            "calibration": value.calibration or None,
            "sets": value.sets,
            "thresholds": value.thresholds,
            "ood_detector": value.ood_detector,
            "provenance": value.provenance,
        }
    )


def _ood_detector(files: Sealed, value: Mapping[str, Any], features: int) -> OODDetector:
    """Return the reference images of a saved classifier."""
    as_type(value, OODDetectorJson, what=f"{files.folder / 'classifier.json'}: ood_detector")
    tensors, _ = read_tensors(files.check("ood_detector.safetensors"))
    ood_detector = OODDetector.from_parts(value, tensors)
    if ood_detector.references.shape[1] != features:
        raise ValueError(
            f"an OOD detector of {ood_detector.references.shape[1]} features, the backbone gives {features}"
        )
    return ood_detector


def _custom_head(
    said: ClassifierJson,
    tensors: Mapping[str, npt.NDArray[Any]],
    given: MakeHead | Maker | None,
) -> Head | None:
    """Return the head that a function of the user's makes; None where it is one of goldenrule's."""
    if said.head != "custom":
        if given is not None:
            raise OptionError(f"head= was given, and this classifier has goldenrule's own {said.head} head.")
        return None
    from goldenrule.models.custom_heads import CustomHead, custom_head

    maker = custom_head(given) if given is not None else None
    about = {"features": said.backbone.features, "classes": len(said.classes)}
    return CustomHead.saved(said.head_made_by or {}, tensors, maker, **about)


def _custom_maker(spec: BackboneSpec, given: MakeBackbone | Backbone | Maker | None) -> Maker | None:
    """Return the function that makes the backbone, where that is the user's own."""
    if "made_by" not in spec.source:
        if given is not None:
            raise OptionError(f"backbone= was given, and this classifier has goldenrule's own {spec.name}.")
        return None
    from goldenrule.models.custom import find_again
    from goldenrule.models.custom_backbones import custom_maker

    return find_again("backbone", spec.source["made_by"], custom_maker(given))
