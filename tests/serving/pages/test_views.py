"""The review pages as a person uses them, without a browser: what they show, what they change, and what they refuse."""

from __future__ import annotations

import html
import json
import re
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from nesycd import open_run
from nesycd.cli.main import app as cli
from nesycd.core.records import Entry, Evidence, Fact, Lesson, Status
from nesycd.knowledge import KnowledgeBase, read_entities
from nesycd.knowledge.queue import enqueue
from nesycd.serving.pages.app import review_app
from nesycd.serving.pages.listing import Listing
from nesycd.serving.pages.review import Review
from nesycd.serving.pages.sessions import Sessions
from nesycd.serving.safety import Role, Tokens, loopback_hosts
from tests.serving.pages.conftest import COUNT, FATHOM, GRAND, OTHER, PEOPLE, SHACKLE, Pages


def text_of(page: str) -> str:
    """What a page says, in one line."""
    main = page.partition("<main")[2] or page
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", main)).split())


# --- the queue ----------------------------------------------------------------------------------------------------------


def test_the_card_has_the_question_the_marked_break_the_cause_and_the_item(pages: Pages) -> None:
    told = pages.get("/?search=fathom+feet")
    assert "How many feet are 4 fathoms and 3 feet?" in told
    assert re.search(r"<mark><span[^>]*>first break: </span>4 x 5 = 20\.</mark>", told)
    assert "5 is neither in the question nor in the accepted rationale" in told
    assert "does not state a needed fact: A fathom is 6 feet." in told
    assert re.search(r'<span class="lacks">One fathom makes 6 feet\.</span>', told)
    assert "proposed" in text_of(told) and "fadom" in told


def test_the_queue_is_ordered_by_gain_and_doubt_and_tells_how(pages: Pages, review: Review) -> None:
    queue = review.listing.now().queue
    assert {row.item_id for row in queue} == {FATHOM.id, COUNT.id, GRAND.id}  # Ann has looked at the shackle
    enqueue(review.kb, {COUNT.id: ["contradiction: it is wrong"]}, "lint")
    queue = review.listing.now().queue
    assert queue[0].item_id == COUNT.id and queue[0].priority.doubt == pytest.approx(1 - 0.5 * 0.1)
    assert "Expected gain 1.6 × doubt 0.95" in text_of(pages.get("/")) and "contradiction" in pages.get("/")


def test_one_order_on_the_pages_in_the_command_and_in_the_review_file(
    pages: Pages, review: Review, folder: Path
) -> None:
    """Also after decisions and edits, of which the pages read only what changed."""
    (folder / "manifest.json").write_text("{}", encoding="utf-8")  # so that commands know it for a run
    yard = Fact(text="A yard is 3 feet.", subject="yard", relation="makes", object="3 feet")
    proof = Evidence(example="q1", source="expert")
    review.kb.add([(one, proof) for one in (OTHER, yard, Lesson(text="Read each question twice, to its end."))])
    orders = []

    def same() -> list[str]:
        order = [row.item_id for row in review.listing.now().queue]
        fresh = Listing(review.kb, review.evidence.background).now().queue
        assert [(row.item_id, row.priority) for row in fresh] == [
            (row.item_id, row.priority) for row in review.listing.now().queue
        ]
        base = ["--kb", str(folder / "kb.sqlite")]
        told = CliRunner().invoke(cli, ["kb", "queue", *base], env={"COLUMNS": "200"}).output
        assert re.findall(r"^([0-9a-f]{8}) ", told, re.MULTILINE) == [one[:8] for one in order]
        file = folder / "review.html"
        assert CliRunner().invoke(cli, ["kb", "review-file", str(file), *base, "--unseen"]).exit_code == 0
        assert re.findall(r'"id":"([0-9a-f]{16})","state"', file.read_text(encoding="utf-8")) == order
        orders.append(order)
        return order

    first = same()
    assert first[-1] == yard.id, "no question names it"
    assert first.index(FATHOM.id) < first.index(OTHER.id), "a kept rationale states it"
    enqueue(review.kb, {yard.id: ["not proven: nothing states it"]}, "gate")
    assert same()[0] == yard.id
    pages.decide("unsure", yard.id)
    assert same()[-1] == yard.id
    pages.decide("reject", FATHOM.id)
    without = same()
    assert without.index(OTHER.id) < first.index(OTHER.id), "nothing speaks against it any more"
    review.kb.edit(OTHER.id, {"subject": "furlong"}, "Ann")
    same()
    assert len({tuple(order) for order in orders}) >= 4


