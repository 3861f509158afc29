"""The index of texts that come and go: its scores are those of a fresh build, up to the mean length, as documented."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nesycd.retrieval.live import LiveIndex

WORDS = "abcdefg"
TEXT = st.lists(st.sampled_from(WORDS), max_size=6)


def bm25(asked: Sequence[str], texts: Mapping[int, Sequence[str]], mean: float) -> dict[int, float]:
    """Lucene's variant, written from the formula, over all texts but with a given mean length."""
    scores = {}
    for number, text in texts.items():
        total = 0.0
        for word in set(asked):
            having = sum(word in other for other in texts.values())
            idf = math.log(1 + (len(texts) - having + 0.5) / (having + 0.5))
            count = Counter(text)[word]
            if count:
                total += idf * count / (count + 1.5 * (1 - 0.75 + 0.75 * len(text) / (mean or len(text))))
        if total:
            scores[number] = total
    return scores


def found(index: LiveIndex, asked: Sequence[str], most: int = 99) -> dict[int, float]:
    return {one.number: one.score for one in index.top(asked, most)}


@given(st.lists(TEXT, max_size=8), st.lists(TEXT, max_size=5), st.sets(st.integers(0, 12)), TEXT)
def test_scores_after_any_changes_are_those_of_the_formula(
    built: list[list[str]], added: list[list[str]], removed: set[int], asked: list[str]
) -> None:
    texts = dict(enumerate(built))
    mean = sum(map(len, built)) / len(built) if built else 0.0
    index = LiveIndex({number: (number, text) for number, text in texts.items()})
    for number, text in enumerate(added, len(built)):
        index.add(number, (number, text))
        texts[number] = text
    for number in removed & texts.keys():
        index.remove(number)
        del texts[number]
    assert len(index) == len(texts)
    assert found(index, asked) == pytest.approx(bm25(asked, texts, mean), abs=2e-4)
    for one in index.top(asked, 99):
        own = bm25(texts[one.number], texts, mean)[one.number]
        assert one.cover == pytest.approx(one.score / own, rel=1e-3, abs=2e-4)
    fresh = LiveIndex({number: (number, text) for number, text in texts.items()})
    now = sum(map(len, texts.values())) / len(texts) if texts else 0.0
    assert found(fresh, asked) == pytest.approx(bm25(asked, texts, now), abs=2e-4)
    assert fresh.changes == 0


def test_equal_scores_go_by_key_wherever_the_texts_are() -> None:
    texts = {n: ((7 * n) % 10, ["a", "b"]) for n in range(6)}
    index = LiveIndex(texts)
    for number in range(6, 10):
        index.add(number, ((7 * number) % 10, ["a", "b"]))
    keys = [(7 * one.number) % 10 for one in index.top(["a"], 4)]
    assert keys == [0, 1, 2, 3]
    assert [(7 * one.number) % 10 for one in index.top(["a"], 99)] == list(range(10))


def test_a_filter_says_which_texts_may_be_found() -> None:
    index = LiveIndex({n: (n, ["a"] * (n + 1)) for n in range(4)})
    index.add(4, (4, ["a"]))
    allowed = np.array([True, False, True, False, True])
    assert {one.number for one in index.top(["a"], 9, allowed)} == {0, 2, 4}
    assert len(index.top(["a"], 2, allowed)) == 2


def test_words_that_no_text_has_any_more_find_nothing() -> None:
    index = LiveIndex({0: (0, ["a", "b"])})
    index.add(1, (1, ["c"]))
    index.remove(0)
    index.remove(1)
    assert index.top(["a", "b", "c", "d"], 5) == [] and len(index) == 0 and index.changes == 1
    assert LiveIndex().top(["a"], 5) == []
