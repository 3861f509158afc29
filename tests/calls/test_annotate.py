"""Rationales with calls: which places become look-ups, under which name, and which do not; and that a replay gives them back."""

from __future__ import annotations

import importlib.util
import itertools
from collections.abc import Iterable
from pathlib import Path

import pytest

from nesycd.calls import Calls, LookUp, Sums, annotate, question_of, with_calls, without_calls
from nesycd.core.records import Annotation, Entry, Example, Fact, Status
from nesycd.core.segments import Segment, text_of
from nesycd.tasks.longtail import LongTail, LongTailSettings

spec = importlib.util.spec_from_file_location("replaying", Path(__file__).with_name("replaying.py"))
assert spec and spec.loader
replaying = importlib.util.module_from_spec(spec)
spec.loader.exec_module(replaying)
replay = replaying.replay


def fact(subject: str, relation: str, object: str, *aliases: str, text: str = "") -> Fact:
    told = text or f"The {relation} of {subject} is {object}."
    return Fact(text=told, subject=subject, relation=relation, object=object, aliases=aliases)


FATHOM = fact("fathom", "makes", "6 feet", "fathoms", text="A fathom is 6 feet.")
NOBLE = fact("noble", "worth", "80 pence", "nobles", text="A noble was worth 80 pence.")
KAPH = fact("kaph", "place", "11", "kaf", text="Kaph is number 11 in the Hebrew alphabet.")
BETH = fact("beth", "place", "2", "bet", text="Beth is number 2 in the Hebrew alphabet.")
GALLIUM = fact("gallium", "group", "13", "ekaaluminium", text="Gallium is in group 13.")
CHERT = fact("chert", "class", "sedimentary rock", text="A chert is a sedimentary rock.")
KIN = (
    fact("Henry V", "father", "Henry IV"),
    fact("Henry IV", "mother", "Blanche of Lancaster", "Henry of Bolingbroke"),
    fact("Blanche of Lancaster", "father", "Henry of Grosmont"),
)
FACTS = (FATHOM, NOBLE, KAPH, BETH, GALLIUM, CHERT, *KIN)


def base(facts: Iterable[Fact] = FACTS, **options: bool) -> LookUp:
    return LookUp([Entry(item=one, status=Status.APPROVED) for one in facts], **options)


def asked(question: str, *options: str) -> Example:
    return Example(uid="q", task="t", question=question, answer="", options=options)


def shown(segments: Iterable[Segment]) -> str:
    """The text with what was supplied in braces."""
    return "".join(one.text if one.source == "student" else f"{{{one.text}}}" for one in segments)


def places_of(question: str, rationale: str, known: LookUp, *, given: bool = False) -> list[tuple[str, str, str, str]]:
    """The text of each place, with its name, relation and object."""
    made = annotate(asked(question), rationale, known, given=given)
    text = rationale.strip()
    return [(text[one.start : one.end], one.name, one.relation, one.object) for one in made.places]


# --- places ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("question", "rationale", "written"),
    [
        # The name as the question has it: plural, alias, possessive, in its own case.
        (
            "How many feet are 4 fathoms?",
            "One fathom makes 6 feet. 4 x 6 = 24.",
            "One [fathoms | makes]{ 6 feet}. 4 x 6 = 24.",
        ),
        ("What is the place of kaf?", "The place of kaph is 11.", "The place of [kaf | place]{ 11}."),
        ("What is KAF's place?", "Kaph is number 11.", "[KAF | place]{ 11}."),
        ("Which group has ekaaluminium?", "Gallium is in group 13.", "[ekaaluminium | group]{ 13}."),
        # Two of one sentence.
        (
            "Add the places of kaf and bet.",
            "Kaph is number 11 and beth number 2. 11 + 2 = 13.",
            "[kaf | place]{ 11} and [bet | place]{ 2}. 11 + 2 = 13.",
        ),
        # What stands around it stays.
        (
            "How many cherts are there?",
            "Wanted: sedimentary rock.\nChert: sedimentary rock, yes.",
            "Wanted: sedimentary rock.\n[cherts | class]{ sedimentary rock}, yes.",
        ),
        # Nothing is stated: the object stands before its subject, is part of a number, or is another one.
        ("How many feet are 4 fathoms?", "6 feet make a fathom.", "6 feet make a fathom."),
        ("How many feet are 4 fathoms?", "A fathom is 16 feet.", "A fathom is 16 feet."),
        ("How many feet are 4 fathoms?", "A fathom is 7 feet.", "A fathom is 7 feet."),
        ("How many feet are 4 fathoms?", "A fathom is long. It makes 6 feet.", "A fathom is long. It makes 6 feet."),
    ],
)
def test_a_place_that_states_a_fact_becomes_a_look_up(question: str, rationale: str, written: str) -> None:
    example, known = asked(question), base()
    made = annotate(example, rationale, known)
    assert shown(with_calls(example, rationale, made, known)) == written
    assert len(made.places) == written.count("{") and not made.skipped and made.example == "q"


