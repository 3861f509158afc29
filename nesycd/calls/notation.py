"""The notation of calls: how a student asks for a fact while it writes, and how the result is written after it (`docs/calls.md`).

Plain text that every tokenizer carries: `[fathoms | makes]`, after which ` 6 feet` is supplied; `[derive: Ann | ? | Cid]`, after
which ` uncle` is. Whose text it is stands in the segments of a prediction and not in the notation, so a result needs no mark at
its end.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

END = "]"
"""What closes a call: the result is supplied after it."""
NOT_FOUND = "(not found)"
"""Supplied where the base knows nothing; the student then goes on by itself."""
NOTHING_FOLLOWS = "(nothing follows)"
"""Supplied where what was stated does not lead to a goal; the student then goes on by itself."""
NO_MORE = "(no more calls)"
"""Supplied once an answer has made `MOST_CALLS` calls."""
MOST_CALLS = 24
"""Most look-ups and goals of one answer."""
MOST_ASKED = 200
"""Most characters of a call; what is longer between brackets is plain text."""
MOST_FOUND = 200
"""Most characters of a result; what is longer is cut."""
MOST_LISTED = 8
"""Most objects of a relation with many, and most choices of an ambiguous name."""

DERIVE = "derive:"
"""What a call begins with that asks the rules."""
_NOTES = (NOT_FOUND, NOTHING_FOLLOWS, NO_MORE)
_PART = r"(?:[^\[\]|\\\n]|\\[^\n])+"
_BRACKETS = rf"\[({_PART}(?:\|{_PART})+)\]"
_CALL = re.compile(rf"(?<!\\){_BRACKETS}")
_OPEN = re.compile(r"(?<!\\)\[(?P<name>[^\[\]|\\\n]*)(?:\|(?P<relation>[^\[\]|\\\n]*))?$")
_OPEN_GOAL = re.compile(r"(?<!\\)\[derive:(?:[^\[\]|\\\n]*\|)* ?(?P<part>[^\[\]|\\\n]*)$")
_LAST = re.compile(rf"{_CALL.pattern}$")
_UNSETTLED = re.compile(r"\\?\[(?:[^\[\]\\\n]|\\[^\n])*\\?$|\\$")
"""The end of a text that may become a call, or the escape of one."""
_ESCAPED = re.compile(r"\\([\[\]|\\])")


@dataclass(frozen=True)
class Request:
    """A call as it stands in a text, from character `start` to `end` (exclusive): a name and a relation, or a goal."""

    name: str
    relation: str
    start: int
    end: int
    goal: str = ""
    """For the rules, such as `Ann | ? | Cid`, its escapes kept; name and relation are empty then."""


def write(name: str, relation: str) -> str:
    r"""A look-up as text; brackets, bars and backslashes in its parts are escaped.

    >>> write("fathoms", "makes"), write("f[x]", "limit")
    ('[fathoms | makes]', '[f\\[x\\] | limit]')
    """
    return f"[{_escape(name)} | {_escape(relation)}]"


def write_goal(goal: str) -> str:
    """A goal as the call that asks the rules for it.

    >>> write_goal("Ann | ? | Cid")
    '[derive: Ann | ? | Cid]'
    """
    return f"[{DERIVE} {goal}]"


def last_request(text: str) -> Request | None:
    r"""The call that a text ends with; None where it ends with none.

    >>> last_request("One [fathoms | makes]").name
    'fathoms'
    >>> last_request("see [1]"), last_request(r"\[a | b]"), last_request("[a | b] 6")
    (None, None, None)
    """
    if not text.endswith(END):
        return None
    match = _LAST.search(text, max(0, len(text) - MOST_ASKED - 1))
    return None if match is None else _request(match)


def open_part(text: str) -> tuple[str, str] | None:
    """The part of an unclosed call that is being written, `name`, `relation` or `goal`, and what it has so far; None where there
    is none.

    >>> open_part("One [fath"), open_part("One [fathoms | ma"), open_part("One [fathoms | makes] 6")
    (('name', 'fath'), ('relation', 'ma'), None)
    >>> open_part("[derive: Ann | ? | C")
    ('goal', 'C')
    """
    begun = max(0, text.rfind("[") - 1)
    if (goal := _OPEN_GOAL.search(text, begun)) is not None:
        return "goal", goal["part"]
    match = _OPEN.search(text, begun)
    if match is None:
        return None
    return ("name", match["name"]) if match["relation"] is None else ("relation", match["relation"].lstrip())


def requests(text: str) -> list[Request]:
    """All calls of a text, in order."""
    return [made for match in _CALL.finditer(text) if (made := _request(match)) is not None]


def escaped(text: str) -> str:
    r"""A text whose brackets call nothing: those that would be read as calls get a backslash.

    >>> escaped("the norm [x | y] and [1, 2]")
    'the norm \\[x | y] and [1, 2]'
    """
    return _CALL.sub(lambda match: "\\" + match.group(), text)


def without_calls(text: str) -> str:
    r"""A text as people and graders read it: without its calls, their results staying, and without the backslashes of `escaped`.

    >>> without_calls(r"One [fathoms | makes] 6 feet, [kaf | place] (not found) 11, \[a | b].")
    'One 6 feet, 11, [a | b].'
    """
    notes = "|".join(map(re.escape, _NOTES))
    said = re.sub(rf"{_CALL.pattern}\s?(?:(?:{notes})\s?)?", "", text)
    return re.sub(rf"\\(?={_BRACKETS})", "", said)


def settled(text: str) -> str:
    r"""What `without_calls` gives of the beginning of a text that is still being written: however it goes on, this stays.

    >>> [settled(text) for text in ("One [fath", "One [fathoms | makes]", "One [fathoms | makes] 6", "a [kaf | place] (not fo")]
    ['One ', 'One ', 'One 6', 'a ']
    """
    if (match := _UNSETTLED.search(text)) is not None:
        text = text[: match.start()]
    if calls := [*_CALL.finditer(text)]:
        last = calls[-1]
        rest = text[last.end() :]
        said = rest[1:] if rest[:1].isspace() else rest
        if any(note.startswith(said) or said in (note, note + " ") for note in _NOTES):
            text = text[: last.start()]
    return without_calls(text)


def several(choices: Sequence[str]) -> str:
    """The result where a name may mean several things, or have several values, and nothing decides between them.

    >>> several(["Kaf", "Kaph"])
    '(several: Kaf; Kaph)'
    """
    return f"(several: {listed(choices)})"


def failed(why: str) -> str:
    """The result where a call could not be carried out."""
    return f"(error: {one_line(why)})"


def listed(objects: Sequence[str]) -> str:
    """Several results on one line; beyond `MOST_LISTED` they are counted.

    >>> listed(["Ann", "Bea"])
    'Ann; Bea'
    """
    shown = [one_line(one) for one in objects[:MOST_LISTED]]
    more = len(objects) - len(shown)
    return "; ".join([*shown, *([f"and {more} more"] if more else [])])


def one_line(text: str) -> str:
    """A result as it is supplied: on one line, its runs of white space one blank, at most `MOST_FOUND` characters long."""
    line = " ".join(text.split())
    return line if len(line) <= MOST_FOUND else line[:MOST_FOUND].rsplit(" ", 1)[0] + " …"


def is_note(found: str) -> bool:
    """Whether a result is a remark and no value: nothing found, several meanings or values, an error, no more calls."""
    return found in ("", *_NOTES) or found.startswith(("(several: ", "(error: "))


def _request(match: re.Match[str]) -> Request | None:
    if len(match.group()) > MOST_ASKED:
        return None
    if match[1].lstrip().startswith(DERIVE):
        return Request("", "", match.start(), match.end(), goal=match[1].lstrip().removeprefix(DERIVE).strip())
    name, *others = (part.strip() for part in re.findall(_PART, match[1]))
    relation = " ".join(others).strip()
    if not name or not relation:
        return None
    return Request(_ESCAPED.sub(r"\1", name), _ESCAPED.sub(r"\1", relation), match.start(), match.end())


def _escape(part: str) -> str:
    return re.sub(r"[\[\]|\\]", lambda match: "\\" + match.group(), " ".join(part.split()))
