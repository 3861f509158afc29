"""BM25 over texts that come and go: a bm25s index of all that was there at the last build, and a small one of what came since.

Scores are Lucene's BM25 with the document frequencies and the number of texts *as they are now*; only the mean length is that
of the last build. A text removed from the built index is passed over. So the scores equal those of a fresh build up to that
mean, and wholly after `settle`. See `docs/retrieval.md`.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from nesycd.retrieval.arrays import load_arrays, pack, save_arrays, unpack

K1 = 1.5
B = 0.75
Floats = NDArray[np.float32]
Ints = NDArray[np.int64]
Text = tuple[int, Sequence[str]]
"""A text as a key of 64 bits, which decides where scores are equal, and its words."""
_Found = tuple[float, int, int]
"""Score (negative), key and number of a text, so that the least is the best."""
_ARRAYS = ("keys", "starts", "rows", "parts", "row_starts", "row_words", "row_parts")
"""What is kept of a built index, besides its words and mean."""
_DECIMALS = 4
"""Scores that differ by less are equal: the built and the new index round differently."""


@dataclass(frozen=True)
class Scored:
    """A text that was found: its number, its BM25 score, and its query coverage (see `lexical`)."""

    number: int
    score: float
    cover: float


@dataclass
class _Built:
    """The bm25s index as arrays: for each word the rows that have it and its part of their scores, and the same by row.

    `starts`, `rows` and `parts` go by word; `row_starts`, `row_words` and `row_parts` by row.
    """

    numbers: Ints
    """The text in each row, and its key."""
    keys: NDArray[np.uint64]
    words: dict[str, int]
    starts: Ints
    rows: NDArray[np.int32]
    parts: Floats
    mean: float

    row_starts: Ints
    row_words: NDArray[np.int32]
    row_parts: Floats

    @classmethod
    def of(
        cls,
        numbers: Ints,
        keys: NDArray[np.uint64],
        words: dict[str, int],
        starts: Ints,
        rows: NDArray[np.int32],
        parts: Floats,
        mean: float,
    ) -> Self:
        """With the arrays by row."""
        by_row = np.argsort(rows, kind="stable")
        row_words = np.repeat(np.arange(len(starts) - 1, dtype=np.int32), np.diff(starts))[by_row]
        row_starts = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=len(numbers)))])
        return cls(numbers, keys, words, starts, rows, parts, mean, row_starts, row_words, parts[by_row])

    def __post_init__(self) -> None:
        # Numbers mostly are those of the rows.
        in_order = np.array_equal(self.numbers, np.arange(len(self.numbers)))
        self.rows_of = None if in_order else {int(number): row for row, number in enumerate(self.numbers)}
        self.had = np.diff(self.starts)
        self.names = list(self.words)
        self.alive = np.ones(len(self.numbers), dtype=bool)

    def row_of(self, number: int) -> int:
        """The row of a text."""
        return number if self.rows_of is None else self.rows_of[number]

    def row(self, row: int) -> tuple[NDArray[np.int32], Floats]:
        """Words of a row and their parts of its score."""
        span = slice(self.row_starts[row], self.row_starts[row + 1])
        return self.row_words[span], self.row_parts[span]


class LiveIndex:
    """Scores texts, under numbers of the caller's, against questions."""

    def __init__(self, texts: Mapping[int, Text] | None = None) -> None:
        """Build an index of `texts`."""
        texts = texts or {}
        self._new: dict[int, Counter[str]] = {}
        self._keys: dict[int, int] = {}
        self._postings: dict[str, dict[int, int]] = {}
        self._having: Counter[str] = Counter()
        """How many texts more than in the built index have a word; less where negative."""
        self._built = _build(texts)
        self._size = len(texts)
        self._ratios: Floats | None = None

    @classmethod
    def load(cls, path: Path, key: str, numbers: Sequence[int]) -> Self | None:
        """An index that `save` wrote, of texts that now have these numbers, memory-mapped; None without one."""
        stored = load_arrays(path, key, mapped=True)
        if stored is None or len(stored["keys"]) != len(numbers):
            return None
        words = {name: place for place, name in enumerate(unpack(stored["names"]))}
        arrays = {name: stored[name] for name in _ARRAYS}
        index = cls()
        index._built = _Built(np.asarray(numbers, dtype=np.int64), words=words, mean=float(stored["mean"][0]), **arrays)
        index._size = len(numbers)
        return index

    def save(self, path: Path, key: str) -> None:
        """Write the built index.

        Raises:
            RunError: the disk is full, or the place cannot be written.
        """
        built = self._built
        arrays: dict[str, NDArray[Any]] = {name: getattr(built, name) for name in _ARRAYS}
        save_arrays(path, key, arrays | {"mean": np.array([built.mean]), "names": pack(built.names)})

    def words(self, number: int) -> set[str]:
        """The words of a text."""
        if number in self._new:
            return set(self._new[number])
        return {self._built.names[word] for word in self._built.row(self._built.row_of(number))[0]}

    def __len__(self) -> int:
        return self._size

    @property
    def changes(self) -> int:
        """Texts that came or went since the last build."""
        return len(self._new) + int(len(self._built.alive) - self._built.alive.sum())

    def add(self, number: int, text: Text) -> None:
        """Take in a text. Its number must never have been used before."""
        self._keys[number], words = text
        counted = self._new[number] = Counter(words)
        for word, count in counted.items():
            self._postings.setdefault(word, {})[number] = count
        self._having.update(counted.keys())
        self._size += 1
        self._ratios = None

    def remove(self, number: int) -> None:
        """Forget a text."""
        if number in self._new:
            words = [*self._new.pop(number)]
            del self._keys[number]
            for word in words:
                del self._postings[word][number]
        else:
            self._built.alive[self._built.row_of(number)] = False
            words = [*self.words(number)]
        self._having.subtract(words)
        self._size -= 1
        self._ratios = None

    def top(self, asked: Iterable[str], most: int, allowed: NDArray[np.bool_] | None = None) -> list[Scored]:
        """The best texts for the words asked, best first; equal scores in the order of their keys.

        Args:
            asked: words; each counts once.
            most: texts to give at most.
            allowed: by number, which texts may be found; all where None.
        """
        words = list(dict.fromkeys(word for word in asked if self.having(word)))
        found = self._from_built(words, most, allowed) + self._from_new(words, allowed)
        found.sort()
        return [Scored(number, -loss, -loss / self._full(number)) for loss, _, number in found[:most]]

    def having(self, word: str) -> int:
        """How many texts have a word now."""
        place = self._built.words.get(word)
        return self._having[word] + (0 if place is None else int(self._built.had[place]))

    def _idf(self, word: str) -> float:
        return _idf(self.having(word), self._size)

    def _ratio(self) -> Floats:
        """By word of the built index: its rarity now over that at the build."""
        if self._ratios is None:
            had = self._built.had.astype(np.float64)
            now = had.copy()
            for word, more in self._having.items():
                if more and (place := self._built.words.get(word)) is not None:
                    now[place] += more
            rows = len(self._built.numbers)
            before = np.log1p((rows - had + 0.5) / (had + 0.5))
            self._ratios = (np.log1p((self._size - now + 0.5) / (now + 0.5)) / before).astype(np.float32)
        return self._ratios

    def _from_built(self, words: Sequence[str], most: int, allowed: NDArray[np.bool_] | None) -> list[_Found]:
        built, ratio = self._built, self._ratio()
        places = [built.words[word] for word in words if word in built.words]
        if not places:
            return []
        total = np.zeros(len(built.numbers), dtype=np.float32)
        for place in places:
            span = slice(built.starts[place], built.starts[place + 1])
            total[built.rows[span]] += built.parts[span] * ratio[place]  # a row has a word once: nothing is lost
        rows = np.flatnonzero(total)
        rows = rows[built.alive[rows]]
        if allowed is not None:
            rows = rows[allowed[built.numbers[rows]]]
        rows = best(rows, np.round(total[rows], _DECIMALS), built.keys, most)
        numbers, keys = built.numbers[rows].tolist(), built.keys[rows].tolist()
        losses = [-round(score, _DECIMALS) for score in total[rows].tolist()]
        return list(zip(losses, keys, numbers, strict=True))

    def _from_new(self, words: Sequence[str], allowed: NDArray[np.bool_] | None) -> list[_Found]:
        scores: dict[int, float] = {}
        for word in words:
            idf = self._idf(word)
            for number, count in self._postings.get(word, {}).items():
                if allowed is None or allowed[number]:
                    scores[number] = scores.get(number, 0.0) + idf * self._part(number, count)
        return [(-round(score, _DECIMALS), self._keys[number], number) for number, score in scores.items()]

    def _part(self, number: int, count: int) -> float:
        length = self._new[number].total()
        return count / (count + K1 * (1 - B + B * length / (self._built.mean or length)))

    def _full(self, number: int) -> float:
        """The score of a text for all its own words."""
        if number in self._new:
            counted = self._new[number]
            return sum(self._idf(word) * self._part(number, count) for word, count in counted.items())
        words, parts = self._built.row(self._built.row_of(number))
        return float(parts @ self._ratio()[words])


