"""The report speaks English, Japanese and Chinese: every fixed sentence has its translation, and numbers stay."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from string import Formatter

import pytest
from jinja2.ext import extract_from_ast
from jinja2.nodes import TemplateData

from goldenrule.core.errors import OptionError
from goldenrule.metrics import Estimate
from goldenrule.report import language, sentences
from goldenrule.report.pages.run_page import environment
from goldenrule.runs.training_options import TYPES

REPORT = Path(language.__file__).parent
ENGLISH_PAGES = ("audit", "comparison", "evaluation", "explained", "insight", "search")
NAMES = {"goldenrule"}
OTHERS = sorted(set(language.LANGUAGES) - {"en"})


def sentences_of_templates() -> Iterator[str]:
    templates = environment()
    for path in sorted((REPORT / "templates").glob("*.html")):
        for _, _, said in extract_from_ast(templates.parse(path.read_text("utf-8")), ("say",)):
            yield said if isinstance(said, str) else next(one for one in said if one)


def sentences_of_code() -> Iterator[str]:
    for path in sorted(REPORT.glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "say" and node.args:
                first = node.args[0]
                if isinstance(first, ast.Constant):
                    yield first.value


def all_sentences() -> list[str]:
    said = [*sentences_of_templates(), *sentences_of_code(), *language.NOUNS.values(), *language.WORDS]
    return list(dict.fromkeys(said))


SENTENCES = all_sentences()


def test_templates_and_code_have_sentences_to_translate() -> None:
    assert len(list(sentences_of_templates())) > 80
    assert len(list(sentences_of_code())) > 60


@pytest.mark.parametrize("other", OTHERS)
def test_every_sentence_has_a_translation_and_no_translation_is_left_over(other: str) -> None:
    known = language.catalog(other)
    assert [said for said in SENTENCES if not known.get(said)] == []
    assert [said for said in known if said not in SENTENCES] == []


@pytest.mark.parametrize("other", OTHERS)
def test_a_translation_keeps_placeholders_tags_and_numbers(other: str) -> None:
    def kept(said: str) -> tuple[set[str], list[str], set[str]]:
        return placeholders(said), sorted(re.findall(r"<[^>]*>", said)), set(re.findall(r"\d+ %|l2", said))

    own = language.catalog(other)
    assert [(said, own[said]) for said in SENTENCES if kept(said) != kept(own[said])] == []


def test_no_text_of_a_template_is_outside_a_sentence_that_can_be_translated() -> None:
    templates = environment()
    for path in sorted((REPORT / "templates").glob("*.html")):
        if path.stem in ENGLISH_PAGES:
            continue
        data = templates.parse(path.read_text("utf-8")).find_all(TemplateData)
        assert bare_texts("".join(own.data for own in data)) <= NAMES, path.name


def bare_texts(html: str) -> set[str]:
    """Give what people would read of a template whose expressions are left out."""
    attributes = re.findall(r'(?:aria-label|title|alt)="([^"]*)"', html)
    between = re.sub(r"<[^>]*>", "\n", re.sub(r"<style>.*?</style>", "", html, flags=re.DOTALL))
    return {text.strip() for text in (*attributes, *between.splitlines()) if re.search("[A-Za-z]", text)}


def test_a_text_that_is_no_sentence_of_the_catalogs_would_be_seen() -> None:
    assert bare_texts('<p title="A title">Some text <b class="x">bold</b></p>') == {"A title", "Some text", "bold"}


def placeholders(said: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(said) if name}


def test_a_sentence_without_translation_stays_english_and_is_filled_in() -> None:
    with language.spoken("ja"):
        assert language.say("{n} unheard-of things", n=3) == "3 unheard-of things"


def test_the_language_is_spoken_inside_the_block_only_also_after_an_error() -> None:
    def cut_short() -> None:
        with language.spoken("zh"):
            assert language.say("Scores") == "评分"
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        cut_short()
    assert (language.language(), language.say("Scores")) == ("en", "Scores")


def test_an_unknown_language_is_refused_with_those_there_are() -> None:
    with pytest.raises(OptionError, match="'jp'; wanted one of en, ja, zh"), language.spoken("jp"):
        pass


def test_a_headline_has_the_same_numbers_in_every_language() -> None:
    estimate = Estimate.of_share("accuracy", 199, 200)
    english = sentences.headline(estimate, "test")
    for other, claim in {"ja": "テスト画像 200 枚のうち", "zh": "200 张测试图像中"}.items():
        with language.spoken(other):
            own = sentences.headline(estimate, "test")
        assert own.claim.startswith(claim)
        assert own.value == english.value
        for said, translated in ((english.interval, own.interval), (english.meaning, own.meaning)):
            assert sorted(re.findall(r"[\d.,]*\d", said)) == sorted(re.findall(r"[\d.,]*\d", translated))


@pytest.mark.parametrize("other", OTHERS)
def test_every_way_of_training_and_what_comes_of_it_has_its_words(other: str) -> None:
    known = language.catalog(other)
    stages = [way.replace("_", " ").replace("fromzero", "from zero") for way in TYPES]
    for word in (*stages, "trained from zero", "trained head", "fine-tuned network"):
        assert known[word]