def test_what_is_not_proven_comes_first_with_its_figures_in_the_list(pages: Pages, review: Review) -> None:
    last = review.listing.now().queue[-1].item_id
    enqueue(review.kb, {last: ["not proven: 2 say otherwise, such as 7"]}, "gate")
    first = review.listing.now().queue[0]
    assert first.item_id == last and first.priority.doubt > 0.9
    listed = text_of(pages.get("/?view=list"))
    assert "not proven" in listed and "2 say otherwise, such as 7" in listed


def test_a_decision_leads_to_the_next_item_and_can_be_undone(pages: Pages, review: Review) -> None:
    order = [row.item_id for row in review.listing.now().queue]
    shown = pages.get("/")
    [back] = re.findall(r'name="back" value="([^"]+)"', shown)
    told = pages.decide("approve", order[0], back=html.unescape(back), why="looked it up")
    assert f"{order[1]}:" in told and "Approved: “" in told
    entry = review.kb.get(order[0])
    assert (entry.status, entry.reviewer) == (Status.APPROVED, "Ann")
    assert review.kb.revisions(1)[0].why == "looked it up"
    assert order[0] in pages.send("/undo") and review.kb.get(order[0]).status is Status.PROPOSED
    assert "nothing of yours to undo" in pages.send("/undo")


def test_undo_brings_back_the_reason_for_which_an_item_waited(pages: Pages, review: Review) -> None:
    enqueue(review.kb, {SHACKLE.id: ["near-duplicate: of another"]}, "lint")
    pages.decide("approve", SHACKLE.id)
    assert SHACKLE.id not in {row.item_id for row in review.listing.now().queue}
    pages.send("/undo")
    [row] = [row for row in review.listing.now().queue if row.item_id == SHACKLE.id]
    assert row.reasons == ("near-duplicate: of another",)


def test_not_sure_moves_an_item_to_the_end_as_often_as_one_likes(pages: Pages, review: Review) -> None:
    first, *others = [row.item_id for row in review.listing.now().queue]
    pages.decide("unsure", first, why="ask the harbour master")
    assert [row.item_id for row in review.listing.now().queue] == [*others, first]
    for one in others:
        pages.decide("unsure", one)
    pages.decide("unsure", first)
    assert [row.item_id for row in review.listing.now().queue] == [*others, first]
    assert "ask the harbour master" in pages.get(f"/items/{first}")
    assert review.kb.get(first).status is Status.PROPOSED


def test_bulk_decisions_are_one_revision_and_all_or_nothing(pages: Pages, review: Review) -> None:
    before = review.kb.revision
    pages.decide("approve", FATHOM.id, COUNT.id, GRAND.id, back="/?view=list")
    assert review.kb.revision == before + 1 and review.kb.stats()["by_status"] == {"approved": 4}
    states = [pages.state(FATHOM.id), pages.state(COUNT.id)]
    review.kb.retire(COUNT.id, "Bob")
    told = pages.send("/decide", 409, action="reject", item=states)
    assert "changed by Bob since you saw it" in told
    assert review.kb.get(FATHOM.id).status is Status.APPROVED
    assert "no item was chosen" in pages.send("/decide", 400, action="reject")


