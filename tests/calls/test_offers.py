"""What a prompt offers to be looked up: the names of the question with the base's relations, and never a value."""

from __future__ import annotations

import random

import pytest

from nesycd.calls import Calls, GoldFacts, LookUp, Sums, annotate, question_of
from nesycd.calls.notation import last_request
from nesycd.core.records import Entry, Example, Fact, Lesson, Status
from nesycd.knowledge import Entities
from nesycd.knowledge.entities import Relation
from nesycd.methods.predict import offering
from nesycd.prompts import Prompts
from nesycd.tasks.longtail import LongTail, LongTailSettings


def fact(subject: str, relation: str, object: str, *aliases: str, text: str = "") -> Fact:
    told = text or f"The {relation} of {subject} is {object}."
    return Fact(text=told, subject=subject, relation=relation, object=object, aliases=aliases)


FATHOM = fact("fathom", "makes", "6 feet", "fathoms", text="A fathom is 6 feet.")
KAPH = fact("kaph", "place", "11", "kaf", text="Kaph is number 11 in the Hebrew alphabet.")
KIN = (fact("Henry V", "father", "Henry IV"), fact("Henry V", "mother", "Mary de Bohun"))


def base(*facts: Fact, entities: Entities | None = None) -> LookUp:
    return LookUp([Entry(item=one, status=Status.APPROVED) for one in facts], entities)


@pytest.mark.parametrize(
    ("question", "offered"),
    [
        ("How many feet are 4 fathoms?", [("fathoms", "makes")]),
        ("Add the place of kaf and 4 fathoms.", [("kaf", "place"), ("fathoms", "makes")]),
        # Relations that the question speaks of, else all; each name once.
        ("Who was Henry V's father?", [("Henry V", "father")]),
        ("Who was Henry V?", [("Henry V", "father"), ("Henry V", "mother")]),
        ("Was Henry V the son of Henry V's mother?", [("Henry V", "mother")]),
        ("How many feet are 4 cubits?", []),
        ("", []),
    ],
)
def test_names_of_the_question_are_offered_with_relations_of_the_base(
    question: str, offered: list[tuple[str, str]]
) -> None:
    known = base(FATHOM, KAPH, *KIN)
    assert list(known.offers(question)) == offered
    assert list(base().offers(question)) == [], "an empty base offers nothing"
    for name, relation in offered:
        assert known.find(name, relation, question).items, "what is offered is found"


def test_only_approved_facts_are_offered_and_declared_inverses_are() -> None:
    assert LookUp([Entry(item=FATHOM), Entry(item=KAPH, status=Status.RETIRED)]).offers("4 fathoms or kaf?") == []
    declared = Entities(relations={"father": Relation(name="father", inverse="son")})
    known = base(*KIN, fact("Henry IV", "house", "Lancaster"), entities=declared)
    assert ("Henry IV", "son") in known.offers("Who was Henry IV's son?")


def test_at_most_three_relations_of_a_name_and_ten_offers_in_all() -> None:
    names = ("kaf", "beth", "gimel", "daleth", "zayin")
    many = [fact(name, f"trait {number}", f"value {number}") for name in names for number in range(6)]
    offered = base(*many).offers(f"What of {', '.join(names)}?")
    assert len(offered) == 10 and [name for name, _ in offered] == ["kaf"] * 3 + ["beth"] * 3 + ["gimel"] * 3 + [
        "daleth"
    ]
    # Those that the question speaks of come first.
    spoken = [
        fact("kaf", f"trait {n}", f"value {n}", text=f"Kaf has {word}.") for n, word in enumerate(["rust", "moss"])
    ]
    assert base(*many, *spoken).offers("Does kaf have moss?")[0] == ("kaf", "trait 1")


def test_relations_that_nobody_asks_for_are_not_offered() -> None:
    """A base of thousands of facts has many about each name; what is offered is what the student asks for."""
    units = [
        fact(name, "makes", f"{n} feet", text=f"A {name} makes {n} feet.")
        for n, name in enumerate(("rod", "ell", "pace"), 4)
    ]
    odd = [
        fact("rod", f"toll in {place}", f"{n} feet", text=f"In {place} the toll on the rod was {n} feet.")
        for n, place in enumerate(("Ely", "Stade", "Bree", "Ulm"), 2)
    ]
    known = base(FATHOM, *units, *odd)
    # Neither its own words, nor those that facts of its relation have in common, speak of a toll.
    assert known.offers("What do 3 rods and 2 feet come to in feet?") == [("rods", "makes")]
    assert known.offers("What do 3 rods make?") == [("rods", "makes")]
    assert known.offers("What is the toll in Ely on a rod?")[0] == ("rod", "toll in Ely")
    # Where a question speaks of none, the most usual ones are offered.
    assert known.offers("And the rod?") == [("rod", "makes")]


def test_offers_are_written_as_calls() -> None:
    known = base(FATHOM, KAPH, fact("norm [L2]", "symbol | sign", "x"))
    question = "How many feet are 4 fathoms, and what is kaf?"
    assert (
        Calls(known).offers(question) == ["[fathoms | makes]", "[kaf | place]"] == Calls(known, Sums()).offers(question)
    )
    assert list(Sums().offers(question)) == []
    # Signs of the notation are escaped, so that they can be read back.
    [written] = Calls(known).offers("What is the symbol of the norm [L2]?")
    request = last_request(written)
    assert written == r"[norm \[L2 | symbol \| sign]" and request is not None
    assert (request.name, request.relation) == ("norm [L2", "symbol | sign")
    gold = Calls(GoldFacts([(question, [KAPH])]))
    assert gold.offers(question) == ["[kaf | place]"] and gold.offers("What is kaf?") == []


