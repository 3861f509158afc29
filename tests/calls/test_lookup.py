"""Look-ups: what the base forgives, what it settles, and where it says that it does not know."""

from __future__ import annotations

from typing import Any

import pytest

from nesycd.calls import LookUp
from nesycd.calls.spelling import Spellings, is_slip
from nesycd.core.records import Entry, Fact, Status
from nesycd.knowledge import Entities
from nesycd.knowledge.entities import EntityMerge, Relation
from nesycd.knowledge.lint import lint


def fact(subject: str, relation: str, object: str, *aliases: str, text: str = "") -> Fact:
    told = text or f"The {relation} of {subject} is {object}."
    return Fact(text=told, subject=subject, relation=relation, object=object, aliases=aliases)


FACTS = (
    fact("fathom", "makes", "6 feet", text="A fathom is 6 feet."),
    fact("noble", "worth", "80 pence", text="A noble was worth 80 pence."),
    fact("kaph", "place", "11", "kaf", text="Kaph is number 11 in the Hebrew alphabet."),
    fact("gold", "group", "11", "Au", "aurum"),
    fact("gold", "period", "6", "Au", "aurum"),
    fact("Henry IV", "father", "John of Gaunt", "Henry of Bolingbroke"),
    fact("Henry IV", "mother", "Blanche of Lancaster", "Henry of Bolingbroke"),
    fact("Henry V", "father", "Henry IV"),
    fact("John of Gaunt", "child", "Henry IV"),
    fact("John of Gaunt", "child", "Philippa"),
    fact("quart", "makes", "2 pints", text="A quart is 2 pints."),
    fact("perfect fourth", "semitones", "5", "quart", text="A perfect fourth has 5 semitones."),
)

CHILDREN = Entities(relations={"child": Relation(name="child", many_valued=True)})


def base(*facts: Fact, entities: Entities | None = None, **options: Any) -> LookUp:
    entries = [Entry(item=one, status=Status.APPROVED) for one in facts or FACTS]
    return LookUp(entries, entities or CHILDREN, **options)


@pytest.mark.parametrize(
    ("name", "relation", "question", "found"),
    [
        ("fathom", "makes", "How many feet is a fathom?", "6 feet"),
        ("fathoms", "makes", "How many feet are 4 fathoms?", "6 feet"),
        ("Fathom", "makes", "Fathom?", "6 feet"),
        ("fahtoms", "makes", "How many feet are 4 fahtoms?", "6 feet"),
        ("the fathom", "makes", "What is the fathom?", "6 feet"),
        ("kaf", "place", "What is the place of kaf?", "11"),
        ("Au", "period", "The period of Au?", "6"),
        ("Henry of Bolingbroke", "mother", "Who was Henry of Bolingbroke's mother?", "Blanche of Lancaster"),
        ("John of Gaunt", "child", "Who were John of Gaunt's children?", "Henry IV; Philippa"),
        # Relations in other words: the base settles them, where the question speaks of what it states.
        ("noble", "makes", "How many pence are 3 nobles?", "80 pence"),
        ("kaf", "number", "In the Hebrew alphabet, what is the place of kaf?", "11"),
        # A name of several: by the relation, then by the question's other words.
        ("quart", "makes", "How many pints are 3 quarts?", "2 pints"),
        ("quart", "semitones", "How many semitones is a quart?", "5"),
        # A name that is a relation of another.
        ("Henry V's father", "mother", "Who was Henry V's father's mother?", "Blanche of Lancaster"),
        ("Henry V's father's father", "child", "Name Henry V's father's father's children.", "Henry IV; Philippa"),
        # A name much like one in the question is taken for that one.
        ("fathm", "makes", "How many feet are 4 fathoms?", "6 feet"),
    ],
)
def test_it_finds(name: str, relation: str, question: str, found: str) -> None:
    made = base().find(name, relation, question)
    assert made.found == found and made.items


@pytest.mark.parametrize(
    ("name", "relation", "question"),
    [
        ("cubit", "makes", "How many feet is a cubit?"),
        ("fathom", "colour", "What is the colour of a fathom?"),
        # Who asks for the mother does not get the father, and who asks for Henry VI gets no other Henry.
        ("Henry V", "mother", "Who was Henry V's mother?"),
        ("Henry VI", "father", "Who was Henry VI's father?"),
        ("Henry V's mother", "father", "Who was Henry V's mother's father?"),
        ("gold", "place", "What is the place of gold?"),
        # Three letters must be right.
        ("kef", "place", "What is the place of kef?"),
        # Not in the question: names are held.
        ("gold", "group", "How many feet are 4 fathoms?"),
    ],
)
def test_it_says_that_it_does_not_know(name: str, relation: str, question: str) -> None:
    made = base().find(name, relation, question)
    assert (made.found, made.items) == ("(not found)", ()) and made.how


