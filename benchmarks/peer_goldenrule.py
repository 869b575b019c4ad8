"""What a run folder of goldenrule says, in the form that peer_fastai.py writes."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

PREFIX = "p:"  # of the columns of predictions.csv that hold the probability of a class


def result(run: Path) -> dict[str, Any]:
    """Return the classes and, per scored split, n, accuracy, log loss and each image's probabilities."""
    stated = json.loads((run / "result.json").read_text(encoding="utf-8"))
    names = [name for name in ("valid", "test") if stated.get(name)]
    tables = {name: rows(run / "predictions" / f"{name}.csv") for name in names}
    classes = [column.removeprefix(PREFIX) for column in tables["valid"][0] if column.startswith(PREFIX)]
    splits = {
        name: {
            **{key: stated[name][key] for key in ("n", "accuracy", "log_loss")},
            "basis": stated[name].get("basis", "held out"),
            "images": [
                {
                    "path": row["path"],
                    "truth": row["truth"],
                    "probabilities": [float(row[PREFIX + label]) for label in classes],
                }
                for row in table
            ],
        }
        for name, table in tables.items()
    }
    return {"chosen": stated["chosen"], "classes": classes, "parts": splits}


def rows(table: Path) -> list[dict[str, str]]:
    """Return the labelled images that could be read."""
    with table.open(encoding="utf-8", newline="") as file:
        return [row for row in csv.DictReader(file) if row["status"] == "ok" and row["truth"]]
