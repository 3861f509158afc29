"""The expert's rationales, and its diagnoses of hand-written wrong responses."""

from __future__ import annotations

import pytest

from nesycd.core.answers import Attempt
from nesycd.core.errors import DataError
from nesycd.core.protocols import ErrorCase, Teacher
from nesycd.core.records import Derivation, Diagnosis, Example, Fact, Lesson, Rule
from nesycd.tasks.longtail import LongTail, LongTailSettings
from nesycd.teachers.expert import ExpertTeacher

FATHOM = Fact(
    text="A fathom is 6 feet.", subject="fathom", relation="makes", object="6 feet", aliases=("fathoms", "fadom")
)
KILDERKIN = Fact(text="A kilderkin is 2 firkins.", subject="kilderkin", relation="makes", object="2 firkins")
FIRKIN = Fact(
    text="A firkin is 9 gallons.", subject="firkin", relation="makes", object="9 gallons", aliases=("firkins",)
)
GROUP = Fact(text="Gallium is in group 13.", subject="gallium", relation="group", object="13", aliases=("Ga",))
PERIOD = Fact(text="Gallium is in period 4.", subject="gallium", relation="period", object="4", aliases=("Ga",))
FATHER = Fact(
    text="The father of Edward III was Edward II.", subject="Edward III", relation="father", object="Edward II"
)
GRANDFATHER = Fact(
    text="The father of Edward II was Edward I.", subject="Edward II", relation="father", object="Edward I"
)
RULE = Rule(text="If some units are spent, multiply, then subtract.", clause="left(R) :- true.")


def truth(facts: tuple[Fact, ...], stated: tuple[str, ...], derived: tuple[str, ...], answer: str) -> Derivation:
    uses = tuple((index,) for index in range(len(facts))) + ((),) * len(derived)
    return Derivation(facts=facts, rules=(RULE,), steps=stated + derived, uses=uses, answer=answer)


TRUTHS = {
    "units": truth((FATHOM,), ("One fathom makes 6 feet.",), ("4 x 6 = 24.", "24 - 5 = 19."), "19"),
    "nest": truth(
        (KILDERKIN, FIRKIN),
        ("One kilderkin makes 2 firkins.", "One firkin makes 9 gallons."),
        ("2 x 2 = 4.", "4 x 9 = 36."),
        "36",
    ),
    "elements": truth(
        (PERIOD, GROUP),
        ("The period of gallium is 4.", "The group of gallium is 13."),
        ("3 x 4 = 12.", "12 + 13 = 25."),
        "25",
    ),
    "genealogy": truth(
        (FATHER, GRANDFATHER),
        ("Edward III's father: Edward II.", "Edward II's father: Edward I."),
        ("So grandfather: Edward I.",),
        "Edward I",
    ),
    "boolean": truth((), (), ("not True is False.", "False or True is True."), "True"),
}


def derive(example: Example) -> Derivation:
    if example.task not in TRUTHS:
        raise DataError(f"{example.uid}: not a question of this world")
    return TRUTHS[example.task]


def example(task: str) -> Example:
    return Example(uid=f"t/{task}", task=task, question="?", answer="?")


def diagnose(task: str, response: str) -> Diagnosis:
    attempt = Attempt(example=f"t/{task}", solver="fold-0", response=response, prediction="p1")
    case = ErrorCase(example(task), None, attempt)
    [diagnosis] = ExpertTeacher(derive).diagnoses([case])
    assert diagnosis.example == f"t/{task}" and diagnosis.attempt == "p1" and diagnosis.teacher == "expert"
    return diagnosis


def test_rationales_are_the_steps_and_a_failure_is_a_record() -> None:
    teacher = ExpertTeacher(derive, name="sage")
    assert isinstance(teacher, Teacher)
    known, unknown = teacher.rationales([example("units"), example("cookery")])
    assert (known.text, known.answer, known.failure) == ("One fathom makes 6 feet. 4 x 6 = 24. 24 - 5 = 19.", "19", "")
    assert known.teacher == "sage" and not known.correct
    assert unknown.text == unknown.answer == "" and "not a question of this world" in unknown.failure


def test_a_derivation_without_answer_is_a_failure() -> None:
    teacher = ExpertTeacher(lambda _: Derivation(steps=("So.",), uses=((),)))
    [rationale] = teacher.rationales([example("units")])
    assert "comes to no answer" in rationale.failure


def test_fingerprint_tells_sources_apart() -> None:
    prints = {ExpertTeacher(derive, name, source).fingerprint for name in ("a", "b") for source in ("1", "2")}
    assert len(prints) == 4


