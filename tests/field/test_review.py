"""`goldenrule review`: labels cleaned in the browser, one key a decision; nothing that was decided is ever lost."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from starlette.testclient import TestClient

from goldenrule.core.errors import OptionError
from goldenrule.deploy.review.review_app import review_app
from goldenrule.features.linear import fit_linear_at
from goldenrule.metrics import Basis
from goldenrule.pipelines.linear_heads import training_rows
from goldenrule.runs.review_journal import Journal, journal_of, read_journal, standing
from goldenrule.runs.verified_files import run_images
from goldenrule.tasks.cleaning import suspects as looking
from goldenrule.tasks.cleaning.refit import HeadRefitter
from goldenrule.tasks.cleaning.review_session import OtherDecision, ReviewSession
from goldenrule.tasks.cleaning.suspects import Suspects, find_suspects

Command = Callable[..., subprocess.CompletedProcess[str]]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
AXE = os.environ.get("GOLDENRULE_AXE", "")
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")
READY = "#card[aria-busy=false]"
"""The card is there, and keys are taken."""
TOKEN = "token"
ASKING = {"authorization": f"Bearer {TOKEN}"}


@dataclass(eq=False)
class Reviewing:
    """A review in a process of its own: its address with the token, and its run."""

    process: subprocess.Popen[str]
    address: str
    run: Path

    @property
    def client(self) -> httpx.Client:
        at, _, token = self.address.partition("#")
        return httpx.Client(base_url=at, headers={"authorization": f"Bearer {token}"}, timeout=60, verify=False)

    def stopped(self) -> str:
        self.process.send_signal(signal.SIGINT)
        said, errors = self.process.communicate(timeout=60)
        assert self.process.returncode == 0, errors
        return said


@contextmanager
def reviewing(folder: Path) -> Iterator[Reviewing]:
    environment = os.environ | {"GOLDENRULE_CACHE": str(folder / "cache"), "PYTHONWARNINGS": "ignore", "COLUMNS": "300"}
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "cwd": folder}
    words = [sys.executable, "-m", "goldenrule", "review", "run"]
    process = subprocess.Popen(words, env=environment, **pipes)
    try:
        assert process.stdout is not None
        found = None
        while not found and (line := process.stdout.readline()):
            found = re.search(r"Open (http://127\.0\.0\.1:\d+/#\S{40,})", line)
        assert found, process.communicate()
        yield Reviewing(process, found[1], folder / "run")
    finally:
        process.kill()
        process.communicate()


@pytest.fixture(scope="module")
def place(spoilt: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of this module's own with the cache and a run, whose images lie where they were fitted on."""
    folder = tmp_path_factory.mktemp("review")
    for name in ("run", "cache"):
        shutil.copytree(spoilt / name, folder / name)
    return folder


@pytest.fixture(scope="module")
def suspects(place: Path) -> Suspects:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GOLDENRULE_CACHE", str(place / "cache"))
        return find_suspects(place / "run")


@pytest.fixture
def session(suspects: Suspects, tmp_path: Path) -> Iterator[ReviewSession]:
    made = ReviewSession(suspects, Journal(tmp_path / "journal.csv"))
    yield made
    made.close()


@pytest.fixture
def client(session: ReviewSession) -> TestClient:
    return TestClient(review_app(session, token=TOKEN, hosts=("127.0.0.1",)), base_url="http://127.0.0.1")


@pytest.fixture(scope="module")
def server(place: Path) -> Iterator[Reviewing]:
    with reviewing(place) as found:
        yield found


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield opened
        opened.close()


def body(session: ReviewSession, card: int = 0, **changes: Any) -> dict[str, Any]:
    name = list(session.cards)[card]
    return {"card": name, "verdict": "keep", "session": "s", "seen": 0, "to": "", "rows": None} | changes


def decided(reviewing: Reviewing) -> dict[str, str]:
    return {uri: one.verdict for uri, (one, _) in standing(read_journal(journal_of(reviewing.run))[0]).items()}


# --- what is on the cards