def test_a_place_reaches_from_its_subject_to_its_object_and_names_its_fact() -> None:
    rationale = "  So one fathom makes 6 feet, and a noble 80 pence. "
    made = annotate(asked("How much are 2 fathoms and 3 nobles?"), rationale, base())
    text = rationale.strip()
    assert [text[one.start : one.end] for one in made.places] == ["fathom makes 6 feet", "noble 80 pence"]
    assert [(one.name, one.relation, one.object, one.fact) for one in made.places] == [
        ("fathoms", "makes", "6 feet", FATHOM.id),
        ("nobles", "worth", "80 pence", NOBLE.id),
    ]


def test_a_chain_goes_on_with_the_names_that_earlier_look_ups_found() -> None:
    example, known = asked("From whom was Henry V descended?"), base()
    rationale = (
        "Henry V's father: Henry IV. Henry IV's mother: Blanche of Lancaster. "
        "Blanche of Lancaster's father: Henry of Grosmont."
    )
    made = annotate(example, rationale, known)
    assert [one.name for one in made.places] == ["Henry V", "Henry IV", "Blanche of Lancaster"]
    assert shown(with_calls(example, rationale, made, known)) == (
        "[Henry V | father]{ Henry IV}. [Henry IV | mother]{ Blanche of Lancaster}. "
        "[Blanche of Lancaster | father]{ Henry of Grosmont}."
    )
    # The rationale may call him otherwise: the name is the one that was found. Out of the chain it is unknown.
    other = "Henry V's father: Henry IV. Henry of Bolingbroke's mother: Blanche of Lancaster."
    assert [one.name for one in annotate(example, other, known).places] == ["Henry V", "Henry IV"]
    made = annotate(example, "Henry IV's mother: Blanche of Lancaster.", known)
    assert (made.places, made.skipped) == ((), {"name": 1})


def test_a_way_that_the_question_spells_out_is_the_name_that_it_has() -> None:
    """So that the student copies what the prompt offers, and need not find its place in the chain."""
    example, known = asked("Who was Henry V’s father's mother's father?"), base()
    rationale = (
        "Henry V's father: Henry IV. Henry IV's mother: Blanche of Lancaster. "
        "Blanche of Lancaster's father: Henry of Grosmont."
    )
    made = annotate(example, rationale, known)
    names = ["Henry V", "Henry V’s father", "Henry V’s father's mother"]
    assert [one.name for one in made.places] == names
    assert shown(with_calls(example, rationale, made, known)) == (
        "[Henry V | father]{ Henry IV}. [Henry V’s father | mother]{ Blanche of Lancaster}. "
        "[Henry V’s father's mother | father]{ Henry of Grosmont}."
    )
    # A text that does not begin at its beginning states the same way.
    made = annotate(asked("Who were Henry V's father's father and mother?"), rationale.partition(". B")[0], known)
    assert [one.name for one in made.places] == ["Henry V", "Henry V's father"]


def test_an_option_is_part_of_the_question() -> None:
    example = asked("Which is a rock?", "a chert", "a noble")
    [place] = annotate(example, "Chert is a sedimentary rock.", base()).places
    assert place.name == "chert" and question_of(example).splitlines()[1:] == ["a chert", "a noble"]


