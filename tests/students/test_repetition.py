"""Answers that repeat themselves."""

from __future__ import annotations

import random

import pytest

from nesycd.students.fingerprint import decoding
from nesycd.students.repetition import LEAST, LONGEST, TIMES, is_repetitive


def ended_at(ids: list[int]) -> int | None:
    """After how many tokens an answer would be ended."""
    return next((end for end in range(1, len(ids) + 1) if is_repetitive(ids[:end])), None)


@pytest.mark.parametrize("piece", [1, 2, 7, 16, 17, 40, LONGEST])
def test_a_repetition_is_found_soon_after_it_came_often_enough(piece: int) -> None:
    rng = random.Random(piece)
    before, repeated = [rng.randrange(1000) for _ in range(37)], [1000 + number for number in range(piece)]
    ids = before + repeated * (600 // piece)
    whole = len(before) + max(TIMES * piece, LEAST)
    end = ended_at(ids)
    assert end is not None and whole <= end < whole + 8


def test_what_does_not_repeat_itself_goes_on() -> None:
    rng = random.Random(0)
    assert ended_at([rng.randrange(50) for _ in range(2000)]) is None
    # A long bracket, a list of like sentences with another number each, and a repeated piece too long to be looked at.
    assert ended_at([7] * (LEAST - 1)) is None
    assert ended_at([token for number in range(80) for token in (1, 2, 3, 100 + number, 4)]) is None
    assert ended_at(list(range(LONGEST + 1)) * 6) is None


def test_what_has_a_hand_in_answers_is_told() -> None:
    assert [decoding(on) for on in (False, True)] == ["", "stop-repetition/1"]
