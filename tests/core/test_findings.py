import json

import pytest

from goldenrule.core.findings import Finding
from goldenrule.core.schema import as_json


def finding(evidence=()):
    return Finding(severity="note", code="few", sentence="few images", evidence=evidence, advice="Add some.")


def test_a_finding_is_one_line_that_shows_at_most_five_pieces_of_evidence():
    assert str(finding()) == "note: few images. Add some."
    assert str(finding(tuple("abcde"))) == "note: few images (a, b, c, d, e). Add some."
    assert str(finding(tuple("abcdef"))) == "note: few images (a, b, c, d, e, ...). Add some."


def test_json_keeps_all_the_evidence():
    value = json.loads(json.dumps(as_json(finding(tuple("abcdefg")))))
    assert Finding(**{**value, "evidence": tuple(value["evidence"])}) == finding(tuple("abcdefg"))


def test_findings_do_not_change():
    with pytest.raises(AttributeError):
        finding().sentence = "other"
