"""`gr.ImageClassifier` in scikit-learn's tools, and scikit-learn's own checks of an estimator."""

from __future__ import annotations

import contextlib
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils import estimator_checks
from sklearn.utils.estimator_checks import check_estimator
from sklearn.utils.validation import check_is_fitted, validate_data

import goldenrule as gr

Pixels = npt.NDArray[np.uint8]


def drawn(each: int = 8, *, classes: int = 2, seed: int = 0) -> tuple[Pixels, npt.NDArray[np.int64]]:
    """Return pictures (n, 40, 48, 3), each class of its own hue, in mixed order, and the number of their class."""
    draws = np.random.default_rng(seed)
    labels = draws.permutation(np.repeat(np.arange(classes), each))
    pixels = draws.integers(0, 90, size=(len(labels), 40, 48, 3), dtype=np.uint8)
    for picture, label in zip(pixels, labels, strict=True):
        picture[:, :, label] += 150
    return pixels, labels


@pytest.fixture
def paths(draw_classes: Callable[..., Path], tmp_path: Path) -> tuple[list[str], list[str]]:
    """Paths of drawn pictures and the names of their classes."""
    files = sorted(draw_classes(tmp_path / "set").glob("*/*.png"))
    return [str(file) for file in files], [file.parent.name for file in files]


@pytest.fixture
def fast(cache: Path) -> gr.ImageClassifier:
    """An estimator on the tiny network, without augmented views."""
    del cache
    return gr.ImageClassifier(views=0)


def test_pictures_as_arrays_are_learned_and_predicted_with_labels_of_their_own_type(fast: gr.ImageClassifier) -> None:
    X, y = drawn()
    for labels in (y * 7 + 3, np.array(["cat", "dog"])[y], (y > 0)):
        fitted = fast.fit(X, labels)
        found = fitted.predict(X)
        assert found.dtype == fitted.classes_.dtype == labels.dtype
        assert (found == labels).all()
        proba = fitted.predict_proba(X)
        assert proba.shape == (len(X), 2)
        np.testing.assert_allclose(proba.sum(axis=1), 1)
        assert (fitted.classes_[proba.argmax(axis=1)] == labels).all()
        assert fitted.score(X, labels) == 1.0


def test_numbers_as_labels_stay_in_their_order(fast: gr.ImageClassifier) -> None:
    X, y = drawn(classes=3)
    labels = np.array([2, 10, 100])[y]  # as texts, 10 comes before 2
    fitted = fast.fit(X, labels)
    assert fitted.classes_.tolist() == [2, 10, 100]
    assert (fitted.predict(X) == labels).all()
    assert fitted.classifier_.classes == ("2", "10", "100")


def test_every_way_to_have_pictures_is_learned_from_and_predicted_alike(
    fast: gr.ImageClassifier, tmp_path: Path
) -> None:
    import pandas as pd

    X, y = drawn()
    files = []
    for number, pixels in enumerate(X):
        files.append(tmp_path / f"{number:02d}.png")
        Image.fromarray(pixels).save(files[-1])
    images = [Image.fromarray(pixels) for pixels in X]
    objects = np.empty(len(X), object)
    objects[:] = images
    ways = {
        "array": X,
        "list of arrays": list(X),
        "paths": list(map(str, files)),
        "array of paths": np.array(list(map(str, files))),
        "PIL": images,
        "objects": objects,
        "bytes": [file.read_bytes() for file in files],
        "column": pd.DataFrame({"file": list(map(str, files))})["file"],
        "frame": pd.DataFrame({"file": list(map(str, files))}),
    }
    wanted = fast.fit(X, y).predict_proba(X)
    for name, pictures in ways.items():
        again = clone(fast).fit(pictures, y)
        np.testing.assert_allclose(again.predict_proba(pictures), wanted, atol=0.05, err_msg=name)  # folds go by bytes
        np.testing.assert_array_equal(again.predict_proba(files), again.predict_proba(X), err_msg=name)
    with contextlib.ExitStack() as stack:
        opened = [stack.enter_context(file.open("rb")) for file in files]
        np.testing.assert_array_equal(fast.predict_proba(opened), wanted)  # pixels are the same


