"""Where a wrong answer first departs from an accepted rationale: what is marked, why, and where that cannot be told."""

from __future__ import annotations

import time

import pytest

from nesycd.serving.pages.breaks import first_break, lacking, sentences
from nesycd.serving.pages.web import worded

QUESTION, RATIONALE = "How many feet are 4 fathoms and 3 feet?", "One fathom makes 6 feet. 4 x 6 = 24. 24 + 3 = 27."
KIN = "Edward III's father: Edward II. Edward II's father: Edward I."


@pytest.mark.parametrize(
    "answer, question, rationale, cause, marked, why",
    [
        ("One fathom makes 6 feet. 4 x 6 = 26. 26 + 3 = 29.", QUESTION, RATIONALE, "", "4 x 6 = 26.", "26 is neither"),
        ("4 x 3 = 12. The answer is 12.", QUESTION, RATIONALE, "", "4 x 3 = 12.", "12 is neither"),
        ("His father: Edward IV. So: Edward IV.", "Who?", KIN, "", "His father: Edward IV.", "IV is neither"),
        ("Divide the whole. 24 + 3 = 27.", QUESTION, RATIONALE, "", "Divide the whole.", "“divide” is neither"),
        (
            "One fathom makes 6 feet. 3 + 3 = 6.",
            QUESTION,
            RATIONALE,
            "It says '3 + 3 = 6.', but",
            "3 + 3 = 6.",
            "quotes this",
        ),
        ("6 feet. 4 feet.", QUESTION, RATIONALE, "", "", "cannot be told"),
        ("It is 9.", QUESTION, "", "", "", "no accepted rationale"),
        ("", QUESTION, RATIONALE, "", "", "is empty"),
    ],
)
def test_the_first_sentence_that_departs(
    answer: str, question: str, rationale: str, cause: str, marked: str, why: str
) -> None:
    found = first_break(answer, question, rationale, cause)
    assert [one.text for one in found.sentences if one.marked] == ([marked] if marked else []) and why in found.why
    assert found.is_found == bool(marked)


def test_what_the_answer_lacks_of_the_rationale() -> None:
    found = lacking(RATIONALE, "One  fathom makes 6 Feet. 4 x 6 = 26.")
    assert [one.text for one in found if one.marked] == ["4 x 6 = 24.", "24 + 3 = 27."]


def test_sentences_end_at_stops_and_lines_but_not_within_numbers() -> None:
    assert sentences("It is 2.5 feet. So e.g. three.\nThen: 4\n\nEnd") == [
        "It is 2.5 feet.",
        "So e.g. three.",
        "Then: 4",
        "End",
    ]


@pytest.mark.parametrize(
    "before, after", [("", ""), ("a", ""), ("", "a"), ("a b", "a c b"), ("x y", "y x"), (KIN, RATIONALE)]
)
def test_changes_give_both_texts_back(before: str, after: str) -> None:
    found = worded(before, after)
    assert "".join(text for kind, text in found if kind != "new") == before
    assert "".join(text for kind, text in found if kind != "gone") == after


def test_changes_of_hostile_texts_take_no_time() -> None:
    start = time.process_time()
    worded("".join(f"{n % 7} " for n in range(20_000)), "".join(f"{n % 5} " for n in range(20_000)))
    assert time.process_time() - start < 1
