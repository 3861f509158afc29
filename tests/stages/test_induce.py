"""Which errors are put before the teacher together, and what evidence its proposals get."""

from __future__ import annotations

import random

import numpy as np

from nesycd.core.answers import Attempt
from nesycd.core.protocols import ErrorCase, ErrorCluster
from nesycd.core.records import Diagnosis, Example, Lesson
from nesycd.stages import induce

NAMES = ("Ada", "Bob", "Cy", "Dora", "Eve", "Flo", "Gus", "Hal")
PRICES = [
    f"{name} buys {n} pears at {n + 3} euros each. What is the price of all pears?" for n, name in enumerate(NAMES)
]
DATES = [f"{name} was born {n} days after Christmas. Which weekday was the birthday?" for n, name in enumerate(NAMES)]


def cases(*questions: str, task: str = "t", solver: str = "fold-0") -> list[ErrorCase]:
    made = []
    for question in questions:
        example = Example(uid=f"{task}-{solver}-{question[:12]}", task=task, question=question, answer="1")
        attempt = Attempt(example=example.uid, solver=solver, response="no", prediction=f"p-{example.uid}")
        made.append(ErrorCase(example, "1.", attempt))
    return made


def questions(cluster: ErrorCluster) -> list[str]:
    return [case.example.question for case in cluster.cases]


def test_errors_of_one_task_come_apart_by_their_words() -> None:
    mixed = [*PRICES[:5], *DATES[:4]]
    random.Random(3).shuffle(mixed)
    found = induce.clusters(cases(*mixed), [])
    assert sorted(sorted(questions(one)) for one in found) == sorted([sorted(PRICES[:5]), sorted(DATES[:4])])


def test_clusters_have_one_task_and_one_student() -> None:
    made = [*cases(*PRICES[:3]), *cases(*PRICES[3:6], solver="fold-1"), *cases(*PRICES[:3], task="other")]
    found = induce.clusters(made, [])
    kinds = [{(case.attempt.solver, case.example.task) for case in one.cases} for one in found]
    assert sorted(map(sorted, kinds)) == [[("fold-0", "other")], [("fold-0", "t")], [("fold-1", "t")]]


def test_large_ones_are_divided_evenly_and_few_errors_are_none() -> None:
    many = [f"{name} buys {n} pears. What is the price of all pears?" for n, name in enumerate("abcdefghijklm")]
    assert sorted(len(one.cases) for one in induce.clusters(cases(*many), [])) == [4, 4, 5]
    assert induce.clusters(cases(*PRICES[:2], *DATES[:2]), []) == [] == induce.clusters([], [])


def test_causes_tell_kinds_that_the_questions_do_not() -> None:
    asked = cases(*(f"{name} and {n}?" for n, name in enumerate(NAMES)))
    causes = ["It adds where it must multiply the prices."] * 4 + ["The weekday was counted from Sunday."] * 4
    told = [
        Diagnosis(example=case.example.uid, attempt="", teacher="t", cause=cause)
        for case, cause in zip(asked, causes, strict=True)
    ]
    assert induce.clusters(asked, []) == []
    assert sorted(questions(one)[0] for one in induce.clusters(asked, told)) == ["Ada and 0?", "Eve and 4?"]


def test_a_key_names_what_the_teacher_is_shown() -> None:
    [one] = induce.clusters(cases(*PRICES[:3]), [])
    [same] = induce.clusters(cases(*PRICES[:3]), [])
    [other] = induce.clusters([ErrorCase(c.example, "2.", c.attempt) for c in cases(*PRICES[:3])], [])
    assert one.key == same.key != other.key


def test_groups_of_thousands_are_no_matrix_of_all_pairs() -> None:
    found = induce.clusters(cases(*(f"{n} pears {n % 7} cost what price" for n in range(1200))), [])
    assert sum(len(one.cases) for one in found) == 1200 and max(len(one.cases) for one in found) == induce.MOST


def test_linkage_goes_by_the_mean_and_not_by_the_nearest() -> None:
    # A chain: each is like its neighbours only. By single linkage it would be one cluster.
    near = np.array([[1, 0.5, 0, 0], [0.5, 1, 0.3, 0], [0, 0.3, 1, 0.5], [0, 0, 0.5, 1.0]])
    assert induce.linked(near) == [[0, 1], [2, 3]]


def test_every_error_of_a_cluster_is_evidence_and_a_failure_proposes_nothing() -> None:
    [cluster] = induce.clusters(cases(*PRICES[:3]), [])
    lesson = Lesson(text="Multiply number and price.")
    pairs = induce.proposals([cluster.induction("llm", [lesson]), cluster.induction("llm", [lesson], "cut off")])
    assert [item for item, _ in pairs] == [lesson] * 3
    assert [(one.example, one.attempt, one.source) for _, one in pairs] == [
        (case.example.uid, case.attempt.prediction, "llm") for case in cluster.cases
    ]
