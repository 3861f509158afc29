"""The HTML file for an expert without access: what is in it, and a real browser that decides in it from a file."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from nesycd.cli.main import app
from nesycd.core.answers import Prediction, Segment
from nesycd.core.records import Diagnosis, Entry, Evidence, Example, Fact, Item, Lesson, Rule, RuleTest, Status
from nesycd.knowledge import KnowledgeBase
from nesycd.knowledge.queue import Waiting, enqueue, waiting
from nesycd.reports.review_file import item_of, render_review_file

HOSTILE = "</script><script>alert('x')</script><img src=http://evil.example/ onerror=alert(1)> \"'& \u2028 <!-- ]]>"
ANSWER = Prediction(key="k", student="s", segments=(Segment(text="A fathom makes 5 feet. The answer is 10."),))
PROOF = Evidence(example="train-1", attempt=ANSWER.id, source="expert")
FATHOM = Fact(text="A fathom is 7 feet.", subject="fathom", relation="makes", object="7 feet", aliases=("fathoms",))
ELL = Fact(text="An ell is 45 inches.", subject="ell", relation="makes", object="45 inches")
LESSON = Lesson(text="Count twice.")
RULE = Rule(
    text="A father's father is a grandfather.",
    clause="grandfather(X, Z) :- father(X, Y), father(Y, Z).",
    tests=(RuleTest(given="father(a, b). father(b, c).", expect="grandfather(a, c)."),),
)
ITEMS: tuple[Item, ...] = (FATHOM, ELL, LESSON, RULE)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run folder with a base of four proposed items, one of them queued, and what stands behind them."""
    folder = tmp_path / "deep" / "my run"
    (folder / "stages").mkdir(parents=True)
    (folder / "manifest.json").write_text("{}")
    question = Example(uid="train-1", task="units", question="How many feet are 2 fathoms?", answer="12", options=())
    cause = Diagnosis(example="train-1", attempt=ANSWER.id, teacher="expert", cause="A fathom is not 5 feet.")
    for name, record in (("stages/examples-train", question), ("predictions", ANSWER), ("stages/diagnoses", cause)):
        (folder / f"{name}.jsonl").write_text(json.dumps(record.to_json()) + "\n")
    with KnowledgeBase.open(folder / "kb.sqlite") as kb:
        kb.add([(item, PROOF) for item in ITEMS])
        enqueue(kb, {FATHOM.id: ["several values: 6 feet, 7 feet"]}, "lint")
    return folder


def call(*words: object) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["kb", *map(str, words)])
    return done.exit_code, " ".join(done.output.split())


def written(run: Path, *words: object) -> Path:
    path = run.parent / "review.html"
    code, told = call("review-file", path, "--kb", run / "kb.sqlite", *words)
    assert code == 0, told
    return path


def content(html: str) -> dict[str, Any]:
    [found] = re.findall(r'<script type="application/json" id="data">(.*?)</script>', html)
    made: dict[str, Any] = json.loads(found)
    return made


def test_the_file_has_each_item_with_what_stands_behind_it(run: Path, tmp_path: Path) -> None:
    html = written(run).read_text(encoding="utf-8")
    made = content(html)
    assert [one["id"] for one in made["items"]] == [FATHOM.id, *sorted([LESSON.id, RULE.id]), ELL.id], (
        "those with reasons first, and last what its question does not name"
    )
    first = made["items"][0]
    assert first["reasons"] == ["several values: 6 feet, 7 feet"] and first["item"]["object"] == "7 feet"
    assert first["cases"] == [
        {
            "question": "How many feet are 2 fathoms?",
            "right": "12",
            "answered": "A fathom makes 5 feet. The answer is 10.",
            "cause": "A fathom is not 5 feet.",
        }
    ]
    assert made["title"] == "my run" and made["revision"] == 2
    assert str(tmp_path) not in html and "deep" not in html, "no folder of this machine"
    assert not re.search(r"fetch\(|XMLHttpRequest|WebSocket|https?://|@import|url\(", html)
    [policy] = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', html)
    assert policy.startswith("default-src &#x27;none&#x27;") and "unsafe" not in policy


