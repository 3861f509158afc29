"""Words that differ by a slip of spelling: one letter left out, put in, changed, or swapped with the next; never the first.

Two such words have a word in common that is left once a letter is taken out of either (Garbe's symmetric delete, `SymSpell`).
Those are kept as hashes in sorted arrays: 9 bytes for each letter of a name.
"""

from __future__ import annotations

from collections.abc import Sequence
from zlib import crc32

import numpy as np

SHORTEST = 4
"""Words of fewer letters must be spelled rightly."""


class Spellings:
    """Words by number, to be found by others that are much like them."""

    def __init__(self, words: Sequence[str]) -> None:
        """Index the words; takes time linear in their letters."""
        pairs = [(crc32(part.encode()), number) for number, word in enumerate(words) for part in _parts(word)]
        keys, numbers = zip(*pairs, strict=True) if pairs else ((), ())
        order = np.argsort(np.array(keys, dtype=np.uint32), kind="stable")
        self._keys = np.array(keys, dtype=np.uint32)[order]
        self._numbers = np.array(numbers, dtype=np.int32)[order]

    def near(self, word: str) -> list[int]:
        """The numbers of words that may differ from this one by a slip at most, ascending; to be checked with `is_slip`."""
        found: set[int] = set()
        for part in _parts(word):
            key = np.uint32(crc32(part.encode()))
            start, end = np.searchsorted(self._keys, key, "left"), np.searchsorted(self._keys, key, "right")
            found.update(self._numbers[start:end].tolist())
        return sorted(found)


def is_slip(one: str, other: str) -> bool:
    """Whether two words differ by one slip at most.

    >>> is_slip("fathom", "fahtom"), is_slip("fathom", "fathm"), is_slip("fathom", "bathom"), is_slip("kaf", "kof")
    (True, True, False, False)
    """
    if one == other:
        return True
    shorter, longer = sorted((one, other), key=len)
    if len(shorter) < SHORTEST or one[0] != other[0] or len(longer) - len(shorter) > 1:
        return False
    first = next((place for place, (a, b) in enumerate(zip(shorter, longer, strict=False)) if a != b), len(shorter))
    if len(shorter) < len(longer):
        return shorter[first:] == longer[first + 1 :]
    swapped = shorter[first : first + 2] == longer[first : first + 2][::-1]
    return shorter[first + 1 :] == longer[first + 1 :] or (swapped and shorter[first + 2 :] == longer[first + 2 :])


def _parts(word: str) -> frozenset[str]:
    """The word, and what is left of it without one of its letters after the first."""
    return frozenset((word, *(word[:place] + word[place + 1 :] for place in range(1, len(word)))))
