"""Labels as Label Studio and CVAT write them: what we write is read, what they write is read, the rest is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from goldenrule.core.errors import FormatError, OptionError
from goldenrule.tasks.cleaning.label_tools import (
    ToolLabel,
    cvat_text,
    is_label_studio_text,
    label_studio_text,
    read_tool_labels,
)

URIS = ("train/cat/1.jpg", "train/dog/1.jpg", "valid/cat/two words.jpg", "odd & <name>.png")
ROWS = [ToolLabel(uri=uri, label="a & b" if "cat" in uri else 'd"og', likely="x", probability=0.5) for uri in URIS]
LABELS = st.text(st.characters(min_codepoint=32, blacklist_categories=("Cs", "Cc", "Cn", "Co")), min_size=1, max_size=9)
STUDIO = [
    {
        "id": 7,
        "annotations": [
            {
                "id": 3,
                "completed_by": 1,
                "result": [
                    {
                        "value": {"choices": ["dog"]},
                        "id": "x",
                        "from_name": "choice",
                        "to_name": "image",
                        "type": "choices",
                        "origin": "manual",
                    }
                ],
                "was_cancelled": False,
                "created_at": "2024-01-01T00:00:00Z",
            }
        ],
        "file_upload": "0a1b2c3d-two_words.jpg",
        "predictions": [],
        "data": {"image": "/data/upload/1/0a1b2c3d-two%20words.jpg"},
        "created_at": "2024-01-01T00:00:00Z",
        "project": 1,
    }
]
CVAT = """<?xml version="1.0" encoding="utf-8"?>
<annotations>
  <version>1.1</version>
  <meta><job><id>1</id><labels><label><name>dog</name><color>#fff</color><type>any</type></label></labels></job></meta>
  <image id="0" name="train/cat/1.jpg" subset="default" task_id="1" width="4" height="3">
    <tag label="dog" source="manual"></tag>
  </image>
  <image id="1" name="train/dog/1.jpg" subset="default" task_id="1" width="4" height="3"></image>
</annotations>
"""


def read(tmp_path: Path, text: str) -> tuple[str, dict[str, str]]:
    path = tmp_path / "file"
    path.write_text(text, encoding="utf-8")
    return read_tool_labels(path, URIS)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(st.lists(LABELS, min_size=4, max_size=4))
def test_what_is_written_for_a_tool_is_read_again_whatever_the_labels(tmp_path: Path, labels: list[str]) -> None:
    rows = [ToolLabel(uri=uri, label=label) for uri, label in zip(URIS, labels, strict=True)]
    wanted = dict(zip(URIS, labels, strict=True))
    assert read(tmp_path, label_studio_text(rows)) == ("label-studio", wanted)
    assert read(tmp_path, cvat_text(rows, labels, lambda _: (4, 3))) == ("cvat", wanted)


def test_doubts_go_along_as_predictions_of_label_studio() -> None:
    task = json.loads(label_studio_text(ROWS))[0]
    assert task["data"]["image"] == "/data/local-files/?d=train/cat/1.jpg"
    assert task["predictions"] == [
        {
            "model_version": "goldenrule",
            "score": 0.5,
            "result": [{"from_name": "label", "to_name": "image", "type": "choices", "value": {"choices": ["x"]}}],
        }
    ]


def test_exports_of_both_tools_are_read_and_images_without_an_annotation_left_out(tmp_path: Path) -> None:
    assert read(tmp_path, json.dumps(STUDIO)) == ("label-studio", {"valid/cat/two words.jpg": "dog"})
    assert read(tmp_path, CVAT) == ("cvat", {"train/cat/1.jpg": "dog"})


def test_a_cancelled_annotation_says_nothing_and_two_that_differ_contradict(tmp_path: Path) -> None:
    [task] = json.loads(json.dumps(STUDIO))
    other = json.loads(json.dumps(task["annotations"][0]))
    other["result"][0]["value"]["choices"] = ["cat"]
    both = [{**task, "annotations": [task["annotations"][0], other]}]
    assert read(tmp_path, json.dumps(both))[1] == {"valid/cat/two words.jpg": ""}
    cancelled = [{**task, "annotations": [task["annotations"][0], {**other, "was_cancelled": True}]}]
    assert read(tmp_path, json.dumps(cancelled))[1] == {"valid/cat/two words.jpg": "dog"}


def test_a_name_that_several_images_have_is_not_guessed(tmp_path: Path) -> None:
    task = {**STUDIO[0], "data": {"image": "/data/upload/1/0a1b2c3d-1.jpg"}}
    with pytest.raises(OptionError, match="1 annotated image can't be told"):
        read(tmp_path, json.dumps([task]))
    whole = {**STUDIO[0], "data": {"image": "s3://bucket/photos/train/dog/1.jpg"}}
    assert read(tmp_path, json.dumps([whole]))[1] == {"train/dog/1.jpg": "dog"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("path,label\n", "neither JSON nor XML"),
        ("{}", "no export of Label Studio"),
        ('[{"image": "a.jpg", "choice": "dog"}]', "not JSON-MIN"),
        ('[{"id": 1, "data": {"image": "a.jpg"}, "annotations": [{"result": [{"type": "choices"}]}]}]', "task 1"),
        ('[{"id": 1, "data": 5, "annotations": []}]', "task 1"),
        ("[" * 5000 + "]" * 5000, "JSON"),
        ("<annotations><image", "can't be read as XML"),
        ("<html></html>", "no export of CVAT"),
        ('<!DOCTYPE a [<!ENTITY x "y">]><annotations>&x;</annotations>', "document type"),
        ('<!DOCTYPE a SYSTEM "file:///etc/passwd"><annotations/>', "document type"),
    ],
)
def test_what_neither_tool_writes_is_refused(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(FormatError, match=said):
        read(tmp_path, text)


def test_only_a_file_of_ours_is_known_as_ours() -> None:
    assert is_label_studio_text(label_studio_text(ROWS).encode())
    assert not is_label_studio_text(json.dumps(STUDIO).encode()), "somebody's annotations"
    assert not is_label_studio_text(b"{}")
    assert not is_label_studio_text(b"text")
