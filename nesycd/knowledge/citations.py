"""How an item cites the document that it comes from: the source of its evidence, such as `handbook.md#Refunds, line 12`.

Items cite a document's name, a Markdown heading or a sheet, and the line or row. All that a base knows of documents is here.
"""

from __future__ import annotations

import re

from nesycd.core.text import printable

SUFFIXES = (".md", ".markdown", ".txt", ".csv", ".tsv", ".xlsx")
"""Endings of documents."""
_LONGEST = 80
_CITED = re.compile(
    rf"(?P<document>.+?(?:{'|'.join(map(re.escape, SUFFIXES))}))(?:#.*)?, (?:line|row) \d+(?:, sentence \d+)?",
    re.IGNORECASE | re.DOTALL,
)


def cite(document: str, part: str, unit: str, number: int, sentence: int = 1) -> str:
    """The source of what stands in a place of a document.

    >>> cite("handbook.md", "Refunds", "line", 12)
    'handbook.md#Refunds, line 12'
    >>> cite("policy.txt", "", "line", 3, 2)
    'policy.txt, line 3, sentence 2'

    Args:
        document: its name.
        part: the heading or sheet; "" where there is none.
        unit: `line` or `row`.
        number: of the line or row, from 1.
        sentence: which of the sentences that begin in this line.
    """
    shown = printable(" ".join(part.split()))
    shown = shown if len(shown) <= _LONGEST else f"{shown[:_LONGEST]}…"
    told = f", sentence {sentence}" if sentence > 1 else ""
    return f"{document}{f'#{shown}' if shown else ''}, {unit} {number}{told}"


def document_of(source: str) -> str:
    """The document that a source cites; "" of sources that are none (teachers, people, files).

    >>> document_of("handbook.md#Refunds, line 12"), document_of("handbook.md")
    ('handbook.md', '')
    """
    found = _CITED.fullmatch(source)
    return found["document"] if found else ""


def origin(source: str) -> str:
    """A source without its place: by it items of one document are counted together."""
    return document_of(source) or source