def test_options_narrow_what_is_in_the_file(run: Path) -> None:
    facts = content(written(run, "--kind", "fact", "--limit", 1, "--cases", 0).read_text(encoding="utf-8"))
    assert [one["id"] for one in facts["items"]] == [FATHOM.id] and facts["items"][0]["cases"] == []
    assert facts["items"][0]["evidence"] == 1


def test_hostile_texts_stay_texts() -> None:
    fact = Fact(text=HOSTILE, subject=HOSTILE, relation=HOSTILE, object=HOSTILE, aliases=(HOSTILE,))
    entry = Entry(item=fact, reviewer=HOSTILE, evidence=(Evidence(example=HOSTILE, source=HOSTILE),))
    told = [(key, HOSTILE) for key in ("question", "right", "answered", "cause")]
    html = render_review_file(HOSTILE, "b", 1, [item_of(Waiting(entry, (HOSTILE,)), lambda piece: told, 3)])
    assert html.count("<script") == 2 == html.count("</script>") and "<img" not in html and "<!--" not in html
    [one] = content(html)["items"]
    assert one["item"]["text"] == HOSTILE and one["cases"][0]["cause"] == HOSTILE and one["reasons"] == [HOSTILE]


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["review-file", "review.txt"], "a review file is an HTML file; give it the ending .html"),
        (["review-file", "x.html", "--kind", "odd"], "--kind odd: use lesson"),
        (["import-decisions", "gone.json"], "gone.json: cannot be read"),
    ],
)
def test_mistakes_are_told_in_a_line(run: Path, words: list[str], problem: str) -> None:
    code, told = call(*words, "--kb", run / "kb.sqlite")
    assert code != 0 and problem in told and "Traceback" not in told


def test_what_nobody_has_looked_at_is_taken_in_if_asked_for(run: Path) -> None:
    with KnowledgeBase.open(run / "kb.sqlite") as kb:
        kb.decide([ELL.id], Status.APPROVED, "auto")
        kb.decide([LESSON.id], Status.APPROVED, "Ann")
    path, places = run.parent / "review.html", ("--root", run.parent, "--run", "my run")
    code, told = call("review-file", path, *places)
    assert code == 0 and "2 items" in told and "note: --unseen takes in 1 more" in told
    assert f"import-decisions FILE --kb '{run / 'kb.sqlite'}'" in told
    code, told = call("review-file", path, *places, "--unseen")
    assert code == 0 and "--unseen" not in told
    assert [one["id"] for one in content(path.read_text())["items"]] == [FATHOM.id, RULE.id, ELL.id]


def test_nothing_is_written_where_nothing_waits(run: Path) -> None:
    with KnowledgeBase.open(run / "kb.sqlite") as kb:
        kb.approve_all("Ann")
        kb.approve(FATHOM.id, "Ann")
    code, told = call("review-file", run / "review.html", "--kb", run / "kb.sqlite")
    assert code != 0 and "no item waits for review, so there is nothing to decide on" in told
    assert not (run / "review.html").exists()