def test_what_is_wrong_with_the_set_is_on_the_first_cards(suspects: Suspects) -> None:
    first = {suspects.known.uris[row] for card in suspects.cards[:8] for row in card.marked}
    assert {"train/cats/wrong_dogs.png", "train/dogs/wrong_cats.png", "train/dogs/both.png"} <= first
    kinds = Counter(card.kinds[0] for card in suspects.cards)
    assert kinds["conflict"] == 1
    assert kinds["leak"] == 1
    assert kinds["duplicate"] == 56
    leak = next(card for card in suspects.cards if card.kinds[0] == "leak")
    assert [suspects.known.splits[row] for row in leak.marked] == ["train"], "test stays what it is"


def test_a_card_shows_the_nearest_images_of_both_classes_and_none_of_its_own_copies(session: ReviewSession) -> None:
    known = session.suspects.known
    for card in list(session.cards.values())[:10]:
        shown = session.card(card.id)
        assert len({group["label"] for group in shown["neighbours"]}) == 2
        for group in shown["neighbours"]:
            assert {known.units[image["row"]] for image in group["images"]} & {known.units[card.rows[0]]} == set()
            assert {image["label"] for image in group["images"]} == {group["label"]}


# --- the head that is fitted again


def test_the_head_is_that_of_a_fit_on_the_cleaned_labels(suspects: Suspects) -> None:
    images, features = suspects.images, suspects.features
    refitter = HeadRefitter(images, features, seed=0)
    train = images.where(np.array([split == "train" for split in images.splits]))
    changes: dict[str, str | None] = {"train/cats/wrong_dogs.png": "dogs", "train/dogs/both.png": None}
    uris = images.uris
    targets = images.targets.copy()
    targets[uris.index("train/cats/wrong_dogs.png")] = 1
    stays = np.array([uri != "train/dogs/both.png" for uri in uris])
    logits = refitter._logits(targets, stays)

    rows = training_rows(train.only_labelled(), features, views=0, seed=0)
    of_train = np.array([split == "train" for split in images.splits])
    cleaned = replace(rows, targets=targets[of_train], weights=rows.weights * stays[of_train])
    wanted = fit_linear_at(cleaned, refitter.l2)
    valid = [digest for digest, split in zip(images.digests, images.splits, strict=True) if split == "valid"]
    assert np.abs(logits - wanted.logits(features.rows([one for one in valid if one]))).max() < 0.05
    found = refitter.refit(changes)
    assert (found.evaluated_on, found.after.n, found.learned_from) == ("valid", 16, len(train) - 1)


def test_both_heads_are_scored_on_the_same_images_and_labels_and_the_test_split_is_not(suspects: Suspects) -> None:
    refitter = HeadRefitter(suspects.images, suspects.features, seed=0)
    same = refitter.refit({})
    assert same.before == same.after
    assert same.before.basis is Basis.HELD_OUT
    of_test = {
        uri: "cats" for uri, split in zip(suspects.images.uris, suspects.images.splits, strict=True) if split == "test"
    }
    assert refitter.refit(of_test).after == same.after
    valid = [uri for uri, split in zip(suspects.images.uris, suspects.images.splits, strict=True) if split == "valid"]
    fewer = refitter.refit({valid[0]: None})
    assert (fewer.before.n, fewer.after.n) == (15, 15)
    assert fewer.before.basis is Basis.USED_FOR_SELECTION, "labels were looked at where the heads doubted them"
    assert fewer.test is not None
    assert fewer.test.n == 15


def test_without_validation_the_heads_are_compared_out_of_fold(suspects: Suspects) -> None:
    splits = ["train" if split == "valid" else split for split in suspects.images.splits]
    refitter = HeadRefitter(suspects.images.with_splits(splits), suspects.features, seed=0)
    found = refitter.refit({"train/cats/wrong_dogs.png": "dogs", "train/dogs/both.png": None})
    assert found.evaluated_on == "out-of-fold"
    assert found.after.n == found.before.n == splits.count("train") - 1
    assert found.after.basis is Basis.USED_FOR_SELECTION


