"""The notation of calls: what is one, what is none, and that any text comes back from it unchanged."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nesycd.calls import notation
from nesycd.calls.notation import escaped, last_request, requests, without_calls, write

PARTS = st.text(st.sampled_from("ab 7[]|\\’é"), min_size=1, max_size=12).filter(lambda text: text.strip())


@pytest.mark.parametrize(
    ("text", "name", "relation"),
    [
        ("One [fathoms | makes]", "fathoms", "makes"),
        ("[Edward III | father]", "Edward III", "father"),
        ("[kaf|place]", "kaf", "place"),
        ("see [1] and [a | b]", "a", "b"),
        (r"[f\[x\] | limit\|left]", "f[x]", "limit|left"),
        ("[a | b] 6. [c | d]", "c", "d"),
        ("[Star Wars: A New Hope | director]", "Star Wars: A New Hope", "director"),
        ("[a | b | c]", "a", "b c"),
    ],
)
def test_a_text_that_ends_in_a_call(text: str, name: str, relation: str) -> None:
    made = last_request(text)
    assert made is not None and (made.name, made.relation) == (name, relation) and made.end == len(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "]",
        "see [1]",
        "[a, b]",
        r"\[a | b]",
        "[a | b] 6",
        "[a | b].",
        "[ | b]",
        "[a | ]",
        "[a |\nb]",
        "a | b]",
        "[a | b",
        f"[{'a' * 220} | b]",
    ],
)
def test_a_text_that_ends_in_none(text: str) -> None:
    assert last_request(text) is None


@given(PARTS, PARTS)
def test_what_is_written_is_read_back(name: str, relation: str) -> None:
    made = last_request("So " + write(name, relation))
    assert made is not None
    assert (made.name, made.relation) == (" ".join(name.split()), " ".join(relation.split()))


@given(st.text(st.sampled_from("ab 7[]|.\n"), max_size=40))
def test_escaped_text_calls_nothing_and_is_read_as_it_was(text: str) -> None:
    assert requests(escaped(text)) == []
    if "\\" not in text:
        assert without_calls(escaped(text)) == text


def test_people_read_the_results_and_not_the_calls() -> None:
    said = "The place of [kaf | place] 11. [Ann | mother] (not found) Bea. So 11 + 2 = 13."
    assert without_calls(said) == "The place of 11. Bea. So 11 + 2 = 13."


def test_results_are_one_short_line() -> None:
    assert notation.one_line("a\n b\t c") == "a b c"
    assert len(notation.one_line("word " * 100)) <= notation.MOST_FOUND + 2
    assert notation.listed([f"n{number}" for number in range(11)]).endswith("; n7; and 3 more")
    assert notation.several(["Ann", "Bea"]) == "(several: Ann; Bea)"
    notes = [notation.NOT_FOUND, notation.NO_MORE, notation.several(["a"]), notation.failed("no base"), ""]
    assert all(map(notation.is_note, notes)) and not any(map(notation.is_note, ["6 feet", "(A)", "several"]))


PIECES = ["One ", "[", "]", "|", " | ", "\\", "fathoms", "makes", "[fathoms | makes]", " 6 feet", " (not found)"]
PIECES += ["(no more calls)", " ", "\n", "x", "(", "[1, 2]", "\\[a | b]", "(not fo"]


@given(st.lists(st.sampled_from(PIECES), max_size=14))
def test_what_is_settled_stays_however_a_text_goes_on(parts: list[str]) -> None:
    text = "".join(parts)
    whole = notation.without_calls(text)
    shown = ""
    for end in range(len(text) + 1):
        now = notation.settled(text[:end])
        assert now.startswith(shown), "it only grows"
        assert whole.startswith(now)
        shown = now
