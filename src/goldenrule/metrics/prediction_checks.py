"""What a `Predictions` must be: every refusal says what was wanted and what was got."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from goldenrule.core.errors import OptionError
from goldenrule.metrics.estimate import Basis

STATUSES = ("ok", "unreadable", "missing")


def checked_fields(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return every field of a `Predictions` in its own type, arrays read-only; `OptionError` for what does not fit."""
    predictions = SimpleNamespace(**given)
    classes, ids = tuple(map(str, predictions.classes)), tuple(map(str, predictions.ids))
    _require_one_of("task", predictions.task, ("single", "multi"))
    _require_one_of("basis", predictions.basis, tuple(map(str, Basis)))
    twice = [name for name, count in Counter(classes).items() if count > 1]
    if twice or not classes:
        raise OptionError(f"classes: wanted one name or more, each once; got {len(classes)}, twice: {twice}")
    status = np.asarray(predictions.status, dtype=np.str_)
    _require_shape("status", status, (len(ids),))
    if unknown := sorted(set(status.tolist()) - set(STATUSES)):
        raise OptionError(f"status: wanted words of {STATUSES}, got {unknown}")
    return {
        "classes": classes,
        "ids": ids,
        "basis": Basis(predictions.basis),
        "status": _read_only(status),
        "truth": _checked_truth(predictions.truth, predictions.task, len(ids), len(classes)),
        "logits": _checked_logits(predictions.logits, status == "ok", len(classes)),
        "fold": None if predictions.fold is None else _checked_numbers("fold", predictions.fold, len(ids)),
        "group": None if predictions.group is None else _checked_numbers("group", predictions.group, len(ids)),
        "thresholds": _checked_thresholds(predictions.thresholds, predictions.task, len(ids), len(classes)),
        "distance": None if predictions.distance is None else _checked_distance(predictions.distance, status == "ok"),
        "reason": _checked_reason(predictions.reason, status == "ok"),
        "ood": checked_flags("ood", predictions.ood, (len(ids),)),
        "inside": checked_flags("inside", predictions.inside, (len(ids), len(classes))),
    }


def require_single_label(task: str, what: str) -> None:
    """Refuse many labels where only one makes sense."""
    if task != "single":
        raise OptionError(
            f"{what} is defined for a single label, but these predictions have many labels per image: "
            "use log_loss, roc_auc, or f_beta with a threshold per class"
        )


def require_same_classes(*, wanted: Sequence[str], got: Sequence[str]) -> None:
    """Refuse class lists that are not the same names in some order."""
    missing = [name for name in wanted if name not in set(got)]
    unknown = [name for name in got if name not in set(wanted)]
    if missing or unknown or len(wanted) != len(got):
        raise OptionError(
            f"the classes differ: wanted {_shortened(wanted)}, got {_shortened(got)}; "
            f"missing: {_shortened(missing)}, not wanted: {_shortened(unknown)}"
        )


def row_numbers(rows: ArrayLike, n: int) -> NDArray[np.int64]:
    """Row numbers from a boolean mask (n,) or from row numbers; negative ones count from the end.

    >>> row_numbers([True, False, True], 3).tolist(), row_numbers([2, -3], 3).tolist()
    ([0, 2], [2, 0])
    """
    chosen = np.asarray(rows)
    if chosen.dtype == np.bool_:
        _require_shape("mask", chosen, (n,))
        return np.flatnonzero(chosen)
    chosen = _integers("row numbers", chosen)
    if chosen.ndim != 1 or (chosen.size and not (-n <= chosen.min() and chosen.max() < n)):
        raise OptionError(f"row numbers: wanted a list of numbers below {n}, got {rows!r}")
    return np.asarray(chosen % max(n, 1))


def same(one: object, other: object) -> bool:
    """Equal, also for arrays and nan."""
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
        return one.dtype.kind == other.dtype.kind and np.array_equal(one, other, equal_nan=one.dtype.kind == "f")
    return type(one) is type(other) and one == other


def _checked_truth(truth: ArrayLike, task: str, n: int, n_classes: int) -> NDArray[Any]:
    array = _integers("truth", np.asarray(truth))
    if task == "single":
        _require_shape("truth", array, (n,))
        _require_between("truth", array, -1, n_classes - 1)
        return _read_only(array.astype(np.int64, copy=False))
    _require_shape("truth", array, (n, n_classes))
    _require_between("truth", array, -1, 1)
    if (partly := np.flatnonzero((array == -1).any(axis=1) & (array != -1).any(axis=1))).size:
        raise OptionError(f"truth: wanted rows of 0 and 1, or of -1 only; got both in row {partly[0]}")
    return _read_only(array.astype(np.int8, copy=False))


