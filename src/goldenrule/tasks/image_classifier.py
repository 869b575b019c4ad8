"""`ImageClassifier`: an estimator of scikit-learn's kind, for cross-validation, pipelines and grid searches."""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from PIL import Image
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_consistent_length, check_is_fitted, column_or_1d

from goldenrule.core.errors import InputError, UnreadableImage
from goldenrule.core.findings import Finding, plural
from goldenrule.core.progress import Silent
from goldenrule.data.sources.given_pictures import WANTED, readers_of
from goldenrule.data.sources.streams import is_container
from goldenrule.data.splits.splitting import Shares, with_split
from goldenrule.data.table import ImageTable, image_table
from goldenrule.features.extractor import FeatureExtractor
from goldenrule.metrics import Predictions
from goldenrule.models.backbone import kept
from goldenrule.models.catalog import DEFAULT_BACKBONE
from goldenrule.models.classifier import Classifier
from goldenrule.pipelines.backbone_selection import with_chosen_backbone
from goldenrule.pipelines.context import FitContext, precomputed
from goldenrule.pipelines.finalize import classifier_of
from goldenrule.pipelines.fit_result import FitState
from goldenrule.pipelines.ood_detection import fitted_ood_detector
from goldenrule.pipelines.prepare import candidate_backbones, read_images
from goldenrule.pipelines.probe import linear_heads_of
from goldenrule.runs.options import FitOptions
from goldenrule.runs.store import opened

VALID_SHARE = 0.1
"""So much of the images chooses among networks where the whole network is trained."""
NAMED = 5
"""So many unreadable pictures are named."""


class PicturesError(InputError, ValueError):
    """What can't be learned from or predicted: as scikit-learn's tools expect it, a `ValueError` too."""


class ImageClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """A classifier of images as scikit-learn's tools want it: for `cross_val_score`, `Pipeline`, `GridSearchCV` ...

    `X` has one picture per row: paths of files, an array of uint8 (n, height, width, 3) or (n, height, width), or a
    list, an object array or a column of a data frame that holds whatever `Classifier.predict` takes. `y` has one
    label per row, texts or numbers.

    Features come from the cache, so that the second fit on the same pictures takes well under a second. Without
    `quick` all seven steps of the golden rule follow, a tenth of the pictures choosing among the networks. The other
    parameters are the options of `gr.fit` of the same name. No run is kept: `classifier_.save(folder)` saves what was
    fitted.

    Attributes of a fitted one: `classes_`, as `np.unique` sorts them, `classifier_`, the `Classifier`, and
    `findings_`, what was found on the way.
    """

    classes_: npt.NDArray[Any]
    classifier_: Classifier
    findings_: tuple[Finding, ...]

    def __init__(
        self,
        backbone: str = DEFAULT_BACKBONE,
        *,
        size: int | None = None,
        views: int | None = None,
        augment: str = "auto",
        quick: bool = True,
        minutes: float | None = None,
        seed: int = 0,
        threads: int | None = None,
    ) -> None:
        self.backbone = backbone
        self.size = size
        self.views = views
        self.augment = augment
        self.quick = quick
        self.minutes = minutes
        self.seed = seed
        self.threads = threads

    def fit(self, X: Any, y: Any) -> Self:
        """Fit on all pictures; those that can't be read are left out, with a warning.

        Raises `OptionError` for a parameter that has no such value, and for pictures and labels an `InputError` that
        is a `ValueError` too.
        """
        if y is None:
            raise PicturesError("ImageClassifier requires y to be passed, but the target y is None.")
        pictures, labels = _pictures(X), column_or_1d(y, warn=True)
        check_consistent_length(pictures, labels)
        try:
            check_classification_targets(labels)
        except TypeError as error:
            raise PicturesError(f"y mixes labels of several types, or lacks some: {error}.") from error
        options = FitOptions(**self.get_params(), min_per_class=1)
        classes, codes = np.unique(labels, return_inverse=True)
        names = _names(classes)
        with TemporaryDirectory(prefix="goldenrule-") as folder:
            table = _table(pictures, codes.tolist(), names, Path(folder) / "images")
            learned = _linear if self.quick else _whole
            classifier, findings = learned(table, options, Path(folder) / "run")
        if unread := [finding for finding in findings if finding.code == "unreadable"]:
            warnings.warn("; ".join(map(str, unread)), UserWarning, stacklevel=2)
        self.classes_, self.classifier_, self.findings_ = classes, classifier, tuple(findings)
        return self

    def predict(self, X: Any) -> npt.NDArray[Any]:
        """Return the most probable class of each picture, (n,). Raises as `predict_proba` does."""
        said = self._said(X)
        return np.asarray(self.classes_[said.predicted])

    def predict_proba(self, X: Any) -> npt.NDArray[np.float64]:
        """Return the probability of each class, (n, classes), in the order of `classes_`.

        Raises an `InputError` where a picture can't be read: scikit-learn knows no row without an answer.
        """
        return np.array(self._said(X).probabilities)

    def _said(self, X: Any) -> Predictions:
        check_is_fitted(self, "classifier_")
        pictures = _pictures(X)
        said = self.classifier_.predict(pictures, threads=self.threads)
        if bad := [name for name, ok in zip(said.ids, said.ok, strict=True) if not ok]:
            shown = ", ".join(bad[:NAMED]) + (", ..." if len(bad) > NAMED else "")
            raise PicturesError(
                f"{plural(len(bad), 'picture')} of {len(pictures):,} can't be read ({shown}), and scikit-learn wants "
                "an answer for each: leave them out. classifier_.predict(X) gives every row its status."
            )
        return said

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "classifier_")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.input_tags.string = True
        return tags