@pytest.mark.parametrize(
    ("task", "response", "items", "cause"),
    [
        ("units", "One fathom makes 7 feet. 4 x 7 = 28. 28 - 5 = 23. Therefore, the answer is 23.", (FATHOM,),
         "The response says 'One fathom makes 7 feet.', but the fact is: A fathom is 6 feet."),
        ("units", "4 x 5 = 20. 20 - 5 = 15. Therefore, the answer is 15.", (FATHOM,),
         "The response does not state a needed fact: A fathom is 6 feet."),
        # 16 feet is not 6 feet.
        ("units", "One fadom makes 16 feet. Therefore, the answer is 59.", (FATHOM,),
         "The response says 'One fadom makes 16 feet.', but the fact is: A fathom is 6 feet."),
        # A wrong first fact leaves the right second one out of the proposals.
        ("nest", "One kilderkin makes 3 firkins. One firkin makes 9 gallons. 2 x 3 = 6.", (KILDERKIN,),
         "The response says 'One kilderkin makes 3 firkins.', but the fact is: A kilderkin is 2 firkins."),
        # What is said of the kilderkin says nothing of the firkin.
        ("nest", "One kilderkin makes 2 firkins. 2 x 2 = 4. Therefore, the answer is 4.", (FIRKIN,),
         "The response does not state a needed fact: A firkin is 9 gallons."),
        ("nest", "Kilderkins are casks.", (KILDERKIN, FIRKIN),
         "The response does not state a needed fact: A kilderkin is 2 firkins."),
        # The group is not taken for the period.
        ("elements", "The period of Ga is 13. The group of Ga is 13. 3 x 13 = 39.", (PERIOD,),
         "The response says 'The period of Ga is 13.', but the fact is: Gallium is in period 4."),
        ("elements", "The group of gallium is 4. The group of gallium is 13.", (PERIOD,),
         "The response does not state a needed fact: Gallium is in period 4."),
        ("genealogy", "Edward III's father: Edward II. Edward II's father: Henry III. So grandfather: Henry III.",
         (GRANDFATHER,),
         "The response says 'Edward II's father: Henry III.', but the fact is: The father of Edward II was Edward I."),
        # Names in the wrong order: who is whose father.
        ("genealogy", "Edward II's father: Edward III. Edward I's father: Edward II. So grandfather: Edward I.",
         (FATHER, GRANDFATHER),
         "The response does not state a needed fact: The father of Edward III was Edward II."),
        ("units", "", (FATHOM,), "The response is empty; it does not state a needed fact: A fathom is 6 feet."),
        ("units", "]] 6 6 6 ((\n\n= x", (FATHOM,), "The response does not state a needed fact: A fathom is 6 feet."),
    ],
)  # fmt: skip
def test_the_first_fact_that_is_missing_or_wrong(task: str, response: str, items: tuple[Fact, ...], cause: str) -> None:
    diagnosis = diagnose(task, response)
    assert diagnosis.items == items
    assert diagnosis.cause.replace('"', "'") == cause


@pytest.mark.parametrize(
    ("task", "response", "cause"),
    [
        ("units", "One fathom makes 6 feet. 4 x 6 = 26. 26 - 5 = 21. Therefore, the answer is 21.",
         "The response says 4 x 6 = 26, but 4 x 6 = 24."),
        ("units", "A fathom is 6 feet. 4 * 6 = 24. Therefore, the answer is 24.",
         "The response lacks the step '24 - 5 = 19.'"),
        ("units", "One fathom makes 6 feet. 4 x 6 = 24. 24 - 5 = 19. Therefore, the answer is 24.",
         "The response does the working but answers '24' instead of '19'."),
        ("units", "One fathom makes 6 feet. 4 x 6 = 24. 24 - 5 = 19.",
         "The response does the working but closes with no answer; it is 19."),
        ("genealogy", "The father of Edward III: Edward II. Edward II's father: Edward I. The answer is Edward II.",
         "The response lacks the step 'So grandfather: Edward I.'"),
        ("boolean", "not True is True. True or True is True. Therefore, the answer is False.",
         "The response lacks the step 'not True is False.'"),
        ("boolean", "", "The response lacks the step 'not True is False.'"),
    ],
)  # fmt: skip
def test_where_all_facts_are_right_the_rule_and_a_lesson_are_proposed(task: str, response: str, cause: str) -> None:
    diagnosis = diagnose(task, response)
    assert diagnosis.cause == cause
    rule, lesson = diagnosis.items
    assert rule == RULE and isinstance(lesson, Lesson)
    assert lesson.text.startswith("If some units are spent: ")
    assert not any(character.isdigit() for character in lesson.text)


def test_where_rules_are_asked_all_that_the_derivation_rests_on_is_proposed() -> None:
    nest = TRUTHS["nest"]
    teacher = ExpertTeacher(lambda _: nest.model_copy(update={"goal": "kilderkins | gallons | ?"}))
    for said in (" ".join(nest.steps), nest.steps[0], ""):
        attempt = Attempt(example="t/nest", solver="fold-0", response=said)
        [diagnosis] = teacher.diagnoses([ErrorCase(example("nest"), None, attempt)])
        items = [item for item in diagnosis.items if not isinstance(item, Lesson)]
        assert len(items) == 3 and {*items} == {KILDERKIN, FIRKIN, RULE}, "whatever the response states"


def test_no_derivation_is_no_diagnosis() -> None:
    diagnosis = diagnose("cookery", "Stir.")
    assert diagnosis.items == () and diagnosis.cause == "" and "not a question of this world" in diagnosis.failure


def test_it_serves_longtail() -> None:
    task = LongTail(
        LongTailSettings(train_special=8, valid=2, test_special=4, test_general=4, ood_composed=4, ood_unseen=8)
    )
    teacher = ExpertTeacher(task.derive, source=task.fingerprint)
    for split in task.splits():
        examples = task.load(split)
        for told, asked in zip(teacher.rationales(examples), examples, strict=True):
            assert task.grade(told.answer, asked) and told.text == asked.rationale
        for asked in examples:
            derivation = task.derive(asked)
            for index, uses in enumerate(derivation.uses):
                response = " ".join(derivation.steps[:index] + derivation.steps[index + 1 :])
                case = ErrorCase(asked, None, Attempt(example=asked.uid, solver="fold-0", response=response))
                [diagnosis] = teacher.diagnoses([case])
                if uses:
                    assert diagnosis.items == (derivation.facts[uses[0]],), response
                elif "x" in derivation.steps[index] or "+" in derivation.steps[index]:
                    assert diagnosis.items[0] == derivation.rules[0], response