def test_lists_are_searched_filtered_and_paged_on_the_server(pages: Pages, review: Review) -> None:
    many = [
        (Lesson(text=f"Lesson number {n} is about apples."), Evidence(example=f"q{n}", source="llm"))
        for n in range(120)
    ]
    review.kb.add(many)
    first = pages.get("/items?kind=lesson")
    assert "121 items found, page 1 of 3" in text_of(first) and first.count('name="item"') == 50
    assert pages.get("/items?kind=lesson&page=3").count('name="item"') == 21
    assert pages.get("/items?kind=lesson&size=200").count('name="item"') == 121
    assert "1 item found" in text_of(pages.get("/items?search=number+77"))
    assert "120 items found" in text_of(pages.get("/?view=list&source=llm"))
    assert "2 items found" in text_of(pages.get("/items?relation=MAKES"))
    assert "Nothing fits" in pages.get("/items?status=rejected")
    assert "page 1 of 3" in text_of(pages.get("/items?kind=lesson&page=99999999999")) and pages.get(
        "/items?page=-1&size=x"
    )


def test_measured_harm_is_shown_and_counts_as_doubt(folder: Path) -> None:
    seen = {"n": 4, "mean": -0.5, "shrunk": -0.4, "sd": 0.1, "harm": 0.97}
    rows = [{"id": COUNT.id, "kind": "lesson", "text": COUNT.text, "all": seen}, {"id": FATHOM.id, "kind": "fact"}]
    (folder / "effect.json").write_text(json.dumps({"items": rows, "proposed": [COUNT.id]}), encoding="utf-8")
    shown = Review(folder)
    try:
        pages = Pages(review_app(shown, Sessions(Tokens(PEOPLE)), loopback_hosts()))
        told = text_of(pages.get("/"))
        assert (
            COUNT.text in told
            and "probably does harm : -0.40 ± 0.10 nats over 4 questions, 97 % likely below zero" in told
        )
        assert "proposed for retirement" in told
        assert shown.listing.now().queue[0].priority.doubt == pytest.approx(1 - 0.5 * 0.03)
    finally:
        shown.close()


def test_the_base_is_checked_and_its_conflicts_are_queued(pages: Pages, review: Review) -> None:
    review.kb.add([(OTHER, Evidence(example="q9", source="llm"))])
    told = text_of(done(pages, pages.send("/check")))
    assert "5 items were checked: 1 several values" in told and "2 items are in the queue" in told
    assert "1 of 2 found" in text_of(pages.get("/?reason=several+values"))
    told = text_of(done(pages, pages.send("/check")))
    assert "They were in the queue before" in told


def test_what_cannot_be_undone_is_told_and_does_not_stand_in_the_way(pages: Pages, review: Review) -> None:
    pages.decide("approve", COUNT.id)
    pages.decide("approve", FATHOM.id)
    review.kb.reject(FATHOM.id, "Bob")
    assert "was changed again by revision" in pages.send("/undo", 422)
    pages.send("/undo")
    assert review.kb.get(COUNT.id).status is Status.PROPOSED and review.kb.get(FATHOM.id).status is Status.REJECTED


def test_two_chosen_items_are_merged_from_the_list(pages: Pages) -> None:
    states = [pages.state(FATHOM.id), pages.state(SHACKLE.id)]
    assert "Merge two items" in pages.send("/decide", action="merge", item=states)
    assert "choose two items" in pages.send("/decide", 400, action="merge", item=states[:1])


def test_an_empty_queue_says_what_to_do(pages: Pages) -> None:
    pages.decide("approve", FATHOM.id, COUNT.id, GRAND.id)
    assert "Nothing waits." in pages.get("/") and "Run the recipe again" in pages.get("/")


# --- changing items -----------------------------------------------------------------------------------------------------


def edit_form(pages: Pages, item_id: str) -> dict[str, Any]:
    """The fields of an item's form as the page has them."""
    shown = pages.get(f"/items/{item_id}/edit")
    fields = dict(re.findall(r'<input[^>]*name="(\w+)"[^>]*value="([^"]*)"', shown))
    fields |= dict(re.findall(r'<textarea[^>]*name="(\w+)"[^>]*>([^<]*)</textarea>', shown))
    return {key: html.unescape(value) for key, value in fields.items() if key not in ("text_only", "search")}


