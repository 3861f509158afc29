"""What documents are read into: sentences, terms, lists and tables, each with its place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

LONGEST = 500
"""Characters of a sentence, of a list's entry and of a cell that are still read."""


@dataclass(frozen=True)
class Passage:
    """A sentence, a list or a term with what is said of it.

    Attributes:
        form: `steps` is a numbered list, `points` one with bullets.
        text: the sentence; of a term what is said of it; of a list what leads to it, or "".
        headings: the path to it, the title of the document first.
        line: in which it begins, from 1.
        sentence: which of the sentences that begin in its line.
        term: what `text` is said of.
        entries: of a list; `lines` are those in which they begin.
        before: the sentence before it in its paragraph.
        is_joined: whether `text` is several sentences that cannot be read apart.
    """

    form: Literal["sentence", "term", "steps", "points"]
    text: str
    headings: tuple[str, ...]
    line: int
    sentence: int = 1
    term: str = ""
    entries: tuple[str, ...] = ()
    lines: tuple[int, ...] = ()
    before: str = ""
    is_joined: bool = False


@dataclass(frozen=True)
class Table:
    """A table of texts.

    Attributes:
        part: the sheet or heading, by which it is cited.
        unit: what its rows are counted in: `line` or `row`.
        first: number of the row with the heads.
        heads: of the columns; "" of one without a head.
        rows: each with its number and its cells, as many as there are heads.
        left: cells that could not be read, by the reason.
        is_within: whether it is part of a text, rather than the document or a sheet.
    """

    part: str
    unit: Literal["line", "row"]
    first: int
    heads: tuple[str, ...]
    rows: tuple[tuple[int, tuple[str, ...]], ...]
    left: tuple[tuple[str, int], ...] = ()
    is_within: bool = False
