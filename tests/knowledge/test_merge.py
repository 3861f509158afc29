"""Uniting entries is commutative, associative and idempotent, whatever they are."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from nesycd.core.records import Entry, Evidence, Fact, Status
from nesycd.core.text import normal, printable
from nesycd.knowledge import item_key, unite
from nesycd.knowledge.merge import tidy

facts = st.builds(
    Fact,
    text=st.sampled_from(["A fathom is 6 feet.", "a fathom is 6 feet.", "6 feet are a fathom."]),
    subject=st.sampled_from(["fathom", "Fathom", "FATHOM "]),
    relation=st.just("length"),
    object=st.sampled_from(["6 feet", "6  Feet"]),
    aliases=st.lists(st.sampled_from(["fadom", "Fadom", " fadom ", "fm", "Fathom", " "]), max_size=3).map(tuple),
)
entries = st.builds(
    Entry,
    item=facts.map(tidy),
    status=st.sampled_from(Status),
    reviewer=st.sampled_from(["", "auto", "Ann", "Bob"]),
    evidence=st.lists(st.builds(Evidence, example=st.sampled_from("ab"), source=st.sampled_from("xy")), max_size=2).map(
        tuple
    ),
)


@given(entries, entries, entries)
def test_uniting_does_not_depend_on_order(a: Entry, b: Entry, c: Entry) -> None:
    assert item_key(a.item) == item_key(b.item)
    assert unite(a, b) == unite(b, a)
    assert unite(unite(a, b), c) == unite(a, unite(b, c))
    assert unite(unite(a, b), b) == unite(a, b)


def test_aliases_are_kept_once_and_without_the_subject() -> None:
    fact = Fact(text="t", subject="Pound", relation="r", object="o", aliases=("quid", "POUND", "Quid", " ", "l  b"))
    tidied = tidy(fact)
    assert isinstance(tidied, Fact)
    assert tidied.aliases == ("l b", "Quid")


def test_texts_are_compared_without_case_and_blanks_and_shown_without_harm() -> None:
    assert normal("  A ﬁne\tSTRASSE ") == normal("a fine straße")
    assert printable("\x1b[31mred\x07 \u202egnp\n") == "\\x1b[31mred\\x07 \\u202egnp\\x0a"
    assert printable("a\nb", keep_lines=True) == "a\nb"
    assert printable("fadom é ♯ 日本") == "fadom é ♯ 日本"


@given(st.text(st.characters(max_codepoint=127)))
def test_normal_treats_ascii_as_all_else(text: str) -> None:
    assert normal(text) == normal(text + "é").removesuffix("é").rstrip()
    assert normal(normal(text)) == normal(text)
