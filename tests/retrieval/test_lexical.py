"""BM25: its scores are those of the formula, and a cover says what share of a text was asked for."""

from __future__ import annotations

import math

import pytest

from nesycd.retrieval import LexicalIndex

TEXTS = ["multiply units by size", "count the apples", "count the pears and count the plums", ""]


def bm25(query: list[str], documents: list[list[str]], index: int, k1: float = 1.5, b: float = 0.75) -> float:
    """Lucene's variant, written from the formula."""
    mean = sum(map(len, documents)) / len(documents)
    total = 0.0
    for word in query:
        having = sum(word in document for document in documents)
        count = documents[index].count(word)
        idf = math.log(1 + (len(documents) - having + 0.5) / (having + 0.5))
        total += idf * count / (count + k1 * (1 - b + b * len(documents[index]) / mean))
    return total


def test_scores_follow_the_formula() -> None:
    documents = [["multiply", "unit", "by", "size"], ["count", "apple"], ["count", "pear", "count", "plum"], []]
    documents[0].remove("by")
    raw, _ = LexicalIndex(TEXTS).scores("Count the pears!")
    assert list(raw) == pytest.approx([bm25(["count", "pear"], documents, index) for index in range(4)], rel=1e-5)


def test_cover_is_the_share_of_a_text_that_was_asked_for() -> None:
    index = LexicalIndex(TEXTS)
    _, cover = index.scores("Please count some apples, 5 grapes and 7 plums.")
    assert cover[1] == pytest.approx(1.0)
    assert 0 < cover[2] < 1
    assert list(cover[[0, 3]]) == [0, 0]
    _, repeated = index.scores("apples apples apples")
    assert repeated[1] < 1


@pytest.mark.parametrize("texts", [[], ["", "the of"], TEXTS])
def test_questions_without_known_words_score_nothing(texts: list[str]) -> None:
    raw, cover = LexicalIndex(texts).scores("What is this? Zyxw!")
    assert raw.shape == cover.shape == (len(texts),)
    assert not raw.any() and not cover.any()