def test_text_and_triple_are_edited_together(pages: Pages, review: Review) -> None:
    form = edit_form(pages, FATHOM.id)
    told = pages.send(f"/items/{FATHOM.id}/edit", 422, **{**form, "text": "A fathom is 7 feet."})
    assert "does not say the object “6 feet”" in told and "A fathom is 7 feet." in told
    assert review.kb.get(FATHOM.id).item == FATHOM
    both = {**form, "text": "A fathom is 7 feet.", "object": "7 feet", "aliases": "fadom\nfathoms", "action": "approve"}
    told = pages.send(f"/items/{FATHOM.id}/edit", **both)
    entry = review.kb.get(FATHOM.id)
    assert isinstance(entry.item, Fact) and entry.item.object == "7 feet" and entry.item.aliases == ("fadom", "fathoms")
    assert (entry.status, entry.reviewer) == (Status.APPROVED, "Ann") and "Saved and approved" in told
    assert "<del>6</del><ins>7</ins>" in told  # in the history of its page
    pages.send("/undo")
    assert review.kb.get(FATHOM.id).item == FATHOM and review.kb.get(FATHOM.id).status is Status.PROPOSED


def test_two_reviewers_at_once_overwrite_nothing(pages_of: Callable[[Role], Pages], review: Review) -> None:
    ann, vera = pages_of(Role.ADMIN), pages_of(Role.REVIEWER)
    form = edit_form(ann, FATHOM.id)
    vera.send(f"/items/{FATHOM.id}/edit", **{**edit_form(vera, FATHOM.id), "text": "A fathom is just 6 feet."})
    told = ann.send(f"/items/{FATHOM.id}/edit", 409, **{**form, "text": "A fathom is exactly 6 feet."})
    assert "changed by Vera since you saw it; nothing was saved" in told
    assert "A fathom is just 6 feet." in told and "A fathom is exactly 6 feet." in told
    assert review.kb.get(FATHOM.id).item.text == "A fathom is just 6 feet."
    [state] = re.findall(r'name="state" value="([0-9a-f]+)"', told)
    [where] = re.findall(r'action="(/items/\w+/edit)"', told)
    ann.send(where, **{**form, "state": state, "text": "A fathom is exactly 6 feet."})  # knowing it
    assert review.kb.get(FATHOM.id).item.text == "A fathom is exactly 6 feet."


def test_a_form_that_is_corrected_still_overwrites_nothing(pages_of: Callable[[Role], Pages], review: Review) -> None:
    ann = pages_of(Role.ADMIN)
    form = edit_form(ann, FATHOM.id) | {"text": "A fathom is exactly 6 feet."}
    review.kb.edit(FATHOM.id, {"text": "A fathom is just 6 feet."}, "Vera")
    told = ann.send(f"/items/{FATHOM.id}/edit", 422, **{**form, "relation": ""})
    fields = {**form, "state": re.findall(r'name="state" value="([0-9a-f]+)"', told)[0]}
    [where] = re.findall(r'action="(/items/\w+/edit)"', told)
    assert "changed by Vera since you saw it" in ann.send(where, 409, **fields)
    assert review.kb.get(FATHOM.id).item.text == "A fathom is just 6 feet."


def test_what_the_base_refuses_stands_beside_the_form_with_the_input_kept(pages: Pages, review: Review) -> None:
    form = edit_form(pages, FATHOM.id)
    twin = {
        **form,
        "subject": "shackle",
        "object": "15 fathoms",
        "text": "A shackle is 15 fathoms, they say.",
        "aliases": "",
    }
    told = pages.send(f"/items/{FATHOM.id}/edit", 422, **twin)
    assert f"equal to item {SHACKLE.id}" in told and "they say" in told
    told = pages.send(f"/items/{FATHOM.id}/edit", 422, **{**form, "object": ""})
    assert "object: " in told
    rule = {"test_given": "father(a, b).", "test_expect": "grandfather(a, b).", "test_expect_not": ""}
    told = pages.send(f"/items/{GRAND.id}/edit", 422, **{**edit_form(pages, GRAND.id), **rule, "action": "approve"})
    assert "not approved" in told and "grandfather(a, b)" in told
    assert review.kb.get(GRAND.id).status is Status.PROPOSED


