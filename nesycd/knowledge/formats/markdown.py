"""Knowledge as Markdown tables, for reading: in a repository, a wiki, a review."""

from __future__ import annotations

import re
from collections.abc import Iterable

from nesycd.core.records import Entry
from nesycd.core.text import printable
from nesycd.knowledge.formats.mapping import short

COLUMNS = {
    "fact": ("id", "status", "text", "subject", "relation", "object", "aliases"),
    "lesson": ("id", "status", "text"),
    "rule": ("id", "status", "text", "clause", "says", "scope", "exceptions", "tests"),
}
_ACTIVE = re.compile(r"[\\`*_\[\]|~]")
_CODES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "\n": "<br>"}


def write(entries: Iterable[Entry]) -> str:
    """A table for each kind of item, in the order given; text is shown as it is, none of it acts."""
    given = list(entries)
    lines = ["# Knowledge base"]
    for kind, columns in COLUMNS.items():
        rows = [entry for entry in given if entry.item.kind == kind]
        if not rows:
            continue
        lines += ["", f"## {kind.capitalize()}s ({len(rows)})", ""]
        lines += [f"| {' | '.join(columns)} |", "|" + " --- |" * len(columns)]
        for entry in rows:
            body = short(entry)
            cells = (", ".join(v) if isinstance(v := body.get(key, ""), list) else v for key in columns)
            lines.append(f"| {' | '.join(map(_cell, cells))} |")
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    shown = _ACTIVE.sub(r"\\\g<0>", printable(text, keep_lines=True))
    return "".join(_CODES.get(char, char) for char in shown)