def best(rows: Ints, scores: Floats, keys: NDArray[np.uint64], most: int) -> Ints:
    """The rows with the highest scores; where the last places are shared, those with the lowest keys."""
    if len(rows) <= most:
        return rows
    floor = np.partition(scores, len(rows) - most)[len(rows) - most]
    above, level = rows[scores > floor], rows[scores == floor]
    wanted = most - len(above)
    if len(level) > wanted:
        level = level[np.argpartition(keys[level], wanted - 1)[:wanted]]
    return np.concatenate([above, level])


def _idf(having: int, size: int) -> float:
    return math.log1p((size - having + 0.5) / (having + 0.5))


def _build(texts: Mapping[int, Text]) -> _Built:
    """Index texts with bm25s (method `lucene`)."""
    words = {word: place for place, word in enumerate(dict.fromkeys(w for _, text in texts.values() for w in text))}
    numbers = np.fromiter(texts, dtype=np.int64, count=len(texts))
    keys = np.fromiter((key for key, _ in texts.values()), dtype=np.uint64, count=len(texts))
    if not words:
        none = np.zeros(0, dtype=np.float32)
        return _Built.of(numbers, keys, {}, np.zeros(1, dtype=np.int64), none.astype(np.int32), none, 0.0)
    import bm25s  # 0.1 s to import: not wanted by those who only look at `nesycd.retrieval`

    model: Any = bm25s.BM25(method="lucene", k1=K1, b=B, csc_backend="numpy")
    model.index(([[words[word] for word in text] for _, text in texts.values()], words), show_progress=False)
    mean = sum(len(text) for _, text in texts.values()) / len(texts)
    starts = np.asarray(model.scores["indptr"], dtype=np.int64)
    return _Built.of(numbers, keys, words, starts, model.scores["indices"], model.scores["data"], mean)