# --- what is skipped -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("question", "rationale", "facts", "reason"),
    [
        ("How long is it?", "A fathom is 6 feet.", FACTS, "name"),
        # 13 isotopes do not tell its group, and of two facts with the same object nothing tells which is meant.
        ("What is the group of gallium?", "Gallium has 13 isotopes.", FACTS, "relation"),
        (
            "What of gold?",
            "Gold: 6.",
            (fact("gold", "period", "6"), fact("gold", "neighbours", "6")),
            "relation",
        ),
        # The look-up would find something else: a list, or another entity of that name.
        (
            "What is a fathom?",
            "A fathom is a unit.",
            (fact("fathom", "is a", "unit"), fact("fathom", "is a", "measure")),
            "replay",
        ),
        (
            "What is the place of the bell?",
            "The crotal has place 2.",
            (fact("crotal", "place", "2", "bell"), fact("carillon", "place", "6", "bell")),
            "replay",
        ),
    ],
)
def test_what_cannot_be_used_is_counted_by_its_reason(
    question: str, rationale: str, facts: tuple[Fact, ...], reason: str
) -> None:
    example, known = asked(question), base(facts)
    made = annotate(example, rationale, known)
    assert (made.places, made.skipped) == ((), {reason: 1})
    assert with_calls(example, rationale, made, known) == (Segment(text=rationale),)


@pytest.mark.parametrize(
    ("rationale", "count"),
    [
        ("Gallium has 13 isotopes.", 0),
        ("Gallium has 13.", 1),
        ("Gallium, 13, is a metal.", 1),
        ("Gallium: 13", 1),
        ("Gallium is in group 13 of the table.", 1),
        ("The group of gallium is 13 indeed.", 1),
        ("Gallium is number 13 of them.", 0),
    ],
)
def test_a_bare_number_with_words_behind_it_needs_another_sign(rationale: str, count: int) -> None:
    made = annotate(asked("What is the group of gallium?"), rationale, base())
    assert len(made.places) == count and made.skipped.get("relation", 0) == 1 - count
    # Facts that a derivation is known to state need none.
    assert len(annotate(asked("What is the group of gallium?"), rationale, base([GALLIUM]), given=True).places) == 1


def test_of_two_places_that_overlap_one_is_used() -> None:
    rationale = "A fathom, the old fathom, makes 6 feet. One fathom is 6 feet."
    made = annotate(asked("How many feet are 4 fathoms?"), rationale, base())
    told = [rationale[one.start : one.end] for one in made.places]
    assert told == ["fathom, the old fathom, makes 6 feet", "fathom is 6 feet"] and not made.skipped


# --- what is supplied ------------------------------------------------------------------------------------------------

QUESTION = "How much are 2 fathoms and 3 nobles?"
RATIONALE = "A fathom is 6 feet. 2 x 6 = 12. A noble is 80 pence. 3 x 80 = 240."


def test_a_fact_that_the_base_lacks_is_not_asked_for_and_the_student_states_it() -> None:
    example = asked(QUESTION)
    made = annotate(example, RATIONALE, base())
    assert shown(with_calls(example, RATIONALE, made, base([NOBLE]))) == (
        "A fathom is 6 feet. 2 x 6 = 12. A [nobles | worth]{ 80 pence}. 3 x 80 = 240."
    )
    assert with_calls(example, RATIONALE, made, base([])) == (Segment(text=RATIONALE),)
    # So it is with what the prompt offers.
    for facts in (FACTS, (NOBLE,), ()):
        offered = base(facts).offers(QUESTION)
        written = shown(with_calls(example, RATIONALE, made, base(facts)))
        assert [(one.name, one.relation) in offered for one in made.places] == [
            f"[{one.name} | {one.relation}]" in written for one in made.places
        ]