def test_merge_keeps_names_and_evidence_of_both_and_retires_one(pages: Pages, review: Review) -> None:
    review.kb.add([(OTHER, Evidence(example="q9", source="llm"))])
    assert "several values" in pages.get(f"/items/{FATHOM.id}") and OTHER.text in pages.get(f"/items/{FATHOM.id}/merge")
    shown = pages.get(f"/items/{FATHOM.id}/merge?with={OTHER.id}")
    [state] = re.findall(r'name="state" value="([0-9a-f]+)"', shown)
    [other] = re.findall(r'name="other" value="([0-9a-f:]+)"', shown)
    fields = {"text": FATHOM.text, "subject": "fathom", "relation": "makes", "object": "6 feet", "aliases": "fathome"}
    pages.send(f"/items/{FATHOM.id}/merge", state=state, other=other, **fields)
    kept, gone = review.kb.get(FATHOM.id), review.kb.get(OTHER.id)
    assert isinstance(kept.item, Fact) and kept.item.aliases == ("fathome",) and len(kept.evidence) == 2
    assert gone.status is Status.RETIRED
    pages.send("/undo")
    assert review.kb.get(OTHER.id).status is Status.PROPOSED and review.kb.get(FATHOM.id).item == FATHOM
    assert "cannot be merged" in pages.get(f"/items/{FATHOM.id}/merge?with={COUNT.id}")


def test_split_gives_each_part_the_evidence(pages: Pages, review: Review) -> None:
    shown = pages.get(f"/items/{COUNT.id}/split")
    [state] = re.findall(r'name="state" value="([0-9a-f]+)"', shown)
    parts = {"state": state, "parts": "2", "p0_text": "Count the apples one by one.", "p1_text": ""}
    assert "two different parts" in pages.send(f"/items/{COUNT.id}/split", 422, **parts)
    assert 'name="p2_text"' in pages.send(f"/items/{COUNT.id}/split", **parts, action="part")
    pages.send(f"/items/{COUNT.id}/split", **{**parts, "p1_text": "Add what was counted."})
    assert review.kb.get(COUNT.id).status is Status.RETIRED
    found = review.kb.entries(kind="lesson", status=Status.PROPOSED)
    assert {one.item.text for one in found} == {"Count the apples one by one.", "Add what was counted."}
    assert all(piece.example == "q2" for one in found for piece in one.evidence)


def test_new_items_of_each_kind(pages: Pages, review: Review) -> None:
    assert "Clause" in pages.send("/items/new", kind="rule", action="kind", text="If so, then so.")
    assert "subject: " in pages.send("/items/new", 422, kind="fact", text="A span is 9 inches.", action="approve")
    fact = {"text": "A span is 9 inches.", "subject": "span", "relation": "makes", "object": "9 inches"}
    pages.send("/items/new", kind="fact", action="propose", **fact)
    pages.send("/items/new", kind="lesson", action="approve", text="Convert first.")
    assert [one.item.text for one in review.kb.entries(search="span")] == ["A span is 9 inches."]
    assert review.kb.entries(search="convert")[0].status is Status.APPROVED
    assert (
        "it was there already"
        in pages.send("/items/new", kind="lesson", action="approve", text="Convert first.").lower()
    )


# --- the other pages ----------------------------------------------------------------------------------------------------


def test_the_graph_is_drawn_and_told_as_a_table_and_entities_are_merged(pages: Pages, review: Review) -> None:
    told = pages.get("/graph?entity=Fathom&hops=2")
    assert "6 feet" in told and "data-elements" in told and "<caption" in told
    assert "No fact in use names “fath”" in text_of(pages.get("/graph?entity=fath")) and "fathom" in pages.get(
        "/graph?entity=fath"
    )
    pages.send("/graph/merge", entity="shackle", into="fathom", why="a test")
    assert read_entities(review.kb).merged == {"shackle": "fathom"}
    assert "15 fathoms" in pages.get("/graph?entity=fathom")
    pages.send("/undo")
    assert read_entities(review.kb).merged == {}
    assert "is not known" in pages.send("/graph/merge", 422, entity="nobody", into="fathom")


