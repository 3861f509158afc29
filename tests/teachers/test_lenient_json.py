"""Replies of small models: what can be read, and that nothing is added to it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nesycd.teachers.lenient_json import find_values

WANTED = {"cause": "none", "facts": [{"text": "A hin is 12 logs."}], "lessons": []}


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(WANTED),
        f"Sure! Here it is:\n```json\n{json.dumps(WANTED, indent=2)}\n```\nHope that helps. {{smile}}",
        "{'cause': 'none', 'facts': [{'text': 'A hin is 12 logs.',},], 'lessons': [],}",
        '{cause: "none", facts: [{text: "A hin is 12 logs."}], lessons: [...]}',
        '{"cause": "none", // why\n "facts": [{"text": "A hin is 12 logs."}] "lessons": []}',
        "{“cause”: “none”, “facts”: [{“text”: “A hin is 12 logs.”}], “lessons”: []}",
        '<think>{"cause": "draft", "facts": []}</think>' + json.dumps(WANTED),
        json.dumps(WANTED)[:-1],
    ],
)
def test_what_small_models_write_is_read(text: str) -> None:
    assert next(find_values(text)) == WANTED


def test_quotes_within_a_string_do_not_end_it() -> None:
    assert list(find_values('{"a": "it says "go", then on", "b": \'Gregory\'s Day\'}')) == [
        {"a": 'it says "go", then on', "b": "Gregory's Day"}
    ]


def test_what_was_cut_off_is_left_out() -> None:
    assert list(find_values('{"facts": [{"text": "A hin is 12 logs."}, {"text": "A ki')) == [
        {"facts": [{"text": "A hin is 12 logs."}, {}]}
    ]
    assert list(find_values('{"n": [1, 2, 34')) == [{"n": ["1", "2"]}]


def test_a_broken_outside_does_not_hide_what_is_whole_inside() -> None:
    assert {"text": "A hin is 12 logs."} in list(find_values('{"facts": [{"text": "A hin is 12 logs."}, oops'))


def leaves(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield key
            yield from leaves(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from leaves(inner)
    elif isinstance(value, str):
        yield value


JSONISH = st.text(alphabet="""{}[]:,"'“”ab1 \n/.truefalsenull<>""", max_size=80)


@settings(max_examples=300)
@given(st.one_of(JSONISH, st.text(max_size=60)))
def test_it_never_raises_and_never_invents(text: str) -> None:
    for value in find_values(text):
        if "\\" not in text and "<think" not in text.casefold():
            assert all(leaf in text for leaf in leaves(value))


PLAIN = st.text(
    st.characters(codec="ascii", min_codepoint=32, exclude_characters="\\\"'{}[]/<"), min_size=1, max_size=20
)
VALUES = st.recursive(
    st.one_of(PLAIN, st.booleans(), st.none()),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(PLAIN, inner, max_size=4)),
)


@given(st.dictionaries(PLAIN, VALUES, min_size=1, max_size=4), st.integers(0, 60))
def test_json_comes_back_whole_or_in_part(value: dict[str, Any], cut: int) -> None:
    written = json.dumps(value)
    assert next(find_values(f"Here: {written} done")) == value
    said = set(leaves(value))
    for part in find_values(written[: len(written) - cut]):
        assert set(leaves(part)) <= said, "cut anywhere, no half string is left"


def test_long_nonsense_takes_no_time() -> None:
    started = time.process_time()
    for junk in ("{" * 20_000, "[{'a" * 5_000, '{"a":' * 5_000, '"' * 20_000, '{"a" x' * 3_000):
        list(find_values(junk))
    assert time.process_time() - started < 3