def test_a_fact_that_the_base_lacks_on_the_way_comes_back_empty_and_the_student_writes_it() -> None:
    example = asked("From whom was Henry V descended?")
    chain = "Henry V's father: Henry IV. Henry IV's mother: Blanche of Lancaster."
    made, (father, mother, _) = annotate(example, chain, base()), KIN
    assert shown(with_calls(example, chain, made, base([father]))) == (
        "[Henry V | father]{ Henry IV}. [Henry IV | mother]{ (not found)} Blanche of Lancaster."
    )
    # The first link is asked for all the same where the next one hangs on it.
    assert shown(with_calls(example, chain, made, base([mother]))) == (
        "[Henry V | father]{ (not found)} Henry IV. [Henry IV | mother]{ Blanche of Lancaster}."
    )


def test_where_the_base_says_something_else_the_rationale_stays_as_it_is() -> None:
    example = asked(QUESTION)
    made = annotate(example, RATIONALE, base())
    other = base([fact("fathom", "makes", "7 feet", "fathoms"), NOBLE])
    assert shown(with_calls(example, RATIONALE, made, other)) == (
        "A fathom is 6 feet. 2 x 6 = 12. A [nobles | worth]{ 80 pence}. 3 x 80 = 240."
    )


def test_where_the_base_has_several_values_the_call_stays_unanswered_as_when_it_is_asked() -> None:
    """So that training teaches nothing that inference refuses, and the call that is offered is made."""
    example, disputed = asked(QUESTION), base([FATHOM, fact("fathom", "makes", "7 feet"), NOBLE])
    written = "A [fathoms | makes]{ (several: 6 feet; 7 feet)} 6 feet. 2 x 6 = 12. A [nobles | worth]{ 80 pence}. 3 x 80 = 240."
    # Whether the places come from a derivation or from the base itself.
    for source in (base(), disputed):
        made = annotate(example, RATIONALE, source)
        assert [place.object for place in made.places] == ["6 feet", "80 pence"] and not made.skipped
        segments = with_calls(example, RATIONALE, made, disputed, lambda: False)
        assert shown(segments) == written
        again, trace = replay(text_of(segments), Calls(disputed), QUESTION)
        assert again == segments and [call.kind for call in trace] == ["note", "value"]
    assert ("fathoms", "makes") in disputed.offers(QUESTION)
    # No call for a value that none of its facts has, and a call that never finds its value is not left empty.
    other = "A fathom is 8 feet."
    stated = annotate(example, other, base([fact("fathom", "makes", "8 feet")]))
    assert shown(with_calls(example, other, stated, disputed)) == other
    made = annotate(example, RATIONALE, base())
    assert shown(with_calls(example, RATIONALE, made, disputed, lambda: True)).startswith(
        "A [fathoms | makes]{ (several"
    )
    # After it any name may follow: the student wrote it itself.
    kin, chain = (
        asked("From whom was Henry V descended?"),
        "Henry V's father: Henry IV. Henry IV's mother: Blanche of Lancaster.",
    )
    two = base([*KIN, fact("Henry V", "father", "Richard II")])
    segments = with_calls(kin, chain, annotate(kin, chain, two), two)
    assert shown(segments) == (
        "[Henry V | father]{ (several: Henry IV; Richard II)} Henry IV. [Henry IV | mother]{ Blanche of Lancaster}."
    )
    assert replay(text_of(segments), Calls(two), kin.question)[0] == segments


def test_some_look_ups_are_left_empty_and_those_that_find_nothing_are_not_asked_about() -> None:
    example = asked(QUESTION)
    made = annotate(example, RATIONALE, base())
    turns = itertools.cycle([True, False])
    assert shown(with_calls(example, RATIONALE, made, base(), lambda: next(turns))) == (
        "A [fathoms | makes]{ (not found)} 6 feet. 2 x 6 = 12. A [nobles | worth]{ 80 pence}. 3 x 80 = 240."
    )
    asked_about: list[bool] = []

    def never() -> bool:
        asked_about.append(False)
        return False

    with_calls(example, RATIONALE, made, base([NOBLE]), never)
    assert len(asked_about) == 1
    # In a chain the next name is then the student's own, and may be looked up all the same.
    kin = asked("From whom was Henry V descended?")
    chain = "Henry V's father: Henry IV. Henry IV's mother: Blanche of Lancaster."
    segments = with_calls(kin, chain, annotate(kin, chain, base()), base(), lambda: next(turns))
    assert shown(segments) == ("[Henry V | father]{ (not found)} Henry IV. [Henry IV | mother]{ Blanche of Lancaster}.")