def test_cross_validation_takes_features_from_the_cache_and_leaves_no_run_behind(
    fast: gr.ImageClassifier, paths: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: Any
) -> None:
    X, y = paths
    monkeypatch.chdir(tmp_path)
    before = set(tmp_path.iterdir())
    scores = cross_val_score(fast, X, y, cv=3)
    assert scores.mean() > 0.85
    assert set(tmp_path.iterdir()) == before
    assert capfd.readouterr() == ("", "")


def test_a_grid_search_chooses_among_options_and_refits(fast: gr.ImageClassifier) -> None:
    X, y = drawn(each=6)
    search = GridSearchCV(fast, {"views": [0, 1], "augment": ["auto"]}, cv=2).fit(X, y)
    assert search.best_params_["views"] in (0, 1)
    assert len(search.cv_results_["mean_test_score"]) == 2
    assert (search.predict(X) == y).all()


def test_it_is_the_last_step_of_a_pipeline(fast: gr.ImageClassifier) -> None:
    X, y = drawn()
    flow = make_pipeline(FunctionTransformer(lambda pixels: pixels[:, 4:36, 4:44]), fast).fit(X, y)
    assert flow.score(X, y) == 1.0
    assert set(flow.classes_) == {0, 1}


def test_its_probabilities_can_be_calibrated(fast: gr.ImageClassifier, paths: Any) -> None:
    X, y = paths
    calibrated = CalibratedClassifierCV(fast, cv=3).fit(X, y)
    found = calibrated.predict_proba(X)
    assert found.shape == (len(X), 2)
    assert calibrated.predict(X).tolist() == y


def test_a_fitted_one_is_saved_by_its_classifier(fast: gr.ImageClassifier, paths: Any, tmp_path: Path) -> None:
    X, y = paths
    fitted = fast.fit(X, y)
    saved = gr.Classifier.load(fitted.classifier_.save(tmp_path / "saved"))
    np.testing.assert_array_equal(saved.predict(X).probabilities, fitted.predict_proba(X))
    assert saved.ood_detector is not None
    assert saved.sets is not None


def test_it_learns_from_every_picture_that_it_is_given(fast: gr.ImageClassifier, paths: Any) -> None:
    X, y = paths
    assert fast.fit(X, y).classifier_.provenance["train_images"] == len(X)


def test_a_picture_that_cannot_be_read_is_left_out_of_a_fit_and_refused_in_a_prediction(
    fast: gr.ImageClassifier, paths: Any, tmp_path: Path
) -> None:
    X, y = paths
    (tmp_path / "broken.png").write_bytes(b"no picture")
    bad = str(tmp_path / "broken.png")
    with pytest.warns(UserWarning, match="broken.png"):
        fast.fit([*X, bad], [*y, "cats"])
    assert fast.classifier_.provenance["train_images"] in (len(X), len(X) + 1)
    for error in (gr.GoldenRuleError, ValueError):
        with pytest.raises(error, match=r"1 picture of 17 can't be read \(.*broken.png\)"):
            fast.predict([*X, bad])


