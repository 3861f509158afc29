"""The LLM teacher with a scripted chat: which rationale is chosen, what is asked again, what becomes a diagnosis."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from nesycd.core.answers import Attempt
from nesycd.core.errors import TeacherError, Unanswered
from nesycd.core.protocols import ErrorCase, ErrorCluster, Inducer, Teacher
from nesycd.core.records import Diagnosis, Example, Fact, Induction, Rationale
from nesycd.core.sections import AskSection
from nesycd.llm.chat import Chat, Completion, Request
from nesycd.llm.scripted_chat import ScriptedChat
from nesycd.prompts import TeacherPrompts
from nesycd.stages import rationalise
from nesycd.tasks.base import StoredTask
from nesycd.teachers.llm import LLMTeacher
from nesycd.teachers.mixed import MixedTeacher
from nesycd.teachers.scripted import ScriptedTeacher

QUESTIONS = [
    Example(uid=f"q{n}", task="units", question=f"How many logs are {n} hins?", answer=str(12 * n)) for n in range(2, 8)
]
TASK = StoredTask("units", {"train": QUESTIONS})
RIGHT = "A hin is 12 logs. 2 x 12 = 24. Therefore, the answer is 24."
FALSE_SUM = "A hin is 12 logs. 2 x 12 = 26. Therefore, the answer is 24."
WRONG = "A hin is 10 logs. 2 x 10 = 20. Therefore, the answer is 20."
HIN = {"text": "A hin is 12 logs.", "subject": "hin", "relation": "makes", "object": "12 logs"}
REPLY = json.dumps({"cause": "It takes a hin for 10 logs.", "facts": [HIN], "rules": [], "lessons": []})


def teacher(script: Any, **settings: Any) -> tuple[LLMTeacher, ScriptedChat]:
    chat = ScriptedChat(script)
    return LLMTeacher(chat, TeacherPrompts.load(), TASK, AskSection(**settings)), chat


def ask(script: Any, **settings: Any) -> tuple[Rationale, list[str]]:
    made, chat = teacher(script, **settings)
    [rationale] = rationalise.rationalise(QUESTIONS[:1], made, TASK)
    return rationale, [request.key for request in chat.asked]


def case(number: int = 0, response: str = WRONG, task: str = "units") -> ErrorCase:
    example = QUESTIONS[number].model_copy(update={"task": task})
    attempt = Attempt(example=example.uid, solver="s", response=response, prediction=f"{task}-{number}")
    return ErrorCase(example, "A hin is 12 logs.", attempt)


def diagnose(script: Any, *cases: ErrorCase, **settings: Any) -> tuple[list[Diagnosis], ScriptedChat]:
    made, chat = teacher(script, **settings)
    return list(made.diagnoses(cases)), chat


def test_it_is_a_teacher_and_its_fake_a_chat() -> None:
    made, chat = teacher({})
    assert isinstance(made, Teacher) and isinstance(chat, Chat)


# --- rationales -------------------------------------------------------------------------------------------------------


def test_a_question_is_asked_until_an_answer_is_right_and_its_sums_are_true() -> None:
    rationale, asked = ask({"rationale:q2:0": WRONG, "rationale:q2:1": FALSE_SUM, "rationale:q2:2": RIGHT})
    assert asked == ["rationale:q2:0", "rationale:q2:1", "rationale:q2:2"]
    assert (rationale.correct, rationale.text, rationale.answer) == (True, "A hin is 12 logs. 2 x 12 = 24.", "24")
    assert [(other.answer, other.correct, other.flaw) for other in rationale.others] == [
        ("20", False, ""),
        ("24", False, "false: 2 * 12 = 26"),
    ]
    assert rationale.completion_tokens == sum(len(text.split()) for text in (WRONG, FALSE_SUM, RIGHT))
    assert Rationale.from_json(rationale.to_json()) == rationale


def test_a_right_first_answer_costs_one_call_unless_all_samples_are_wanted() -> None:
    assert ask(lambda request: RIGHT)[1] == ["rationale:q2:0"]
    rationale, asked = ask(lambda request: RIGHT, all_samples=True)
    assert len(asked) == 3 and [other.correct for other in rationale.others] == [True, True]


def test_the_gold_answer_is_shown_only_where_no_sample_was_right() -> None:
    rationale, asked = ask({"rationale:q2:0": WRONG, "hinted:q2:0": RIGHT}, samples=1)
    assert asked == ["rationale:q2:0", "hinted:q2:0"]
    assert rationale.correct and rationale.hinted and not rationale.others[0].hinted
    assert rationalise.counts([rationale]) == {"asked": 1, "kept": 1, "wrong": 0, "failed": 0, "hinted": 1}
    rationale, asked = ask({"rationale:q2:0": WRONG}, samples=1, hints=False)
    assert asked == ["rationale:q2:0"] and not rationale.correct and rationale.answer == "20"
    told = {"hinted:q2:0": "The given answer is 24. 2 x 12 = 24. The answer is 24."}
    rationale, _ = ask({"rationale:q2:0": WRONG, **told}, samples=1)
    assert not rationale.correct and "speaks of the hint" in rationale.others[0].flaw


def test_only_the_hinted_prompt_holds_the_answer() -> None:
    made, chat = teacher({"rationale:q7:0": WRONG, "hinted:q7:0": WRONG}, samples=1)
    list(made.rationales(QUESTIONS[-1:]))
    plain, hinted = (request.messages[0].content for request in chat.asked)
    assert "84" not in plain and "84" in hinted and chat.asked[0].temperature == 0.7


def test_failures_are_records_and_a_later_answer_stands() -> None:
    def script(request: Request) -> Completion | str:
        return Completion(request.key, "", failure="length") if request.key == "rationale:q2:0" else RIGHT

    rationale, _ = ask(script)
    assert rationale.correct and rationale.others[0].failure == "length"
    rationale, _ = ask({})
    assert rationale.failure == "not in the script" and not rationale.correct


@pytest.mark.parametrize("text", ["Therefore, the answer is 24.", "2 x 11 = 22. Therefore, the answer is 24."])
def test_a_right_answer_without_a_working_that_comes_to_it_is_not_kept(text: str) -> None:
    rationale, _ = ask(lambda request: text, samples=1, hints=False)
    assert not rationale.correct and rationale.flaw


def test_the_plan_holds_every_request_that_is_sent() -> None:
    for settings in ({}, {"all_samples": True}, {"hints": False}):
        made, chat = teacher(lambda request: WRONG, **settings)
        list(made.rationales(QUESTIONS))
        planned = made.plan_rationales(QUESTIONS)
        assert len(planned) == len(QUESTIONS) * (3 if settings == {"hints": False} else 4)
        assert sorted(planned, key=str) == sorted(chat.asked, key=str)


# --- diagnoses --------------------------------------------------------------------------------------------------------


def test_the_teacher_sees_the_case_and_its_items_come_back() -> None:
    [diagnosis], chat = diagnose(lambda request: REPLY, case(response="word " * 300))
    assert diagnosis.items == (Fact(**HIN),) and diagnosis.cause and not diagnosis.failure
    [request] = chat.asked
    text = request.messages[0].content
    for part in ("How many logs are 2 hins?", "24", "A hin is 12 logs."):
        assert part in text
    assert text.count("word") < 260 and request.schema is not None and request.temperature == 0.0


def test_an_unreadable_answer_is_repaired_once_and_then_a_failure() -> None:
    [diagnosis], chat = diagnose({"diagnosis:q2": "Dunno.", "repair:q2": REPLY}, case())
    assert diagnosis.items and not diagnosis.failure
    assert [message.role for message in chat.asked[1].messages] == ["user", "assistant", "user"]
    [diagnosis], chat = diagnose({"diagnosis:q2": "Dunno.", "repair:q2": "Still dunno."}, case())
    assert diagnosis.failure.startswith("the answer cannot be read") and not diagnosis.items
    [diagnosis], chat = diagnose({"diagnosis:q2": "Dunno."}, case(), repair=False)
    assert diagnosis.failure and len(chat.asked) == 1
    [diagnosis], chat = diagnose({}, case())
    assert diagnosis.failure == "not in the script" and len(chat.asked) == 1, "nothing came: nothing to repair"


def test_errors_of_one_task_share_calls_and_one_left_out_is_asked_alone() -> None:
    def script(request: Request) -> str:
        errors = request.messages[0].content.count("[Right answer]")
        if errors == 1:
            return REPLY
        kept = [{"error": number, "facts": [HIN]} for number in range(1, errors)]
        return json.dumps({"diagnoses": kept})

    cases = [case(number) for number in range(6)] + [case(0, task="other")]
    found, chat = diagnose(script, *cases, cluster=3)
    assert sorted(d.attempt for d in found) == ["other-0", *(f"units-{number}" for number in range(6))]
    assert all(d.items and not d.failure for d in found)
    planned = teacher({}, cluster=3)[0].plan_diagnoses(cases)
    assert len(planned) < len(cases) and chat.asked[: len(planned)] == planned
    shared = [request for request in planned if "Error 2" in request.messages[0].content]
    assert shared and len(chat.asked) == len(planned) + len(shared)


def test_of_a_shared_answer_that_was_cut_off_all_but_the_last_diagnosis_is_kept() -> None:
    whole = json.dumps({"diagnoses": [{"error": number, "facts": [HIN], "lessons": []} for number in (1, 2, 3)]})

    def script(request: Request) -> Completion | str:
        errors = request.messages[0].content.count("[Right answer]")
        cut = whole[: whole.rindex("lessons")]
        return REPLY if errors == 1 else Completion(request.key, cut, failure="length", completion_tokens=9)

    cases = [case(number) for number in range(6)]
    [shared] = [cluster for cluster in teacher({}, cluster=3)[0]._clusters(cases) if len(cluster) == 3]
    found, chat = diagnose(script, *shared, cluster=3)
    assert [request.key for request in chat.asked] == ["diagnosis:q5+2", "diagnosis:q7"]
    assert all(d.items and not d.failure for d in found)
    found, chat = diagnose(script, *shared, cluster=3, repair=False)
    assert [d.failure for d in found] == ["", "", "length"]


def test_clusters_still_to_be_asked_are_the_same_after_a_kill() -> None:
    cases = [
        ErrorCase(e, None, Attempt(example=e.uid, solver="s", response="x"))
        for e in (QUESTIONS[0].model_copy(update={"uid": f"u{n}"}) for n in range(60))
    ]
    made, _ = teacher({}, cluster=4)
    planned = made.plan_diagnoses(cases)
    clusters = made._clusters(cases)
    left = [one for cluster in clusters[:2] + clusters[5:] for one in cluster]
    assert set(map(str, made.plan_diagnoses(left))) <= set(map(str, planned))


@pytest.mark.parametrize(
    "work", [lambda t: t.rationales(QUESTIONS), lambda t: t.diagnoses([case(n) for n in range(6)])]
)
def test_a_cap_ends_the_stage_and_keeps_what_was_answered(work: Callable[[LLMTeacher], Any]) -> None:
    def script(request: Request) -> Completion | str:
        if any(number in request.key for number in ("q2", "q3")):
            return Completion(request.key, REPLY if request.schema else RIGHT.replace("24", "24"))
        return Completion(request.key, "", failure="cap: max_calls reached", unanswered=True)

    made, _ = teacher(script, samples=1, hints=False)
    got = []
    with pytest.raises(TeacherError, match="max_calls reached; what was answered is kept"):
        for record in work(made):
            got.append(record.example)
    assert "q2" in got and not {"q4", "q5", "q6", "q7"} & set(got)


def test_a_question_with_an_unanswered_call_stays_open_though_another_sample_is_right() -> None:
    def script(request: Request) -> Completion | str:
        lost = request.key in ("rationale:q2:0", "rationale:q4:1")
        return Completion(request.key, "", failure="HTTP 503: no", unanswered=True) if lost else RIGHT

    made, chat = teacher(script, all_samples=True, samples=2)
    got = []
    with pytest.raises(
        Unanswered, match=r"^2 of the questions were not answered: HTTP 503: no; what was answered is kept"
    ):
        for record in made.rationales(QUESTIONS[:3]):
            got.append(record.example)
    assert "q2" not in got and "q4" not in got and got == ["q3"]
    assert not any(
        "q2" in request.key or "q4" in request.key for request in chat.asked if request.key.startswith("hinted")
    )


def test_an_error_whose_repair_was_not_answered_stays_open() -> None:
    def script(request: Request) -> Completion | str:
        if request.key == "repair:q2":
            return Completion(request.key, "", failure="no answer within 5 s", unanswered=True)
        return "Dunno." if request.key == "diagnosis:q2" else REPLY

    got = []
    with pytest.raises(Unanswered, match=r"^1 of the questions were not answered: no answer within 5 s"):
        for record in teacher(script)[0].diagnoses([case(0), case(1)]):
            got.append(record.example)
    assert got == ["q3"]


# --- inductions -------------------------------------------------------------------------------------------------------

STEPS = ["Look up how many logs a hin is.", "Multiply by the number of hins."]
INDUCED = json.dumps({"when": "a question asks for logs", "steps": STEPS, "rules": []})
LESSON = f"When a question asks for logs: {' '.join(STEPS)}"


def cluster(*numbers: int) -> ErrorCluster:
    return ErrorCluster(tuple(case(number, response="word " * 300) for number in numbers))


def induce(script: Any, *clusters: ErrorCluster, **settings: Any) -> tuple[list[Induction], ScriptedChat]:
    made, chat = teacher(script, **settings)
    return list(made.inductions(clusters)), chat


def test_a_cluster_is_asked_about_in_one_call_and_its_procedure_comes_back() -> None:
    [made], chat = induce(lambda request: INDUCED, cluster(0, 1, 2))
    assert [item.text for item in made.items] == [LESSON] and not made.failure
    assert made.examples == ("q2", "q3", "q4") and made.attempts == ("units-0", "units-1", "units-2")
    [request] = chat.asked
    text = request.messages[0].content
    assert all(f"How many logs are {n} hins?" in text for n in (2, 3, 4)) and "Error 3" in text
    assert text.count("word ") < 3 * 80 and request.schema is not None and request.temperature == 0.0
    assert chat.asked == teacher({})[0].plan_inductions([cluster(0, 1, 2)])
    assert Induction.from_json(made.to_json()) == made and made.completion_tokens > 0


def test_an_unreadable_induction_is_repaired_once_and_then_a_failure() -> None:
    key = cluster(0, 1).key
    [made], chat = induce({f"induction:{key}": "Dunno.", f"induction-repair:{key}": INDUCED}, cluster(0, 1))
    assert [item.text for item in made.items] == [LESSON]
    assert [message.role for message in chat.asked[1].messages] == ["user", "assistant", "user"]
    [made], _ = induce(lambda request: "Dunno.", cluster(0, 1))
    assert made.failure.startswith("the answer cannot be read") and not made.items
    [made], chat = induce({}, cluster(0, 1))
    assert made.failure == "not in the script" and len(chat.asked) == 1


def test_clusters_that_were_not_answered_stay_open() -> None:
    lost = cluster(0, 1).key

    def script(request: Request) -> Completion | str:
        gone = lost in request.key
        return Completion(request.key, "", failure="HTTP 503: no", unanswered=True) if gone else INDUCED

    got = []
    with pytest.raises(Unanswered, match=r"^1 of the questions were not answered: HTTP 503"):
        for made in teacher(script)[0].inductions([cluster(0, 1), cluster(2, 3)]):
            got.append(made.cluster)
    assert got == [cluster(2, 3).key]


def test_a_mixed_teacher_passes_clusters_to_its_language_model() -> None:
    made, _ = teacher(lambda request: INDUCED)
    mixed = MixedTeacher(ScriptedTeacher({}), made)
    assert isinstance(mixed, Inducer)
    assert [one.items[0].text for one in mixed.inductions([cluster(0, 1)])] == [LESSON]
    assert mixed.plan_inductions([cluster(0, 1)]) == made.plan_inductions([cluster(0, 1)])


def test_the_fingerprint_follows_what_decides_the_answers() -> None:
    prints = {
        teacher({})[0].fingerprint,
        teacher({"a": "b"})[0].fingerprint,
        teacher({}, temperature=0.1)[0].fingerprint,
        LLMTeacher(ScriptedChat({}), TeacherPrompts({**TeacherPrompts.load().texts, "error": "x"}), TASK).fingerprint,
    }
    assert len(prints) == 4 and teacher({})[0].fingerprint in prints


# --- what a question states --------------------------------------------------------------------------------------------

KIN = Example(uid="k", task="kin", question="Ann has a son. His name is Bob. Who is Ann to Bob?", answer="mother")
SAID = """1: (nothing)
2. `Ann | son | Bob; Bob | mother | Ann`
3: hm | | ; 9 | x
7: Ann | son | Zoe
Ask: Bob | ? | Ann
4: the working may be numbered | too
Ann is the mother of Bob. Therefore, the answer is mother."""


def test_the_teacher_says_what_each_unit_states_where_rules_are_asked() -> None:
    chat = ScriptedChat({"rationale:k:0": SAID.replace("`", "")})
    task = StoredTask("kin", {"train": [KIN]})
    asking = LLMTeacher(chat, TeacherPrompts.load(), task, AskSection(samples=1, hints=False), "sentences")
    [rationale] = asking.rationales([KIN])
    assert [(one.text, one.said) for one in rationale.stated] == [
        ("Ann | son | Bob", "His name is Bob."),
        ("Bob | mother | Ann", "His name is Bob."),
        ("9 | x", "Who is Ann to Bob?"),
    ]
    assert rationale.goal == "Bob | ? | Ann" and rationale.answer == "mother"
    assert rationale.text == "4: the working may be numbered | too\nAnn is the mother of Bob."
    [request] = asking.plan_rationales([KIN])
    assert "2: His name is Bob." in request.messages[0].content
    plain = LLMTeacher(chat, TeacherPrompts.load(), task, AskSection(samples=1, hints=False))
    assert "2: His name" not in plain.plan_rationales([KIN])[0].messages[0].content
    assert plain.fingerprint != asking.fingerprint


@pytest.mark.parametrize(
    "said", ["", "Ask: Ann | son | Bob\n1: Ann | son | Bob\n", "1: Ann | son | Bob\n", "Ask: a | ?\n"]
)
def test_statements_without_a_goal_and_goals_without_statements_are_none(said: str) -> None:
    chat = ScriptedChat({"rationale:k:0": f"{said}She is. Therefore, the answer is mother."})
    task = StoredTask("kin", {"train": [KIN]})
    asking = LLMTeacher(chat, TeacherPrompts.load(), task, AskSection(samples=1, hints=False), "sentences")
    [rationale] = asking.rationales([KIN])
    assert (rationale.stated, rationale.goal, rationale.answer) == ((), "", "mother")
