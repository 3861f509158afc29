"""Parses what a language model says that a question states, and what it would ask the rules, before its working.

Lines `3: Ann | son | Bob; Bob | mother | Ann` and one line `Ask: Ann | ? | Eve`. What cannot be read is left out.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from nesycd.core.errors import KnowledgeError
from nesycd.core.records import Statement
from nesycd.rules.statements import Unit, goal_of, read_back

_PART = re.compile(r"\W{0,4}(\d{1,3})[.:)]+\s*(.+)")
_ASK = re.compile(r"\W{0,4}(?:ask|goal)\W{0,3}:\W{0,3}(.+\|.+)", re.IGNORECASE)
_NOTHING = re.compile(r"\W*nothing\W*", re.IGNORECASE)


@dataclass(frozen=True)
class Read:
    """What was said before the working, and the rest of the text."""

    stated: tuple[Statement, ...]
    goal: str
    rest: str


def numbered(read: Sequence[Unit]) -> str:
    """The units of a question as numbered lines."""
    return "\n".join(f"{number}: {unit.text}" for number, unit in enumerate(read, 1))


def read_statements(text: str, read: Sequence[Unit]) -> Read:
    """Take the statements off the beginning of a text; `read` are the units that were numbered.

    >>> found = read_statements("1: Ann | son | Bob\\nAsk: Ann | ? | Bob\\nBob is a son.", [Unit("Ann has a son, Bob.")])
    >>> found.stated[0].text, found.goal, found.rest
    ('Ann | son | Bob', 'Ann | ? | Bob', 'Bob is a son.')
    """
    stated: list[Statement] = []
    goal, rest = "", []
    for line in text.splitlines():
        if (asked := _ASK.fullmatch(line.strip())) is not None and not goal:
            goal = _goal(asked[1])
        elif (part := _PART.fullmatch(line.strip())) is not None and not goal and _is_said(part[2]):
            place = int(part[1]) - 1
            if place < len(read):
                said = read_back("\n".join(part[2].split(";")))
                stated += [Statement(text=one, said=read[place].text) for one in said]
        else:
            rest.append(line)
    return Read(tuple(dict.fromkeys(stated)), goal, "\n".join(rest).strip())


def _is_said(text: str) -> bool:
    return "|" in text or _NOTHING.fullmatch(text) is not None


def _goal(text: str) -> str:
    goal = " ".join(text.strip().strip('"`*').split())
    try:
        goal_of(goal)
    except KnowledgeError:
        return ""
    return goal