def test_names_may_come_from_earlier_results_and_anywhere_once_one_was_empty() -> None:
    asked = "Who was Henry V's father's father?"
    assert base().find("Henry IV", "father", asked).found == "(not found)"
    assert base().find("Henry IV", "father", asked, ["Henry IV"]).found == "John of Gaunt"
    assert base().find("Henry IV", "father", asked, ["(not found)"]).found == "John of Gaunt"
    assert base(hold_names=False).find("Henry IV", "father", asked).found == "John of Gaunt"
    assert base().find("Henry IV", "father").found == "John of Gaunt"


def test_a_qualified_namesake_is_meant_only_where_the_question_says_so() -> None:
    plain = fact("fathom", "makes", "6 feet", "fadom", text="A fathom is 6 feet.")
    dutch = fact("Dutch fathom", "makes", "7 feet", "fathom", "fadom", text="A Dutch fathom is 7 feet.")
    look = base(plain, dutch)
    for name in ("fathom", "fathoms", "fadom", "fadoms"):
        assert look.find(name, "makes", f"How many feet are 4 {name}?").found == "6 feet"
    assert look.find("Dutch fathoms", "makes", "How many feet are 4 Dutch fathoms?").found == "7 feet"
    # Where it does, the shorter name may mean either.
    assert look.find("fadom", "makes", "Is a Dutch fadom more than 6 feet?").found == "(several: Dutch fathom; fathom)"


def test_a_name_of_several_with_nothing_to_decide_gives_the_choices() -> None:
    look = base(
        fact("ur", "place", "2", "u", text="Ur is rune 2."), fact("uath", "place", "6", "u", text="Uath is letter 6.")
    )
    made = look.find("u", "place", "What is the place of u?")
    assert made.found == "(several: uath; ur)" and len(made.items) == 2
    assert look.find("u", "place", "Which rune is u?").found == "2"
    assert look.find("ur", "place", "What is the place of u?", [made.found]).found == "2"


def test_an_entitys_own_name_goes_before_anothers_alias() -> None:
    look = base(fact("mark", "worth", "160 pence"), fact("merk", "worth", "13 shillings", "mark"))
    assert look.find("mark", "worth", "What is a mark worth?").found == "160 pence"


def test_merged_entities_and_declared_inverses() -> None:
    merged = Entities((EntityMerge(1, "", "ann", "kaf letter", "kaph", ""),))
    look = base(*FACTS, fact("kaf letter", "shape", "bent"), entities=merged)
    assert look.find("kaph", "shape", "The shape of kaph?").found == "bent"
    assert look.find("kaf letter", "place", "The place of the kaf letter?").found == "11"
    declared = Entities(relations={"father": Relation(name="father", inverse="son")})
    look = base(*FACTS, entities=declared)
    assert look.find("Henry IV", "son", "Who was Henry IV's son?").found == "Henry V"


def test_only_approved_facts_are_found_and_two_that_contradict_leave_the_call_unanswered() -> None:
    entries = [Entry(item=FACTS[0]), Entry(item=fact("noble", "worth", "80 pence"), status=Status.RETIRED)]
    assert LookUp(entries).find("fathom", "makes").found == "(not found)"
    both = base(
        fact("fathom", "makes", "6 feet"), fact("fathom", "makes", "7 feet"), fact("fathom", "makes", "6  Feet")
    )
    made = both.find("fathom", "makes")
    assert made.found in ("(several: 6 feet; 7 feet)", "(several: 7 feet; 6 feet)") and len(made.items) == 3
    assert sorted(made.disputed) == ["6 feet", "7 feet"]
    assert made.how == "several values of 'makes', which is not declared many_valued"


TWO = (fact("Ann", "office", "Rome"), fact("Ann", "office", "Oslo"), fact("Rome", "river", "Tiber"))