def test_where_too_little_is_left_to_learn_from_it_is_said_and_the_review_goes_on(session: ReviewSession) -> None:
    known = session.suspects.known
    session._refits.ask({uri: None for row, uri in enumerate(known.uris) if known.labels[row] == 0})
    while (state := session.progressed().refit)["busy"]:
        pass
    assert "Fewer than two classes are left" in state["problem"]
    session.decide(next(iter(session.cards)), "keep", session="s", seen=0)
    while (state := session.progressed().refit)["busy"]:
        pass
    assert state["problem"] == ""


# --- decisions


def test_a_decision_counts_for_the_marked_images_and_an_undo_brings_back_the_one_before(session: ReviewSession) -> None:
    card = next(iter(session.cards.values()))
    uri = session.suspects.known.uris[card.marked[0]]
    session.decide(card.id, "relabel", to=card.suggested, session="s", seen=0)
    assert session.changes() == {session.suspects.known.uris[row]: card.suggested for row in card.marked}
    session.decide(card.id, "remove", session="s", seen=1)
    assert session.changes()[uri] is None
    session.undo(2, session="s")
    assert session.changes()[uri] == card.suggested
    session.undo(1, session="s")
    assert session.changes() == {}
    with pytest.raises(OptionError, match="nothing to undo"):
        session.undo(1, session="s")
    assert [one.verdict for one in session.journal.decisions] == ["relabel", "remove", "undo", "undo"]


def test_a_card_that_another_tab_has_decided_is_not_decided_unseen(session: ReviewSession) -> None:
    name = next(iter(session.cards))
    session.decide(name, "keep", session="one", seen=0)
    with pytest.raises(OtherDecision, match="another tab"):
        session.decide(name, "remove", session="two", seen=0)
    assert [one.verdict for one in session.journal.decisions] == ["keep"]


