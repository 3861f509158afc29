"""The gate for facts: what rationales with right answers prove, and that nothing of a question's truth is looked at."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from nesycd.core.judgements import Judgement
from nesycd.core.records import Derivation, Entry, Evidence, Example, Fact, Lesson, Rationale, Sample
from nesycd.stages.gate import judge_facts, share_right


def fact(subject: str, object: str, relation: str = "makes") -> Fact:
    return Fact(text=f"One {subject} {relation} {object}.", subject=subject, relation=relation, object=object)


TRUE, FALSE = fact("peck", "2 gallons"), fact("peck", "4 gallons")
Q1 = Example(uid="q1", task="units", question="How many gallons are 5 pecks and 3 gallons?", answer="13")
Q2 = Example(uid="q2", task="units", question="How many gallons are 7 pecks?", answer="14")
Q3 = Example(uid="q3", task="units", question="How many gallons are 2 pecks and 4 gallons?", answer="8")
WORKED = "A peck is 2 gallons. 5 x 2 = 10. 10 + 3 = 13."
FORMS = (
    WORKED,
    "A peck is 2 gallons. 5 pecks x 2 gallons/peck = 10 gallons. 10 gallons + 3 gallons = 13 gallons.",
    "A peck is 2 gallons. 5 pecks * 2 gallons per peck = 10 gallons. 10 + 3 = 13.",
    "A peck is 2 gallons. 5 \\text{ pecks} \\times 2 \\text{ gallons}/\\text{peck} = 10 \\text{ gallons}. 10 + 3 = 13.",
    "A peck is 2 gallons, so 5 pecks x 2 gallons / peck = 10 gallons; 10 + 3 = 13 gallons in all.",
)
"""The same working, with and without units."""
LUCKY = "A peck is 4 gallons. 2 x 4 = 8."
"""The right answer to Q3 by two errors."""


def right(example: Example, text: str, hinted: bool = False, others: Sequence[Sample] = ()) -> Rationale:
    made = Rationale(example=example.uid, teacher="t", text=text, answer=example.answer, correct=True)
    return made.model_copy(update={"hinted": hinted, "others": tuple(others)})


def wrong(example: Example, text: str = "I guess.") -> Rationale:
    return Rationale(example=example.uid, teacher="t", text=text, answer="99")


def judged(facts: Sequence[Fact], rationales: Sequence[Rationale], own: str = "q1") -> list[Judgement]:
    entries = [Entry(item=one, evidence=(Evidence(example=own, source="t"),)) for one in facts]
    return judge_facts(entries, [Q1, Q2, Q3], rationales)


@pytest.mark.parametrize("working", FORMS)
def test_a_fact_passes_where_no_other_value_gives_the_right_answer(working: str) -> None:
    [true, false] = judged([TRUE, FALSE], [right(Q1, working), wrong(Q2), wrong(Q3)])
    assert true.verdict == "passed" and true.figures == {
        "stated": 1,
        "rests": 1,
        "alone": 1,
        "repaired": 0,
        "worked": 0,
        "against": 0,
    }
    assert true.told == "right answers to 1 question state it, those to 1 rest on it, to 1 on it alone"
    assert false.verdict == "failed"
    assert false.told == "no right answer states it; right answers to 1 say otherwise, such as 2 gallons"


def test_a_wrong_answer_proves_nothing() -> None:
    [one] = judged([TRUE], [wrong(Q1, WORKED), wrong(Q2)])
    assert one.verdict == "failed" and one.figures["stated"] == 0


def test_a_wrong_answer_that_becomes_right_with_a_fact_proves_it() -> None:
    working = "A peck is 9 gallons. 7 x 9 = 63."
    missed = Rationale(example="q2", teacher="t", text=working, answer="63")
    [true, false] = judged([TRUE, FALSE], [wrong(Q1), missed, wrong(Q3)])
    assert true.verdict == "passed" and true.figures["repaired"] == 1
    assert true.told == "no right answer states it; wrong answers to 1 become right with it"
    assert false.verdict == "failed"
    twice = missed.model_copy(update={"text": "A peck is 9 gallons. A pottle is 9. 9 + 9 = 18.", "answer": "18"})
    [one] = judged([fact("peck", "7 gallons")], [wrong(Q1), twice, wrong(Q3)])
    assert one.verdict == "failed", "which of equal numbers is the peck's?"
    shared = missed.model_copy(
        update={"text": "A peck is 9 gallons. A pottle is 11. 9 + 11 = 20. 20 + 1 = 21.", "answer": "21"}
    )
    [one] = judged([TRUE], [wrong(Q1), shared, wrong(Q3)])
    assert one.figures["repaired"] == 1 and one.verdict == "failed", "the other number may be wrong as well"


def kinds(*numbers: int) -> list[Example]:
    """Questions of one kind about units that nobody has worked; the last number is the answer."""
    asked = ("pecks", "firkins", "kegs", "tuns")
    return [
        Example(
            uid=f"{unit}{n}", task="units", question=f"How many gallons are {n} {unit} and 5 gallons?", answer=str(gold)
        )
        for unit, n, gold in zip(asked, (3, 4, 6, 7), numbers, strict=False)
    ]


def found(facts: Sequence[Fact], examples: Sequence[Example], rationales: Sequence[Rationale]) -> list[Judgement]:
    return judge_facts(
        [Entry(item=one, evidence=(Evidence(example="q1", source="t"),)) for one in facts], examples, rationales
    )


@pytest.mark.parametrize("working", FORMS)
def test_a_right_working_proves_the_values_with_which_others_of_its_kind_come_right(working: str) -> None:
    more = kinds(11, 41, 11, 40)
    true = [TRUE, fact("firkin", "9 gallons"), fact("keg", "1 gallon")]
    false = [fact("firkin", "8 gallons"), fact("tun", "4 gallons"), fact("keg", "2 gallons")]
    judged = found([*true, *false], [Q1, *more], [right(Q1, working)])
    assert [one.verdict for one in judged] == ["passed"] * 3 + ["failed"] * 3
    assert judged[1].figures["worked"] == 1
    assert judged[1].told == "no right answer states it; worked like right answers, 1 more come right with it"
    assert judged[3].told == "no right answer states it; 1 come right with another value, such as 9 gallons"
    # Without its working nothing is proven, nor by a formula that is right for two questions only.
    assert {one.verdict for one in found(true, [Q1, *more], [wrong(Q1, working)])} == {"failed"}
    assert found(true[1:2], [Q1, *more], [right(Q1, working)])[0].verdict == "failed"


def test_two_values_that_come_right_together_need_two_questions_or_one_that_is_proven() -> None:
    both = Example(uid="b", task="units", question="How many gallons are 4 pecks and 3 firkins?", answer="35")
    again = Example(uid="c", task="units", question="How many gallons are 4 kegs and 5 tuns?", answer="42")
    last = Example(uid="d", task="units", question="How many gallons are 6 kegs and 1 tuns?", answer="26")
    working = right(both, "A peck is 2 gallons. A firkin is 9 gallons. 4 x 2 = 8. 3 x 9 = 27. 8 + 27 = 35.")
    facts = [fact("keg", "3 gallons"), fact("tun", "6 gallons")]
    [keg, tun] = found(facts, [both, again], [working])
    assert (keg.verdict, tun.verdict) == ("failed", "failed") and keg.figures["worked"] == 0, "right for two questions"
    [keg, tun] = found(facts, [both, again, last.model_copy(update={"answer": "24"})], [working])
    assert (keg.verdict, keg.figures["worked"], tun.verdict) == ("passed", 2, "passed")
    # The same sums, with two values neither of which is right elsewhere.
    [keg, tun] = found(facts, [both, again, last], [working])
    assert (keg.verdict, tun.verdict) == ("failed", "failed")


def test_of_two_relations_of_a_subject_the_one_that_is_asked_for_is_tried() -> None:
    group = "The group of {} and {}: how much is that in all?"
    asked = [
        Example(uid=name, task="elements", question=group.format(name, n), answer=str(gold))
        for name, n, gold in (("gold", 2, 13), ("zinc", 5, 17), ("tin", 4, 18), ("lead", 1, 7))
    ]
    facts = [fact(name, value, "group") for name, value in (("zinc", "12"), ("tin", "14"))]
    facts += [fact("lead", "14", "group"), fact("lead", "6", "period")]
    judged = found(facts, asked, [right(asked[0], "The group of gold is 11. 11 + 2 = 13.")])
    assert [one.verdict for one in judged] == ["passed", "passed", "failed", "failed"]


def test_what_is_stated_twice_stands_against_what_was_lucky_once() -> None:
    [true, false] = judged(
        [TRUE, FALSE], [right(Q1, WORKED), right(Q2, "1 peck = 2 gallons. 7 x 2 = 14."), right(Q3, LUCKY)]
    )
    assert (true.verdict, true.figures["against"]) == ("passed", 1)
    assert (false.verdict, false.figures["against"]) == ("failed", 2)


def test_where_as_many_speak_against_it_nothing_is_proven() -> None:
    found = judged([TRUE, FALSE], [right(Q1, WORKED), wrong(Q2), right(Q3, LUCKY)])
    assert [one.verdict for one in found] == ["failed", "failed"]


def test_an_answer_that_rests_on_more_proves_as_much_as_the_teacher_is_right() -> None:
    both = "A peck is 4 gallons. A pottle is 6 quarts. 4 + 6 = 10. 10 + 3 = 13."
    [weak] = judged([FALSE], [right(Q1, both), wrong(Q2), wrong(Q3)])
    assert (weak.verdict, weak.figures["rests"], weak.figures["alone"]) == ("failed", 1, 0)
    [strong] = judged([FALSE], [right(Q1, both), right(Q2, "14."), right(Q3, "8.")])
    assert strong.verdict == "passed"


def test_other_samples_of_a_question_count_where_they_are_right_and_once_with_it() -> None:
    more = [Sample(text=WORKED, answer="13", correct=True), Sample(text="A peck is 9 gallons.", answer="48")]
    [one] = judged([TRUE], [right(Q1, "13.", others=more), wrong(Q2)])
    assert one.verdict == "passed" and one.figures == {
        "stated": 1,
        "rests": 1,
        "alone": 1,
        "repaired": 0,
        "worked": 0,
        "against": 0,
    }


def test_a_teachers_share_of_right_answers_leaves_hints_out() -> None:
    plain = [right(Q1, "13."), wrong(Q2)]
    assert share_right(plain) == share_right([*plain, right(Q3, "8.", hinted=True)]) == 0.5
    assert 0.98 < share_right([right(Q1, "13.")] * 60) < 1


def test_only_facts_are_judged_and_a_poisoned_truth_changes_nothing() -> None:
    rationales = [right(Q1, WORKED), wrong(Q2), right(Q3, LUCKY)]
    entries = [Entry(item=one) for one in (TRUE, FALSE, Lesson(text="Multiply first."))]
    plain = judge_facts(entries, [Q1, Q2, Q3], rationales)
    poison = Derivation(facts=(FALSE,), steps=(FALSE.text,), uses=((0,),), answer="99")
    poisoned = [one.model_copy(update={"truth": poison}) for one in (Q1, Q2, Q3)]
    assert judge_facts(entries, poisoned, rationales) == plain and len(plain) == 2


def test_what_was_mined_is_stated_in_whatever_words_its_rationale_has() -> None:
    film = Fact(text="Alien: horror film of 1979.", subject="Alien", relation="film", object="horror film of 1979")
    listed = [right(Q1, "Alien (horror; 1979) is the one."), right(Q2, "14."), right(Q3, "8.")]
    [one] = judge_facts([Entry(item=film, evidence=(Evidence(example="q1", source="mined"),))], [Q1, Q2, Q3], listed)
    assert one.verdict == "passed" and one.figures["stated"] == 1
    [other] = judge_facts([Entry(item=film, evidence=(Evidence(example="q1", source="t"),))], [Q1, Q2, Q3], listed)
    assert other.verdict == "failed"


def test_options_are_read_in_words() -> None:
    asked = Example(uid="q1", task="t", question="Which is 2 gallons?", answer="(B)", options=("a pint", "a peck"))
    named = Fact(text="2 gallons is a peck.", subject="2 gallons", relation="is called", object="peck")
    [one] = judge_facts([Entry(item=named)], [asked], [right(asked, "2 gallons is called a peck.")])
    assert one.figures["rests"] == 1
