"""Chains of relations around a name."""

from __future__ import annotations

import pytest

from nesycd.retrieval.paths import relation_chain
from nesycd.retrieval.words import stem, tokens

RELATIONS = {stem(word) for word in ("father", "mother", "spouse")}


@pytest.mark.parametrize(
    ("question", "chain"),
    [
        ("Who was Bob's father's mother?", ["father", "mother"]),
        ("Who was the mother of the father of Bob?", ["father", "mother"]),
        ("Who was the mother of Bob's father?", ["father", "mother"]),
        ("Name Bob's spouse's father and mother, please.", ["spouse", "father|mother"]),
        ("Name the father and the mother of the spouse of Bob.", ["spouse", "father|mother"]),
        ("Bob", []),
        ("Where did Bob and his father live?", []),
        ("Bob's " + "father's " * 20 + "mother", ["father"] * 8),
    ],
)
def test_chain(question: str, chain: list[str]) -> None:
    words = tokens(question)
    place = next(number for number, token in enumerate(words) if token.word == "bob")
    found = relation_chain(words, place, place + 1, RELATIONS)
    assert ["|".join(sorted(step)) for step in found] == [
        "|".join(sorted(stem(w) for w in s.split("|"))) for s in chain
    ]
