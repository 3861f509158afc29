"""Words: singulars that share a plural meet, stems are stable, possessives go."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nesycd.core.records import content_hash
from nesycd.retrieval.words import STOPWORDS, content_stems, singulars, stem, tokens


@pytest.mark.parametrize(
    ("plural", "singular"),
    [("fathoms", "fathom"), ("ounces", "ounce"), ("feet", "foot"), ("boxes", "box"), ("pennies", "penny"),
     ("halves", "half"), ("gases", "gas"), ("knives", "knife"), ("potatoes", "potato")],
)  # fmt: skip
def test_singulars(plural: str, singular: str) -> None:
    assert singular in singulars(plural)


@pytest.mark.parametrize("word", ["gas", "glass", "status", "axis", "is"])
def test_words_that_are_no_plurals(word: str) -> None:
    assert singulars(word) == ()


@pytest.mark.parametrize(
    "family", [["measure", "measures", "measured", "measuring"], ["plan", "planned", "planning"], ["penny", "pence"]]
)
def test_forms_of_a_word_share_their_stem(family: list[str]) -> None:
    assert len({stem(word) for word in family}) == 1


def test_tokens_and_content() -> None:
    assert [(t.word, t.joined, t.opens_sentence) for t in tokens("Élodie's half-crown. Two!")] == [
        ("elodie", False, True),
        ("half", False, False),
        ("crown", True, False),
        ("two", False, True),
    ]
    assert content_stems("How many of the 12 fathoms are there?") == ["12", "fathom"]


@given(
    st.lists(
        st.sampled_from(["the", "Fathoms", "half-crown's", "Élodie’s", "x", "C#", "12", "He", "ﬁsh"])
        | st.text(max_size=5)
    )
)
def test_content_is_what_the_tokens_say(words: list[str]) -> None:
    text = " ".join(words)
    assert content_stems(text) == [stem(token.word) for token in tokens(text) if token.word not in STOPWORDS]


def test_stop_words_stay_the_same_set() -> None:
    """What is found, and so every measured result, depends on them."""
    assert len(STOPWORDS) == 158
    assert content_hash(sorted(STOPWORDS)) == "ccb5e83d8d02a2e1"
    assert {"a", "whose", "your"} <= STOPWORDS and not {"", "foot", "new"} & STOPWORDS
