"""Knowledge as an answer set program, to be asked by clingo: what items are as facts, clauses of approved rules as rules.

Texts and names are strings. Clauses that could do more than conclude (scripts, directives), that clingo reads otherwise, or
that have exceptions stay strings only.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from nesycd.core.errors import KnowledgeError
from nesycd.core.records import Entry, Fact, Rule, Status
from nesycd.core.text import is_visible, printable
from nesycd.rules.checks import check_safe
from nesycd.rules.parser import parse_clauses

_PLAIN = re.compile(r'(?:[A-Za-z0-9_ ,.:;()<>=!+*/|-]|"[^"\\\n@#%]*")+\.')
"""No directive, script, choice, comment or second line."""
_OTHERWISE = re.compile(r"\b(?:is|mod|unless)\b|=<|/|\d\.\d|\d{10}")
"""What clingo does not read, or calculates otherwise than `knowledge.engine` does."""


def write(entries: Iterable[Entry]) -> str:
    """`item(Id, Kind, Status)`, `text(Id, Text)`, `triple(Id, S, R, O)`, `alias(Id, Name)`, `clause(Id, Text)`."""
    lines = ["% item(Id, Kind, Status). text(Id, Text). triple(Id, Subject, Relation, Object).",
             "% alias(Id, Name). clause(Id, Text)."]  # fmt: skip
    for entry in entries:
        item, name = entry.item, _string(entry.item_id)
        lines += [f"item({name},{item.kind},{entry.status}).", f"text({name},{_string(item.text)})."]
        if isinstance(item, Fact):
            lines.append(f"triple({name},{','.join(map(_string, item.triple))}).")
            lines += [f"alias({name},{_string(alias)})." for alias in item.aliases]
        if isinstance(item, Rule) and item.clause:
            lines.append(f"clause({name},{_string(item.clause)}).")
            if entry.status is Status.APPROVED and not item.exceptions and _is_plain(item.clause.strip()):
                lines.append(item.clause.strip())
    return "\n".join(lines) + "\n"


def _is_plain(clause: str) -> bool:
    if not _PLAIN.fullmatch(clause) or _OTHERWISE.search(re.sub(r'"[^"]*"', '""', clause)):
        return False
    try:
        for one in parse_clauses(clause):
            check_safe(one)
            if one.is_constraint:
                return False  # clingo would find no answer at all where one is broken
            if not one.is_horn:
                return False
    except KnowledgeError:
        return False
    return True


def _string(text: str) -> str:
    """A string of the language, which knows no other escapes than these three."""
    shown = "".join(char if char == "\n" or is_visible(char) else printable(char) for char in text)
    return '"' + shown.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
