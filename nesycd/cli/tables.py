"""Tables that fit the terminal: columns are left out, and named, where there is no room; no number is cut or broken."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

_WORD = 30
"""Longer words are broken, since a path or a link may be longer than any terminal."""


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        heading: what stands above it.
        right: whether it is aligned to the right, as numbers are.
        wraps: whether it holds texts or names, which go on in a next line where there is no room; all others stay whole.
        least: of one that wraps, the cells that it gets at least, where its texts are as long.
        rank: which columns are left out first: those with the highest number; those with 0 stay.
    """

    heading: str
    right: bool = False
    wraps: bool = False
    rank: int = 0
    least: int = 16


Cell = str | Text


def print_table(
    console: Console,
    columns: Sequence[Column],
    rows: Sequence[Sequence[Cell]],
    *,
    title: str = "",
    rules: bool = False,
    elsewhere: str = "",
) -> None:
    """Print a table, without the columns for which there is no room, and say which these are.

    Args:
        console: where to; its width counts.
        columns: all columns.
        rows: a cell for each column; texts are taken as they are, not as rich's markup.
        title: stands above it.
        rules: whether a line stands below the headings.
        elsewhere: where all columns stand, besides in a wider terminal, such as a file.
    """
    kept = _kept(columns, rows, console.width)
    table = Table(box=box.SIMPLE_HEAD if rules else None, pad_edge=False, title=title or None, title_justify="left")
    table.show_header = any(column.heading for column in columns)
    for place in kept:
        column = columns[place]
        table.add_column(
            column.heading,
            justify="right" if column.right else "left",
            no_wrap=not column.wraps,
            overflow="fold",
        )
    for row in rows:
        cells = (row[place] for place in kept)
        table.add_row(*(Text(cell) if isinstance(cell, str) else cell for cell in cells))
    console.print(table)
    if left_out := [column.heading for place, column in enumerate(columns) if place not in kept]:
        wide = sum(_widths(columns, rows)) + _gaps(len(columns))
        also = f"; {elsewhere}" if elsewhere else ""
        told = f"left out, as the terminal is too narrow: {', '.join(left_out)} (all: COLUMNS={wide}{also})"
        console.print(told, markup=False, highlight=False)


def _kept(columns: Sequence[Column], rows: Sequence[Sequence[Cell]], width: int) -> list[int]:
    """The places of the columns for which there is room."""
    needed = _widths(columns, rows)
    kept = list(range(len(columns)))
    while sum(needed[place] for place in kept) + _gaps(len(kept)) > width:
        ranked = [place for place in kept if columns[place].rank]
        if not ranked:
            break
        kept.remove(max(ranked, key=lambda place: (columns[place].rank, place)))
    return kept


def _gaps(count: int) -> int:
    """Blanks beside the cells, at most: two between columns, and one at either edge of a table with rules."""
    return 2 * count


def _widths(columns: Sequence[Column], rows: Sequence[Sequence[Cell]]) -> list[int]:
    """Cells that each column needs at least."""
    found = []
    for place, column in enumerate(columns):
        texts = [column.heading, *(str(row[place]) for row in rows)]
        lines = [line for text in texts for line in text.split("\n")]
        whole = max(map(cell_len, lines), default=0)
        if column.wraps:
            words = [cell_len(word) for line in lines for word in line.split()]
            whole = min(whole, max([column.least, *(length for length in words if length <= _WORD)]))
        found.append(whole)
    return found
