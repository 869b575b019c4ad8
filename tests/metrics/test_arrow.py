import io
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goldenrule.core.errors import FormatError
from goldenrule.metrics import Predictions
from goldenrule.metrics.arrow import from_arrow, to_arrow

light = settings(deadline=None, max_examples=40)


def random_predictions(n, views, classes, seed, *, task="single", folds=False, distances=False):
    generator = np.random.default_rng(seed)
    status = generator.choice(["ok", "unreadable", "missing"], n, p=[0.8, 0.1, 0.1])
    logits = generator.normal(scale=50, size=(n, views, classes)).astype(np.float32)
    logits[status != "ok"] = np.nan
    truth = generator.integers(-1, classes, n)
    if task == "multi":
        truth = np.where(truth[:, np.newaxis] < 0, -1, generator.integers(0, 2, (n, classes)))
    return Predictions.from_logits(
        logits,
        [f"klasse ä{k}" for k in range(classes)],
        truth=truth,
        status=status,
        task=task,
        fold=generator.integers(0, 5, n) if folds else None,
        distance=np.where(status == "ok", generator.random(n), np.nan) if distances else None,
        basis="used for selection" if seed % 2 else "held out",
    )


@light
@given(
    st.integers(0, 12),
    st.integers(1, 3),
    st.integers(1, 4),
    st.integers(0, 1000),
    st.sampled_from(["single", "multi"]),
    st.booleans(),
    st.booleans(),
)
def test_a_table_gives_the_same_predictions_back_to_the_last_bit(n, views, classes, seed, task, folds, distances):
    before = random_predictions(n, views, classes, seed, task=task, folds=folds, distances=distances)
    after = from_arrow(to_arrow(before))
    assert after == before
    assert after.logits.tobytes() == before.logits.tobytes()


def test_so_does_a_parquet_file_and_a_table_in_pieces():
    before = random_predictions(30, 2, 3, 0, folds=True)
    file = io.BytesIO()
    pq.write_table(to_arrow(before), file, row_group_size=7)
    assert from_arrow(pq.read_table(file)) == before
    table = to_arrow(before)
    pieces = pa.concat_tables([table.slice(0, 11), table.slice(11, 0), table.slice(11)])
    assert from_arrow(pieces) == before
    assert from_arrow(table.slice(5, 9)) == before.select(np.arange(5, 14))


def test_another_table_is_a_format_error():
    with pytest.raises(FormatError, match=r"not a table of predictions: its columns are \['x'\]"):
        from_arrow(pa.table({"x": [1]}))


def test_a_newer_version_asks_for_a_newer_goldenrule():
    table = to_arrow(random_predictions(3, 1, 2, 0))
    key, about = next(iter(table.schema.metadata.items()))
    newer = table.replace_schema_metadata({key: json.dumps({**json.loads(about), "schema_version": 99})})
    with pytest.raises(FormatError, match=r"schema version 99.*Update goldenrule"):
        from_arrow(newer)
