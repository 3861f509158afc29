"""What a request of the harness asks, and our grading for its tasks: all that needs no harness."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from nesycd.cli.main import app
from nesycd.core.errors import ConfigError, DataError, NesycdError
from nesycd.core.records import Example
from nesycd.harness import grading
from nesycd.harness.questions import Request, doc_to_text, split_options
from nesycd.prompts import question_text

WORDS = st.text("a \n()A", min_size=1, max_size=12).filter(str.strip)
OPTIONS = st.lists(st.text("a ()A", min_size=1, max_size=6).filter(str.strip), max_size=3).map(tuple)


def read(context: str = "Why?", doc: Any = None, **settings: Any) -> Request:
    return Request.read(0, context, settings, doc, "longtail", 80)


@settings(max_examples=25)
@given(WORDS, OPTIONS)
def test_a_rendered_question_is_the_same_again(question: str, options: tuple[str, ...]) -> None:
    text = question_text(Example(uid="q", task="t", question=question, answer="", options=options))
    asked = read(text).example
    assert question_text(asked) == text
    if len(options) >= 2 and "\n(A) " not in question:
        assert (asked.question, asked.options) == (question, options)


def test_options_are_lettered_lines_at_the_end() -> None:
    assert split_options("Which?\n(A) red\n(B) blue") == ("Which?", ("red", "blue"))
    for whole in (
        "Which?\n(A) red",
        "(A) red\n(B) blue",
        "Which?\n(A) red\n(B) blue\nAnswer:",
        "Which?\n(B) red\n(C) x",
    ):
        assert split_options(whole) == (whole, ())
    assert doc_to_text({"question": "Which?", "options": ["red", "blue"]}) == "Which?\n(A) red\n(B) blue"
    assert doc_to_text({"question": "Why?", "options": None}) == "Why?"


def test_a_request_says_when_an_answer_ends() -> None:
    assert read(until="\n\n").until == ("\n\n",) and read(until=[]).cut("a\n\nb") == "a\n\nb"
    assert read(until=["Q:", "\n"]).cut("an answer\nand Q: more") == "an answer"
    assert read(until=["", "x"]).cut("a text") == "a te"
    assert [read(**given).limit for given in ({}, {"max_gen_toks": 256}, {"max_new_tokens": 5})] == [80, 80, 5]


def test_the_task_is_the_rows_where_it_has_one() -> None:
    assert [read(doc=doc).example.task for doc in (None, {"task": "units"}, {"task": 3})] == [
        "longtail",
        "units",
        "longtail",
    ]


@pytest.mark.parametrize(
    ("context", "limits", "said"),
    [
        (" \n", {}, "request 1: the task's doc_to_text gave an empty text"),
        ("Why?", {"do_sample": True}, "do_sample is set"),
        ("Why?", {"until": [3]}, "until must be a text"),
        ("Why?", {"until": 3}, "until must be a text"),
        ("Why?", {"max_gen_toks": "many"}, "from 1 on, but is 'many'"),
    ],
)
def test_what_cannot_be_asked_is_one_sentence(context: str, limits: dict[str, Any], said: str) -> None:
    with pytest.raises(NesycdError, match=said) as caught:
        read(context, **limits)
    assert "\n" not in str(caught.value)


def test_rows_are_graded_as_their_benchmark_grades() -> None:
    feast = {"question": "When?", "answer": "5 February", "options": None, "task": "calendar"}
    assert grading.longtail(feast, ["Therefore, the answer is February 5."]) == {"acc": 1.0, "answered": 1.0}
    assert grading.longtail(feast, ["February, I think"]) == {"acc": 0.0, "answered": 0.0}
    choice = {"question": "Which?", "answer": "B", "options": ["red", "blue"]}
    assert grading.bbh(choice, ["So the answer is (B).", "another"])["acc"] == 1.0
    with pytest.raises(DataError, match="gsm8k: row 'Why\\?': answer must be"):
        grading.gsm8k({"question": "Why?"}, ["7"])
    with pytest.raises(AttributeError, match="no benchmark 'gsm9k'; there are longtail,"):
        _ = grading.gsm9k
    with pytest.raises(ConfigError):
        grading.graded_by("gsm9k")


def test_a_row_without_a_question_is_told() -> None:
    with pytest.raises(DataError, match="a row needs a `question` that is a text, but has prompt, answer"):
        doc_to_text({"prompt": "Why?", "answer": "So."})


@pytest.mark.parametrize(
    "words", [["--model_args", "method=std_cot"], ["--model_args=method=std_cot"], ["-a", "method=std_cot"]]
)
def test_a_run_is_named_in_one_place(words: list[str]) -> None:
    """The harness would keep the last `--model_args` alone, and take the newest run in place of the named one."""
    made = CliRunner().invoke(app, ["harness", "--run", "quickstart", *words, "--tasks", "my_task"])
    assert made.exit_code == 2
    assert made.stderr == "error: --run and --model_args say which run it is, both: put all into one of them\n"
