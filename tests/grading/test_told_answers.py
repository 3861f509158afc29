"""Answers as models tell them: what is said around an answer must neither hide it nor make another one right."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from nesycd import grading
from nesycd.core.records import Example
from nesycd.grading import Form

spec = importlib.util.spec_from_file_location("told_answers", Path(__file__).with_name("told_answers.py"))
assert spec and spec.loader
told_answers = importlib.util.module_from_spec(spec)
spec.loader.exec_module(told_answers)


@pytest.mark.parametrize(
    ("form", "gold", "options", "question", "right", "wrong"),
    told_answers.TOLD,
    ids=[f"{told[0]}-{told[1]}-{number}" for number, told in enumerate(told_answers.TOLD)],
)
def test_told_answers(
    form: Form, gold: str, options: tuple[str, ...], question: str, right: list[str], wrong: list[str]
) -> None:
    asked = Example(uid="q", task="t", question=question, answer=gold, options=options)
    verdicts = {
        response: grading.grade(grading.extract(response, asked, form), asked, form) for response in (*right, *wrong)
    }
    assert [response for response in right if not verdicts[response]] == []
    assert [response for response in wrong if verdicts[response]] == []
