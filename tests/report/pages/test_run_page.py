import base64
import io
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from goldenrule.core.findings import Finding
from goldenrule.metrics import (
    Estimate,
    Predictions,
    accuracy,
    log_loss,
    most_confident_mistakes,
    per_class,
    ranking_per_class,
    render,
)
from goldenrule.report.content import ReportContent
from goldenrule.report.pages.run_page import render_page

DATA = Path(os.environ.get("GOLDENRULE_TEST_DATA", Path(__file__).parents[3] / "../shared/data"))
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
VOID = {"meta", "link", "img", "br", "hr", "input"}
NASTY = "<script>alert('x')</script>\"&"


class Page(HTMLParser):
    """A strict reader: tags must nest; keeps texts of elements by class, headings, and all attributes."""

    def __init__(self, html):
        super().__init__(convert_charrefs=True)
        self.open, self.attributes, self.texts, self.loads = [], [], [], []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        assert len(found) == len(attrs), f"<{tag}> has an attribute twice"
        self.attributes.append((tag, found))
        if tag not in VOID:
            self.open.append((tag, found.get("class") or "", []))

    def handle_startendtag(self, tag, attrs):
        self.attributes.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        name, classes, text = self.open.pop()
        assert name == tag, f"</{tag}> closes <{name}>"
        self.texts.append((name, classes, " ".join("".join(text).split())))

    def handle_data(self, data):
        for _, _, text in self.open:
            text.append(data)

    def of(self, tag="", css=""):
        return (
            [text for name, classes, text in self.texts if tag in ("", name) and css in classes.split(" ")]
            if css
            else [text for name, _, text in self.texts if name == tag]
        )

    def attribute(self, name):
        return [value[name] for _, value in self.attributes if value.get(name) is not None]


