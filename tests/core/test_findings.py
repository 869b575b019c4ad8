"""A finding is a code with fields; its texts are said where it is shown, in the language that is spoken there."""

import ast
import json
import re
from pathlib import Path

import pytest

import goldenrule
from goldenrule.core import messages
from goldenrule.core.errors import FormatError
from goldenrule.core.findings import Finding
from goldenrule.core.messages import Message, spoken
from goldenrule.core.schema import as_json, from_json

SOURCE = Path(goldenrule.__file__).parent


def finding(evidence=()):
    about = {"sentence": "few images", "advice": "Add some."}
    return Finding(severity="note", code="few", fields=about, evidence=evidence)


def test_a_finding_is_one_line_that_shows_at_most_five_pieces_of_evidence():
    assert str(finding()) == "note: few images. Add some."
    assert str(finding(tuple("abcde"))) == "note: few images (a, b, c, d, e). Add some."
    assert str(finding(tuple("abcdef"))) == "note: few images (a, b, c, d, e, ...). Add some."


@pytest.mark.parametrize(
    "given",
    [
        finding(tuple("abcdefg")),
        Finding(severity="warning", code="leak", fields={"n": 2}, leads=True),
        Finding(severity="note", code="labels-split", fields=dict.fromkeys(("table", "column", "mark", "example"), "x")
                | {"n": 2, "lines": 3, "pieces": ("a", "b")}),
        Finding(severity="note", code="neighbours-unchecked", fields={"why": Message("unchecked.few")}),
    ],
    ids=lambda value: value.code,
)  # fmt: skip
def test_json_gives_the_finding_back_with_all_its_evidence(given):
    assert from_json(json.loads(json.dumps(as_json(given))), Finding) == given


def test_a_file_s_finding_without_what_its_texts_ask_for_is_refused():
    value = as_json(Finding(severity="warning", code="leak", fields={"n": 2}))
    for broken in ({"fields": {}}, {"severity": "fatal"}, {"evidence": "a"}, {"fields": {"n": None}}):
        with pytest.raises(FormatError):
            from_json(value | broken, Finding)


def test_findings_do_not_change():
    with pytest.raises(AttributeError):
        finding().code = "other"


def test_a_finding_is_told_in_the_language_that_is_spoken_where_it_is_shown():
    finding = Finding(severity="warning", code="class-missing", fields={"split": "valid", "missing": 1, "classes": 3})
    assert finding.sentence == "the valid split has no image of 1 of 3 classes"
    with spoken("ja"):
        assert "検証" in finding.sentence
    train = Finding(severity="warning", code="class-missing", variant="train", fields=finding.fields)
    assert train.advice == "The classifier can't learn a class without a training image."


def constructed():
    """Return (place, code, fields) of every finding that the source constructs; fields None where they are no dict."""
    for path in sorted(SOURCE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Finding":
                given = {keyword.arg: keyword.value for keyword in node.keywords}
                code = given.get("code")
                yield f"{path.name}:{node.lineno}", code.value if isinstance(code, ast.Constant) else None, given


def texts(code):
    return {name: text for name, text in messages.catalog("en").items() if name.startswith(f"finding.{code}.")}


def test_every_finding_of_the_source_has_its_texts_and_no_texts_are_left_over():
    codes = {code for _, code, _ in constructed() if code}
    assert len(codes) > 40
    assert sorted(code for code in codes if not texts(code)) == []
    source = "".join(path.read_text("utf-8") for path in SOURCE.rglob("*.py"))
    known = {name.split(".")[1] for name in messages.catalog("en") if name.startswith("finding.")}
    named = {code for code in known if f'"{code}"' in source}
    assert sorted(known - named) == ["coverage-doubtful", "coverage-missed", "flagged-doubtful", "flagged-missed"]


def asked_of(code, variant):
    """Return the fields that a finding's texts ask for: those of a variant, or of all where it is no literal."""
    ours = texts(code)
    asked = {"n"} if any(name.endswith(".one") for name in ours) else set()
    for kind in ("sentence", "advice"):
        said = {name: text for name, text in ours.items() if kind in name.split(".")}
        plain = {name: text for name, text in said.items() if name.split(".")[2] == kind}
        of_variant = {name: text for name, text in said.items() if name.split(".")[2] == variant}
        for text in ((of_variant or plain) if isinstance(variant, str) else said).values():
            asked |= set(re.findall(r"{(\w+)", text))
    return asked


def test_every_finding_that_is_constructed_gives_the_fields_that_its_texts_ask_for():
    checked = []
    for place, code, given in constructed():
        ours = given.get("fields", ast.Dict(keys=[], values=[]))
        if code is None or not isinstance(ours, ast.Dict) or None in ours.keys:
            continue  # put together elsewhere
        variant = given.get("variant", ast.Constant(""))
        asked = asked_of(code, variant.value if isinstance(variant, ast.Constant) else None)
        missing = asked - {key.value for key in ours.keys}
        assert not missing, (place, code, missing)
        checked.append(place)
    assert len(checked) > 40