@pytest.mark.parametrize(
    ("X", "y", "said"),
    [
        ("photos", ["a"], "wanted several pictures"),
        (np.zeros((4, 64)), [0, 1, 0, 1], r"X is an array \(4, 64\) of float64"),
        (np.zeros((4, 8, 8, 3)), [0, 1, 0, 1], r"array of float64 \(8, 8, 3\): wanted uint8"),
        (np.zeros((4, 3, 8, 8), np.uint8), [0, 1, 0, 1], r"wanted uint8 \(height, width, 3\)"),
        ([], [], "X is empty"),
        (["."], ["a"], "names a folder|no image"),
        (drawn(2)[0], [0, 0, 0, 0], "one class"),
        (drawn(2)[0], [0, 1, 0], "inconsistent numbers of samples"),
        (drawn(2)[0], [0.5, 1.2, 0.3, 1.1], "continuous"),
        (drawn(2)[0], ["", "a", "", "a"], "no name"),
        (drawn(2)[0], [[0, 1], [1, 0], [1, 1], [0, 0]], "1d array"),
        (drawn(2)[0], ["a", None, "a", "b"], "several types, or lacks some"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_no_picture_or_no_label_is_refused(
    fast: gr.ImageClassifier, X: Any, y: Any, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises((gr.GoldenRuleError, ValueError), match=said):
        fast.fit(X, y)


def test_an_option_that_does_not_exist_is_refused_when_it_is_fitted(cache: Path) -> None:
    X, y = drawn(2)
    with pytest.raises(gr.GoldenRuleError, match="views"):
        gr.ImageClassifier(views=-1).fit(X, y)
    with pytest.raises(NotFittedError):
        gr.ImageClassifier().predict(X)


@pytest.mark.exhaustive
def test_the_whole_network_is_trained_where_that_is_wanted(cache: Path, short_plan: None, paths: Any) -> None:
    X, y = paths
    fitted = gr.ImageClassifier(quick=False, views=0, threads=1).fit(X, y)
    assert fitted.score(X, y) >= 0.9
    again = pickle.loads(pickle.dumps(fitted))  # its run is gone: the network lies in the cache
    np.testing.assert_array_equal(again.predict_proba(X), fitted.predict_proba(X))


class OfRows(gr.ImageClassifier):
    """The estimator on rows of numbers, as scikit-learn's checks draw them: each row becomes a picture of stripes."""

    def fit(self, X: Any, y: Any = None) -> OfRows:
        X, y = (X, y) if y is None else validate_data(self, X, y)
        if y is not None:
            self.low_, self.high_ = X.min(axis=0), X.max(axis=0)
        super().fit(X if y is None else self._stripes(X), y)
        return self

    def predict(self, X: Any) -> Any:
        check_is_fitted(self)
        return super().predict(self._stripes(validate_data(self, X, reset=False)))

    def predict_proba(self, X: Any) -> Any:
        check_is_fitted(self)
        return super().predict_proba(self._stripes(validate_data(self, X, reset=False)))

    def _stripes(self, X: Any) -> Pixels:
        share = np.clip((X - self.low_) / np.maximum(self.high_ - self.low_, 1e-12), 0, 1)
        row = np.repeat(share, -(-48 // X.shape[1]), axis=1)[:, :48]
        return np.asarray(np.tile((row * 255)[:, np.newaxis, :, np.newaxis], (1, 32, 1, 3)), np.uint8)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array, tags.input_tags.string = True, False
        return tags


QUICK = (
    "check_estimator_cloneable",
    "check_estimator_tags_renamed",
    "check_valid_tag_types",
    "check_estimator_repr",
    "check_no_attributes_set_in_init",
    "check_do_not_raise_errors_in_init_or_set_params",
    "check_mixin_order",
    "check_parameters_default_constructible",
    "check_get_params_invariance",
    "check_set_params",
    "check_estimators_unfitted",
    "check_fit_check_is_fitted",
    "check_fit_score_takes_y",
    "check_estimators_overwrite_params",
    "check_dont_overwrite_parameters",
    "check_estimators_fit_returns_self",
    "check_estimators_pickle",
    "check_dict_unchanged",
    "check_fit_idempotent",
    "check_methods_sample_order_invariance",
    "check_classifiers_one_label",
    "check_classifiers_regression_target",
    "check_supervised_y_no_nan",
    "check_requires_y_none",
    "check_estimators_empty_data_messages",
)
"""scikit-learn's checks that take a moment; all of them run with those marked exhaustive."""
SKIPPED = {"check_array_api_input"}
"""For arrays of other libraries than numpy: pictures are files."""


@pytest.mark.parametrize("name", QUICK)
def test_a_check_of_scikit_learn_s_own_holds(name: str, cache: Path) -> None:
    getattr(estimator_checks, name)("ImageClassifier", OfRows(views=0))


@pytest.mark.exhaustive
def test_all_checks_of_scikit_learn_s_own_hold(cache: Path) -> None:
    found = check_estimator(OfRows(views=0), on_fail=None, on_skip=None)
    bad = {one["check_name"]: repr(one["exception"]) for one in found if one["status"] not in ("passed", "skipped")}
    assert bad == {}
    assert {one["check_name"] for one in found if one["status"] == "skipped"} <= SKIPPED
    assert len(found) - len(SKIPPED) >= 54
    assert set(QUICK) <= {one["check_name"] for one in found}
