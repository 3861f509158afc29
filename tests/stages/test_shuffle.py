"""A shuffled base has the same items with each other's contents."""

from __future__ import annotations

from collections import Counter

from nesycd.core.records import Entry, Fact, Item, Lesson, Rule, RuleTest, Status
from nesycd.stages.shuffle import shuffled
from nesycd.tasks.clutrr import rule_of


def entries(*items: Item) -> list[Entry]:
    return [Entry(item=item, status=Status.APPROVED, reviewer="ann") for item in items]


def fact(subject: str, value: str, relation: str = "fee") -> Fact:
    return Fact(text=f"The {relation} of {subject} is {value}.", subject=subject, relation=relation, object=value)


def test_facts_of_a_relation_exchange_their_objects() -> None:
    before = entries(fact("G1", "5"), fact("G2", "5"), fact("G3", "9"), fact("G4", "7"), fact("Ann", "Bea", "mother"))
    after = shuffled(before, 0)
    facts = [one.item for one in after]
    assert all(isinstance(one, Fact) for one in facts)
    assert Counter(one.object for one in facts if isinstance(one, Fact)) == Counter({"5": 2, "9": 1, "7": 1, "Bea": 1})
    for old, new in zip(before[:4], after[:4], strict=True):
        assert isinstance(old.item, Fact) and isinstance(new.item, Fact)
        assert new.item.object != old.item.object and new.item.subject == old.item.subject
        assert new.item.text == f"The fee of {new.item.subject} is {new.item.object}."
        assert (new.status, new.reviewer) == (old.status, old.reviewer)
    assert after[4] == before[4], "there is nobody to exchange with"
    assert shuffled(before, 0) == after


def test_a_text_without_the_object_is_said_anew() -> None:
    one = Fact(text="A fathom has six feet.", subject="fathom", relation="makes", object="6 feet")
    other = Fact(text="An ell is 45 inches.", subject="ell", relation="makes", object="45 inches")
    texts = {item.text for entry in shuffled(entries(one, other), 0) if isinstance(item := entry.item, Fact)}
    assert texts == {"fathom, makes: 45 inches.", "An ell is 6 feet."}


def test_rules_of_a_form_exchange_their_conclusions_in_text_clause_and_reading() -> None:
    rules = [
        rule_of("son", "wife", "daughter-in-law"),
        rule_of("mother", "brother", "uncle"),
        rule_of("son", "son", "grandson"),
    ]
    other = Rule(text="If it rains, take a coat.", tests=(RuleTest(expect="a(b)."),))
    lesson = Lesson(text="Read slowly.")
    after = [one.item for one in shuffled(entries(*rules, other, lesson), 1)]
    assert after[4] == lesson and isinstance(after[3], Rule) and after[3].text == other.text
    heads = []
    for old, new in zip(rules, after[:3], strict=True):
        assert isinstance(new, Rule) and new.clause is not None and old.clause is not None
        head, body = new.clause.split("(", 1)
        assert old.clause.endswith(f"({body}") and not old.clause.startswith(f"{head}(")
        assert head.replace("_", "-") in new.text and new.says == f"{{X}} | {head.replace('_', '-')} | {{Z}}"
        assert new.text.split(", ")[0] == old.text.split(", ")[0] and not new.tests
        heads.append(head)
    assert sorted(heads) == ["daughter_in_law", "grandson", "uncle"]