def picture(side=300, colour="teal"):
    file = io.BytesIO()
    Image.new("RGB", (side, side // 2), colour).save(file, "JPEG")
    return file.getvalue()


def predicted(classes, n, wrong, *, basis="held out", seed=0, ids=None):
    """Return predictions of n images, the first `wrong` of them mistaken."""
    rng = np.random.default_rng(seed)
    truth = np.arange(n) % len(classes)
    said = np.where(np.arange(n) < wrong, (truth + 1) % len(classes), truth)
    logits = rng.normal(0, 0.3, (n, len(classes)))
    logits[np.arange(n), said] += 3 + rng.random(n)
    ids = ids or [f"test/{classes[k]}/{row}.jpg" for row, k in enumerate(truth)]
    return Predictions.from_logits(logits, classes, truth=truth, ids=ids, basis=basis)


def numbers(predictions):
    return {"accuracy": accuracy(predictions), "log loss": log_loss(predictions)}


def content(classes=("cat", "dog"), n=200, wrong=1, **changes):
    predictions = changes.pop("predictions", None) or predicted(list(classes), n, wrong)
    found = {"accuracy": Estimate.of_share("accuracy", 780, 800, basis="used for selection")}
    fields = {
        "title": "dogscats",
        "created": "2025-11-22T01:55:12+00:00",
        "headline": accuracy(predictions) if predictions.task == "single" else log_loss(predictions),
        "headline_split": "test",
        "estimates": {"test": numbers(predictions), "out-of-fold": found} if predictions.task == "single" else {},
        "predictions": predictions,
        "counts": {
            "train": dict.fromkeys(classes, 40) | {"": 0},
            "test": dict.fromkeys(classes, 10) | {"": 0},
        },
        "stages": (("read", 0.2), ("precompute", 3.1), ("fit linear head", 0.8)),
        "features": {"computed": 640, "reused": 0},
        "candidates": [
            {"name": "linear head", "estimates": found, "comparison": "", "chosen": False},
            {
                "name": "4 views",
                "estimates": found,
                "comparison": "4 views is better: 4 views stays",
                "chosen": True,
            },
        ],
        "penalty_path": [(1e-3, 0.11), (1e-2, 0.1), (1e-1, 0.2)],
        "penalty": 1e-2,
        "backbone": {
            "name": "efficientnet_lite0",
            "parameters": 3_371_024,
            "features": 1280,
            "source": {"from": "PyPI", "trained_on": "ImageNet-1k", "licence": "Apache-2.0"},
            "preprocessing": {"size": 224, "mean": [0.5, 0.5, 0.5]},
        },
        "engine": "openvino bf16",
        "options": {"augment": "side_on", "views": None},
        "environment": {"python": "3.11.2", "processor": "a processor"},
        "findings": (),
        "image": lambda uri: picture(),
        "next_steps": ("goldenrule predict runs/dogscats NEW_PHOTOS", "Add images of cats."),
    }
    return ReportContent(**(fields | changes))


def test_the_headline_is_the_first_heading():
    page = Page(render_page(content()))
    said = "Of 1,000 new images about 995 are named rightly [972, 999]; measured on 200 held-out images"
    assert page.of("h1") == [f"99.5 % {said}"]
    assert page.of("title")[0] == f"dogscats: {said}"


def test_the_sections_stand_in_the_order_of_the_story_and_the_contents_lead_there():
    page = Page(render_page(content()))
    ids = [value["id"] for tag, value in page.attributes if tag == "section"]
    assert ids == [
        *("findings", "pictures", "mistakes", "scores", "confusion", "classes", "curves", "next"),
        *("data", "time", "candidates", "penalty", "network"),
    ]
    links = [href[1:] for href in page.attribute("href") if href.startswith("#")]
    assert set(ids) <= set(links) <= set(page.attribute("id"))


@pytest.mark.parametrize("classes", [("cat", "dog"), ("cat", "dog", "horse")])
def test_every_estimate_on_the_page_is_printed_by_render(classes):
    told = content(classes, 90, 9)
    rankings = ranking_per_class(told.predictions) if len(classes) == 2 else ()
    rows = [score for value in per_class(told.predictions) for score in (value.recall, value.precision, value.f1)]
    wanted = [
        *(render(estimate) for split in told.estimates.values() for estimate in split.values()),
        *(render(estimate) for candidate in told.candidates for estimate in candidate["estimates"].values()),
        *map(render, rows),
        *(render(one) for curve in rankings for one in (curve.average_precision, curve.roc_auc)),
    ]
    assert sorted(Page(render_page(told)).of(css="est")) == sorted(wanted)


@pytest.mark.parametrize("classes", [2, 15, 16])
def test_nothing_is_loaded_from_anywhere(classes):
    html = render_page(content([f"class {k}" for k in range(classes)], 64, 20))
    page = Page(html)
    assert "http://" not in html
    assert "https://" not in html
    for name in ("src", "href", "xlink:href", "srcset", "action", "data", "poster", "background"):
        assert all(value.startswith(("data:", "#")) for value in page.attribute(name))
    assert all(target.startswith("#") for target in re.findall(r"url\(\s*['\"]?([^)]*)\)", html))
    assert "@import" not in html
    (policy,) = [item["content"] for _, item in page.attributes if "http-equiv" in item]
    assert policy.startswith("default-src 'none'; img-src data:;")


def test_names_and_paths_are_shown_and_never_interpreted():
    classes = [NASTY, "dog"]
    finding = Finding(severity="error", code="x", fields={"sentence": NASTY, "advice": NASTY}, evidence=(NASTY,))
    nasty = content(
        classes,
        predictions=predicted(classes, 20, 6, ids=[f"{NASTY}{{{{ 7*7 }}}}/{k}.jpg" for k in range(20)]),
        title=NASTY,
        findings=(finding,),
        image=lambda uri: None if uri.endswith("1.jpg") else picture(),
        options={NASTY: NASTY},
        next_steps=(NASTY, f"goldenrule {NASTY}"),
    )
    html = render_page(nasty)
    page = Page(html)
    assert html.count("<script>") == 1
    assert [tag for tag, _ in page.attributes].count("script") == 1
    assert any(NASTY in alt for alt in page.attribute("alt"))
    assert all("{{ 7*7 }}" in path for path in page.of(css="path"))


def test_many_classes_with_nasty_names_are_drawn_all_the_same():
    classes = [f"{NASTY} {k} $x^$ 无毛犬\x01" for k in range(18)]
    html = render_page(content(classes, 90, 30))
    Page(html)
    assert html.count("<script>") == 1


def test_a_path_that_is_no_text_does_not_keep_the_page_from_being_written():
    classes = ["cat", "dog\udcff"]
    html = render_page(content(classes, 20, 4))
    assert b"dog\\udcff" in html.encode("utf-8")


def test_mistakes_are_small_pictures_with_truth_answer_probability_and_path():
    told = content(n=200, wrong=30)
    page = Page(render_page(told))
    pictures = [value for tag, value in page.attributes if tag == "img" and value["width"] == "200"][:12]
    for picture, mistake in zip(pictures, most_confident_mistakes(told.predictions), strict=True):
        head, _, text = picture["src"].partition(",")
        shown = Image.open(io.BytesIO(base64.b64decode(text)))
        assert head == "data:image/jpeg;base64"
        assert shown.format == "JPEG"
        assert shown.size == (int(picture["width"]), int(picture["height"])) == (200, 100)
        assert picture["alt"] == f"{mistake.id}: {mistake.truth}, predicted {mistake.predicted}"
    assert page.of("span", "path")[:12] == [mistake.id for mistake in most_confident_mistakes(told.predictions)]
    assert page.of(css="verdict")[0] in ("cat → dog", "dog → cat")
    assert all(text.endswith("% confident") for text in page.of(css="sure"))
    assert re.search(r"It holds small copies of \d+ images of yours", page.of("footer")[0])


def test_a_mistake_whose_copy_has_another_label_says_so():
    told = content(wrong=3)
    first = most_confident_mistakes(told.predictions)[0]
    page = Page(render_page(replace(told, labels_of_copies={first.id: ["dog", "<b>"]})))
    assert page.of(css="torn") == ["A copy or near copy of it is labelled dog, <b>."]
    assert Page(render_page(told)).of(css="torn") == []


def test_a_picture_that_is_gone_leaves_a_place_that_says_so():
    page = Page(render_page(content(wrong=1, image=lambda uri: None)))
    assert set(page.of(css="gone")) == {"no picture"}
    assert "test/cat/0.jpg can't be shown" in page.attribute("aria-label")
    assert "of yours" not in page.of("footer")[0]


def test_a_perfect_score_claims_no_perfection():
    html = " ".join(render_page(content(wrong=0)).replace("\N{NO-BREAK SPACE}", " ").split())
    assert "No mistake on 200 test images." in html
    assert "still allows for up to 19 mistakes in 1,000 images" in html
    assert "No class was mistaken for another." in html


def test_the_grid_shows_every_count_and_the_total_of_each_row():
    page = Page(render_page(content(("cat", "dog"), 200, 3)))
    assert sorted(page.of("td", "hit")) == ["9898 %", "9999 %"]  # both are there, one is shown
    assert sorted(page.of("td", "miss")) == ["11 %", "22 %"]
    assert sorted(page.of("span", "as-count")) == ["1", "2", "98", "99"]
    assert page.of("td", "total") == ["100", "100"]


def test_many_classes_get_a_heat_map_the_worst_pairs_and_folded_tables():
    names = [f"class {k:03d}" for k in range(120)]
    html = render_page(content(names, 480, 130))
    page = Page(html)
    assert len(html.encode()) < 1_500_000
    assert [value for tag, value in page.attributes if tag == "svg" and value.get("class") == "figure"]
    assert "Most confused pairs" in page.of("h3")
    assert "Images of all 120 classes" in page.of("summary")
    assert "The other 100 classes" in page.of("summary")
    assert sum("class 0" in text or "class 1" in text for text in page.of("th")) >= 240


def test_errors_and_warnings_are_announced_beside_the_headline():
    findings = (
        Finding(severity="note", code="a", fields={"sentence": "a note"}),
        Finding(severity="warning", code="unreadable", fields={"n": 7}),
        Finding(
            severity="error", code="c", fields={"sentence": "no 'skirt' in train"}, evidence=("valid/skirt/1.jpg",)
        ),
    )
    page = Page(render_page(content(findings=findings)))
    assert page.of(css="alarm") == ["1 error and 1 warning to read before trusting this number."]
    assert [text.split()[0] for text in page.of(css="said")] == ["error", "warning", "note"]
    assert "1 note" in page.of("summary")
    assert "valid/skirt/1.jpg" in page.of("li")
    assert page.of(css="advice") == ["They are left out of training and scores; replace or remove them."]
    assert Page(render_page(content())).of(css="alarm") == []


def test_much_evidence_is_folded_and_counted_not_dumped():
    finding = Finding(severity="warning", code="x", evidence=tuple(f"file {k}" for k in range(5000)))
    page = Page(render_page(content(findings=(finding,))))
    assert "4,995 more" in page.of("summary")
    assert "… and 4,900 more" in page.of("li")
    assert "file 99" in page.of("li")
    assert "file 100" not in page.of("li")


def test_a_part_without_labels_is_named_and_not_scored():
    counts = {"train": {"cat": 4, "dog": 4, "": 0}, "test": {"cat": 0, "dog": 0, "": 9}}
    told = content(counts=counts, headline_split="valid", estimates={"valid": {}})
    page = Page(render_page(told))
    assert "test: 9 images without labels, which can be predicted but not scored." in page.of(css="note")
    assert "without a label" in page.of("th")


def test_a_run_without_labelled_images_has_a_page_too():
    nothing = Predictions.from_logits([[1.0, 0.0]], ["cat", "dog"])
    page = Page(render_page(content(predictions=nothing, estimates={}, candidates=[], penalty_path=())))
    assert page.of("h1") == ["There is no labelled test image to measure the accuracy on"]
    assert "penalty" not in page.attribute("id")


def test_many_labels_per_image_leave_out_what_is_about_one():
    many = Predictions.from_logits([[1.0, -1.0], [0.5, 2.0]], ["sea", "sun"], truth=[[1, 0], [0, 1]], task="multi")
    page = Page(render_page(content(("sea", "sun"), predictions=many)))
    assert page.of("h1")[0].startswith("0.432 log loss on 2 test images")
    assert page.of("p", "meaning")[0].startswith("1 of 2 held-out images get all their labels right; of 100 new ones")
    assert "confusion" not in page.attribute("id")


def test_images_that_could_not_be_read_are_counted_near_the_headline():
    logits = np.array([[1.0, 0.0], [np.nan, np.nan]])
    some = Predictions.from_logits(logits, ["cat", "dog"], truth=[0, 1], status=["ok", "unreadable"])
    assert "1 image is not counted: 1 unreadable." in Page(render_page(content(predictions=some))).of("p", "basis")[0]


def test_the_page_names_network_licence_options_environment_and_penalty():
    page = Page(render_page(content()))
    facts = dict(zip(page.of("dt"), page.of("dd"), strict=True))
    assert facts["licence"] == "Apache-2.0"
    assert facts["parameters"] == "3,371,024"
    assert facts["engine"] == "openvino bf16"
    assert facts["penalty (l2)"] == "0.01"
    assert facts["python"] == "3.11.2"
    assert facts["views"] == "default"
    assert page.of("code") == ["goldenrule predict runs/dogscats NEW_PHOTOS"]


def test_the_candidate_that_stays_is_marked_and_the_reason_given():
    page = Page(render_page(content()))
    assert "4 views kept" in page.of("th")
    assert page.of("p", "why") == ["4 views is better: 4 views stays."]


def test_equal_content_gives_an_equal_page():
    for classes in (["cat", "dog"], [f"class {k}" for k in range(18)]):
        assert render_page(content(classes, 60, 9)) == render_page(content(classes, 60, 9))


def test_a_time_that_is_no_time_is_shown_as_it_is():
    assert "2025-11-22 01:55 UTC" in Page(render_page(content())).of("time")
    assert "yesterday" in Page(render_page(replace(content(), created="yesterday"))).of("time")


def test_pictures_drawings_and_tables_speak_to_those_who_do_not_see_them():
    page = Page(render_page(content(wrong=5)))
    for tag, ours in page.attributes:
        if tag == "img":
            assert ours["alt"]
        if tag == "svg":
            assert ours.get("aria-label") or ours.get("aria-hidden") == "true"
        if tag == "th":
            assert ours["scope"] in ("col", "row", "colgroup")
        if tag == "html":
            assert ours["lang"] == "en"
    assert len(page.of("h1")) == 1


def test_a_common_report_needs_neither_matplotlib_nor_torch_and_importing_it_nothing_heavy():
    script = (
        "import sys\n"
        "import goldenrule.report.pages.run_page as page\n"
        "heavy = {'jinja2', 'PIL', 'matplotlib', 'torch', 'pyarrow', 'scipy', 'simplejpeg'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
        f"sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "import test_run_page\n"
        "page.render_page(test_run_page.content(wrong=5))\n"
        "assert not {'matplotlib', 'torch'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=120)


@pytest.mark.skipif(not (DATA / "clothing_small/test").is_dir(), reason=f"no photos in {DATA}")
def test_real_photos_make_a_small_page():
    root = DATA / "clothing_small"
    files = sorted(root.glob("test/*/*"))
    classes = sorted({file.parent.name for file in files})
    truth = [classes.index(file.parent.name) for file in files]
    said = [(k + (row % 4 == 0)) % len(classes) for row, k in enumerate(truth)]
    predictions = Predictions.from_logits(
        4 * np.eye(len(classes))[said], classes, truth=truth, ids=[str(f.relative_to(root)) for f in files]
    )
    html = render_page(content(classes, predictions=predictions, image=lambda uri: (root / uri).read_bytes()))
    assert html.count("data:image/jpeg;base64,") < 200
    assert len(html.encode()) < 1_000_000


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")
@pytest.mark.parametrize(("width", "script"), [(400, True), (400, False), (1280, True)])
def test_a_browser_shows_it_without_a_request_or_complaint_and_without_scrolling_sideways(tmp_path, width, script):
    sync_api = pytest.importorskip("playwright.sync_api")
    file = tmp_path / "report.html"
    classes = ["a class with quite a long name", "x" * 60, *(f"class {k}" for k in range(12))]
    file.write_text(render_page(content(classes, 140, 30)), encoding="utf-8")
    requests, complaints = [], []
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_context(viewport={"width": width, "height": 900}, java_script_enabled=script).new_page()
        page.on("request", lambda request: requests.append(request.url))
        page.on("console", lambda message: complaints.append(message.text))
        page.goto(file.as_uri())
        page.screenshot(path=tmp_path / "page.png", full_page=True)
        browser.close()
    assert [url for url in requests if not url.startswith("data:")] == [file.as_uri()]
    assert complaints == []
    with Image.open(tmp_path / "page.png") as shot:
        assert shot.width == width