def test_decisions_of_before_are_there_again_but_not_those_on_images_that_were_changed(
    spoilt: Path, place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOLDENRULE_CACHE", str(place / "cache"))
    known = find_suspects(place / "run")
    moved = shutil.copytree(spoilt.parent / "spoilt_set", tmp_path / "set")
    images = replace(known.images, root=moved)
    journal = Journal(tmp_path / "journal.csv")
    first = ReviewSession(replace(known, images=images), journal)
    one, other = known.cards[:2]
    first.decide(one.id, "remove", session="s", seen=0)
    first.decide(other.id, "keep", session="s", seen=0)
    first.close()
    (moved / known.known.uris[one.marked[0]]).write_bytes(b"changed")
    again = ReviewSession(replace(known, images=images), Journal(journal.path))
    assert again.stale == {known.known.uris[one.marked[0]]}
    assert again.changes() == {}
    assert again.progressed().decided == 1
    with pytest.raises(OptionError, match="was changed since the fit"):
        again.decide(one.id, "remove", session="s", seen=0)
    again.close()


def test_a_full_disk_is_an_error_on_the_page_and_the_decision_is_not_made(
    suspects: Suspects, tiny_disk: Callable[[str], Path]
) -> None:
    disk = tiny_disk("16k")
    session = ReviewSession(suspects, Journal(disk / "journal.csv"))
    client = TestClient(review_app(session, token=TOKEN, hosts=("127.0.0.1",)), base_url="http://127.0.0.1")
    assert client.post("/api/decide", json=body(session), headers=ASKING).status_code == 200
    (disk / "filler").write_bytes(b"x" * (os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize))
    statuses = [client.post("/api/decide", json=body(session, n), headers=ASKING).status_code for n in range(1, 40)]
    assert 507 in statuses
    made = 1 + statuses.index(507)
    answer = client.post("/api/decide", json=body(session, made), headers=ASKING)
    assert answer.json()["error"].startswith("Not saved. The disk is full")
    assert client.get("/api/state", headers=ASKING).json()["decided"] == made
    assert len(Journal(disk / "journal.csv")) == made
    session.close()


# --- who may ask


@pytest.mark.parametrize("path", ["/api/queue", "/api/state", "/api/image/0", "/api/card/x"])
def test_without_the_token_nothing_is_said_of_the_images(client: TestClient, path: str) -> None:
    for headers in ({}, {"authorization": "Bearer wrong"}, {"cookie": f"token={TOKEN}"}):
        assert client.get(path, headers=headers).status_code == 401
    assert client.get(f"{path}?token={TOKEN}").status_code == 401


def test_another_page_can_decide_nothing(client: TestClient, session: ReviewSession) -> None:
    wanted = body(session)
    assert client.post("/api/decide", json=wanted).status_code == 401
    foreign = ASKING | {"origin": "http://evil.example"}
    assert client.post("/api/decide", json=wanted, headers=foreign).status_code == 403
    form = ASKING | {"content-type": "text/plain"}
    assert client.post("/api/decide", content=json.dumps(wanted), headers=form).status_code == 415
    assert client.get("/api/decide", headers=ASKING).status_code == 405
    assert len(session.journal) == 0
    own = ASKING | {"origin": "http://127.0.0.1"}
    assert client.post("/api/decide", json=wanted, headers=own).status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", ""])
def test_a_name_that_was_bound_to_this_computer_is_refused(client: TestClient, host: str) -> None:
    for path in ("/", "/review.js", "/api/state"):
        assert client.get(path, headers=ASKING | {"host": host}).status_code == 421


def test_the_page_runs_its_own_script_alone_and_holds_nothing_of_the_images(
    client: TestClient, session: ReviewSession
) -> None:
    page = client.get("/")
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'; script-src 'self'; style-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert "set-cookie" not in page.headers
    assert not any(uri in page.text for uri in session.suspects.known.uris)
    assert re.search(r"<script(?! src)|\son\w+=|style=", page.text) is None


@pytest.mark.parametrize(
    "changes",
    [
        {"card": "nothing"},
        {"verdict": "burn"},
        {"verdict": "undo"},
        {"verdict": "relabel"},
        {"verdict": "relabel", "to": "horses"},
        {"to": "cats"},
        {"rows": []},
        {"rows": [100_000]},
        {"rows": "all"},
        {"seen": 3},
        {"more": 1},
    ],
)
def test_what_is_no_decision_is_refused_and_nothing_is_written(
    client: TestClient, session: ReviewSession, changes: dict[str, Any]
) -> None:
    answer = client.post("/api/decide", json=body(session) | changes, headers=ASKING)
    assert answer.status_code in (400, 409)
    assert answer.json()["error"]
    assert len(session.journal) == 0


def test_an_image_comes_as_a_jpeg_by_its_number_and_one_that_is_gone_says_so(
    client: TestClient, session: ReviewSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = client.get("/api/image/0?side=64", headers=ASKING)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/jpeg")
    assert client.get("/api/image/100000", headers=ASKING).status_code == 400
    assert client.get("/api/image/..%2Fsecret", headers=ASKING).status_code == 404
    monkeypatch.setattr(
        type(session.suspects.images), "read", lambda *_: (_ for _ in ()).throw(FileNotFoundError(2, "gone"))
    )
    assert client.get("/api/image/0", headers=ASKING).status_code == 404


# --- the process, and the page


def test_killed_in_the_midst_of_decisions_none_that_was_acknowledged_is_lost(spoilt: Path, tmp_path: Path) -> None:
    for name in ("run", "cache"):
        shutil.copytree(spoilt / name, tmp_path / name)
    with reviewing(tmp_path) as found, found.client as client:
        cards = client.get("/api/queue").json()["cards"]
        acknowledged = []
        for number, card in enumerate(cards[:12]):
            said = {"card": card["id"], "verdict": "skip", "session": "s", "seen": 0}
            acknowledged.append(client.post("/api/decide", json=said).json()["number"])
            if number == 8:
                found.process.send_signal(signal.SIGKILL)
                break
        found.process.wait()
    with journal_of(found.run).open("ab") as file:
        file.write(b'10,1/2,now,s,keep,"half a na')
    with reviewing(tmp_path) as again, again.client as client:
        state = client.get("/api/state").json()
        assert [number for number, _ in enumerate(acknowledged, 1)] == acknowledged
        assert (state["decided"], state["revision"]) == (9, 9)
        made = client.post("/api/decide", json={"card": cards[20]["id"], "verdict": "keep", "session": "s", "seen": 0})
        assert made.json()["number"] == 10
        said = again.stopped()
    assert "Decided: 10 of" in said
    assert "goldenrule fit " in said
    assert "--journal run/review/journal.csv" in said


@needs_browser
@pytest.mark.parametrize("many", [10, pytest.param(50, marks=pytest.mark.exhaustive)])
def test_decisions_by_keyboard_alone(server: Reviewing, browser: Any, many: int) -> None:
    page = browser.new_page()
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.goto(server.address)
    page.locator(READY).wait_for()
    keys = ("r", "k", "x", "u", "s", "1", "2")
    for number in range(1, many + 1):
        suggested = page.locator("#suggested").is_enabled()
        page.keyboard.press(keys[number % len(keys)] if suggested or number % len(keys) else "k")
        page.locator("#count", has_text=re.compile(rf"^{number} of ")).wait_for()
        page.locator(READY).wait_for()
        if number % 10 == 0:
            page.keyboard.press("z")
            page.locator("#count", has_text=re.compile(rf"^{number - 1} of ")).wait_for()
            page.locator(READY).wait_for()
            page.keyboard.press("l")
            page.keyboard.type("cat")
            page.keyboard.press("Enter")
            page.locator("#count", has_text=re.compile(rf"^{number} of ")).wait_for()
            page.locator(READY).wait_for()
    assert page.locator("#bar").get_attribute("value") == str(many)
    page.locator("#numbers", has_text="McNemar").wait_for()
    assert problems == []
    decisions, _ = read_journal(journal_of(server.run))
    assert sum(one.verdict == "undo" for one in decisions) == many // 10
    assert len(decisions) - 2 * (many // 10) == many
    assert {*decided(server).values()} == {"keep", "relabel", "remove", "unsure", "skip"}
    with server.client as client:
        assert client.get("/api/state").json()["decided"] == many
    page.close()


@needs_browser
def test_two_tabs_see_each_others_decisions(server: Reviewing, browser: Any) -> None:
    one, other = browser.new_page(), browser.new_page()
    for page in (one, other):
        page.goto(server.address)
        page.locator("#images img[src]").first.wait_for()
    before = len(decided(server))
    count = int(one.locator("#count").inner_text().split()[0])
    one.keyboard.press("k")
    for page in (one, other):
        page.locator("#count", has_text=re.compile(rf"^{count + 1} of ")).wait_for()
    other.locator("#decision", has_text="Kept.").wait_for()
    one.keyboard.press("z")
    other.locator("#count", has_text=re.compile(rf"^{count} of ")).wait_for()
    assert len(decided(server)) == before
    one.close()
    other.close()


@needs_browser
@pytest.mark.parametrize(("width", "scheme"), [(400, "light"), (1200, "dark"), (1200, "light")])
def test_the_page_fits_a_phone_and_axe_finds_nothing(server: Reviewing, browser: Any, width: int, scheme: str) -> None:
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page = context.new_page()
    page.goto(server.address)
    page.locator("#images img[src]").first.wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") == width
    if AXE:
        page.evaluate(Path(AXE).read_text(encoding="utf-8"))
        found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
        assert [(one["id"], one["nodes"][0]["html"]) for one in found["violations"]] == []
    context.close()


@needs_browser
def test_an_address_without_its_token_and_a_server_that_has_ended_are_said(
    spoilt: Path, tmp_path: Path, browser: Any
) -> None:
    for name in ("run", "cache"):
        shutil.copytree(spoilt / name, tmp_path / name)
    with reviewing(tmp_path) as found:
        page = browser.new_page()
        page.goto(found.address.partition("#")[0])
        page.locator("#error", has_text="lacks its token").wait_for()
        page.close()
        page = browser.new_page()
        page.goto(found.address)
        page.locator("#images img[src]").first.wait_for()
        found.stopped()
        page.keyboard.press("k")
        page.locator("#error", has_text="not running any more").wait_for()
        assert page.locator("#count").inner_text().startswith("0 of ")
        page.close()
    assert not journal_of(found.run).exists()


# --- what becomes of decisions


@pytest.fixture
def reviewed(spoilt: Path, cache: Path, tmp_path: Path) -> Path:
    """A run of the test's own, beside a copy of its images, with one label changed and one image removed."""
    shutil.copytree(spoilt / "run", tmp_path / "run")
    shutil.copytree(spoilt / "cache" / "banks", cache / "banks")
    shutil.copytree(spoilt.parent / "spoilt_set", tmp_path / "set")
    known = find_suspects(tmp_path / "run")
    session = ReviewSession(known, Journal(journal_of(tmp_path / "run")))
    for card in known.cards:
        uris = [known.known.uris[row] for row in card.marked]
        if uris == ["train/cats/wrong_dogs.png"]:
            session.decide(card.id, "relabel", to="dogs", session="s", seen=0)
        if uris == ["train/dogs/both.png"]:
            session.decide(card.id, "remove", session="s", seen=0)
    session.close()
    assert len(session.journal) == 2
    return tmp_path / "run"


def test_a_fit_applies_the_decisions_and_says_by_which_journal(
    reviewed: Path, command: Command, tmp_path: Path
) -> None:
    journal = journal_of(reviewed)
    words = ("fit", "set", "--quick", "--views", 0, "--journal", journal, "--out", "cleaned")
    done = command(*words)
    assert done.returncode == 0, done.stderr
    sha256 = read_journal(journal)[1]
    about = json.loads((tmp_path / "cleaned" / "run.json").read_text())
    assert about["options"]["journal"] == {"sha256": sha256, "relabelled": 1, "removed": 1}
    images = run_images(tmp_path / "cleaned")
    labels = dict(zip(images.uris, images.targets, strict=True))
    assert images.classes[labels["train/cats/wrong_dogs.png"]] == "dogs"
    assert "train/dogs/both.png" not in labels
    assert len(labels) == len(run_images(reviewed)) - 1
    result = json.loads((tmp_path / "cleaned" / "result.json").read_text())
    assert [one["fields"]["sha256"] for one in result["findings"] if one["code"] == "decided"] == [sha256]
    assert "1 label changed, 1 image left out" in (tmp_path / "cleaned" / "report.html").read_text()
    assert command(*words).returncode == 0, "the same again is the same run"
    refused = command("fit", "set", "--quick", "--views", 0, "--out", "cleaned")
    assert refused.returncode == 2
    assert "--journal" in refused.stderr or "journal" in refused.stderr


def test_a_journal_of_other_images_or_of_changed_ones_is_refused(
    reviewed: Path, command: Command, tmp_path: Path, draw_classes: Callable[..., Path]
) -> None:
    draw_classes(tmp_path / "other")
    refused = command("fit", "other", "--quick", "--journal", journal_of(reviewed))
    assert (refused.returncode, "is about other images" in refused.stderr) == (2, True)
    shutil.copy(tmp_path / "set/train/dogs/00.png", tmp_path / "set/train/cats/wrong_dogs.png")
    refused = command("fit", "set", "--quick", "--journal", journal_of(reviewed))
    assert (refused.returncode, "holds other bytes" in refused.stderr) == (2, True)
    (tmp_path / "set/train/cats/wrong_dogs.png").unlink()
    refused = command("fit", "set", "--quick", "--journal", journal_of(reviewed))
    assert (refused.returncode, "is not there" in refused.stderr) == (2, True)
    refused = command("fit", "set", "--quick", "--journal", "none.csv")
    assert (refused.returncode, "the journal that goldenrule review writes" in refused.stderr) == (2, True)
    assert not (tmp_path / "runs").exists()


def test_cleaned_labels_become_a_table_and_a_copy_and_the_images_stay(
    reviewed: Path, spoilt: Path, command: Command, tmp_path: Path
) -> None:
    assert command("labels", reviewed, "--apply", "cleaned.csv").returncode == 0
    lines = (tmp_path / "cleaned.csv").read_text().splitlines()
    assert lines[0] == "path,label,split"
    assert "train/cats/wrong_dogs.png,dogs,train" in lines
    assert len(lines) == len(run_images(reviewed))
    assert command("labels", reviewed, "--apply", "cleaned").returncode == 0
    copies = {path.relative_to(tmp_path / "cleaned").as_posix(): path for path in (tmp_path / "cleaned").rglob("*.png")}
    assert len(copies) == len(lines) - 1
    assert copies["train/dogs/wrong_dogs.png"].read_bytes() == (tmp_path / "set/train/cats/wrong_dogs.png").read_bytes()
    assert "train/dogs/both.png" not in copies
    refused = command("labels", reviewed, "--apply", "cleaned")
    assert (refused.returncode, "something is there, and stays" in refused.stderr) == (2, True)
    (tmp_path / "mine.csv").write_text("mine\n")
    assert command("labels", reviewed, "--apply", "mine.csv").returncode == 2
    assert (tmp_path / "mine.csv").read_text() == "mine\n"
    done = command("fit", "set", "--csv", "cleaned.csv", "--quick", "--views", 0, "--out", "again")
    assert done.returncode == 0, done.stderr
    assert len(run_images(tmp_path / "again")) == len(lines) - 1


def test_without_decisions_there_is_nothing_to_apply(run: Path, command: Command) -> None:
    refused = command("labels", run, "--apply", "cleaned.csv")
    assert (refused.returncode, "make some with goldenrule review" in refused.stderr) == (2, True)


@pytest.mark.parametrize(("tool", "file"), [("label-studio", "tasks.json"), ("cvat", "annotations.xml")])
def test_decisions_go_to_another_tool_and_come_back(
    reviewed: Path, command: Command, tmp_path: Path, tool: str, file: str
) -> None:
    done = command("labels", reviewed, "--export", tool, file)
    assert done.returncode == 0, done.stderr
    before = journal_of(reviewed).read_bytes()
    done = command("labels", reviewed, "--import", file)
    assert "0 relabelled" in done.stdout
    assert journal_of(reviewed).read_bytes() == before, "what the tool says too is not decided again"
    text = (tmp_path / file).read_text()
    if tool == "cvat":
        changed = re.sub(r'(name="train/dogs/00.png"[^>]*><tag label=)"dogs"', r'\1"cats"', text)
    else:
        tasks = json.loads(text)
        [task] = [one for one in tasks if one["data"]["path"] == "train/dogs/00.png"]
        task["annotations"][0]["result"][0]["value"]["choices"] = ["cats"]
        changed = json.dumps(tasks)
    assert changed != text
    (tmp_path / f"back_{file}").write_text(changed)
    done = command("labels", reviewed, "--import", f"back_{file}")
    assert "1 relabelled" in done.stdout, done.stderr
    last = read_journal(journal_of(reviewed))[0][-1]
    assert (last.verdict, last.to, last.session, [one.uri for one in last.images]) == (
        "relabel",
        "cats",
        tool,
        ["train/dogs/00.png"],
    )
    (tmp_path / f"back_{file}").write_text(changed.replace("cats", "cots"))
    refused = command("labels", reviewed, "--import", f"back_{file}")
    assert (refused.returncode, "Nothing was imported" in refused.stderr) == (2, True)


def test_images_of_several_labels_are_an_honest_error(
    reviewed: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    several = replace(run_images(reviewed), task="multi")
    opened = looking.reopened
    monkeypatch.setattr(looking, "reopened", lambda *words, **more: replace(opened(*words, **more), table=several))
    refused = command("review", reviewed)
    assert (refused.returncode, "several labels an image" in refused.stderr) == (2, True)


def test_a_taken_port_and_a_folder_without_a_run_are_errors(command: Command, tmp_path: Path) -> None:
    refused = command("review", tmp_path)
    assert (refused.returncode, "no finished run" in refused.stderr) == (2, True)
    refused = command("review", tmp_path, "--port", 70_000)
    assert (refused.returncode, "--port 70000: wanted 1 to 65535" in refused.stderr) == (2, True)
