"""Whatever is assigned to what: no fold or drawn split evaluates what it has not trained on, and no row is lost."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from goldenrule.core.errors import TooFewImages
from goldenrule.data.grouping import with_groups
from goldenrule.data.splits.evaluated_classes import NOT_EVALUATED
from goldenrule.data.splits.folds import evaluation_folds, k_fold
from goldenrule.data.splits.splitting import with_split
from goldenrule.data.table import ImageTable, image_table
from goldenrule.data.units import duplicate_units
from goldenrule.storage.files import digest

many = settings(deadline=None, max_examples=150)
STEMS = ("IMG_", "DSC_", "n0208_", "film-", "x", "")
"""What names begin with: cameras, ids of ImageNet, films."""
rows = st.tuples(
    st.integers(0, 3),  # class
    st.integers(0, 30),  # content: equal ones are the same file
    st.none() | st.sampled_from(["a", "b", "c", "d"]),  # given group
    st.sampled_from(STEMS),
    st.sampled_from([None, "train"]),
)


def table_of(every: list[tuple[int, int, str | None, str, str | None]], *, several: bool, groups: bool) -> ImageTable:
    """Return a table of these rows; with `several` an image has its class and, every third, the next one too."""
    names = [f"class {number}" for number in range(5)]
    labels = [
        [value, value + 1] if several and number % 3 == 0 else [value] for number, (value, *_) in enumerate(every)
    ]
    table = image_table(
        Path("set"),
        names,
        uris=[f"{names[value[0]]}/{value[3]}{number:04d}.png" for number, value in enumerate(every)],
        splits=[value[4] for value in every],
        labels=labels,
    )
    table = table.with_digests([digest(str(value[1]).encode()) for value in every])
    return table.with_groups([value[2] for value in every]) if groups else table


def labels(table: ImageTable) -> dict[str, list[str]]:
    every = zip(table.uris, table.rows["labels"].to_pylist(), strict=True)
    return {uri: [table.classes[label] for label in value] for uri, value in every}


def shown(table: ImageTable, split: str) -> set[int]:
    every = zip(table.splits, table.rows["labels"].to_pylist(), strict=True)
    return {label for value, labels in every if value == split for label in labels}


@many
@given(
    st.lists(rows, min_size=2, max_size=60),
    st.booleans(),
    st.sampled_from(["given", "auto", r"^([A-Za-z]+)", "none"]),
    st.integers(0, 3),
    st.integers(2, 6),
)
def test_no_fold_or_drawn_part_judges_what_it_has_not_trained_on(
    every: list[tuple[int, int, str | None, str, str | None]], several: bool, group_by: str, seed: int, folds: int
) -> None:
    table = table_of(every, several=several, groups=group_by == "given")
    if group_by in ("auto", "none") or (group_by.startswith("^") and any(value[3][:1].isalpha() for value in every)):
        table = with_groups(table, group_by)
    before = labels(table)
    drawn: list[ImageTable] = []
    try:
        drawn.append(with_split(table, seed=seed))
    except TooFewImages as error:
        assert "The groups leave" in str(error)  # noqa: PT017
    try:
        drawn += k_fold(table, folds, seed=seed)
    except TooFewImages as error:
        assert "folds want" in str(error)  # noqa: PT017
    for images in drawn:
        assert labels(images) == before
        assert shown(images, "valid") | shown(images, "test") <= shown(images, "train")
    evaluated = evaluation_folds(table, folds, seed=seed)
    truth = table.rows["labels"].to_pylist()
    for fold in set(evaluated.tolist()) - {NOT_EVALUATED}:
        learned = {
            label for value, labels in zip(evaluated.tolist(), truth, strict=True) if value != fold for label in labels
        }
        asked = {
            label for value, labels in zip(evaluated.tolist(), truth, strict=True) if value == fold for label in labels
        }
        assert asked <= learned
    units: dict[bytes, int] = {}
    for unit, fold in zip(duplicate_units(table), evaluated.tolist(), strict=True):
        assert units.setdefault(unit, fold) == fold, "what belongs together is in one fold"
    alone = [labels for value, labels in zip(evaluated.tolist(), truth, strict=True) if value == NOT_EVALUATED]
    assert len(alone) < len(every) or len(set(duplicate_units(table))) <= len(table.classes)
    assert np.isin(evaluated, [NOT_EVALUATED, *range(folds)]).all()
