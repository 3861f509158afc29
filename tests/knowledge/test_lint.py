"""What lint finds: contradictions declared and suspected, doubles, lessons that say less, and a teacher's lies."""

from __future__ import annotations

from nesycd.knowledge import Entities, KnowledgeBase, Relation
from nesycd.knowledge.lint import Finding, lint
from nesycd.records import Entry, Evidence, Fact, Item, Lesson, Rule, Status


def fact(subject: str, value: str, relation: str = "makes") -> Fact:
    return Fact(text=f"A {subject} {relation} {value}.", subject=subject, relation=relation, object=value)


def entries(*items: Item, status: Status = Status.APPROVED) -> list[Entry]:
    return [Entry(item=item, status=status, evidence=(Evidence(example="q", source="t"),)) for item in items]


def sorts(found: list[Finding]) -> list[str]:
    return [finding.sort for finding in found]


def test_a_second_object_of_a_functional_relation_is_a_contradiction() -> None:
    clash = entries(fact("hin", "12 logs"), fact("hin", "15 logs"), fact("log", "4 cabs"))
    assert lint(clash) == []
    declared = Entities(relations={"makes": Relation(name="makes", functional=True)})
    [finding] = lint(clash, declared)
    assert finding.sort == "contradiction" and {entry.item.text[-8:] for entry in finding.entries} == {
        "12 logs.",
        "15 logs.",
    }


def test_a_relation_that_looks_functional_raises_a_suspicion() -> None:
    single = [fact(f"unit{n}", f"{n} feet") for n in range(2, 12)]
    [finding] = lint(entries(*single, fact("unit3", "7 feet")))
    assert finding.sort == "suspected contradiction" and "9 of 10 subjects" in finding.why
    assert lint(entries(*single[:4], fact("unit3", "7 feet"))) == []
    many = [fact(f"unit{n % 4}", f"{n} feet", "may make") for n in range(40)]
    assert lint(entries(*many)) == []


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
    assert sorts(found) == ["near-duplicate", "subsumed", "subsumed", "unfit"]


def test_lies_that_meet_the_truth_are_named() -> None:
    from nesycd.protocols import ErrorCase
    from nesycd.records import Attempt
    from nesycd.stages.diagnose import proposals
    from nesycd.tasks.longtail.task import LongTail
    from nesycd.teachers.expert import ExpertTeacher
    from nesycd.teachers.lying import LyingTeacher

    task = LongTail()
    cases = [ErrorCase(e, None, Attempt(example=e.uid, solver="s", response="")) for e in task.load("train")]
    teacher = LyingTeacher(ExpertTeacher(task.derive), task, share=0.1, always=False)
    with KnowledgeBase.open(":memory:") as kb:
        kb.add(proposals(teacher.diagnoses(cases)))
        found = lint(kb.entries())
    named = {
        entry.item.triple
        for f in found
        if "contradiction" in f.sort
        for entry in f.entries
        if isinstance(entry.item, Fact)
    }
    lies = set(teacher.lies)
    # A fact that occurs once has no truth beside its lie.
    assert len(lies) > 20 and len(lies & named) > 0.5 * len(lies)
    assert all(
        any(e.item.triple in lies for e in f.entries if isinstance(e.item, Fact)) for f in found if "contra" in f.sort
    )
