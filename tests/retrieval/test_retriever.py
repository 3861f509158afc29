"""The retriever: what it finds, why, in which order, within which limits, and how fast."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections.abc import Sequence

import pytest

from nesycd.core.protocols import Retriever
from nesycd.core.records import Entry, Fact, Hit, Item, Lesson, Rule, Status
from nesycd.retrieval import KnowledgeRetriever


def words(texts: Sequence[str]) -> list[int]:
    return [len(text.split()) for text in texts]


def fact(text: str, subject: str, relation: str, value: str, *aliases: str) -> Fact:
    return Fact(text=text, subject=subject, relation=relation, object=value, aliases=aliases)


FATHOM = fact("A fathom is 6 feet.", "fathom", "size in feet", "6 feet", "fadom")
FOOT = fact("A foot is 12 inches.", "foot", "size in inches", "12 inches")
MONEY = fact("A pound was worth 20 shillings.", "pound (money)", "worth", "20 shillings", "pound", "quid")
WEIGHT = fact("A pound weighs 16 ounces.", "pound (weight)", "weighs", "16 ounces", "pound", "lb")
LOUIS = [
    fact("The father of Louis XIV was Louis XIII.", "Louis XIV", "father", "Louis XIII", "Sun King"),
    fact("Louis XIV was born in 1638.", "Louis XIV", "birth", "1638", "Sun King"),
    fact("The father of Louis XIII was Henry IV.", "Louis XIII", "father", "Henry IV of France"),
    fact("The mother of Louis XIII was Marie.", "Louis XIII", "mother", "Marie"),
    fact("The father of Henry IV was Antoine.", "Henry IV of France", "father", "Antoine"),
]
GRANDFATHER = Rule(text="A grandfather is the father of a father or of a mother.")
COUNT = Lesson(text="Count the apples in each basket before adding them.")
ALL: list[Item] = [FATHOM, FOOT, MONEY, WEIGHT, *LOUIS, GRANDFATHER, COUNT]


def make(items: Sequence[Item] = ALL, status: Status = Status.APPROVED, **settings: float) -> KnowledgeRetriever:
    return KnowledgeRetriever([Entry(item=item, status=status) for item in items], words, **settings)  # type: ignore[arg-type]


def found(hits: Sequence[Hit]) -> list[str]:
    return [hit.item.text for hit in hits]


def test_it_is_a_retriever() -> None:
    assert isinstance(make(), Retriever)


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("How many feet do 3 fathoms make?", [(FATHOM, "names fathom (as fathoms)")]),
        ("How many feet is one fadom?", [(FATHOM, "names fathom (alias fadom)")]),
        ("How many shillings are 3 pounds?", [(MONEY, "names pound (money) (alias pound)")]),
        ("How many ounces are 3 pounds?", [(WEIGHT, "names pound (weight) (alias pound)")]),
        ("When was the birth of Louis XIV?", [(LOUIS[1], "names Louis XIV")]),
        (
            "Who was the Sun King's father's father?",
            [(LOUIS[0], "names Louis XIV (alias Sun King)"), (LOUIS[2], "hop from Louis XIV via father")],
        ),
        (
            "Who was the father of the father of the father of Louis XIV?",
            [
                (LOUIS[0], "names Louis XIV"),
                (LOUIS[2], "hop from Louis XIV via father"),
                (LOUIS[4], "hop from Louis XIII via father"),
            ],
        ),
        ("Add the apples of each basket.", [(COUNT, "bm25 #1")]),
        ("What is 5 + 7?", []),
        ("Tom walks 3 steps north and 2 steps west.", []),
        ("", []),
    ],
)
def test_what_is_found_and_why(question: str, expected: list[tuple[Item, str]]) -> None:
    hits = make().retrieve(question)
    facts = [(hit.item, hit.why) for hit in hits if hit.item.kind == "fact"] or [(h.item, h.why) for h in hits]
    best = [one for one in facts if one[0] is not FOOT]  # "feet" names it too
    assert best == expected
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)


def test_a_rule_tells_which_relations_are_asked_for() -> None:
    question = "Name a grandfather of Louis XIV."
    texts = found(make().retrieve(question))
    assert texts[0] == LOUIS[0].text and LOUIS[2].text in texts and GRANDFATHER.text in texts
    assert LOUIS[1].text not in texts, "nobody asked for the birth"
    without = make(hops=0).retrieve(question)
    assert not any(hit.why.startswith("hop") for hit in without)


def test_a_shared_name_without_other_words_gives_all() -> None:
    assert set(found(make().retrieve("How heavy or dear is a pound?"))) == {MONEY.text, WEIGHT.text}


def test_only_approved_entries_are_found() -> None:
    for status in (Status.PROPOSED, Status.REJECTED, Status.RETIRED):
        assert make(status=status).retrieve("How many feet do 3 fathoms make?") == []


def test_hidden_items_are_as_if_they_were_not_there() -> None:
    question = "Who was the Sun King's father's father?"
    full = make()
    for item in ALL:
        without = make([other for other in ALL if other is not item])
        hidden = [(hit.item, hit.why) for hit in full.retrieve(question, hide=frozenset({item.id}))]
        assert hidden == [(hit.item, hit.why) for hit in without.retrieve(question)]
    assert full.retrieve(question, hide=frozenset(item.id for item in ALL) | {"unknown"}) == []


def test_a_hidden_facts_longer_name_does_not_stand_before_a_visible_one() -> None:
    short = fact("The father of Henry IV was John.", "Henry IV", "father", "John of Gaunt")
    question = "Who was the father of the father of the father of Louis XIV?"
    assert found(make([*LOUIS, short]).retrieve(question))[-1] == LOUIS[4].text
    hidden = make([*LOUIS, short]).retrieve(question, hide=frozenset({LOUIS[4].id}))
    assert hidden == make([*LOUIS[:4], short]).retrieve(question)
    assert found(hidden)[-1] == short.text


def test_budget_and_number_of_items() -> None:
    question = "Who was the father of the father of the father of Louis XIV?"
    assert found(make(max_items=2).retrieve(question)) == [LOUIS[0].text, LOUIS[2].text]
    for budget in range(0, 60, 5):
        hits = make(budget_tokens=budget).retrieve(question)
        assert sum(words(found(hits))) <= budget
        assert budget < 8 or hits
    tight = [fact("long " * 50, "cat", "size", "long"), fact("Small cat.", "cat", "weight", "small")]
    assert found(make(tight, budget_tokens=10).retrieve("size of a cat")) == []
    assert found(make(tight, budget_tokens=10).retrieve("size and weight of a cat")) == ["Small cat."]


def test_the_floor_keeps_irrelevant_advice_out() -> None:
    question = "Tom has 3 apples and eats 1."
    assert make(min_score=0.9).retrieve(question) == []
    assert found(make(min_score=0.01).retrieve(question)) == [COUNT.text]


def test_what_says_much_besides_stays_out_and_numbers_meet_by_chance() -> None:
    place = fact("Gebo is number 7 in the rune row.", "gebo", "place", "7")
    rope = fact("In Stade the rope for the fathom was 3 feet long.", "fathom", "rope in Stade", "3 feet")
    board = fact(
        "In Stade the gebo took place number 3 on the painted board.", "gebo", "place on the board in Stade", "3"
    )
    knows = KnowledgeRetriever(
        [Entry(item=i, status=Status.APPROVED) for i in (*ALL, place, rope, board)], words, 96, 6, 1
    )
    found = [hit.item for hit in knows.retrieve("How many feet are 4 fathoms and 3 feet?")]
    assert FATHOM in found and rope not in found
    asked = "Start in the rune row with the place of gebo, then 3 more. Which number is it?"
    assert [hit.item for hit in knows.retrieve(asked)] == [place]


POLICY = [
    fact("A loan up to 20 books needs no approval.", "loan up to 20 books", "approver", "nobody"),
    fact("Above 20 books the desk approves a loan.", "loan above 20 books", "approver", "desk"),
    fact("Above 90 books the keeper approves a loan.", "loan above 90 books", "approver", "keeper"),
    fact("Slips are due within 8 days.", "slips", "due within", "8 days"),
    fact("A loan without a slip is fined 3 shillings.", "loan without a slip", "fine", "3 shillings"),
    fact("The reading room closes at 6.", "reading room", "closes at", "6"),
]


def test_facts_whose_subject_nobody_names_are_found_by_the_questions_words() -> None:
    policy = make(POLICY)
    hits = policy.retrieve("Who has to approve a loan of 45 books at Carrow?")
    assert {hit.item.text for hit in hits} == {one.text for one in POLICY[:3]}, "approval is approved"
    assert all(hit.by == ("lexical",) and hit.is_read for hit in hits) and hits[0].why == "has 3 of 4 words"
    # What a name leads to can be asked for by that name; where it does not fit, it comes last.
    first, second = policy.retrieve("Is a loan without its slip fined?")
    assert (first.item, first.is_read) == (POLICY[4], True) and (second.item, second.is_read) == (POLICY[3], False)
    # One word alone meets by chance, as do two of a long question, and numbers.
    for question in (
        "Which books are blue?",
        "Is 20 more than 90?",
        "Ann lends a loan of wool to Ben for 20 years near Ely.",
    ):
        assert policy.retrieve(question) == [], question
    hidden = frozenset(one.id for one in POLICY[1:3])
    assert found(policy.retrieve("Who approves a loan of 45 books?", hide=hidden)) == [POLICY[0].text]


def test_facts_that_circle_end() -> None:
    ring = [fact(f"The father of P{n} is P{(n + 1) % 3}.", f"P{n}", "father", f"P{(n + 1) % 3}") for n in range(3)]
    hits = make(ring, hops=9).retrieve("Who is P0's father's father's father's father's father?")
    assert sorted(found(hits)) == sorted(one.text for one in ring)


def test_the_order_of_entries_does_not_matter_but_content_and_settings_do() -> None:
    first, second = make(), make(ALL[::-1])
    question = "Who was a grandfather of the Sun King, and is a pound more than a fathom?"
    assert first.retrieve(question) == second.retrieve(question)
    assert first.fingerprint == second.fingerprint
    others = {make(ALL[1:]).fingerprint, make(budget_tokens=95).fingerprint, make(hops=0).fingerprint}
    assert len(others | {first.fingerprint}) == 4


def test_equal_in_every_process() -> None:
    program = (
        "from nesycd.retrieval import KnowledgeRetriever as K; from nesycd.core.records import *;"
        "k = K([Entry(item=Lesson(text=f'Add {a} to {b}.'), status='approved') for a in 'pqrs' for b in 'tuvw'],"
        " lambda ts: [len(t) for t in ts]); print([(h.item.text, h.score) for h in k.retrieve('add p q to t u')])"
    )
    runs = [
        subprocess.run([sys.executable, "-c", program], env={"PYTHONHASHSEED": seed}, capture_output=True, text=True)
        for seed in ("1", "2")
    ]
    assert runs[0].stdout == runs[1].stdout != "" and not runs[0].stderr


def test_speed_on_a_thousand_items() -> None:
    rng = random.Random(0)
    names = ["".join(rng.choice("bdfgklmnprst") + rng.choice("aeiou") for _ in range(3)) for _ in range(800)]
    items: list[Item] = [
        fact(f"The {relation} of {name} is {number}.", name, relation, f"{number} {rng.choice(names)}", name + "x")
        for number in range(1000)
        for name, relation in [(rng.choice(names), rng.choice(["size", "weight", "father", "colour"]))]
    ]
    start = time.perf_counter()
    retriever = make(items)
    assert time.perf_counter() - start < 1
    start = time.perf_counter()
    hits = [
        retriever.retrieve(f"What is the {rng.choice(['size', 'father'])} of {rng.choice(names)}?") for _ in range(500)
    ]
    assert time.perf_counter() - start < 2
    assert sum(map(bool, hits)) > 250
