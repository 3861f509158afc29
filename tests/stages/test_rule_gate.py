"""The gate for rules: what they derive for their own question and for those of other folds, and what they break."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import pytest

from nesycd.core.judgements import Judgement
from nesycd.core.records import Entry, Evidence, Example, Fact, Rationale, Rule, RuleTest, Statement
from nesycd.rules import Engine
from nesycd.stages.rule_gate import judge_rules

pytest.importorskip("clingo")


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with Engine() as made:
        yield made


def rule(result: str, first: str, second: str, *tests: RuleTest, text: str = "") -> Rule:
    clause = f"{result}(X, Z) :- {first}(X, Y), {second}(Y, Z)."
    return Rule(text=text or f"A {first}'s {second} is a {result}.", clause=clause, tests=tests)


GRANDFATHER = rule("grandfather", "mother", "father")
UNCLE = rule("uncle", "mother", "brother")
FALSE = rule("grandfather", "mother", "brother")


def asked(uid: str, first: str, second: str, answer: str) -> tuple[Example, Rationale]:
    question = f"The {first} of Ann is Kim. The {second} of Kim is Bo. What is Bo to Ann?"
    stated = (Statement(text=f"Ann | {first} | Kim"), Statement(text=f"Kim | {second} | Bo"))
    example = Example(uid=uid, task="kin", question=question, answer=answer)
    told = Rationale(
        example=uid, teacher="t", text="So.", answer=answer, correct=True, stated=stated, goal="Ann | ? | Bo"
    )
    return example, told


QUESTIONS = [
    asked("a", "mother", "father", "grandfather"),
    asked("b", "mother", "father", "grandfather"),
    asked("c", "mother", "brother", "uncle"),
    asked("d", "mother", "brother", "uncle"),
]
FOLDS = {"a": "0", "b": "1", "c": "0", "d": "1"}


def judged(
    proposed: Mapping[Fact | Rule, Sequence[str]],
    engine: Engine,
    questions: Sequence[tuple[Example, Rationale]] = QUESTIONS,
    others: Sequence[Entry] = (),
    folds: Mapping[str, str] = FOLDS,
) -> list[Judgement]:
    entries = [
        Entry(item=one, evidence=tuple(Evidence(example=uid, source="t") for uid in own))
        for one, own in proposed.items()
    ]
    kept = {example.uid: told for example, told in questions}
    examples = [example for example, _ in questions]
    return judge_rules(entries, others, examples, kept, folds, lambda said, one: said == one.answer, engine)


def test_a_rule_passes_that_derives_its_own_answer_and_repairs_another_fold(engine: Engine) -> None:
    found = judged({GRANDFATHER: ["a"], UNCLE: ["d"]}, engine)
    assert [one.verdict for one in found] == ["passed", "passed"]
    assert found[0].figures == {"own": 1, "repaired": 1, "broken": 0}
    assert found[0].told == "repairs 1 question of other folds, and breaks none"


def test_what_makes_right_answers_wrong_fails_and_takes_nothing_with_it(engine: Engine) -> None:
    uncle, false, grandfather = judged({UNCLE: ["c"], FALSE: ["d"], GRANDFATHER: ["a"]}, engine)
    assert (uncle.verdict, grandfather.verdict) == ("passed", "passed")
    assert false.verdict == "failed" and false.figures == {"own": 0, "repaired": 0, "broken": 2}
    assert false.told == "makes right answers of 2 questions wrong, such as c"


def test_one_wrong_label_does_not_cost_a_rule_that_repairs_many(engine: Engine) -> None:
    many = [asked(f"m{number}", "mother", "brother", "uncle") for number in range(4)]
    odd = asked("x", "mother", "brother", "nephew")
    nephew = rule("nephew", "mother", "brother")
    folds = {f"m{number}": str(number % 2) for number in range(4)} | {"x": "0"}
    uncle, false = judged({UNCLE: ["m0"], nephew: ["x"]}, engine, [*many, odd], folds=folds)
    assert uncle.verdict == "passed" and uncle.told == "repairs 2 questions of other folds, and breaks 1"
    assert false.verdict == "failed" and false.figures["broken"] == 4
    uncle, false = judged({UNCLE: ["m0"], nephew: ["x"]}, engine, [*many[:2], odd], folds=folds)
    assert (uncle.verdict, false.verdict) == ("failed", "failed")


def test_false_rules_do_not_hide_each_other(engine: Engine) -> None:
    worse = rule("cousin", "mother", "brother")
    uncle, *false = judged({UNCLE: ["c"], FALSE: ["c"], worse: ["d"]}, engine)
    assert uncle.verdict == "passed" and [one.figures["broken"] for one in false] == [2, 2]


def test_what_helps_its_own_fold_only_is_not_proven(engine: Engine) -> None:
    folds = {"a": "0", "b": "0", "c": "0", "d": "1"}
    [one] = judged({GRANDFATHER: ["a"]}, engine, folds=folds)
    assert one.verdict == "failed" and one.told == "no question of another fold is answered better with it"
    [none] = judged({FALSE: ["a"]}, engine)
    assert none.verdict == "failed" and none.told == "its own question is answered no better with it"


def test_a_rule_from_questions_of_several_folds_is_of_another_fold_to_each(engine: Engine) -> None:
    [one] = judged({GRANDFATHER: ["a", "b"]}, engine)
    assert one.verdict == "passed" and one.figures == {"own": 2, "repaired": 2, "broken": 0}


def test_without_folds_another_question_is_one(engine: Engine) -> None:
    [one] = judged({GRANDFATHER: ["a"]}, engine, folds={})
    assert one.verdict == "passed"


def test_equal_rules_in_other_words_do_not_take_each_others_credit(engine: Engine) -> None:
    again = rule("grandfather", "mother", "father", text="Your mum's dad is your grandpa.")
    again = again.model_copy(update={"clause": "grandfather(A, C) :- mother(A, B), father(B, C)."})
    assert [one.verdict for one in judged({GRANDFATHER: ["a"], again: ["b"]}, engine)] == ["passed", "passed"]


def test_rules_rest_on_facts_and_on_each_other(engine: Engine) -> None:
    sex = Entry(item=Fact(text="Kim is a woman.", subject="Kim", relation="sex", object="woman"))
    mother = Rule(text="A parent who is a woman is a mother.", clause="mother(X, Y) :- parent(X, Y), sex(Y, woman).")
    questions = [asked("a", "parent", "father", "grandfather"), asked("b", "parent", "father", "grandfather")]
    found = judged({GRANDFATHER: ["a"], mother: ["b"]}, engine, questions, [sex])
    assert [one.verdict for one in found] == ["passed", "passed"]
    found = judged({GRANDFATHER: ["a"], mother: ["b"]}, engine, questions)
    assert [one.verdict for one in found] == ["failed", "failed"]


def test_facts_are_judged_by_the_derivations_that_rest_on_them(engine: Engine) -> None:
    def fee(amount: str) -> Fact:
        return Fact(text=f"A bag costs {amount}.", subject="bag", relation="fee", object=amount)

    unused = Fact(text="A ball costs 9.", subject="ball", relation="fee", object="9")
    total = Rule(text="Fees are added for each bag.", clause="total(T, R) :- bags(T, N), fee(bag, F), R is N * F.")
    questions = []
    for uid, bags, answer in (("a", 2, "60"), ("b", 3, "90")):
        example = Example(uid=uid, task="fees", question=f"What do {bags} bags cost?", answer=answer)
        stated = (Statement(text=f"trip | bags | {bags}"),)
        told = asked(uid, "mother", "father", answer)[1].model_copy(
            update={"stated": stated, "goal": "trip | total | ?"}
        )
        questions.append((example, told))
    made = judged({total: ["a"], fee("30"): ["a"], fee("40"): ["b"], unused: ["b"]}, engine, questions)
    assert [(one.verdict, one.told) for one in made] == [
        ("passed", "repairs 1 question of other folds, and breaks none"),
        ("passed", "2 questions are rightly derived from it"),
        ("failed", "makes right answers of 2 questions wrong, such as a"),
    ]


def test_a_rule_that_fails_its_tests_or_cannot_run_is_not_tried(engine: Engine) -> None:
    failing = rule("uncle", "mother", "brother", RuleTest(given="mother(a, b). brother(b, c).", expect="aunt(a, c)."))
    unsafe = Rule(text="Anybody is an uncle.", clause="uncle(X, Y) :- mother(X, Z).")
    tested, endless, grandfather = judged({failing: ["c"], unsafe: ["c"], GRANDFATHER: ["a"]}, engine)
    assert tested.told.startswith("test 1 fails: ") and endless.told.startswith("cannot run: ")
    assert (tested.verdict, endless.verdict, grandfather.verdict) == ("failed", "failed", "passed")


def test_where_rationales_state_nothing_its_own_tests_decide(engine: Engine) -> None:
    silent = [(example, told.model_copy(update={"goal": "", "stated": ()})) for example, told in QUESTIONS]
    passing = rule("uncle", "mother", "brother", RuleTest(given="mother(a, b). brother(b, c).", expect="uncle(a, c)."))
    tested, untested = judged({passing: ["c"], GRANDFATHER: ["a"]}, engine, silent)
    assert tested.told.endswith("its own tests alone were run")
    assert untested.told.endswith("its own tests alone were run, of which it has none")
    assert tested.verdict == untested.verdict == "passed"
    assert judged({Rule(text="Add before you multiply."): ["a"]}, engine) == []


def test_what_cannot_be_read_is_left_out_and_exceptions_are_run_anew(engine: Engine) -> None:
    broken = QUESTIONS[0][1].model_copy(update={"goal": "Ann"})
    unless = GRANDFATHER.model_copy(update={"exceptions": ("adopted(X)",)})
    found = judged({unless: ["b"]}, engine, [(QUESTIONS[0][0], broken), *QUESTIONS[1:]], folds={"a": "0", "b": "1"})
    assert [one.figures for one in found] == [{"own": 1, "repaired": 0, "broken": 0}]
