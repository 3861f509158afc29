"""What a working says of a fact: in which words, how many of the subject, what the answer rests on, and what is not said."""

from __future__ import annotations

import pytest

from nesycd.core.records import Fact
from nesycd.stages.claims import Said, read, relation_stems, said_of


def fact(subject: str, relation: str, object: str, *aliases: str) -> Fact:
    return Fact(
        text=f"{subject} {relation} {object}.", subject=subject, relation=relation, object=object, aliases=aliases
    )


PECK = fact("peck", "makes", "2 gallons")
ASKED = "How many gallons are 5 pecks and 3 gallons?"


def said(given: Fact, working: str, answer: str = "13", asked: str = ASKED, others: str = "") -> Said:
    return said_of(given, read(working), answer, read(asked), relation_stems(others))


@pytest.mark.parametrize(
    "working",
    [
        "One peck makes 2 gallons.",
        "A peck is two gallons.",
        "1 peck = 2 gallons",
        "Since one peck is equal to 2.0 gallons, we multiply.",
        "5 pecks are equal to 10 gallons.",
        "**1 peck** equals 2 gallons.",
        "There are 2 gallons in a peck.",
        r"\[ 1 \text{ peck} = 2 \text{ gallons} \]",
        "First we add 3. A peck holds 2 gallons, and so on.",
    ],
)
def test_an_amount_is_stated_in_many_words(working: str) -> None:
    assert said(PECK, working).states


@pytest.mark.parametrize(
    ("working", "value"),
    [
        ("One peck makes 4 gallons.", "4 gallons"),
        ("5 pecks are 20 gallons.", "4 gallons"),
        ("There are 8 gallons in a peck.", "8 gallons"),
        ("A peck is about half a pottle: one peck is 0.25 gallons.", "0.25 gallons"),
    ],
)
def test_another_amount_is_told(working: str, value: str) -> None:
    found = said(PECK, working)
    assert (found.states, found.other) == (False, value)


@pytest.mark.parametrize(
    "working",
    [
        "",
        "We add 5 pecks and 2 gallons.",  # a list
        "5 pecks and 4 gallons are asked for.",
        "A peck is 8 quarts.",  # another unit
        "A half peck is 1 gallon.",  # another thing
        "3 pecks = 3 x 4 = 12 gallons is what a student might write.",
        "Two gallons are more than one.",
        "The peck is added to 4 gallons.",
        "A bushel is 8 gallons.",
    ],
)
def test_what_is_about_something_else_speaks_neither_for_a_fact_nor_against_it(working: str) -> None:
    found = said(PECK, working)
    assert not found.states and found.other in ("", "4 gallons")


def test_a_part_of_a_product_is_not_what_a_number_of_the_subject_makes() -> None:
    barrel = fact("barrel", "makes", "4 firkins")
    assert not said(barrel, "3 barrels = 3 x 12 firkins = 36 firkins.").states


def test_an_answer_rests_on_what_its_sums_lead_from() -> None:
    rests = said(PECK, "A peck is 2 gallons. 5 x 2 = 10. 10 + 3 = 13.")
    assert (rests.states, rests.rests, rests.alone) == (True, True, True)
    each = said(
        PECK, "A peck is 2 gallons. 5 pecks x 2 gallons/peck = 10 gallons. 10 gallons + 3 gallons = 13 gallons."
    )
    assert each.alone
    beside = said(PECK, "A peck is 2 gallons. 5 + 8 = 13.")
    assert (beside.states, beside.rests, beside.alone) == (True, False, False)
    shared = said(PECK, "A peck is 2 gallons. A pottle is 7 quarts. 2 + 7 = 9. 9 + 4 = 13.")
    assert (shared.rests, shared.alone) == (True, False)
    assert said(PECK, "A peck is 2 gallons.", answer="2 gallons").alone
    assert not said(PECK, "A peck is 2 gallons.", answer="yes").rests


def test_a_bare_number_needs_its_relation() -> None:
    kaf = fact("kaph", "place", "11", "kaf")
    assert said(kaf, "The place of kaf is 11.", "20").states
    assert said(kaf, "Kaf is in place number eleven.", "20").states
    assert not said(kaf, "Kaf has 11 strokes.", "20").states
    assert said(kaf, "The place of kaf is 12.", "20").other == "12"
    ninth = fact("minor ninth", "semitones", "13")
    assert said(ninth, "One minor ninth is 13 semitones.", "27").states


def test_dates_and_names() -> None:
    feast = fact("Martinmas", "date", "11 November")
    assert said(feast, "Martinmas falls on 11 November. 11 + 3 = 14.", "14 November").rests
    assert said(feast, "Martinmas is on November 11.").states
    assert said(fact("Crouchmas", "date", "3 May"), "Crouchmas falls on 3 May.").states
    mother = fact("Edward III", "mother", "Isabella")
    whole = said(mother, "Edward III's mother is Isabella. Isabella's father is Philip IV.", "Philip IV")
    assert whole.states and whole.rests
    assert said(mother, "Isabella was the mother of Edward III.", "x").states
    assert not said(mother, "Edward III's wife is Isabella.", others="wife").states
    horn = fact("crumhorn", "is a type of", "wind instrument")
    assert said(horn, "A crumhorn is a wind instrument.").states
    assert not said(horn, "Count the crumhorn and the wind instruments.").states
    assert not said(horn, "A crumhorn is not a wind instrument.").states