def test_rules_are_run_when_the_page_is_asked_for_and_before_they_are_saved(pages: Pages, review: Review) -> None:
    assert "1 test" in text_of(pages.get("/rules")) and "all pass" in text_of(pages.get("/rules"))
    form = {
        "text": GRAND.text,
        "clause": GRAND.clause,
        "test_given": "father(a, b).",
        "test_expect": "grandfather(a, b).",
    }
    answer = pages.client.post("/rules/try", data={"form_token": pages.token, **form, "test_expect_not": ""}).json()
    assert not answer["ok"] and "grandfather" in answer["tests"][0]["why"]
    answer = pages.client.post(
        "/rules/try", data={"form_token": pages.token, **form, "clause": "p(X :- ", "test_expect_not": ""}
    ).json()
    assert not answer["ok"] and answer["problem"]
    assert review.kb.get(GRAND.id).item == GRAND


def test_what_rules_derive_with_an_item_is_shown_with_its_proof(pages: Pages, review: Review) -> None:
    pairs = [("Edward III", "Edward II"), ("Edward II", "Edward I")]
    facts = [Fact(text=f"The father of {a} was {b}.", subject=a, relation="father", object=b) for a, b in pairs]
    review.kb.add(
        [(fact, Evidence(example="", source="Ann")) for fact in facts], status=Status.APPROVED, reviewer="Ann"
    )
    for item_id in (GRAND.id, facts[0].id, facts[1].id):
        told = text_of(pages.get(f"/items/{item_id}/uses")) if review.kb.get(item_id) else ""
        if item_id == GRAND.id:
            assert "Edward III's grandfather: Edward I." in told and "The father of Edward II was Edward I." in told
    review.kb.approve(GRAND.id, "Ann")
    assert "Edward III's grandfather: Edward I." in text_of(pages.get(f"/items/{facts[1].id}/uses"))


def test_versions_are_listed_compared_reverted_and_named(pages: Pages, review: Review) -> None:
    pages.decide("approve", FATHOM.id)
    number = review.kb.revision
    pages.send(f"/items/{COUNT.id}/edit", **{**edit_form(pages, COUNT.id), "text": "Count apples."})
    told = text_of(pages.get(f"/versions/diff?before={number - 1}&after=now"))
    assert "2 items differ" in told and "proposed approved" in told and "Count apples." in told
    assert "0 items differ" in text_of(pages.get("/versions/diff?before=now&after=now"))
    pages.send("/versions/revert", revision=str(number))
    assert review.kb.get(FATHOM.id).status is Status.PROPOSED
    pages.send("/versions/tag", name="v1")
    assert "v1" in pages.get("/versions")
    pages.send("/versions/revert-to", version=str(number - 1))
    assert review.kb.get(COUNT.id).item == COUNT
    assert "there is no version" in pages.get("/versions/diff?before=v9", 422)
    assert "no such revision" in pages.send("/versions/revert", 422, revision="-1")


def test_a_base_without_a_run_is_reviewed_too(tmp_path: Path, folder: Path) -> None:
    shown = Review(None, folder / "kb.sqlite")
    try:
        pages = Pages(review_app(shown, Sessions(Tokens(PEOPLE)), loopback_hosts()))
        assert "its text is in a run's folder that these pages do not have" in pages.get("/?search=fathom")
        assert "without a run" in pages.get("/ask") and "without a run" in pages.get(f"/items/{FATHOM.id}/edit")
        assert "without a run" in pages.send("/ask", 422, question="How many?")
    finally:
        shown.close()


# --- asking ---------------------------------------------------------------------------------------------------------------


@pytest.fixture
def finished(finished_run: Path, tmp_path: Path) -> Path:
    """A copy of a finished run of the table student."""
    return Path(shutil.copytree(finished_run, tmp_path / "finished"))


@pytest.fixture
def asking(finished: Path) -> Iterator[Pages]:
    """The pages of a finished run."""
    shown = Review(finished)
    yield Pages(review_app(shown, Sessions(Tokens(PEOPLE)), loopback_hosts()))
    shown.close()