@pytest.mark.parametrize(
    ("facts", "declared", "asked", "found"),
    [
        (TWO, {}, ("Ann", "office"), "(several: Oslo; Rome)"),
        (TWO, {"functional": True}, ("Ann", "office"), "(several: Oslo; Rome)"),
        (TWO, {"inverse": "seat of"}, ("Ann", "office"), "(several: Oslo; Rome)"),
        (TWO, {"many_valued": True}, ("Ann", "office"), "Oslo; Rome"),
        # In other words, and further on the way.
        (TWO, {}, ("Ann", "the office"), "(several: Oslo; Rome)"),
        (TWO, {}, ("Ann's office", "river"), "(not found)"),
        (TWO[::2], {}, ("Ann's office", "river"), "Tiber"),
        # Who is of several classes is of all of them.
        ((fact("Ann", "is a", "judge"), fact("Ann", "is a", "poet")), {}, ("Ann", "is a"), "judge; poet"),
        # One entity by two names is one value, and so is a text in other case.
        ((*TWO[::2], fact("Ann", "office", "Roma"), fact("Rome", "rank", "1", "Roma")), {}, ("Ann", "office"), "Roma"),
        ((TWO[0], fact("Ann", "office", "ROME")), {}, ("Ann", "office"), "Rome"),
        # Many may have one office: read backwards that is no dispute, unless it is declared one.
        ((*TWO[::2], fact("Bea", "office", "Rome")), {"inverse": "seat of"}, ("Rome", "seat of"), "Ann; Bea"),
    ],
)
def test_several_values_are_listed_only_where_several_are_right(
    facts: tuple[Fact, ...], declared: dict[str, object], asked: tuple[str, str], found: str
) -> None:
    relation = Relation.model_validate({"name": "Office", **declared})
    look = base(*facts, entities=Entities(relations={"office": relation}))
    made = look.find(*asked)
    assert made.found == found and bool(made.disputed) is found.startswith("(several")


def test_an_inverse_that_is_declared_functional_has_one_value() -> None:
    declared = {
        "office": Relation(name="office", inverse="seat of"),
        "seat of": Relation(name="seat of", functional=True),
    }
    look = base(*TWO[::2], fact("Bea", "office", "Rome"), entities=Entities(relations=declared))
    made = look.find("Rome", "seat of")
    assert (made.found, made.how) == ("(several: Ann; Bea)", "'seat of' is declared functional")


def test_what_is_left_unanswered_is_what_lint_reports() -> None:
    approved = [Entry(item=one, status=Status.APPROVED) for one in (*TWO, *FACTS)]
    for entities in (None, CHILDREN, Entities(relations={"office": Relation(name="office", functional=True)})):
        told = {entry.item for finding in lint(approved, entities) for entry in finding.entries}
        look = LookUp(approved, entities)
        disputed = {fact for fact in (*TWO, *FACTS) if look.find(fact.subject, fact.relation).disputed}
        assert told == disputed and disputed


def test_facts_and_settings_have_a_hand_in_its_fingerprint_and_their_order_has_not() -> None:
    assert base().fingerprint == base(*reversed(FACTS)).fingerprint
    others = {base(*FACTS[1:]).fingerprint, base(hold_names=False).fingerprint, base().fingerprint}
    assert len(others) == 3


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("fathom", "fathom", True),
        ("fathom", "fathum", True),
        ("fathom", "fathoms", True),
        ("fathom", "fahtom", True),
        ("fathom", "fthom", True),
        ("fathom", "bathom", False),
        ("crotal", "curtal", False),
        ("kaf", "kof", False),
        ("fathom", "fhatmo", False),
    ],
)
def test_slips_of_spelling(one: str, other: str, same: bool) -> None:
    assert is_slip(one, other) is is_slip(other, one) is same
    if same:
        assert Spellings(["x", one, "yyyy"]).near(other) == [1]


# --- another state of the base ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "shared"),
    [
        (FACTS[0], fact("fathom", "makes", "7 feet", text="A fathom is 7 feet."), True),
        (FACTS[0], fact("fathom", "length", "7 feet", text="A fathom is 7 feet."), True),
        (FACTS[0], fact("fadom", "makes", "7 feet"), False),
        (FACTS[2], fact("kaph", "place", "11", "kaf", "caph"), False),
        (FACTS[4], None, False),
    ],
)
def test_the_names_of_another_state_are_shared_where_they_are_the_same(
    old: Fact, new: Fact | None, shared: bool
) -> None:
    first = base()
    entries = [Entry(item=one, status=Status.APPROVED) for one in FACTS if one != old]
    entries += [Entry(item=new, status=Status.APPROVED)] if new is not None else []
    second, fresh = LookUp(entries, CHILDREN, names=first.names), LookUp(entries, CHILDREN)
    assert (second.names is first.names) == shared
    names = ["fathoms", "fahtoms", "fadom", "kaf", "caph", "Au", "quart", "Henry IV"]
    for name in names:
        for relation in ("makes", "length", "place", "period", "father"):
            question = f"What is the {relation} of {name}?"
            assert second.find(name, relation, question) == fresh.find(name, relation, question)
            assert second.offers(question) == fresh.offers(question)
    merge = EntityMerge(1, "", "ann", "kaph", "fathom", "")
    assert LookUp(entries, Entities((merge,)), names=second.names).names is not second.names
