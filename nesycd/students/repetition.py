"""Repetition detection: an answer that repeats itself is ended, since greedy decoding seldom stops repeating once it began.

What has been said four times over holds no answer that its first time did not, so only time is saved. Such an answer counts as
one that was cut off.
"""

from __future__ import annotations

from collections.abc import Sequence

STOP_REPETITION = "stop-repetition/1"
"""Part of fingerprints: its number grows when other answers would be ended."""
TIMES = 4
"""So often the same tokens stand in a row."""
LONGEST = 64
"""Tokens that are looked at as one piece at most."""
LEAST = 64
"""Tokens that the repeated pieces have together at least: short answers may well hold the same sign a dozen times."""


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
