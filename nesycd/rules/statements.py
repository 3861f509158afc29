"""What a student says that a question states, and what it asks the rules for (`docs/calls.md`).

`Ann | mother | Bea` is the atom mother("Ann", "Bea"): subject, relation, values. In a goal `?` stands for what is open.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from nesycd.core.errors import KnowledgeError
from nesycd.core.records import Statement
from nesycd.core.text import normal, sentences, shortened
from nesycd.rules.clauses import Atom, Constant, Term, Variable, number, predicate_of

NOTHING = "(nothing)"
"""What a reading answers where its unit states nothing."""
OPEN = "?"
By = Literal["sentences", "lines", "question"]
"""What is read at once."""
MOST_READ = 100
"""Most units of a question that are read; those behind them are not."""
_PART = re.compile(r"((?:[^|\\]|\\.)*)(?:\||$)")
_ESCAPED = re.compile(r"\\([\[\]|\\])")
_NAMES_MEET = re.compile(r"(?<=\])\s+(?=\[)")
"""Where one bracketed name follows another, a sentence without a stop has ended."""


@dataclass(frozen=True)
class Unit:
    """A part of a question that is read by itself, with the one before it, from which pronouns may be understood."""

    text: str
    before: str = ""


def units(question: str, by: By = "sentences") -> list[Unit]:
    """A question in the units in which it is read, at most `MOST_READ`.

    >>> [unit.text for unit in units("Ann has a son, Bob. He is at school.")]
    ['Ann has a son, Bob.', 'He is at school.']
    """
    parts = [question.strip()] if by == "question" else [line.strip() for line in question.splitlines()]
    if by == "sentences":
        parts = [one for line in parts for part in sentences(line) for one in _NAMES_MEET.split(part)]
    parts = [part for part in parts if part][:MOST_READ]
    return [Unit(part, before) for part, before in zip(parts, ["", *parts], strict=False)]


def by_unit(stated: Sequence[Statement], read: Sequence[Unit]) -> list[list[str]]:
    """The statements that each unit is read as: those said in it, or in it and the unit before it.

    A statement that is said nowhere, or over more than two units, can be read from none and is left out.
    """
    found: list[list[str]] = [[] for _ in read]
    for statement in stated:
        said = normal(statement.said)
        place = next((at for at, unit in enumerate(read) if said and said in normal(unit.text)), None)
        if place is None:
            both = (at for at, unit in enumerate(read) if said and said in normal(f"{unit.before} {unit.text}"))
            place = next(both, None)
        if place is not None:
            found[place].append(statement.text)
    return found


def written(stated: Sequence[str]) -> str:
    """Statements as a reading answers them, one a line."""
    return "\n".join(stated) or NOTHING


def read_back(answer: str) -> list[str]:
    """The statements of a reading's answer, in order, each once; lines that are none are left out.

    >>> read_back("Ann | mother | Bea\\nhm\\nAnn | mother | Bea")
    ['Ann | mother | Bea']
    """
    lines = (" ".join(line.split()) for line in answer.splitlines())
    return list(dict.fromkeys(line for line in lines if "|" in line and _reads(line, atom_of)))


def atom_of(statement: str) -> str:
    """A statement as the engine reads it.

    Raises:
        KnowledgeError: it has no relation, or something in it is open.

    >>> atom_of("Ann | mother-in-law | Bea"), atom_of("item 1 | weighs | 45"), atom_of("Ann | plaintiff")
    ('mother_in_law("Ann", "Bea")', 'weighs("item 1", 45)', 'plaintiff("Ann")')
    """
    subject, relation, *values = _parts(statement)
    if OPEN in (subject, relation, *values):
        raise KnowledgeError(f"a statement leaves nothing open: {shortened(statement)}")
    return str(Atom(_predicate(relation, statement), tuple(map(_constant, (subject, *values)))))


def goal_of(goal: str) -> str:
    """A goal as the engine reads it.

    Raises:
        KnowledgeError: it has no relation, or nothing in it is open.

    >>> goal_of("Ann | ? | Cid"), goal_of("ticket | total | ?")
    ('R("Ann", "Cid")', 'total(ticket, X)')
    """
    subject, relation, *values = _parts(goal)
    if OPEN not in (subject, relation, *values):
        raise KnowledgeError(f"a goal has a ? for what is asked: {shortened(goal)}")
    names = iter("XYZUVW")
    terms: list[Term] = []
    for part in (subject, *values):
        name = next(names, "") if part == OPEN else ""
        if part == OPEN and not name:
            raise KnowledgeError(f"a goal leaves at most six places open: {shortened(goal)}")
        terms.append(Variable(name) if name else _constant(part))
    if relation == OPEN:
        return f"R({', '.join(map(str, terms))})"
    return str(Atom(_predicate(relation, goal), tuple(terms)))


def relation_of(statement: str) -> str:
    """The relation of a statement, as it is written."""
    return _parts(statement)[1]


def parts_of(text: str) -> list[str]:
    r"""The parts of a statement or goal, without the backslashes before brackets, bars and backslashes.

    >>> parts_of(r"Ann | says | a\|b")
    ['Ann', 'says', 'a|b']
    """
    found = [match[1] for match in _PART.finditer(text) if match.start() < len(text)]
    return [_ESCAPED.sub(r"\1", " ".join(part.split())) for part in found]


def _parts(text: str) -> list[str]:
    parts = parts_of(text)
    if len(parts) < 2 or not all(parts):
        raise KnowledgeError(f"a statement is written as Ann | mother | Bea, but this is: {shortened(text)}")
    return parts


def _predicate(relation: str, text: str) -> str:
    if not (found := predicate_of(relation)):
        raise KnowledgeError(f"{relation!r} is no relation: {shortened(text)}")
    return found


def _constant(part: str) -> Constant:
    value = number(part)
    return Constant(part if value is None else value)


def _reads(text: str, read: Callable[[str], str]) -> bool:
    try:
        read(text)
    except KnowledgeError:
        return False
    return True
