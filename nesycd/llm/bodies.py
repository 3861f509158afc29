"""What stands in a server's answer: JSON of any quality, errors under a status of success, and texts that cannot be stored.

What came was paid for. So an answer that can never be read is a failure that is kept (`Unusable`), and not asked for again;
only what may have been damaged on its way (no JSON at all) is.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

MOST_BYTES = 8 * 2**20
"""Bytes of an answer, unpacked: ten times the longest that a model writes."""
MOST_CHARACTERS = 1_000_000
"""Characters of a text that is looked into."""
REPLACED = "\ufffd"
TOO_DEEP = "unusable: the server's JSON is nested too deeply"
_DEEPEST = 200
_BRACKET = re.compile(r'"(?:[^"\\]|\\.)*+"|[\[\]{}]', re.DOTALL)
"""Brackets, and strings, in which they do not count."""

_HALF = re.compile("[\ud800-\udfff]")
_NUMBERS = ("code", "status", "status_code", "http_code", "error_code")
_WORDS = (
    (402, r"insufficient.?(?:quota|balance|credit|fund)|billing|payment.required|credit.balance|more.credits|arrear"),
    (429, r"rate.?limit|too.many.requests|throttl|resource.?exhausted"),
    (503, r"overload|capacity|unavailable|busy|try.again"),
    (401, r"unauthori[sz]ed|authenticat|api.?key"),
    (403, r"permission|forbidden"),
    (404, r"not.?found|does.not.exist|no.such.model"),
    (504, r"time.?out|timed.out"),
    (400, r"invalid|bad.?request|validation|unsupported"),
)
"""The status that an error means which names none, by its words; the first that fits counts."""
_SIGNS = ("detail", "errors", "error_msg", "error_message", "error_code", "base_resp")


class Unusable(Exception):
    """An answer that came, and is paid for, but that no program could use."""


@dataclass(frozen=True)
class Fault:
    """An error that stands in the body of a successful response."""

    status: int
    """The HTTP status that it should have had."""
    text: str
    begun: bool
    """Whether a part of an answer is there: the error interrupted it."""


def decoded(data: bytes) -> str:
    """A body as text; bytes that are none become `REPLACED`."""
    return data.decode(json.detect_encoding(data), "replace")


def json_in(text: str) -> Any:
    """The JSON value that a text is.

    Raises:
        ValueError: it is none; it may be whole the next time.
        Unusable: it is one that cannot be read.
    """
    if _is_deep(text):
        raise Unusable(TOO_DEEP)
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        raise
    except RecursionError:
        raise Unusable(TOO_DEEP) from None
    except ValueError:
        raise Unusable("unusable: a number in the server's JSON has too many digits") from None


def _is_deep(text: str) -> bool:
    """Whether brackets lie more than `_DEEPEST` deep in each other; how deep Python can read depends on who calls."""
    if text.count("[") + text.count("{") <= _DEEPEST:
        return False
    depth = 0
    for found in _BRACKET.finditer(text):
        depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(found[0], 0)
        if depth > _DEEPEST:
            return True
    return False


def shown(content: Any) -> str:
    """A JSON value as text, for messages."""
    try:
        return json.dumps(content, ensure_ascii=False)
    except RecursionError:
        # What was read a few calls further up may be too deep to be written here.
        return TOO_DEEP


def mended(text: str) -> str:
    """A text that every file and database takes: half surrogates are joined to characters, or become `REPLACED`."""
    if not _HALF.search(text):
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def is_page(text: str) -> bool:
    """Whether a body is a web page."""
    return bool(re.match(r"\s*(?:<!doctype html|<html)\b", text, re.IGNORECASE))


def error_in(content: Any) -> Fault | None:
    """The error in a body that came with a status of success; None where there is none."""
    if not isinstance(content, dict):
        return None
    choices = content.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], dict) else {}
    # Some gateways send the fields of an error with every answer, and leave them empty.
    told = [one for one in (content.get("error"), choice.get("error")) if one]
    error = next((one for one in told if not isinstance(one, dict) or any(one.values())), None)
    if not error and not choice and "content" not in content:
        named = content.get("object") == "error" or {"message", "code"} <= content.keys()
        error = content if named or any(content.get(sign) for sign in _SIGNS) else None
    if not error:
        return None
    message = choice.get("message")
    begun = isinstance(message, dict) and bool(message.get("content"))
    text = shown(error)
    return Fault(_number(error) or _number(content) or _number(choice) or _by_words(text), text, begun)


def _number(content: Any) -> int:
    if not isinstance(content, dict):
        return 0
    for value in (content.get(name) for name in _NUMBERS):
        if isinstance(value, int | str) and re.fullmatch(r"[45]\d\d", str(value)):
            return int(value)
    return 0


def _by_words(text: str) -> int:
    return next((status for status, words in _WORDS if re.search(words, text, re.IGNORECASE)), 500)
