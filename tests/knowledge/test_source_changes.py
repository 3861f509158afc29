"""What becomes of items when the document that they cite changes: in a base, and where a run makes its base anew."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest

from nesycd.core.errors import KnowledgeError
from nesycd.core.records import Evidence, Fact, Rule, Status
from nesycd.knowledge import KnowledgeBase, item_key
from nesycd.knowledge.carry import carry_over, is_worked_on
from nesycd.knowledge.citations import cite, document_of
from nesycd.knowledge.queue import waiting
from nesycd.knowledge.source_changes import Proposal, TakenUp, take_up

DOCUMENTS = ("fees.csv", "policy.md")


def fee(plan: str, euros: int, line: int) -> Proposal:
    text = f"The fee of {plan} is {euros} EUR."
    made = Fact(text=text, subject=plan, relation="fee", object=f"{euros} EUR")
    return made, Evidence(example="", source=f"fees.csv, line {line}")


def rule(text: str, line: int) -> Proposal:
    return Rule(text=text), Evidence(example="", source=f"policy.md#Refunds, line {line}")


FIRST = [fee("Gold", 20, 2), fee("Silver", 10, 3), rule("Refunds: Requests are due within 30 days.", 4),
         rule("Refunds: Alcohol is never paid.", 5)]  # fmt: skip


@pytest.fixture
def kb() -> Iterator[KnowledgeBase]:
    with KnowledgeBase.open(":memory:") as opened:
        read(opened, FIRST)
        yield opened


def read(kb: KnowledgeBase, stated: Sequence[Proposal], dry_run: bool = False) -> TakenUp:
    return take_up(kb, stated, DOCUMENTS, "Ann", dry_run=dry_run)


def state(kb: KnowledgeBase) -> dict[str, tuple[Status, list[str]]]:
    return {one.item.text: (one.status, [e.source for e in one.evidence]) for one in kb.entries()}


def queued(kb: KnowledgeBase) -> list[tuple[str, str]]:
    return [(one.entry.item.text, reason) for one in waiting(kb) for reason in one.reasons]


def test_a_source_tells_its_document_and_others_tell_none() -> None:
    assert document_of(cite("a b/x.y.md", "Fees, line 3", "line", 12, 2)) == "a b/x.y.md"
    assert document_of(cite("p.XLSX", "Sheet 1", "row", 4)) == "p.XLSX"
    assert len(cite("a.md", "x" * 500, "line", 1)) < 110 and document_of(cite("a.md", "x" * 500, "line", 1)) == "a.md"
    for source in ("expert", "Ann", "k.yaml", "fees.csv", "handbook.md", "gpt, line 3", ""):
        assert document_of(source) == ""


def test_what_is_read_is_proposed_once_and_cites_its_place(kb: KnowledgeBase) -> None:
    assert state(kb) == {item.text: (Status.PROPOSED, [evidence.source]) for item, evidence in FIRST}
    done = read(kb, FIRST)
    assert (done.new, done.queued, done.withdrawn, done.stand, done.moved) == ((), (), (), 4, 0)
    assert kb.revision == 1, "nothing changed, so nothing is written"
    # Counted by document, not by place.
    assert kb.stats()["sources"] == {"fees.csv": 2, "policy.md": 2}
    assert [one.actor for one in kb.history(FIRST[0][0].id)] == ["fees.csv"]
    with pytest.raises(KnowledgeError, match="name of who does it"):
        take_up(kb, FIRST, DOCUMENTS, " ")


def test_a_changed_value_is_queued_with_both_and_the_rest_stays(kb: KnowledgeBase) -> None:
    kb.approve_all("Ann")
    changed = [fee("Gold", 25, 2), *FIRST[1:]]
    before = state(kb)
    assert len(read(kb, changed, dry_run=True).queued) == 1 and state(kb) == before
    done = read(kb, changed)
    assert [one.item.text for one in done.new] == ["The fee of Gold is 25 EUR."] and done.stand == 3
    assert queued(kb) == [
        ("The fee of Gold is 20 EUR.",
         "the source changed: The fee of Gold is 20 EUR. -> The fee of Gold is 25 EUR. (was fees.csv, line 2)"),
        ("The fee of Gold is 25 EUR.",
         f"the source changed: takes the place of item {FIRST[0][0].id[:8]}: The fee of Gold is 20 EUR."),
    ]  # fmt: skip
    assert [one.entry.item.text for one in waiting(kb)] == ["The fee of Gold is 20 EUR.", "The fee of Gold is 25 EUR."]
    # The old one stays in use until somebody decides, and says no more that the document states it.
    assert state(kb)["The fee of Gold is 20 EUR."] == (Status.APPROVED, [])
    assert {text: told for text, told in state(kb).items() if "Gold" not in text} == {
        text: told for text, told in before.items() if "Gold" not in text
    }
    read(kb, changed)
    assert len(queued(kb)) == 2, "read again, nothing is queued twice"
    kb.retire(FIRST[0][0].id, "Ann")
    kb.approve(changed[0][0].id, "Ann")
    assert queued(kb) == []
    # It changes again, and back: each time it is asked again.
    read(kb, [fee("Gold", 20, 2), *FIRST[1:]])
    assert [text for text, _ in queued(kb)] == ["The fee of Gold is 25 EUR."]


def test_a_vanished_sentence_and_a_reworded_one_are_queued(kb: KnowledgeBase) -> None:
    kb.approve_all("Ann")
    read(kb, [*FIRST[:2], rule("Refunds: Requests are due within 14 days.", 4)])
    assert dict(queued(kb)) == {
        "Refunds: Requests are due within 30 days.": "the source changed: Refunds: Requests are due within 30 days. -> Refunds: "
        "Requests are due within 14 days. (was policy.md#Refunds, line 4)",
        "Refunds: Alcohol is never paid.": "the source changed: policy.md#Refunds, line 5 does not say any more: Refunds: "
        "Alcohol is never paid.",
        "Refunds: Requests are due within 14 days.": f"the source changed: takes the place of item {FIRST[2][0].id[:8]}: "
        "Refunds: Requests are due within 30 days.",
    }


def test_a_moved_sentence_is_cited_where_it_stands_now_and_stays_queued(kb: KnowledgeBase) -> None:
    kb.approve_all("Ann")
    read(kb, [fee("Gold", 25, 2), *FIRST[1:]])
    was = queued(kb)
    done = read(kb, [fee("Gold", 25, 12), fee("Silver", 10, 13), *FIRST[2:]])
    assert (done.moved, done.new, done.queued) == (2, (), ())
    assert state(kb)["The fee of Silver is 10 EUR."] == (Status.APPROVED, ["fees.csv, line 13"])
    assert queued(kb) == was


def test_edits_and_decisions_stay_while_the_document_states_what_it_stated(kb: KnowledgeBase) -> None:
    gold, silver, due, _ = (item.id for item, _ in FIRST)
    kb.edit(gold, {"text": "The fee of Gold is 20 EUR a month.", "object": "20 EUR a month"}, "Bo")
    kb.approve(gold, "Bo")
    kb.reject(silver, "Bo")
    kb.edit(due, {"text": "Refunds are asked for within 30 days."}, "Bo")
    before = state(kb)
    assert read(kb, FIRST).stand == 4 and state(kb) == before
    # The edited item's document changes: it is asked about by what the document stated.
    read(kb, [fee("Gold", 22, 2), fee("Silver", 11, 3), *FIRST[2:]])
    found = state(kb)
    assert found["The fee of Gold is 20 EUR a month."] == (Status.APPROVED, [])
    assert found["The fee of Silver is 10 EUR."][0] is Status.REJECTED
    assert [text for text, _ in queued(kb)] == ["The fee of Gold is 20 EUR a month.", "The fee of Gold is 22 EUR."]
    assert "The fee of Gold is 20 EUR. -> The fee of Gold is 22 EUR." in queued(kb)[0][1]
    # What was refused is refused when it comes back.
    read(kb, [fee("Gold", 22, 2), *FIRST[1:]])
    assert state(kb)["The fee of Silver is 10 EUR."][0] is Status.REJECTED


def test_proposals_nobody_has_looked_at_are_withdrawn_and_can_come_back(kb: KnowledgeBase) -> None:
    done = read(kb, FIRST[1:])
    assert [one.item.text for one in done.withdrawn] == ["The fee of Gold is 20 EUR."]
    assert "The fee of Gold is 20 EUR." not in state(kb) and queued(kb) == []
    assert kb.history(FIRST[0][0].id)[-1].action == "withdraw"
    assert [one.item.text for one in read(kb, FIRST).new] == ["The fee of Gold is 20 EUR."]


def test_what_others_state_too_stays_and_other_documents_are_left_alone(kb: KnowledgeBase) -> None:
    kb.add([(FIRST[0][0], Evidence(example="q1", source="expert"))])
    kb.add([(Rule(text="Others: never mind."), Evidence(example="", source="other.md, line 1"))])
    read(kb, FIRST[1:])
    assert state(kb)["The fee of Gold is 20 EUR."] == (Status.PROPOSED, ["expert"])
    assert state(kb)["Others: never mind."] == (Status.PROPOSED, ["other.md, line 1"])


def test_what_is_refused_is_stated_but_not_proposed(kb: KnowledgeBase) -> None:
    kb.approve(FIRST[0][0].id, "Ann")
    extra = fee("Bronze", 5, 4)
    done = take_up(kb, [*FIRST, extra], DOCUMENTS, "Ann", but={FIRST[0][0].id, extra[0].id})
    assert done.new == () and queued(kb) == [] and state(kb)["The fee of Gold is 20 EUR."][0] is Status.APPROVED


def test_a_revision_that_took_up_a_change_is_undone(kb: KnowledgeBase) -> None:
    before = state(kb)
    read(kb, [fee("Gold", 25, 2), fee("Silver", 10, 8), FIRST[2]])
    kb.revert(kb.revision, "Ann")
    assert state(kb) == before


# --- a base that a run makes anew -------------------------------------------------------------------------------------


def anew(old: KnowledgeBase, stated: Sequence[Proposal], documents: Sequence[str] = DOCUMENTS) -> KnowledgeBase:
    new = KnowledgeBase.open(":memory:")
    new.add(stated)
    if is_worked_on(old, documents):
        carry_over(old, new, documents, {item_key(item) for item, _ in stated})
    return new


def test_a_base_of_which_nothing_was_decided_is_simply_made_anew(kb: KnowledgeBase) -> None:
    assert not is_worked_on(kb, DOCUMENTS) and is_worked_on(kb), (
        "proposals of a document that is read again are nobody's work"
    )
    assert set(state(anew(kb, FIRST[1:]))) == {item.text for item, _ in FIRST[1:]}


def test_people_s_work_is_carried_over_and_what_is_stated_no_more_is_queued(kb: KnowledgeBase) -> None:
    gold, silver, _, alcohol = (item.id for item, _ in FIRST)
    kb.approve(gold, "Bo")
    kb.edit(silver, {"text": "The fee of Silver is 10 EUR a year.", "object": "10 EUR a year"}, "Bo")
    kb.approve(silver, "Bo")
    kb.reject(alcohol, "Bo")
    new = anew(kb, [fee("Gold", 25, 2), fee("Silver", 10, 9), fee("Bronze", 5, 10)])
    found = state(new)
    assert found == {
        "The fee of Gold is 20 EUR.": (Status.APPROVED, []),
        "The fee of Gold is 25 EUR.": (Status.PROPOSED, ["fees.csv, line 2"]),
        "The fee of Silver is 10 EUR a year.": (Status.APPROVED, ["fees.csv, line 9"]),
        "The fee of Bronze is 5 EUR.": (Status.PROPOSED, ["fees.csv, line 10"]),
        "Refunds: Alcohol is never paid.": (Status.REJECTED, []),
    }
    told = queued(new)
    assert [text for text, _ in told] == ["The fee of Gold is 20 EUR.", "The fee of Gold is 25 EUR."]
    assert "-> The fee of Gold is 25 EUR. (was fees.csv, line 2)" in told[0][1]
    # Made anew before anybody decided: it still waits. Decided: it does not.
    again = anew(new, [fee("Gold", 25, 2), fee("Silver", 10, 9), fee("Bronze", 5, 10)])
    assert queued(again) == told
    again.approve(gold, "Bo", "still so")
    assert [text for text, _ in queued(anew(again, [fee("Gold", 25, 2)]))][:1] != ["The fee of Gold is 20 EUR."]


def test_a_document_that_is_not_read_any_more_is_told(kb: KnowledgeBase) -> None:
    kb.approve(FIRST[2][0].id, "Bo")
    new = anew(kb, FIRST[:2], ["fees.csv"])
    assert queued(new) == [
        ("Refunds: Requests are due within 30 days.",
         "the source is not read any more: policy.md#Refunds, line 4: Refunds: Requests are due within 30 days."),
    ]  # fmt: skip
    assert state(new)["Refunds: Alcohol is never paid."][0] is Status.PROPOSED