def test_decisions_are_shown_and_then_applied_under_the_name_of_the_page(run: Path, tmp_path: Path) -> None:
    made = content(written(run).read_text(encoding="utf-8"))
    said = {"decision": "approve", "changes": {"text": "A fathom is 6 feet.", "object": "6 feet"}, "comment": ""}
    decisions = [{"id": one["id"], "state": one["state"], **said} for one in made["items"][:1]]
    file = tmp_path / "decisions.json"
    head = {key: made[key] for key in ("schema", "base", "revision", "title")}
    file.write_text(json.dumps({**head, "by": "Dr. Ell", "at": "", "decisions": decisions}))
    words = ("import-decisions", file, "--kb", run / "kb.sqlite")
    code, told = call(*words, "--dry-run")
    assert code == 0 and "object: 7 feet -> 6 feet" in told
    assert told.endswith("nothing was changed; would be, by Dr. Ell: 1 approved, 1 edited")
    assert call(*words)[1].endswith("now at revision 3") is True
    code, told = call(*words)
    assert code == 0 and "applied, by Dr. Ell: nothing; 1 were so already" in told
    with KnowledgeBase.open(run / "kb.sqlite") as kb:
        assert kb.revision == 3 and kb.get(FATHOM.id).reviewer == "Dr. Ell"
        assert kb.revisions(1)[0].why == "decisions of decisions.json"
        kb.retire(ELL.id, "Bob")
    file.write_text(
        json.dumps({**head, "decisions": [{**said, "changes": {}, "id": ELL.id, "state": made["items"][1]["state"]}]})
    )
    code, told = call(*words, "--by", "Ann")
    assert code != 0 and f"item {ELL.id[:8]} changed since the review file was written; nothing was changed" in told
    code, told = call(*words, "--by", "Ann", "--skip-changed")
    assert code == 0 and f"left as they are, since they changed: {ELL.id[:8]}" in told


@pytest.mark.slow
def test_an_expert_decides_in_a_browser_by_mouse_and_by_keyboard(
    run: Path, shown: Callable[..., Any], faults: Callable[[Any], list[str]], tmp_path: Path
) -> None:
    # Fathoms are named by the question; an ell is not, so that it comes last.
    second, third, last = *sorted((LESSON, RULE), key=lambda item: item.id), ELL
    page = shown(written(run), color_scheme="dark")
    heading = page.locator("#heading")
    assert heading.inner_text() == FATHOM.text and faults(page) == []
    assert "A fathom is not 5 feet." in page.locator("article").inner_text()
    assert page.get_by_role("button", name="Download decisions").is_disabled(), "nothing is decided yet"
    # By mouse: an edit, with a warning while the text does not say the object.
    page.get_by_role("button", name="Edit").click()
    page.get_by_label("object").fill("6 feet")
    assert "The text does not say the object." in page.get_by_role("alert").inner_text() and faults(page) == []
    page.get_by_label("text", exact=True).fill("A fathom is 6 feet.")
    assert page.get_by_role("alert").inner_text() == ""
    # Another item is not gone to over what is not saved.
    page.once("dialog", lambda dialog: dialog.dismiss())
    page.locator("#list button", has_text=LESSON.text).click()
    assert page.get_by_label("object").input_value() == "6 feet"
    page.get_by_role("button", name="Save and approve").click()
    assert heading.inner_text() == second.text and page.locator("#count").inner_text() == "1 of 4 decided"
    # By keyboard alone: a comment and a rejection, taken back, then approved; not sure; a comment without a decision.
    page.keyboard.press("c")
    page.keyboard.type("As ever.")
    page.keyboard.press("Escape")
    page.keyboard.press("r")
    assert heading.inner_text() == third.text
    page.keyboard.press("z")
    assert heading.inner_text() == second.text and page.locator("#comment").input_value() == "As ever."
    page.keyboard.press("a")
    page.get_by_role("button", name="Download decisions").click()
    assert "Say your name first" in page.get_by_role("status").inner_text()
    page.keyboard.type("Dr. Ell")
    page.keyboard.press("Escape")
    page.keyboard.press("u")
    assert heading.inner_text() == last.text
    page.keyboard.press("c")
    page.keyboard.type("Is it?")
    page.keyboard.press("Escape")
    # What was decided is still there when the page is opened again.
    page.reload()
    assert page.get_by_label("Your name").input_value() == "Dr. Ell"
    assert page.locator("#count").inner_text() == "3 of 4 decided" and heading.inner_text() == last.text
    with page.expect_download() as download:
        page.get_by_role("button", name="Download decisions").press("Enter")
    assert download.value.suggested_filename == "decisions-my-run.json"
    file = tmp_path / "back.json"
    download.value.save_as(file)
    code, told = call("import-decisions", file, "--kb", run / "kb.sqlite")
    assert code == 0 and "applied, by Dr. Ell: 2 approved, 1 edited, 1 not sure, 1 commented" in told
    with KnowledgeBase.open(run / "kb.sqlite") as kb:
        assert {one.item.text for one in kb.entries(status=Status.APPROVED)} == {"A fathom is 6 feet.", second.text}
        assert kb.history(second.id)[-1].note == "As ever."
        assert [one.reasons for one in waiting(kb)] == [
            ("comment (Dr. Ell): Is it?",),
            ("not sure (Dr. Ell): left to others",),
        ]
    # Elsewhere, in a browser that knows nothing of it, the file is gone on from.
    other = shown(run.parent / "review.html", viewport={"width": 360, "height": 740})
    assert other.evaluate("document.documentElement.scrollWidth") == 360, "nothing is wider than a phone"
    assert faults(other) == [] and other.locator("#count").inner_text() == "0 of 4 decided"
    other.get_by_label("Go on from a file").set_input_files(file)
    other.get_by_text("4 of 4 decisions taken from the file.").wait_for()
    assert other.locator("#count").inner_text() == "3 of 4 decided"


