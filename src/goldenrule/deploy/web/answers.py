"""What a server answers, as its schema describes it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Literal

from fastapi import Response
from pydantic import BaseModel, ConfigDict, Field


class PredictionRow(BaseModel):
    """What is said of one picture; with `top` there are `class_1`, `probability_1`, `class_2` ... too."""

    model_config = ConfigDict(extra="allow")
    path: str = Field(description="The name that the file came with.")
    status: str = Field(description="ok, unsure, out-of-distribution, or unreadable.")
    prediction: str = Field(description="The class, empty where there is none.")
    probability: float | None
    probabilities: dict[str, float] | None = Field(description="By class.")
    set: list[str] | None = Field(None, description="The classes that can't be ruled out.")
    ood: bool | None = Field(None, description="Whether the picture is out-of-distribution.")
    distance: float | None = Field(None, description="How far it is from the training images.")
    reason: str | None = Field(None, description="Why it can't be read.")


class Predictions(BaseModel):
    """The rows of all files, in their order, and the classifier that gave them."""

    classifier: str = Field(description="The digest of its manifest.")
    predictions: list[PredictionRow]


class Heat(BaseModel):
    """What speaks for a class, place by place."""

    of: str = Field(description="The class.")
    values: list[list[float]] = Field(description="Rows of places: above 0 for the class, below against it.")
    window: tuple[float, float, float, float] = Field(
        description="The part of the upright picture that the network sees, as shares: left, top, right, bottom."
    )
    picture: str = Field(description="The picture with the heat on it: a JPEG as a data: URI.")


class NearImage(BaseModel):
    """A training image that is like the picture, as the network sees both."""

    path: str = Field(description="Its name in the run's folder of images.")
    classes: list[str]
    similarity: float = Field(description="1 for the same picture, about 0 for any other.")
    same_file: bool = Field(description="Whether it has the same bytes.")
    picture: str | None = Field(description="A small JPEG as a data: URI; null where the file is gone, or has changed.")


class Explanation(BaseModel):
    """Where the network sees what speaks for a class, and which training images are nearest."""

    classifier: str = Field(description="The digest of its manifest.")
    path: str = Field(description="The name that the file came with.")
    prediction: str = Field(description="The class with the highest probability.")
    probability: float
    picture: str = Field(description="The picture, upright and small: a JPEG as a data: URI.")
    heat_map: Heat | None
    nearest: list[NearImage] = Field(description="The nearest training images, the most similar first.")
    notes: list[str] = Field(description="What is missing, and why.")


class Problem(BaseModel):
    """Why there is no answer; where no picture could be read, the rows that say so."""

    error: str
    classifier: str | None = None
    predictions: list[PredictionRow] | None = None


class State(BaseModel):
    """How the server is, what it predicts, and what it takes."""

    status: str
    classifier: str
    classes: list[str]
    task: Literal["single", "multi"] = Field(description="One class a picture, or as many as are true of it.")
    coverage: float | None = Field(description="The share of pictures whose set holds the true class; null: no sets.")
    min_confidence: float = Field(description="Below this probability there is no prediction.")
    max_mb: int = Field(description="The largest body.")
    max_files: int = Field(description="The most files of a body.")


def answer(value: Any, code: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return a value as JSON, with the bytes that predictions.jsonl has."""
    content = json.dumps(value, ensure_ascii=False, allow_nan=False).encode("utf-8", "backslashreplace")
    return Response(content, code, headers=dict(headers or {}), media_type="application/json")
