"""What is compared: photo sets, and ways to tell images unlike those of the training, each a number high for such."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import Any

import numpy as np
import numpy.typing as npt

from goldenrule.metrics.uncertainty.ood import directions
from goldenrule.models.heads import Head

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[Any]
Method = Callable[[Rows], Floats]

CHOSEN = "5th nearest, cosine"
SAYS = {
    "nearest, cosine": "1 - cosine to the nearest training image",
    CHOSEN: "to the fifth nearest (Sun et al. 2022): the one that is built in",
    "10th nearest, cosine": "to the tenth nearest",
    "50th nearest, cosine": "to the fiftieth nearest",
    "5th nearest, Euclidean": "without bringing activations to length 1",
    "Mahalanobis": "to the nearest class mean, one covariance for all classes (Lee et al. 2018), shrunk by Ledoit and "
    "Wolf's (2004) estimate",
    "Mahalanobis, length 1": "the same on activations of length 1",
    "relative Mahalanobis, length 1": "less that to the mean of all images (Ren et al. 2021), with the same ridge",
    "highest probability": "1 - that of the likeliest class (Hendrycks and Gimpel 2017)",
    "energy": "- log sum exp of the logits (Liu et al. 2020)",
}


HOMES = (
    "dogscats",
    "cat_dog_horse",
    "cifar10_cat_dog_horse",
    "dog_breed",
    "clothing_small",
    "hymenoptera_data",
    "surface_crack",
    "flowers_128",
    "GTSRB",
    "GTSRB_native15",
)
FOREIGN_ONLY = ("scenes_multilabel",)
SAME_THINGS = (
    ("GTSRB", "GTSRB_native15"),
    ("dogscats", "cat_dog_horse", "cifar10_cat_dog_horse", "dog_breed"),
)
RATES = (0.01, 0.02, 0.05)
LEFT_OUT = (CHOSEN, "nearest, cosine", "Mahalanobis, length 1", "relative Mahalanobis, length 1", "highest probability")
MOST_FOREIGN, MOST_FAMILIAR, MOST_CLASSES = 200, 1_000, 3


def same_things(one: str, other: str) -> bool:
    """Return whether two sets show the same things, so that foreign is not what the images of one are to the other."""
    return any(one in group and other in group for group in SAME_THINGS)


def methods(train: Rows, targets: npt.NDArray[np.int64], head: Head) -> dict[str, Method]:
    """Return the ways by name, fitted on activations of training images (n, features) and their classes."""
    short = directions(train)
    plain = cache(partial(Mahalanobis, train.astype(np.float64), targets))
    unit = cache(partial(Mahalanobis, short, targets))
    return {
        "nearest, cosine": lambda rows: _nth_nearest(short, directions(rows), 1),
        CHOSEN: lambda rows: _nth_nearest(short, directions(rows), 5),
        "10th nearest, cosine": lambda rows: _nth_nearest(short, directions(rows), 10),
        "50th nearest, cosine": lambda rows: _nth_nearest(short, directions(rows), 50),
        "5th nearest, Euclidean": lambda rows: _nth_nearest(train.astype(np.float64), rows.astype(np.float64), 5),
        "Mahalanobis": lambda rows: plain().to_classes(rows.astype(np.float64)),
        "Mahalanobis, length 1": lambda rows: unit().to_classes(directions(rows)),
        "relative Mahalanobis, length 1": lambda rows: unit().relative(directions(rows)),
        "highest probability": partial(_suspect, head),
        "energy": lambda rows: -_log_sum_exp(head.logits(rows)),
    }


class Mahalanobis:
    """Squared distances to class means, and to the mean of all, in the metric of the images around them."""

    def __init__(self, rows: Floats, targets: npt.NDArray[np.int64]) -> None:
        classes, numbers = np.unique(targets, return_inverse=True)
        self.means = np.stack([rows[targets == label].mean(axis=0) for label in classes])
        self.mean = rows.mean(axis=0)
        within, overall = rows - self.means[numbers], rows - self.mean
        covariance = within.T @ within / len(rows)
        share, level = shrinkage(within, covariance)
        ridge = share / (1 - share) * level if share < 1 else 1e6 * level
        eye = np.eye(rows.shape[1])
        self.whiten = np.linalg.inv(np.linalg.cholesky(covariance + ridge * eye)).T
        self.whiten_all = np.linalg.inv(np.linalg.cholesky(overall.T @ overall / len(rows) + ridge * eye)).T

    def to_classes(self, rows: Floats) -> Floats:
        """Return the squared distance to the nearest class mean."""
        return _squares(rows @ self.whiten, self.means @ self.whiten).min(axis=1)

    def relative(self, rows: Floats) -> Floats:
        """Return how much farther the nearest class mean is than the mean of all."""
        overall = _squares(rows @ self.whiten_all, self.mean[np.newaxis] @ self.whiten_all)[:, 0]
        return np.asarray(self.to_classes(rows) - overall)


def shrinkage(rows: Floats, covariance: Floats) -> tuple[float, float]:
    """Return the share of a multiple of the identity to mix with a covariance of centred rows, and that multiple.

    Ledoit and Wolf (2004), A well-conditioned estimator for large-dimensional covariance matrices.
    """
    n, features = rows.shape
    level = float(np.trace(covariance) / features)
    spread = float(((covariance - level * np.eye(features)) ** 2).sum())
    noise = float(((rows**2).sum(axis=1) ** 2).sum() / n**2 - (covariance**2).sum() / n)
    return min(max(noise / spread, 0.0), 1.0), level


def _nth_nearest(references: Floats, rows: Floats, number: int) -> Floats:
    found = _squares(rows, references)
    return np.asarray(np.partition(found, min(number, found.shape[1]) - 1, axis=1)[:, min(number, found.shape[1]) - 1])


def _squares(rows: Floats, others: Floats) -> Floats:
    return np.asarray((rows**2).sum(axis=1)[:, np.newaxis] + (others**2).sum(axis=1) - 2 * rows @ others.T)


def _suspect(head: Head, rows: Rows) -> Floats:
    logits = head.logits(rows).astype(np.float64)
    return np.asarray(-np.exp(logits.max(axis=1) - _log_sum_exp(logits)))


def _log_sum_exp(logits: Rows) -> Floats:
    highest = logits.max(axis=1, keepdims=True).astype(np.float64)
    return np.asarray(highest[:, 0] + np.log(np.exp(logits - highest).sum(axis=1)))
