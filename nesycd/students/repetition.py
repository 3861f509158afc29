"""Repetition detection: an answer that repeats itself is ended, since greedy decoding seldom stops repeating.

A piece that is repeated four times adds no information, so only time is saved. Such an answer counts as cut off.
"""

from __future__ import annotations

from collections.abc import Sequence

STOP_REPETITION = "stop-repetition/1"
"""Part of fingerprints: its number is raised when other answers would be ended."""
TIMES = 4
"""Number of consecutive repetitions of a piece."""
LONGEST = 64
"""Longest piece, in tokens."""
LEAST = 64
"""Least total length of the repetitions in tokens: short answers may repeat a character a dozen times."""


def is_repetitive(ids: Sequence[int]) -> bool:
    """Whether the answer's last tokens are one piece of at most `LONGEST` tokens, `TIMES` times and `LEAST` tokens long.

    Looks at every eighth token only, which is soon enough.

    >>> is_repetitive([1, 2, 3] * 24)
    True
    >>> is_repetitive([1, 2, 3] * 8)
    False
    """
    if len(ids) < LEAST or len(ids) % 8:
        return False
    tail = list(ids[-TIMES * LONGEST :])
    for piece in range(1, min(LONGEST, len(tail) // TIMES) + 1):
        # The last token tells most pieces apart before anything is copied.
        if tail[-1] == tail[-1 - piece]:
            looked = tail[-max(TIMES * piece, LEAST) :]
            if looked[piece:] == looked[:-piece]:
                return True
    return False