@pytest.mark.slow
def test_hostile_texts_do_nothing_in_a_browser(shown: Callable[..., Any], tmp_path: Path) -> None:
    fact = Fact(text=HOSTILE, subject=HOSTILE, relation=HOSTILE, object=HOSTILE, aliases=(HOSTILE,))
    told = [(key, HOSTILE) for key in ("question", "right", "answered", "cause")]
    one = item_of(Waiting(Entry(item=fact, evidence=(PROOF,)), (HOSTILE,)), lambda piece: told, 3)
    path = tmp_path / "review.html"
    path.write_text(render_review_file(HOSTILE, "b", 1, [one]), encoding="utf-8")
    page = shown(path)
    assert page.locator("img").count() == 0 and page.locator("script").count() == 2
    assert page.locator("#heading").text_content() == HOSTILE
    page.keyboard.press("e")
    page.get_by_label("relation").fill(f"{HOSTILE}!")
    page.get_by_role("button", name="Save and approve").click()
    assert page.locator("ins").last.text_content() == f"{HOSTILE}!" and page.locator("img").count() == 0


@pytest.mark.slow
def test_ten_thousand_items_are_decided_on_without_lag(shown: Callable[..., Any], tmp_path: Path) -> None:
    told = [
        (key, f"A sentence of some length that says what there is to say of it: {key}.")
        for key in ("question", "cause")
    ]
    many = (
        Fact(text=f"A unit{n} is {n} feet.", subject=f"unit{n}", relation="makes", object=f"{n} feet")
        for n in range(10_000)
    )
    items = [item_of(Waiting(Entry(item=fact, evidence=(PROOF,))), lambda piece: told, 3) for fact in many]
    path = tmp_path / "review.html"
    path.write_text(render_review_file("many", "b", 1, items), encoding="utf-8")
    start = time.monotonic()
    page = shown(path)
    page.locator("#heading").wait_for()
    assert time.monotonic() - start < 5
    press = "document.body.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true }))"
    act = f"(key) => {{ const start = performance.now(); for (let n = 0; n < 50; n += 1) {press};"
    act += " return (performance.now() - start) / 50; }"
    assert page.evaluate(act, "a") < 100, "milliseconds a decision"
    assert page.locator("#count").inner_text() == "50 of 10000 decided"
    search = "(text) => { const box = document.getElementById('search'), start = performance.now(); box.value = text;"
    search += " box.dispatchEvent(new Event('input')); return performance.now() - start; }"
    assert page.evaluate(search, "unit9999") < 500
    assert (
        page.locator("#place").inner_text() == "1 item"
        and page.locator("#heading").inner_text() == "A unit9999 is 9999 feet."
    )