def _pictures(X: Any) -> list[Any]:
    """Return the pictures of X, one per row; raise `PicturesError` for what has no such rows."""
    if isinstance(X, str | os.PathLike | bytes | bytearray | Image.Image) or not hasattr(X, "__len__"):
        raise PicturesError(f"X is of type {type(X).__name__}: wanted several pictures, such as a list of paths.")
    if hasattr(X, "iloc"):  # a data frame, or a column of one
        X = X.to_numpy()
    if isinstance(X, np.ndarray):
        if X.ndim == 2 and X.shape[1] == 1 and X.dtype.kind in "OUT":
            X = X[:, 0]
        if X.ndim == 2 or X.ndim > 4 or (X.ndim == 1 and X.dtype.kind not in "OUT"):
            raise PicturesError(
                f"X is an array {X.shape} of {X.dtype}: wanted a picture per row, so uint8 (n, height, width, 3) or "
                "(n, height, width), or paths."
            )
    pictures = [one.read() if _is_open(one) else one for one in X]
    if not pictures:
        raise PicturesError("X is empty, 0 sample(s): wanted a picture per row.")
    several = any(isinstance(one, str | os.PathLike) and is_container(one) for one in pictures)
    if several or len(readers_of(pictures)) != len(pictures):
        raise PicturesError(
            f"X names a folder, an archive, a table or a pattern: wanted the path of one picture per row. {WANTED}."
        )
    return pictures


def _is_open(one: Any) -> bool:
    """Return whether this is an open file: it can be read once."""
    return hasattr(one, "read") and not isinstance(one, io.TextIOBase)


def _names(classes: npt.NDArray[Any]) -> list[str]:
    """Return the names of the classes, in their order."""
    names = [str(name) for name in classes.tolist()]
    if len(names) < 2:
        raise PicturesError(f"y has one class ({', '.join(names)}): a classifier wants two classes or more.")
    if "" in names or len(set(names)) < len(names):
        raise PicturesError(f"y has classes that are called alike, or have no name: {', '.join(map(repr, names))}.")
    return names


def _table(pictures: Sequence[Any], codes: Sequence[int], names: Sequence[str], folder: Path) -> ImageTable:
    """Return the labelled pictures, all to train on; what is no file yet is written below `folder`."""
    if all(isinstance(one, str | os.PathLike) for one in pictures):
        files = [Path(one).expanduser().absolute() for one in pictures]
        root = Path(os.path.commonpath([file.parent for file in files]))
        uris = [file.relative_to(root).as_posix() for file in files]
    else:
        folder.mkdir()
        root, uris = folder, [f"{number:06d}.png" for number in range(len(pictures))]
        for uri, (_, read) in zip(uris, readers_of(pictures), strict=True):
            try:
                content = read()
            except (UnreadableImage, OSError):
                content = b""  # has its row, and is found to be unreadable
            (folder / uri).write_bytes(content)
    return image_table(
        root, names, uris=uris, splits=["train"] * len(uris), labels=[[code] for code in codes], findings=()
    )


Learned = tuple[Classifier, Sequence[Finding]]


def _linear(table: ImageTable, options: FitOptions, folder: Path) -> Learned:
    """Return the classifier of a quick fit that learns from all images; what it chooses, it chooses out-of-fold."""
    progress, state = Silent(), FitState()
    table, options = read_images(table, options, progress)
    state.findings += table.findings
    backbones = candidate_backbones(options, progress)
    extractor = FeatureExtractor.of(backbones[0], threads=options.threads)
    with opened(folder) as run:
        context = FitContext(run=run, table=table, extractor=extractor, options=options, state=state, progress=progress)
        features = precomputed(context, 0)
        if len(backbones) > 1:
            context, features = with_chosen_backbone(context, features, backbones)
        linear = linear_heads_of(context, features, root=True)
        made = classifier_of(context, linear.chosen, features)
        return replace(made, ood_detector=fitted_ood_detector(context, made, features)), state.findings


def _whole(table: ImageTable, options: FitOptions, folder: Path) -> Learned:
    """Return the classifier of the golden rule; a trained backbone lies in the cache, as the run goes."""
    from goldenrule.pipelines.golden_rule import golden_rule

    split = with_split(table, seed=options.seed, shares=Shares(valid=VALID_SHARE, test=0.0))
    result = golden_rule(split, options=options, out=folder)
    return replace(result.classifier, backbone=kept(result.classifier.backbone)), result.findings