def _checked_logits(logits: ArrayLike, ok: NDArray[np.bool_], n_classes: int) -> NDArray[np.float32]:
    array = np.asarray(logits)
    if array.ndim != 3 or array.shape[::2] != (len(ok), n_classes) or array.shape[1] < 1:
        raise OptionError(f"logits: wanted shape ({len(ok)}, views, {n_classes}), got {array.shape}")
    with np.errstate(over="ignore"):
        array = array.astype(np.float32, copy=False)
    if (bad := np.flatnonzero(ok & ~np.isfinite(array).all(axis=(1, 2)))).size:
        raise OptionError(f"logits: wanted finite numbers where the status is ok, got {array[bad[0]]} in row {bad[0]}")
    if (bad := np.flatnonzero(~ok & ~np.isnan(array).all(axis=(1, 2)))).size:
        raise OptionError(f"logits: wanted nan where the status is not ok, got {array[bad[0]]} in row {bad[0]}")
    return _read_only(array)


def _checked_numbers(name: str, numbers: ArrayLike, n: int) -> NDArray[np.int64]:
    array = _integers(name, np.asarray(numbers))
    _require_shape(name, array, (n,))
    return _read_only(array.astype(np.int64, copy=False))


def _checked_thresholds(limits: ArrayLike | None, task: str, n: int, n_classes: int) -> NDArray[np.float64] | None:
    if limits is None:
        return None
    if task != "multi":
        raise OptionError("thresholds: they are for many labels; of a single label the most probable is predicted")
    array = np.asarray(limits, np.float64)
    _require_shape("thresholds", array, (n, n_classes))
    if array.size and not ((array >= 0) & (array <= 1)).all():
        raise OptionError("thresholds: wanted numbers from 0 to 1")
    return _read_only(array)


def _checked_distance(distance: ArrayLike, ok: NDArray[np.bool_]) -> NDArray[np.float32]:
    array = np.asarray(distance, np.float32)
    _require_shape("distance", array, (len(ok),))
    if (bad := np.flatnonzero(np.isfinite(array) != ok)).size:
        raise OptionError(
            f"distance: wanted numbers where the status is ok, else nan; got {array[bad[0]]} in row {bad[0]}"
        )
    return _read_only(array)


def _checked_reason(reason: ArrayLike | None, ok: NDArray[np.bool_]) -> NDArray[np.str_] | None:
    if reason is None:
        return None
    array = np.asarray(reason, dtype=np.str_)
    _require_shape("reason", array, (len(ok),))
    if (bad := np.flatnonzero(ok & (array != ""))).size:
        raise OptionError(f'reason: wanted "" where the status is ok, got {str(array[bad[0]])!r} in row {bad[0]}')
    return _read_only(array)


def checked_flags(name: str, flags: ArrayLike | None, shape: tuple[int, ...]) -> NDArray[np.bool_] | None:
    """Return flags as read-only booleans of a shape, None where there are none."""
    if flags is None:
        return None
    array = np.asarray(flags, dtype=bool)
    _require_shape(name, array, shape)
    return _read_only(array)


def _integers(name: str, array: NDArray[Any]) -> NDArray[Any]:
    """Return the array back if it holds integers; an empty one of any type becomes one of integers."""
    if array.size and array.dtype.kind not in "iub":
        raise OptionError(f"{name}: wanted whole numbers, got {array.dtype}")
    return array if array.dtype.kind == "i" else array.astype(np.int64)


def _require_shape(name: str, array: NDArray[Any], shape: tuple[int, ...]) -> None:
    if array.shape != shape:
        raise OptionError(f"{name}: wanted shape {shape}, got {array.shape}")


def _require_between(name: str, array: NDArray[Any], low: int, high: int) -> None:
    if array.size and not (low <= array.min() and array.max() <= high):
        raise OptionError(f"{name}: wanted {low} to {high}, got {array.min()} to {array.max()}")


def _require_one_of(name: str, value: object, words: tuple[str, ...]) -> None:
    if value not in words:
        raise OptionError(f"{name} = {value!r}: wanted one of {words}")


def _read_only(array: NDArray[Any]) -> NDArray[Any]:
    view = array.view()
    view.flags.writeable = False
    return view


def _shortened(names: Sequence[str], most: int = 5) -> str:
    """Return the first names of a list, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return f"{', '.join(map(repr, names[:most]))}{more}" if names else "none"