def test_a_way_is_offered_up_to_the_step_that_has_several_values() -> None:
    two = (fact("Henry IV", "mother", "Blanche of Lancaster"), fact("Henry IV", "mother", "Mary"))
    known = base(*KIN, *two, fact("Mary", "father", "Hugh"))
    way = "Who was Henry V's father's mother's father?"
    assert known.offers(way) == [("Henry V", "father"), ("Henry V's father", "mother")]
    assert known.find("Henry V's father", "mother", way).disputed


def test_a_name_followed_by_a_relation_is_a_name() -> None:
    known = base(*KIN, fact("Henry IV", "mother", "Blanche of Lancaster"))
    made = known.find("Henry V's father", "mother", "Who was Henry V's father's mother?")
    assert made.found == "Blanche of Lancaster" and len(made.items) == 2
    assert known.find("Henry V's horse", "mother", "Who was Henry V's horse's mother?").found == "(not found)"


# --- in prompts ------------------------------------------------------------------------------------------------------


def test_a_prompt_has_the_offers_as_its_last_line_and_none_where_there_are_none() -> None:
    plain, lesson = Prompts.load(), Lesson(text="Mind the units.")
    asked = Example(uid="q", task="t", question="How many feet are 4 fathoms?", answer="24")
    other = asked.model_copy(update={"question": "How many feet are 4 cubits?"})
    prompts = offering(plain, Calls(base(FATHOM), Sums()))
    line = "\nLook up: [fathoms | makes]"
    assert prompts.closed_book(asked) == plain.closed_book(asked) + line
    assert prompts.with_knowledge(asked, [lesson]) == plain.with_knowledge(asked, [lesson]) + line
    assert "6 feet" not in prompts.closed_book(asked)
    for given in (prompts, offering(plain, Sums()), offering(plain, None), offering(plain, Calls(LookUp([])))):
        assert given.closed_book(other) == plain.closed_book(other)
        assert given.with_knowledge(other, [lesson]) == plain.with_knowledge(other, [lesson])
        assert given.answer_only(asked) == plain.answer_only(asked)
        assert given.fingerprint == plain.fingerprint


def test_options_are_part_of_the_question_that_offers_are_made_for() -> None:
    asked = Example(uid="q", task="t", question="Which is longer?", answer="A", options=("a fathom", "a kaf"))
    text = offering(Prompts.load(), Calls(base(FATHOM, KAPH))).closed_book(asked)
    assert text.endswith("\nLook up: [fathom | makes] [kaf | place]")


# --- a whole benchmark -----------------------------------------------------------------------------------------------


def test_on_longtail_all_that_is_needed_of_the_questions_names_is_offered_and_no_edit_of_a_value_shows() -> None:
    task = LongTail(LongTailSettings())
    facts = list(task.world().facts)
    world, examples = base(*facts), [one for split in ("test", "ood_composed") for one in task.load(split)]
    offered = {one.uid: world.offers(question_of(one)) for one in examples}
    count = 0
    for example in examples:
        assert example.truth is not None
        made = annotate(example, " ".join(example.truth.steps), base(*example.truth.facts), given=True)
        named = [place for place in made.places if place.name in question_of(example)]
        assert {(place.name, place.relation) for place in named} <= set(offered[example.uid])
        count += len(named)
    assert count > 300
    for old in random.Random(0).sample(facts, 12):
        changed = task.counterfactual(old, 1)
        edited = base(*(changed if one.id == old.id else one for one in facts))
        assert all(edited.offers(question_of(one)) == offered[one.uid] for one in examples), changed.text


def test_what_a_fact_says_has_no_part_in_what_is_offered() -> None:
    """Else an edit would change prompts, and a prompt tell something of the answer."""
    place, mayor = fact("Lima", "country", "Peru"), fact("Lima", "mayor", "Rafael")
    for country in ("Peru", "Chile"):
        known = base(place.model_copy(update={"object": country, "text": f"Lima lies in {country}."}), mayor)
        assert set(known.offers("Is Lima a city of Peru?")) == {("Lima", "country"), ("Lima", "mayor")}


def test_a_way_that_is_spelled_out_is_offered_as_far_as_the_base_knows_it() -> None:
    more = (*KIN, fact("Mary de Bohun", "father", "Humphrey"), fact("Mary de Bohun", "mother", "Joan"), FATHOM)
    known = base(*more)
    for mark in ("'", "’"):
        asked, mother = f"Who were Henry V{mark}s mother's father and mother?", f"Henry V{mark}s mother"
        assert list(known.offers(asked)) == [("Henry V", "mother"), (mother, "father"), (mother, "mother")]
        assert [known.find(*one, asked).found for one in known.offers(asked)] == ["Mary de Bohun", "Humphrey", "Joan"]
    assert list(base(*KIN, FATHOM).offers("Who was Henry V's mother's father?")) == [("Henry V", "mother")]
    assert list(base(more[2]).offers("Who was Henry V's mother's father?")) == []