def test_brackets_of_the_rationale_call_nothing() -> None:
    example, known = asked("How many feet are 4 fathoms?"), base()
    rationale = "In [sea | land] units [1, 2] a fathom is 6 feet, not [7 | 8]. So [noble | worth] it."
    segments = with_calls(example, rationale, annotate(example, rationale, known), known)
    assert shown(segments) == (
        r"In \[sea | land] units [1, 2] a [fathoms | makes]{ 6 feet}, not \[7 | 8]. So \[noble | worth] it."
    )
    # Graders read the brackets as they were, and the result in the place of the call.
    said = "In [sea | land] units [1, 2] a 6 feet, not [7 | 8]. So [noble | worth] it."
    assert without_calls(text_of(segments)) == said
    made, trace = replay(text_of(segments), Calls(known), question_of(example))
    assert made == segments and [call.asked for call in trace] == ["[fathoms | makes]"]


def test_names_and_relations_with_signs_of_the_notation_are_written_so_that_they_are_read_back() -> None:
    norm = fact("norm [L2]", "symbol | sign", "||x||")
    example, known = asked("What is the symbol of the norm [L2]?"), base([norm])
    rationale = "The norm [L2] has the symbol ||x||."
    made = annotate(example, rationale, known, given=True)
    segments = with_calls(example, rationale, made, known)
    assert len(made.places) == 1 and replay(text_of(segments), Calls(known), question_of(example))[0] == segments


@pytest.mark.parametrize("facts", [FACTS, (NOBLE,), ()])
def test_a_replay_gives_the_same_segments(facts: tuple[Fact, ...]) -> None:
    for question, rationale in (
        (QUESTION, RATIONALE),
        ("Who was Henry V's father's mother?", "Henry V's father: Henry IV. Henry IV's mother: Blanche of Lancaster."),
        ("What is the place of kaf?", "It is that of kaph, 11"),
        ("Nothing?", "Nothing at all."),
    ):
        example, known = asked(question), base(facts)
        made = annotate(example, rationale, base())
        segments = with_calls(example, rationale, made, known)
        again, trace = replay(text_of(segments), Calls(known), question)
        assert again == segments
        assert [call.found for call in trace] == [one.text[1:] for one in segments if one.source == "supplied"]
        assert [call.kind for call in trace] == ["note" if call.found == "(not found)" else "value" for call in trace]
        # Sums are supplied besides.
        both, trace = replay(text_of(segments), Calls(known, Sums()), question)
        assert text_of(both) == text_of(segments)
        assert [call.asked for call in trace if call.name == "sum"] == [
            part for part in ("2 x 6 =", "3 x 80 =") if part in rationale
        ]


def test_an_annotation_is_read_back_from_its_json() -> None:
    made = annotate(asked(QUESTION), RATIONALE + " Gallium has 13 isotopes.", base())
    assert made.skipped == {"relation": 1} and Annotation.from_json(made.to_json()) == made


# --- a whole benchmark -----------------------------------------------------------------------------------------------


def test_every_needed_fact_of_longtail_becomes_a_place() -> None:
    task = LongTail(LongTailSettings())
    world = base(task.world().facts)
    count = 0
    for example in task.load("train"):
        assert example.truth is not None
        needed, rationale = {one.id for one in example.truth.facts}, " ".join(example.truth.steps)
        own = base(example.truth.facts)
        for known, given in ((own, True), (world, False)):
            made = annotate(example, rationale, known, given=given)
            assert {place.fact for place in made.places} == needed and not made.skipped, example.question
            segments = with_calls(example, rationale, made, known)
            assert replay(text_of(segments), Calls(known), question_of(example))[0] == segments
            # Places stand in order and do not overlap; each states its object.
            ends = [0, *(place.end for place in made.places)]
            assert all(end <= place.start for end, place in zip(ends, made.places, strict=False))
            assert all(rationale[: place.end].endswith(place.object) for place in made.places)
        count += len(needed)
    assert count > 400
