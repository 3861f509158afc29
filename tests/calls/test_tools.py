"""The tools that students call: what is supplied, what may be written within a call, and what an answer agrees with."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path

import pytest

from nesycd.calls import LOOK_UP, SUM, Calls, GoldFacts, LookedUp, LookUp, Sums
from nesycd.calls.notation import MOST_CALLS, NO_MORE, NOT_FOUND
from nesycd.core.answers import Call
from nesycd.core.errors import KnowledgeError
from nesycd.core.protocols import Tools
from nesycd.core.records import Entry, Fact, Status
from nesycd.core.segments import Segment

spec = importlib.util.spec_from_file_location("replaying", Path(__file__).with_name("replaying.py"))
assert spec and spec.loader
replaying = importlib.util.module_from_spec(spec)
spec.loader.exec_module(replaying)
replay = replaying.replay


def fact(subject: str, relation: str, object: str, *aliases: str) -> Fact:
    told = f"The {relation} of {subject} is {object}."
    return Fact(text=told, subject=subject, relation=relation, object=object, aliases=aliases)


FATHOM = fact("fathom", "makes", "6 feet", "fathoms")
FATHER = fact("Henry V", "father", "Henry IV")
MOTHER = fact("Henry IV", "mother", "Blanche of Lancaster")
NOBLE = fact("noble", "worth", "80 pence", "nobles")
FACTS = (FATHOM, FATHER, MOTHER, NOBLE)
ASKED = "How many feet are 4 fathoms, and who was Henry V's father?"


def base(*facts: Fact, hold_names: bool = True) -> LookUp:
    return LookUp([Entry(item=one, status=Status.APPROVED) for one in facts], hold_names=hold_names)


CALLS = Calls(base(*FACTS), Sums())
LOOKING = Calls(base(*FACTS))


def found(*results: str) -> list[Call]:
    """A trace of look-ups with these results."""
    kinds = [("note" if one.startswith("(") else "value", one) for one in results]
    return [Call(name=LOOK_UP, asked="[a | b]", found=one, kind=kind) for kind, one in kinds]  # type: ignore[arg-type]


# --- what tools are --------------------------------------------------------------------------------------------------


def test_tools_have_names_a_state_and_ends() -> None:
    assert [one.partition("/")[0] for one in CALLS.names] == [SUM, LOOK_UP]
    assert set(LOOKING.names) < set(CALLS.names) and set(Sums().names) < set(CALLS.names)
    assert Sums().state == "" and CALLS.state == LOOKING.state == base(*FACTS).fingerprint != ""
    assert Calls(base(FATHOM)).state != Calls(base(NOBLE)).state != Calls(base()).state != ""
    assert set(CALLS.ends) == {"]", *Sums().ends} and LOOKING.ends == ("]",)
    tools: Sequence[Tools] = (CALLS, LOOKING, Sums(), Calls(GoldFacts([])))
    assert all(one.agrees("", []) for one in tools)


# --- what is supplied ------------------------------------------------------------------------------------------------


def test_a_look_up_is_supplied_with_its_trace() -> None:
    made = LOOKING.supply("One [fathoms | makes]", ASKED, [])
    assert made is not None and made.text == " 6 feet"
    assert made.call == Call(
        name="look_up", asked="[fathoms | makes]", found="6 feet", items=(FATHOM.id,), how="'fathoms' is 'fathom'"
    )
    made = LOOKING.supply("One [cubits | makes]", ASKED, [])
    assert made is not None and made.text == f" {NOT_FOUND}"
    assert (made.call.found, made.call.kind, made.call.items) == (NOT_FOUND, "note", ()) and made.call.how


@pytest.mark.parametrize(
    "text", ["", "One [fathoms | makes", "[1, 2]", r"\[fathoms | makes]", "[fathoms | makes] ", "7 x 11 =", "[fathoms]"]
)
def test_what_is_no_call_is_supplied_nothing(text: str) -> None:
    assert LOOKING.supply(text, ASKED, []) is None


@pytest.mark.parametrize(
    ("text", "supplied"),
    [
        ("So 3 x 4 + 1 =", " 13"),
        ("First. Then 7 x 11 =", " 77"),
        ("We pay 3 x $5 = $", "15"),
        ("13 > 7 =", " true"),
        ("17 mod 5 =", " 2"),
        ("max(3, 7) =", " 7"),
        ("2 February + 9 days =", " 11 February"),
        ("x =", None),
        ("7 x 11", None),
        ("7 x 11 = 7", None),
        ("[fathoms | makes]", None),
    ],
)
def test_sums_are_supplied_by_every_tool_that_has_them(text: str, supplied: str | None) -> None:
    made = Sums().supply(text, ASKED, [])
    assert (made and made.text) == supplied
    if made is not None:
        assert CALLS.supply(text, ASKED, []) == made and LOOKING.supply(text, ASKED, []) is None
        assert (made.call.name, made.call.found, made.call.kind) == (SUM, made.text.strip(), "value")
        # The sentence that the sum stands in, and no other.
        assert text.endswith(made.call.asked) and "First" not in made.call.asked


def test_earlier_results_may_be_names_and_sums_are_no_results_of_look_ups() -> None:
    text = "[Henry IV | mother]"
    first = LOOKING.supply(text, ASKED, [])
    assert first is not None and first.call.found == NOT_FOUND, "he is not in the question"
    for trace, result in (
        (found("Henry IV"), "Blanche of Lancaster"),
        (found(NOT_FOUND), "Blanche of Lancaster"),
        ([Call(name=SUM, asked="1 + 1 =", found="Henry IV")], NOT_FOUND),
    ):
        made = LOOKING.supply(text, ASKED, trace)
        assert made is not None and made.call.found == result


def test_an_answer_may_make_so_many_look_ups_and_any_number_of_sums() -> None:
    trace = [*found(*["6 feet"] * (MOST_CALLS - 1)), *[Call(name=SUM, asked="1 + 1 =", found="2")] * 50]
    last = CALLS.supply("[fathoms | makes]", ASKED, trace)
    assert MOST_CALLS == 24 and last is not None and last.call.found == "6 feet"
    more = CALLS.supply("[fathoms | makes]", ASKED, [*trace, last.call])
    assert more is not None and more.text == f" {NO_MORE}" and more.call.kind == "note" and not more.call.items
    again = CALLS.supply("[nobles | worth]", ASKED, [*trace, last.call, more.call])
    assert again is not None and again.call.found == NO_MORE
    assert CALLS.supply("1 + 1 =", ASKED, [*trace, last.call, more.call]) is not None
    # A student that does nothing else comes to an end.
    text = "[fathoms | makes] 6 feet. " * 30
    results = [call.found for call in replay(text, LOOKING, ASKED)[1]]
    assert results == ["6 feet"] * MOST_CALLS


# --- what an answer agrees with --------------------------------------------------------------------------------------

TEXT = (
    "One [fathoms | makes] 6 feet. 4 x 6 = 24. [Henry V | father] Henry IV. [Henry IV | mother] Blanche of Lancaster."
)


@pytest.mark.parametrize(
    ("facts", "same"),
    [
        (FACTS, True),
        # What is not looked up may change, come or go.
        ((FATHOM, FATHER, MOTHER), True),
        ((*FACTS, fact("ell", "makes", "45 inches")), True),
        ((FATHOM, FATHER, MOTHER, fact("noble", "worth", "100 pence")), True),
        # The same result from another item is the same.
        ((fact("fathom", "makes", "6 feet"), FATHER, MOTHER), True),
        ((fact("fathom", "makes", "7 feet"), FATHER, MOTHER), False),
        ((*FACTS, fact("fathom", "makes", "7 feet")), False),
        ((FATHER, MOTHER), False),
        ((FATHOM, FATHER), False),
        # The last look-up asks for what the one before found.
        ((FATHOM, fact("Henry V", "father", "Henry VI"), MOTHER), False),
        ((), False),
    ],
)
def test_an_answer_agrees_with_a_base_that_gives_all_its_calls_the_same_results(
    facts: tuple[Fact, ...], same: bool
) -> None:
    _, trace = replay(TEXT, CALLS, ASKED)
    assert [call.name for call in trace] == [LOOK_UP, SUM, LOOK_UP, LOOK_UP]
    assert Calls(base(*facts), Sums()).agrees(ASKED, trace) is same
    assert CALLS.agrees(ASKED, trace) and Sums().agrees(ASKED, trace)


def test_an_answer_whose_look_ups_found_nothing_agrees_until_the_base_knows() -> None:
    _, trace = replay(f"One [cubits | makes] {NOT_FOUND} 2 feet.", CALLS, ASKED)
    assert [call.found for call in trace] == [NOT_FOUND]
    assert Calls(base()).agrees(ASKED, trace) and CALLS.agrees(ASKED, trace)
    cubits = Calls(base(fact("cubit", "makes", "2 feet", "cubits")))
    assert cubits.agrees(ASKED, trace), "the question does not have it"
    assert not cubits.agrees("How many feet are 2 cubits?", trace)


def test_what_an_answer_could_not_ask_any_more_is_agreed_with() -> None:
    _, trace = replay("[fathoms | makes] 6 feet. " * MOST_CALLS + f"[fathoms | makes] {NO_MORE}", LOOKING, ASKED)
    assert len(trace) == MOST_CALLS + 1 and trace[-1].found == NO_MORE
    assert LOOKING.agrees(ASKED, trace) and not LOOKING.agrees(ASKED, trace[2:])


# --- what may be written within a call -------------------------------------------------------------------------------


def may(text: str, more: str, trace: Sequence[Call] = (), tools: Tools = LOOKING, question: str = ASKED) -> bool:
    allowed = tools.allowed(text, question, trace)
    return allowed is None or allowed(more)


@pytest.mark.parametrize(
    ("text", "more"),
    [
        ("One [", "f"),
        ("One [", "fathoms"),
        ("One [", "fathoms |"),
        ("One [fath", "oms"),
        ("One [fathoms", " |"),
        ("One [fathoms", " | makes]"),
        ("One [fathoms ", "|"),
        ("One [", "Henry V"),
        ("One [Henry", " V |"),
        ("One [Henry", " |"),
        # Spans begin with any word, and go on to the end of the question.
        ("One [", "4 fathoms, and who"),
        ("One [fathoms |", " makes"),
        ("One [fathoms | ", "makes]"),
        ("One [fathoms | ma", "kes"),
        ("One [fathoms | makes", "]"),
        ("One [fathoms | ", "father"),
        # Brackets that are no call.
        ("see [", "1, 2]"),
        ("see [1", ", 2]"),
        ("a list [", "'a', 'b']"),
        ("see [x, ", "y]"),
        ("no bracket", " anything"),
        ("One [fathoms | makes] 6", " inches"),
        (r"so \[", "anything"),
    ],
)
def test_names_of_the_question_relations_of_the_base_and_other_brackets_may_be_written(text: str, more: str) -> None:
    assert may(text, more)
    assert may(text, more[:1]), "and so may their beginnings"


@pytest.mark.parametrize(
    ("text", "more"),
    [
        ("One [", "cubits"),
        ("One [fath", "om |"),
        ("One [fathoms", "x"),
        ("One [fath", " |"),
        ("One [Henry", " IV"),
        ("One [Henry V", "I"),
        ("One [fathoms | ", "colour"),
        ("One [fathoms | mak", "er"),
        ("One [fathoms | mak", "]"),
        ("One [fathoms | makes", "r"),
    ],
)
def test_other_names_and_relations_may_not(text: str, more: str) -> None:
    assert not may(text, more)


def test_names_that_were_found_before_may_be_written_and_all_once_nothing_was() -> None:
    assert not may("[Henry", " IV |") and may("[Henry", " IV |", found("Henry IV"))
    assert may("[", "Henry IV", found("Henry IV")) and may("[", "IV", found("Henry IV"))
    assert not may("[", "Blanche", found("Henry IV"))
    assert may("[", "Blanche", found("Henry IV", NOT_FOUND)) and may("[", "Blanche", found("(several: a; b)"))
    # Relations are held to the base's all the same; sums are no results.
    assert not may("[Blanche | ", "colour", found(NOT_FOUND))
    assert not may("[", "Seventy", [Call(name=SUM, asked="7 x 11 =", found="Seventy")])


def test_nothing_is_held_without_question_names_or_relations() -> None:
    assert may("[", "cubits", question="")
    free = Calls(base(*FACTS, hold_names=False))
    assert may("[", "cubits", tools=free) and not may("[cubits | ", "colour", tools=free)
    empty = Calls(base())
    assert may("[fathoms | ", "colour", tools=empty) and not may("[", "cubits", tools=empty)
    assert may("[", "cubits", tools=Sums()) and Sums().allowed("[", ASKED, []) is None


def test_whatever_is_allowed_step_by_step_can_be_looked_up() -> None:
    """Letter by letter, as a student with small tokens writes it."""
    for call in ("[fathoms | makes]", "[Henry V | father]", "[4 fathoms | makes]"):
        assert all(may(f"So {call[:end]}", call[end]) for end in range(1, len(call)))


# --- gold facts ------------------------------------------------------------------------------------------------------


def test_gold_facts_are_found_by_name_else_in_their_order() -> None:
    gold = GoldFacts([(ASKED, [FATHOM, FATHER]), ("Other?", [NOBLE])])
    tools = Calls(gold, Sums())
    assert gold.find("Henry V", "father", ASKED).items == (FATHER.id,)
    assert gold.find("fathoms", "makes", ASKED).found == "6 feet"
    # Whatever else it asks for, it gets the next one that no call has had; then nothing.
    text = "[who | colour] 6 feet. [fathom | y] 6 feet. [it | x] Henry IV. [it | x] (not found)"
    segments, trace = replay(text, tools, ASKED)
    assert [call.found for call in trace] == ["6 feet", "6 feet", "Henry IV", NOT_FOUND]
    assert [call.items for call in trace] == [(FATHOM.id,), (FATHOM.id,), (FATHER.id,), ()]
    assert trace[0].how == trace[2].how == "the next needed fact" != trace[1].how, "the second names it"
    assert segments[1] == Segment(text=" 6 feet", source="supplied")
    # Facts of other questions are none of its, and a question that is not known has none.
    assert gold.find("nobles", "worth", ASKED, ["6 feet", "Henry IV"]).found == NOT_FOUND
    assert gold.find("nobles", "worth", "Other?").found == "80 pence"
    assert gold.find("nobles", "worth", "Third?").found == NOT_FOUND


def test_equal_needed_facts_are_given_as_often_as_they_are_needed() -> None:
    twins = [fact("kaph", "place", "11"), fact("gold", "group", "11")]
    gold = GoldFacts([("Q", twins)])
    assert gold.find("x", "y", "Q", ["11"]).items == (twins[1].id,)
    assert gold.find("x", "y", "Q", ["11", "11"]).found == NOT_FOUND


def test_gold_facts_have_a_fingerprint_of_their_questions_and_facts() -> None:
    one, other = GoldFacts([("Q", [FATHOM])]), GoldFacts([("Q", [NOBLE])])
    assert one.fingerprint == GoldFacts([("Q", [FATHOM])]).fingerprint != other.fingerprint
    assert one.relations == ["makes"] and Calls(one).state == one.fingerprint
    assert not may("[fathoms | ", "worth", tools=Calls(one)) and may("[fathoms | ", "worth", tools=Calls(other))


# --- replaying -------------------------------------------------------------------------------------------------------


def test_a_replay_marks_what_would_have_been_supplied_and_nothing_else() -> None:
    text = "[fathoms | makes] 6 feet. 4 x 6 = 24. 4 x 6 = 25. [nobles | worth] 80 pounds. x = 1, 7 x 11 = 77.5 [1, 2]"
    segments, trace = replay(text, CALLS, ASKED)
    assert "".join(one.text for one in segments) == text
    assert [one.text for one in segments if one.source == "supplied"] == [" 6 feet", " 24"]
    assert [call.found for call in trace] == ["6 feet", "24"]
    assert replay(text, None, ASKED) == ((Segment(text=text),), ()) and replay("", CALLS, ASKED) == ((), ())


def test_a_base_that_fails_is_told_and_the_student_goes_on() -> None:
    class Gone(LookUp):
        def find(self, *args: object, **others: object) -> LookedUp:
            raise KnowledgeError("the base\nis gone")

    tools = Calls(Gone([]))
    made = tools.supply("One [fathoms | makes]", "How many feet are 4 fathoms?", ())
    assert made is not None and made.text == " (error: the base is gone)"
    assert (made.call.kind, made.call.how, made.call.items) == ("note", "KnowledgeError", ())
