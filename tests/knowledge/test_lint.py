"""What lint finds: contradictions declared and suspected, doubles, lessons that say less, and a teacher's lies."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from nesycd.core.records import Entry, Evidence, Fact, Item, Lesson, Rule, Status
from nesycd.knowledge import Entities, EntityMerge, KnowledgeBase, Relation
from nesycd.knowledge.conflicts import Conflict
from nesycd.knowledge.lint import Embed, Finding, lint


def fact(subject: str, value: str, relation: str = "makes") -> Fact:
    return Fact(text=f"A {subject} {relation} {value}.", subject=subject, relation=relation, object=value)


def entries(*items: Item, status: Status = Status.APPROVED) -> list[Entry]:
    return [Entry(item=item, status=status, evidence=(Evidence(example="q", source="t"),)) for item in items]


def sorts(found: list[Finding]) -> list[str]:
    return [finding.kind for finding in found]


def test_a_second_object_of_a_functional_relation_is_a_contradiction() -> None:
    clash = entries(fact("hin", "12 logs"), fact("hin", "15 logs"), fact("log", "4 cabs"))
    assert sorts(lint(clash)) == ["several values"]
    declared = Entities(relations={"makes": Relation(name="makes", functional=True)})
    [finding] = lint(clash, declared)
    assert finding.kind == "contradiction" and {entry.item.text[-8:] for entry in finding.entries} == {
        "12 logs.",
        "15 logs.",
    }


def test_a_relation_that_looks_functional_raises_a_suspicion() -> None:
    single = [fact(f"unit{n}", f"{n} feet") for n in range(2, 12)]
    [finding] = lint(entries(*single, fact("unit3", "7 feet")))
    assert finding.kind == "suspected contradiction" and "9 of 10 subjects" in finding.why
    assert sorts(lint(entries(*single[:4], fact("unit3", "7 feet")))) == ["several values"]
    many = [fact(f"unit{n % 4}", f"{n} feet", "may make") for n in range(40)]
    assert sorts(lint(entries(*many))) == ["several values"] * 4


def test_two_values_are_a_finding_unless_the_relation_is_declared_many_valued() -> None:
    twice = entries(fact("hin", "12 logs", "Holds"), fact("Hin", "15  logs", "holds"))
    other = entries(
        fact("hin", "wine", "measures"), fact("hin", "a liquid measure", "is a"), fact("hin", "a unit", "is a")
    )
    [finding] = lint([*twice, *other])
    assert (finding.kind, finding.why) == (
        "several values",
        "hin has 2 objects of 'holds', which is not declared many_valued",
    )
    assert {entry.item_id for entry in finding.entries} == {entry.item_id for entry in twice}
    assert lint([*twice, *other], Entities(relations={"holds": Relation(name="holds", many_valued=True)})) == []
    # Declared so, not even a relation of which most subjects have one object is suspected.
    usual = [fact(f"unit{n}", f"{n} logs", "holds") for n in range(12)]
    assert sorts(lint([*twice, *entries(*usual)])) == ["suspected contradiction"]
    assert (
        lint([*twice, *entries(*usual)], Entities(relations={"holds": Relation(name="HOLDS", many_valued=True)})) == []
    )


def test_names_of_one_entity_have_one_value_together() -> None:
    merged = Entities(merges=(EntityMerge(1, "", "Ann", "log measure", "log", ""),))
    assert lint(entries(fact("hin", "log", "holds"), fact("hin", "measure", "kind")), merged) == []
    same = entries(fact("hin", "log", "holds"), fact("hin", "log measure", "holds"))
    assert "several values" not in sorts(lint(same, merged)) and sorts(lint(same)) == ["several values"]
    # An alias is another name of the same thing.
    log = Fact(text="A log is small.", subject="log", relation="kind", object="small", aliases=("log measure",))
    assert lint([*same, *entries(log)]) == []
    functional = {"holds": Relation(name="holds", functional=True)}
    assert lint([*same, *entries(log)], Entities(relations=functional)) == []
    assert "contradiction" not in sorts(lint(same, Entities(merged.merges, functional)))


def test_what_is_proposed_is_held_against_what_is_approved_and_the_rejected_count_for_nothing() -> None:
    approved = entries(*(fact(f"unit{n}", f"{n} feet") for n in range(2, 12)))
    assert sorts(lint([*approved, *entries(fact("unit3", "7 feet"), status=Status.PROPOSED)])) == [
        "suspected contradiction"
    ]
    assert lint([*approved, *entries(fact("unit3", "7 feet"), status=Status.REJECTED)]) == []


def test_doubles_and_lessons_that_say_less_are_found() -> None:
    found = lint(
        entries(
            Lesson(text="Always convert units before adding."),
            Lesson(text="Always convert the units before adding!"),
            Lesson(text="Always convert units before adding, and check the result twice against another way."),
            Rule(text="If pounds are paid, then there are 20 shillings in each."),
            Rule(text="If pounds are paid, then there are 12 shillings in each."),
            Lesson(text="The student added in the wrong order."),
        )
    )
    assert sorts(found) == ["near-duplicate", "subsumed", "subsumed", "ill-formed"]


def test_facts_that_are_one_since_entities_were_merged_are_doubles() -> None:
    same = entries(fact("Sun King", "Versailles", "residence"), fact("Louis XIV", "Versailles", "residence"))
    assert lint(same) == []
    merged = Entities(merges=(EntityMerge(1, "", "Ann", "sun king", "louis xiv", ""),))
    [finding] = lint(same, merged)
    assert finding.kind == "near-duplicate" and "since entities were merged" in finding.why


def test_what_clashes_through_rules_stands_among_the_contradictions() -> None:
    a, b = entries(Lesson(text="Count first."), Lesson(text="Sum last."))
    assert [(f.kind, f.why) for f in lint([a, b], conflicting=[Conflict((a, b), "why")])] == [("contradiction", "why")]


def test_vectors_find_what_words_do_not_and_differing_words_or_numbers_are_no_doubles() -> None:
    said = [
        "Round at the end only.",
        "Do all rounding when you are done.",
        "Round at the start only.",
        "Do 2 roundings when you are done.",
    ]

    def embed(texts: Sequence[str]) -> NDArray[np.float32]:
        return np.ones((len(texts), 1), dtype=np.float32)

    found = lint(entries(*(Lesson(text=text) for text in said)), embed=embed)
    assert {frozenset(said.index(entry.item.text) for entry in one.entries) for one in found} == {
        frozenset({0, 1}),
        frozenset({1, 2}),
    }
    assert all(one.why == "perhaps the same meaning (cosine 1.00)" for one in found)
    assert lint(entries(Lesson(text=said[0]), Rule(text=said[1])), embed=embed) == []


@pytest.mark.slow
def test_the_figures_of_the_near_duplicates_are_those_of_the_log() -> None:
    pytest.importorskip("wordllama")
    import near_pairs

    from nesycd.retrieval.dense import WordLlamaEmbedder

    embed = WordLlamaEmbedder().embed

    def count(pairs: Sequence[tuple[str, str]], how: Embed | None) -> int:
        found = [lint(entries(*(Lesson(text=text) for text in pair)), embed=how) for pair in pairs]
        return sum(bool({"near-duplicate", "subsumed"} & {*sorts(one)}) for one in found)

    lists = (near_pairs.SAME, near_pairs.DIFFERENT, near_pairs.SAME_LATER, near_pairs.DIFFERENT_LATER)
    assert [len(pairs) for pairs in lists] == [20, 20, 12, 12]
    assert [count(pairs, None) for pairs in lists] == [1, 2, 0, 0]
    assert [count(pairs, embed) for pairs in lists] == [10, 3, 3, 1]


def test_equal_items_in_normal_form_are_one_from_the_start() -> None:
    made: list[Item] = [
        Fact(text="t", subject=" Fathom", relation="IS", object="6  feet"),
        Lesson(text="Count first."),
        Fact(text="u", subject="fathom", relation="is", object="6 feet"),
        Lesson(text="count  FIRST.\n"),
        Lesson(text=" Count\tfirst. "),
    ]
    with KnowledgeBase.open(":memory:") as kb:
        for number, item in enumerate(made):
            kb.add([(item, Evidence(example=f"q{number}", source="t"))])
        kept = kb.entries()
    assert [(e.item.kind, len(e.evidence)) for e in kept] == [("fact", 2), ("lesson", 3)] and lint(kept) == []


def test_lies_that_meet_the_truth_are_named() -> None:
    from nesycd.core.answers import Attempt
    from nesycd.core.protocols import ErrorCase
    from nesycd.stages.diagnose import proposals
    from nesycd.tasks.longtail.task import LongTail
    from nesycd.teachers.expert import ExpertTeacher
    from nesycd.teachers.noisy import NoisyTeacher

    task = LongTail()
    cases = [ErrorCase(e, None, Attempt(example=e.uid, solver="s", response="")) for e in task.load("train")]
    teacher = NoisyTeacher(ExpertTeacher(task.derive), task, share=0.1, always=False)
    with KnowledgeBase.open(":memory:") as kb:
        kb.add(proposals(teacher.diagnoses(cases)))
        found = lint(kb.entries())
    named = {
        entry.item.triple
        for f in found
        if "contradiction" in f.kind
        for entry in f.entries
        if isinstance(entry.item, Fact)
    }
    lies = set(teacher.replaced)
    # A fact that occurs once has no truth beside its lie.
    assert len(lies) > 20 and len(lies & named) > 0.5 * len(lies)
    assert all(
        any(e.item.triple in lies for e in f.entries if isinstance(e.item, Fact)) for f in found if "contra" in f.kind
    )


@pytest.fixture(autouse=True)
def _pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    from pathlib import Path

    monkeypatch.syspath_prepend(str(Path(__file__).parent))
