"""JSON as small models write it: in fences, amid prose, with single quotes, trailing commas, comments, or cut off.

Nothing is invented: strings and numbers are those of the text (numbers stay text, as written), and one that was cut off is
left out. The meaning of the values does not matter here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from nesycd.core.reasoning import without_reasoning

_OPENING = re.compile(r"[{\[]")
_BLANK = re.compile(r"(?:\s+|//[^\n]*|/\*.*?\*/|\.\.\.|…)+", re.DOTALL)
_LITERAL = re.compile(r"(true|false|null|none)\b", re.IGNORECASE)
_NUMBER = re.compile(r"[-+]?(?:\d[\d_]*(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?(?!\w)")
_BARE_KEY = re.compile(r"[^\W\d][\w-]*(?=\s*:)")
_NEXT = re.compile(
    r"""\s*(?:["'“‘{\[\]}]|//|[-\d]|\.\.\.|(?:true|false|null|none)\b|[^\W\d][\w-]*\s*:|\Z)""", re.IGNORECASE
)
_CLOSING = {'"': '"', "'": "'", "“": "”", "‘": "’"}
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}
_DEEPEST = 30
_LONGEST_KEY = 60
_STARTS = 300
"""Brackets that open nothing readable, after which a text is given up: nonsense must not take long to refuse."""


def find_values(text: str) -> Iterator[dict[str, Any] | list[Any]]:
    """The objects and arrays that stand in a text, outermost first; what can be read of none is looked into for inner ones.

    >>> list(find_values("Sure! {'a': [1, 'it's',],} Done."))
    [{'a': ['1', "it's"]}]
    """
    text = without_reasoning(text)
    at = misses = 0
    while misses < _STARTS and (found := _OPENING.search(text, at)) is not None:
        value, at = _read(text, found.start())
        misses += value is None
        if value:
            yield value


def _read(text: str, start: int) -> tuple[Any, int]:
    """The value that begins at `start` and where it ends; None and the next place where there is none."""
    try:
        return _DECODER.raw_decode(text, start)
    except (ValueError, RecursionError):
        pass
    reader = _Reader(text, start)
    try:
        return reader.value(0), max(reader.at, start + 1)
    except _Unreadable:
        return None, start + 1


_DECODER = json.JSONDecoder(strict=False, parse_int=str, parse_float=str, parse_constant=str)


class _Unreadable(Exception):
    """The text at this place cannot be read as JSON, even leniently."""


class _CutOff(Exception):
    """The text ended within a string, a number or a key."""


class _Reader:
    """A recursive descent over one value."""

    def __init__(self, text: str, at: int) -> None:
        self.text = text
        self.at = at

    def value(self, depth: int) -> Any:
        """The value at this place; raises _Unreadable or _CutOff."""
        if depth > _DEEPEST:
            raise _Unreadable
        char = self._look()
        if char == "{":
            return self._object(depth)
        if char == "[":
            return self._array(depth)
        if char in _CLOSING:
            return self._string()
        for pattern in (_LITERAL, _NUMBER):
            if match := pattern.match(self.text, self.at):
                self.at = match.end()
                if match.end() == len(self.text):
                    raise _CutOff
                return match.group() if pattern is _NUMBER else {"true": True, "false": False}.get(match[0].lower())
        raise _CutOff if not char else _Unreadable

    def _look(self) -> str:
        """The next character that is neither blank nor comment; "" at the end."""
        if match := _BLANK.match(self.text, self.at):
            self.at = match.end()
        return self.text[self.at : self.at + 1]

    def _object(self, depth: int) -> dict[str, Any]:
        made: dict[str, Any] = {}
        self.at += 1
        try:
            while not self._ends("}"):
                key = self._key()
                if self._look() != ":":
                    raise _CutOff if not self._look() else _Unreadable
                self.at += 1
                made[key] = self.value(depth + 1)
                self._separate("}")
        except _CutOff:
            self.at = len(self.text)
        return made

    def _array(self, depth: int) -> list[Any]:
        made: list[Any] = []
        self.at += 1
        try:
            while not self._ends("]"):
                made.append(self.value(depth + 1))
                self._separate("]")
        except _CutOff:
            self.at = len(self.text)
        return made

    def _ends(self, closing: str) -> bool:
        char = self._look()
        if not char:
            raise _CutOff
        if char == closing:
            self.at += 1
            return True
        return False

    def _separate(self, closing: str) -> None:
        """Step over a comma, or over none where the next thing plainly begins."""
        char = self._look()
        if char == ",":
            while self._look() == ",":
                self.at += 1
        elif char and char != closing and char not in _CLOSING and char not in "{[":
            raise _Unreadable

    def _key(self) -> str:
        if self._look() in _CLOSING:
            return self._string(key=True)
        if match := _BARE_KEY.match(self.text, self.at):
            self.at = match.end()
            return match.group()
        raise _Unreadable

    def _string(self, key: bool = False) -> str:
        closing = _CLOSING[self.text[self.at]]
        made: list[str] = []
        place = self.at + 1
        while place < len(self.text):
            char = self.text[place]
            if char == "\\" and place + 1 < len(self.text):
                said, place = self._escaped(place + 1)
                made.append(said)
                continue
            if char == closing and self._closes(place + 1, key):
                self.at = place + 1
                return "".join(made)
            if key and len(made) > _LONGEST_KEY:
                raise _Unreadable
            made.append(char)
            place += 1
        raise _CutOff

    def _escaped(self, place: int) -> tuple[str, int]:
        char = self.text[place]
        if char == "u" and re.fullmatch(r"[0-9a-fA-F]{4}", self.text[place + 1 : place + 5]):
            return chr(int(self.text[place + 1 : place + 5], 16)), place + 5
        return _ESCAPES.get(char, char), place + 1

    def _closes(self, after: int, key: bool) -> bool:
        """Whether a quote that ends right before `after` ends its string: one within it is followed by more of the sentence."""
        rest = re.compile(r"\s*").match(self.text, after)
        assert rest is not None
        char = self.text[rest.end() : rest.end() + 1]
        if key:
            return char in {":", ""}
        if char == ",":
            return _NEXT.match(self.text, rest.end() + 1) is not None
        apart = "\n" in rest.group() and (char in _CLOSING or char in "{[")
        return char in {"", "}", "]"} or apart
