"""From replies to items: what is taken, what is dropped, and why."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nesycd.core.records import Fact, Lesson, Rule
from nesycd.prompts import TeacherPrompts
from nesycd.teachers.diagnosis_reply import read_clustered, read_diagnosis

HIN = {"text": "A hin is 12 logs.", "subject": "hin", "relation": "makes", "object": "12 logs"}
FACT = Fact(**HIN)


def test_a_full_reply_is_read() -> None:
    reply = {
        "cause": "It takes a hin for 10 logs.",
        "facts": [HIN, HIN],
        "rules": [
            {"if": "If units are mixed,", "then": "then turn each into the smaller one.", "clause": "a(X) :- b(X)."}
        ],
        "lessons": ["State each unit before you use it."],
    }
    found = read_diagnosis(json.dumps(reply))
    rule = Rule(text="If units are mixed, then turn each into the smaller one.", clause="a(X) :- b(X).")
    assert found.items == [FACT, rule, Lesson(text="State each unit before you use it.")]
    assert (found.cause, found.problem, found.dropped) == ("It takes a hin for 10 logs.", "", 0)


@pytest.mark.parametrize(
    "text",
    [
        json.dumps([HIN]),
        json.dumps([{"kind": "fact", **HIN}]),
        json.dumps({"diagnosis": {"Facts": HIN}}),
        json.dumps({"facts": {"1": HIN}}),
        json.dumps({"supplementary knowledge": [HIN], "lessons": "none"}),
        json.dumps({"facts": [{"text": HIN["text"], "subject": "hin", "predicate": "makes", "value": "12 logs"}]}),
    ],
)
def test_other_forms_of_the_same_are_read(text: str) -> None:
    assert read_diagnosis(text).items == [FACT]


def test_a_fact_without_a_sentence_is_its_triple() -> None:
    [item] = read_diagnosis('{"facts": [["hin", "makes", "12 logs"]]}').items
    assert item.text == "Hin makes 12 logs."


@pytest.mark.parametrize(
    ("text", "problem", "dropped"),
    [
        ("I do not know.", "it holds no JSON object", 0),
        ('{"cause": "It errs."}', "it holds no JSON object", 0),
        ('{"facts": ["A hin is 12 logs."]}', "none of its 1 entries", 1),
        (
            '{"facts": [{"text": "...", "subject": "", "relation": "is", "object": "x"}], "rules": ["..."]}',
            "none of",
            2,
        ),
        ('{"rules": [{"if": "something is asked"}]}', "none of", 1),
        ('{"facts": [], "rules": [], "lessons": []}', "", 0),
    ],
)
def test_what_lacks_a_part_is_dropped_and_told_of(text: str, problem: str, dropped: int) -> None:
    found = read_diagnosis(text)
    assert found.items == [] and found.dropped == dropped
    assert found.problem.startswith(problem) and bool(found.problem) == bool(problem)


def test_what_is_copied_from_the_prompt_is_dropped() -> None:
    prompt = TeacherPrompts.load().texts["diagnosis"]
    own = prompt[prompt.index('{{"cause"') :].splitlines()[0].replace("{{", "{").replace("}}", "}")
    assert read_diagnosis(own, prompt).items == []
    assert len(read_diagnosis(own).items) == 2
    assert read_diagnosis(json.dumps({"facts": [HIN]}), prompt).items == [FACT]
    amount = {"text": "A naker is 144 pieces.", "subject": "naker", "relation": "makes", "object": "144 pieces"}
    assert read_diagnosis(json.dumps({"facts": [amount, HIN]}), prompt).items == [FACT], "the example's amount"


def test_errors_that_share_a_call_are_told_apart() -> None:
    text = json.dumps({"diagnoses": [{"error": 2, "facts": [HIN]}, {"error": "Error 1", "facts": []}, {"error": 9}]})
    found = read_clustered(text, 3)
    assert set(found) == {1, 2} and found[2].items == [FACT] and found[1].items == []


def test_half_a_surrogate_pair_can_be_stored() -> None:
    [item] = read_diagnosis('{"lessons": ["Mind the \\ud800 sign always."]}').items
    assert item.id and item.text == "Mind the sign always."


VALUE = st.recursive(
    st.one_of(st.text(max_size=12), st.integers(), st.none(), st.booleans()),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(
                ["cause", "facts", "rules", "lessons", "text", "if", "then", "subject", "relation", "object"]
            ),
            inner,
            max_size=5,
        ),
    ),
    max_leaves=12,
)


@given(VALUE)
def test_no_form_raises_and_items_hold_only_what_was_said(value: object) -> None:
    text = json.dumps(value, ensure_ascii=False)
    said = " ".join(text.replace('"', " ").replace("\\", " ").casefold().split())
    for item in read_diagnosis(text).items:
        words = set(
            item.text.casefold().replace(".", " ").replace(",", " ").replace('"', " ").replace("\\", " ").split()
        )
        assert all(word in said for word in words - {"if", "then"}), (item, text)
    read_clustered(text, 2)
