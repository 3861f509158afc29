"""Near misses: what a question might have needed, and what kept it out."""

from __future__ import annotations

from nesycd.api.near import near_misses
from nesycd.core.records import Entry, Example, Fact, Status
from nesycd.core.sections import RetrievalSection
from nesycd.methods.knowledge import Knowledge
from nesycd.students.table import TableStudent


def fact(text: str, subject: str, relation: str, value: str) -> Fact:
    return Fact(text=text, subject=subject, relation=relation, object=value)


DESK = fact("Above 20 books the desk approves a loan.", "loan above 20 books", "approver", "desk")
KEEPER = fact("Above 90 books the keeper approves a loan.", "loan above 90 books", "approver", "keeper")
COUNCIL = fact("Above 500 books the council approves a loan.", "loan above 500 books", "approver", "council")
SLIPS = fact("Slips for books are due within 8 days.", "slips", "due within", "8 days")
WRONG = fact("Above 9 books nobody approves a loan.", "loan above 9 books", "approver", "nobody")
ROOM = fact("The reading room closes at 6.", "reading room", "closes at", "6")


def test_what_kept_each_near_item_out_is_told_nearest_first() -> None:
    entries = [Entry(item=item, status=Status.APPROVED) for item in (DESK, KEEPER, SLIPS, ROOM)]
    entries += [Entry(item=COUNCIL, status=Status.PROPOSED), Entry(item=WRONG, status=Status.REJECTED)]
    approved = tuple(entry for entry in entries if entry.status is Status.APPROVED)
    known = Knowledge(RetrievalSection(max_items=1), TableStudent(), approved)
    asked = Example(uid="q", task="t", question="Who has to approve a loan of 45 books?", answer="")
    [hit] = known.retriever.retrieve(asked.question)
    told = {miss.item.text: miss.why for miss in near_misses(known, entries, asked)}
    left = KEEPER if hit.item == DESK else DESK
    assert [*told] == [left.text, COUNCIL.text, SLIPS.text], "nothing that is rejected, retrieved, or shares no word"
    assert told[left.text] == "no room (retrieval.max_items = 1, retrieval.budget_tokens = 96)"
    assert told[COUNCIL.text] == f"proposed, not approved: nesycd kb approve {COUNCIL.id[:8]}"
    assert told[SLIPS.text].startswith("shares only book with the question")
    assert [miss.item for miss in near_misses(known, entries, asked, most=1)] == [left]
    nothing = asked.model_copy(update={"question": "What is 5 + 7?"})
    assert near_misses(known, entries, nothing) == []
