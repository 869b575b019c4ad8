"""Every text has an id, and every id a text in English, Japanese and Chinese; numbers stay in all of them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from string import Formatter

import pytest
from jinja2.ext import extract_from_ast
from jinja2.nodes import TemplateData

import goldenrule
from goldenrule.core import messages
from goldenrule.core.errors import OptionError
from goldenrule.core.messages import say, spoken
from goldenrule.metrics import Estimate
from goldenrule.metrics.selection_rules import Trained
from goldenrule.report import sentences
from goldenrule.report.pages.run_page import environment
from goldenrule.runs.training_options import TYPES

SOURCE = Path(goldenrule.__file__).parent
TEMPLATES = SOURCE / "report" / "pages" / "templates"
ENGLISH_PAGES = ("audit", "comparison", "evaluation", "explained", "insight", "search")
NAMES = {"goldenrule"}
OTHERS = sorted(set(messages.LANGUAGES) - {"en"})
ASKED_FOR_BY_VALUE = ("word", "noun", "list", "finding", "alike", "mark")
"""The first words of ids that are put together from a value."""


def ids_of_templates() -> Iterator[str]:
    templates = environment()
    for path in sorted(TEMPLATES.glob("*.html")):
        for _, _, said in extract_from_ast(templates.parse(path.read_text("utf-8")), ("say",)):
            yield said if isinstance(said, str) else next(one for one in said if one)


def ids_of_code() -> Iterator[str]:
    for path in sorted(SOURCE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("say", "Message"):
                yield from (argument.value for argument in node.args[:1] if isinstance(argument, ast.Constant))


def ids_of(language: str) -> set[str]:
    """Return the ids that a catalogue has, those of `one` and `other` things once."""
    return {re.sub(r"\.(one|other)$", "", name) for name in messages.catalog(language)}


def text_of(message: str, language: str) -> str:
    """Return the text of an id, that of several things."""
    texts = messages.catalog(language)
    return texts.get(f"{message}.other") or texts[message]


def placeholders(said: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(said) if name}


def test_templates_and_code_ask_for_texts() -> None:
    assert len(list(ids_of_templates())) > 80
    assert len(list(ids_of_code())) > 60


def test_every_text_that_is_asked_for_is_there_and_none_is_left_over() -> None:
    asked = {*ids_of_templates(), *ids_of_code()}
    assert sorted(asked - ids_of("en")) == []
    rest = ids_of("en") - asked
    assert sorted(name for name in rest if name.partition(".")[0] not in ASKED_FOR_BY_VALUE) == []


@pytest.mark.parametrize("other", OTHERS)
def test_every_text_has_a_translation_and_no_translation_is_left_over(other: str) -> None:
    assert sorted(ids_of("en") - ids_of(other)) == []
    assert sorted(ids_of(other) - ids_of("en")) == []
    assert [name for name, text in messages.catalog(other).items() if not text] == []


@pytest.mark.parametrize("other", OTHERS)
def test_a_translation_keeps_placeholders_tags_and_numbers(other: str) -> None:
    def kept(said: str) -> tuple[set[str], list[str], set[str]]:
        return placeholders(said), sorted(re.findall(r"<[^>]*>", said)), set(re.findall(r"\d+ %|l2|--[a-z-]+", said))

    pairs = ((name, text_of(name, "en"), text_of(name, other)) for name in sorted(ids_of("en")))
    assert [(name, text) for name, english, text in pairs if kept(english) != kept(text)] == []


@pytest.mark.parametrize("spoken_language", sorted(messages.LANGUAGES))
def test_the_text_of_one_thing_has_no_placeholder_that_the_text_of_several_has_not(spoken_language: str) -> None:
    texts = messages.catalog(spoken_language)
    ones = [text.removesuffix(".one") for text in texts if text.endswith(".one")]
    assert [one for one in ones if not placeholders(texts[f"{one}.one"]) <= placeholders(texts[f"{one}.other"])] == []


def test_no_text_of_a_template_is_outside_a_message_that_can_be_translated() -> None:
    templates = environment()
    for path in sorted(TEMPLATES.glob("*.html")):
        if path.stem in ENGLISH_PAGES:
            continue
        data = templates.parse(path.read_text("utf-8")).find_all(TemplateData)
        assert bare_texts("".join(value.data for value in data)) <= NAMES, path.name


def bare_texts(html: str) -> set[str]:
    """Return what people would read of a template whose expressions are left out."""
    attributes = re.findall(r'(?:aria-label|title|alt)="([^"]*)"', html)
    between = re.sub(r"<[^>]*>", "\n", re.sub(r"<style>.*?</style>", "", html, flags=re.DOTALL))
    return {text.strip() for text in (*attributes, *between.splitlines()) if re.search("[A-Za-z]", text)}


def test_a_text_that_is_no_message_would_be_seen() -> None:
    assert bare_texts('<p title="A title">Some text <b class="x">bold</b></p>') == {"A title", "Some text", "bold"}


def test_one_thing_and_several_have_texts_of_their_own_and_are_counted_by_their_noun() -> None:
    assert say("foot.pictures", n=1, images="1 image").startswith("It holds a small copy of 1 image")
    assert say("foot.pictures", n=2, images="2 images").startswith("It holds small copies of 2 images")
    assert [messages.count(n, "test image") for n in (0, 1, 1234)] == [
        "0 test images",
        "1 test image",
        "1,234 test images",
    ]
    with spoken("ja"):
        assert messages.count(1, "image") == "画像 1 枚"


def test_an_unknown_id_is_an_error_and_an_unknown_word_stays_as_it_is() -> None:
    with pytest.raises(KeyError, match=r"section\.unheard-of"):
        say("section.unheard-of")
    with spoken("ja"):
        assert (messages.word("resnet18"), messages.word("valid")) == ("resnet18", "検証")


def test_the_language_is_spoken_inside_the_block_only_also_after_an_error() -> None:
    def cut_short() -> None:
        with spoken("zh"):
            assert say("section.scores") == "评分"
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        cut_short()
    assert (messages.language(), say("section.scores")) == ("en", "Scores")


def test_an_unknown_language_is_refused_with_those_there_are() -> None:
    with pytest.raises(OptionError, match="'jp'; wanted one of en, ja, zh"), spoken("jp"):
        pass


def test_a_headline_has_the_same_numbers_in_every_language() -> None:
    estimate = Estimate.of_share("accuracy", 199, 200)
    english = sentences.headline(estimate, "test")
    for other, claim in {"ja": "テスト画像 200 枚のうち", "zh": "200 张测试图像中"}.items():
        with spoken(other):
            headline = sentences.headline(estimate, "test")
        assert headline.claim.startswith(claim)
        assert headline.value == english.value
        for said, translated in ((english.interval, headline.interval), (english.lead, headline.lead)):
            assert sorted(re.findall(r"[\d.,]*\d", said)) == sorted(re.findall(r"[\d.,]*\d", translated))


def test_every_way_of_training_and_what_comes_of_it_has_its_word() -> None:
    stages = [way.replace("_", " ").replace("fromzero", "from scratch") for way in TYPES]
    for word in (*stages, *Trained):
        assert messages.known(f"word.{word}")
