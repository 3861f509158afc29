"""Derived facts in the context: what a question asks for, after the direct facts, within the budget."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest

from nesycd.core.protocols import Retriever
from nesycd.core.records import Entry, Example, Fact, Item, Lesson, Rule, Status
from nesycd.knowledge import Entities, EntityMerge, Relation
from nesycd.retrieval import DerivingRetriever, KnowledgeRetriever, Reasoner, holds_answer
from nesycd.rules import Engine, Limits

PEOPLE = {
    "Edward III": ("Edward II", "Isabella"),
    "Edward II": ("Edward I", "Eleanor"),
    "Isabella": ("Philip IV", "Joan"),
    "Edward I": ("Henry III", "Eleanor of Provence"),
    "Joan": ("Henry of Navarre", "Blanche"),
}
FACTS = [
    Fact(text=f"The {relation} of {child} was {parent}.", subject=child, relation=relation, object=parent)
    for child, parents in PEOPLE.items()
    for relation, parent in zip(("father", "mother"), parents, strict=True)
]
RELATED = "related(father, X, Y) :- father(X, Y). related(mother, X, Y) :- mother(X, Y)."
LINE = Rule(
    text="If kin of kin are asked, go from person to person.",
    clause=f"kin(X, A, B, Z) :- related(A, X, Y), related(B, Y, Z). {RELATED}",
    says="{X} | {A}'s {B} | {Z}",
)
PAIR = Rule(
    text="If parents of kin are asked, find that person first.",
    clause=f"parents(X, A, Z, W) :- related(A, X, Y), father(Y, Z), mother(Y, W). {RELATED}",
    says="{X} | {A}'s father and mother | {Z} and {W}",
)
GRAND = Rule(text="A father's father is a grandfather.", clause="grandfather(X, Z) :- father(X, Y), father(Y, Z).")


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with Engine() as made:
        yield made


def entries(*items: Item) -> list[Entry]:
    return [Entry(item=item, status=Status.APPROVED) for item in (*FACTS, *items)]


def words(texts: Sequence[str]) -> list[int]:
    return [len(text.split()) for text in texts]


def deriving(engine: Engine, *items: Item, budget: int = 60, max_items: int = 6) -> DerivingRetriever:
    known = entries(*items)
    inner = KnowledgeRetriever(known, words, budget, max_items, hops=2)
    return DerivingRetriever(inner, Reasoner(known, engine), words, budget, max_items)


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("Who was Edward III's mother's father?", "Philip IV"),
        ("Who was the father of the mother of Edward III?", "Philip IV"),
        ("Who were Edward II's father's father and mother?", "Henry III and Eleanor of Provence"),
        ("Name Edward III's grandfather.", "Edward I"),
        ("Who was Edward III's mother's father's sister?", "Philip IV"),
        ("Who was Edward III's mother's mother's father?", None),
        ("Who was Edward III's father?", None),
        ("Who was Wat Tyler's mother's father?", None),
        ("What is 4 + 3?", None),
    ],
)
def test_the_derived_fact_that_answers_is_found_by_the_words_of_the_question(
    engine: Engine, question: str, answer: str | None
) -> None:
    found = Reasoner(entries(LINE, PAIR, GRAND), engine).answer(question)
    assert (None if found is None else found.fact.object) == answer


def test_derived_facts_stand_after_direct_ones_and_before_advice(engine: Engine) -> None:
    lesson = Lesson(text="If kin are asked, the mother's father comes step by step.")
    retriever = deriving(engine, LINE, lesson)
    assert isinstance(retriever, Retriever)
    hits = retriever.retrieve("Who was Edward III's mother's father?")
    kinds = [hit.why.partition(" ")[0] for hit in hits]
    assert kinds[:2] == ["names", "hop"] and kinds[2] == "derived" and set(kinds[3:]) == {"bm25"}
    assert hits[2].item.text == "Edward III's mother's father: Philip IV."
    assert hits[2].why == f"derived by rule {LINE.id[:8]} from {FACTS[1].id[:8]}, {FACTS[4].id[:8]}"


def test_the_budget_holds_and_direct_facts_come_first(engine: Engine) -> None:
    question = "Who was Edward III's mother's father?"
    direct = [hit.item for hit in deriving(engine).retrieve(question)]
    for budget in range(0, 40, 3):
        hits = deriving(engine, LINE, budget=budget).retrieve(question)
        assert sum(words([hit.item.text for hit in hits])) <= budget
        facts = [hit.item for hit in hits if not hit.why.startswith("derived")]
        assert [item for item in facts if isinstance(item, Fact)] == direct[: len(facts)]
    assert len(deriving(engine, LINE, max_items=2).retrieve(question)) == 2


def test_what_is_hidden_takes_no_part(engine: Engine) -> None:
    question = "Who was Edward III's mother's father?"
    for hidden in (LINE.id, FACTS[4].id):
        assert not any(
            "derived" in hit.why for hit in deriving(engine, LINE).retrieve(question, hide=frozenset({hidden}))
        )


def test_merged_entities_are_one(engine: Engine) -> None:
    alias = Fact(text="The mother of Isabel was Ann.", subject="Isabel", relation="mother", object="Ann")
    known = [*entries(LINE), Entry(item=alias, status=Status.APPROVED)]
    merge = EntityMerge(number=1, at="", actor="Ann", entity="isabel", into="isabella", why="the same")
    for entities, told in ((Entities(), ["Joan"]), (Entities((merge,)), ["Ann", "Joan"])):
        found = Reasoner(known, engine, entities).derive("Who was Edward III's mother's mother?")
        assert [one.derived.fact.object for one in found if one.asked] == told


def test_declared_relations_lead_back_to_what_is_asked(engine: Engine) -> None:
    symmetric = Entities(relations={"spouse": Relation(name="spouse", symmetric=True)})
    fact = Fact(text="The spouse of Ann was Wat.", subject="Ann", relation="spouse", object="Wat")
    other = Fact(text="The father of Wat was Jack.", subject="Wat", relation="father", object="Jack")
    known = [Entry(item=item, status=Status.APPROVED) for item in (fact, other)]
    inner = KnowledgeRetriever(known, words, 60, hops=2)
    assert Reasoner(known, engine).answer("Who was Wat's spouse?") is None
    reasoner = Reasoner(known, engine, symmetric)
    found = reasoner.answer("Who was Wat's spouse?")
    assert found is not None and found.fact.object == "Ann" and found.rests_on == (fact,)
    retriever = DerivingRetriever(inner, reasoner, words)
    [hit] = [hit for hit in retriever.retrieve("Who was Wat's spouse?") if hit.why.startswith("derived")]
    assert hit.why == f"derived by the declaration that spouse holds both ways, from {fact.id[:8]}"
    plain = DerivingRetriever(inner, Reasoner(known, engine), words)
    functional = Entities(relations={"spouse": Relation(name="spouse", functional=True)})
    assert retriever.fingerprint != plain.fingerprint
    assert DerivingRetriever(inner, Reasoner(known, engine, functional), words).fingerprint == plain.fingerprint


def test_another_number_in_the_question_derives_the_same(engine: Engine) -> None:
    unit = Fact(text="A fathom is 6 feet.", subject="fathom", relation="makes", object="6 feet")
    rule = Rule(text="Half.", clause="half(U, M, B) :- makes(U, N, B), M is N / 2. mixed(U, R) :- given(N), makes(U, V, _), "
                "R is N * V.", says="{U} | half | {M} {B}")  # fmt: skip
    known = [Entry(item=item, status=Status.APPROVED) for item in (unit, rule)]
    told = [
        [one.derived.fact.text for one in Reasoner(known, engine).derive(f"How many feet are {number} half fathoms?")]
        for number in (4, 7, 1000)
    ]
    assert told == [["fathom's half: 3 feet."]] * 3


def test_a_rule_that_never_ends_costs_its_derivations_only() -> None:
    rule = Rule(text="On and on.", clause="n(1) :- father(X, Y). n(X + 1) :- n(X).")
    with Engine(Limits(most=500)) as engine:
        retriever = deriving(engine, LINE, rule)
        hits = retriever.retrieve("Who was Edward III's mother's father?")
    assert hits and not any("derived" in hit.why for hit in hits)
    assert len(retriever.stopped) == 1 and "may never end" in retriever.stopped[0]


def test_whether_a_block_holds_the_answer() -> None:
    def holds(answer: str, text: str, options: tuple[str, ...] = ()) -> bool:
        example = Example(uid="q", task="t", question="?", answer=answer, options=options)
        return holds_answer(example, [Lesson(text=text)])

    assert holds("Philip IV", "The father was philip  IV.") and not holds("Philip I", "The father was Philip IV.")
    assert holds("6", "A fathom is 6 feet.") and not holds("6", "It is 16, 6.5 or 1,6 feet.")
    assert holds("6", "It is 6.") and not holds("", "Anything.")
    assert holds("(B)", "It is a lute.", ("drum", "lute")) and not holds("(A)", "It is a lute.", ("drum", "lute"))