def done(pages: Pages, page: str) -> str:
    """The page of a job when it has ended."""
    waiting = re.search(r'data-job="([\w-]+)"', page)
    if waiting is None:
        return page
    for _ in range(400):
        if pages.client.get(f"/jobs/{waiting[1]}/state").json()["over"]:
            return pages.get(f"/jobs/{waiting[1]}")
        time.sleep(0.01)
    raise AssertionError("the job does not end")


def used_fact(folder: Path) -> tuple[Entry, str]:
    """A fact that a test question's answer looked up, and the question."""
    with open_run(folder) as run:
        for entry in run.kb.entries(kind="fact", status=Status.APPROVED):
            for use in run.questions_using(entry.item_id):
                if use.calls and use.split == "test":
                    return entry, use.question
    raise AssertionError("no answer looked anything up")


def test_an_answer_has_its_trace_and_being_wrong_puts_its_items_into_the_queue(asking: Pages, finished: Path) -> None:
    fact, question = used_fact(finished)
    assert question[:40] in html.unescape(asking.get(f"/items/{fact.item_id}/uses"))
    told = done(asking, asking.send("/ask", question=question, method="nesycd"))
    assert question in html.unescape(told)
    rests_on = set(re.findall(r'href="/items/([0-9a-f]{16})"', told))
    assert fact.item_id in rests_on and f"/items/{fact.item_id}/edit" in told
    [wrong] = re.findall(r'action="(/jobs/[\w-]+/wrong)"', told)
    called = asking.send(wrong, right="12")
    assert re.search(f"{len(rests_on)} items? (is|are) in the queue now", called)
    assert "The base has changed" not in called, "to be queued changes no knowledge"
    told = html.unescape(asking.get(f"/items/{fact.item_id}"))
    assert "wrong answer" in told and "(Ann): “" in told and "right is “12”" in told
    assert f'href="/?at={fact.item_id}' in asking.get("/?view=list&reason=wrong+answer")
    assert "were in the queue for this answer already" in asking.send(wrong, right="12")
    undone = asking.send("/undo")
    assert "Back at what you called wrong" in undone and not rests_on.isdisjoint(re.findall(r"/items/(\w{16})", undone))


def test_an_answer_that_rests_on_nothing_offers_a_new_item(asking: Pages) -> None:
    told = done(asking, asking.send("/ask", question="Who painted the ceiling?", method="nesycd"))
    assert "It rests on no item of the base" in told and "/items/new?why=asked" in told
    [wrong] = re.findall(r'action="(/jobs/[\w-]+/wrong)"', told)
    assert "nothing to put into the queue" in asking.send(wrong)
    assert "write a question first" in asking.send("/ask", 422, question=" ")
    told = done(asking, asking.send("/ask", question="Which?", options="one", method="nesycd"))
    assert "2 to 26 are possible" in told


def test_what_if_tells_which_answers_change_and_saves_nothing(asking: Pages, finished: Path) -> None:
    with KnowledgeBase.open(finished / "kb.sqlite", create=False) as kb:
        [palm], before = kb.entries(search="palm", kind="fact"), kb.revision
    form = edit_form(asking, palm.item_id) | {"object": "99 inches", "text": "A palm is 99 inches."}
    told = text_of(done(asking, asking.send(f"/items/{palm.item_id}/what-if", **form)))
    assert re.search(r"[1-9]\d* of 60 held-out questions \(valid\) would be answered otherwise", told)
    assert re.search(r"[1-9]\d* (is|are) touched by it: the student was asked again for [1-9]", told)
    assert "→ 99 inches" in told and "Nothing is saved yet" in told
    state = {"state": form["state"], "decision": "reject"}
    told = text_of(done(asking, asking.send(f"/items/{palm.item_id}/what-if", **state)))
    assert "if it were rejected 1 of 60 held-out questions" in told and "3 inches →" in told
    answer = asking.client.post(
        f"/items/{palm.item_id}/what-if", data={**form, "form_token": asking.token, "object": ""}
    )
    assert answer.status_code == 422 and "object: " in answer.text
    with KnowledgeBase.open(finished / "kb.sqlite", create=False) as kb:
        assert kb.revision == before
