"""How objects show themselves in notebooks: small HTML in which every text is escaped, readable on light and dark ground.

A notebook's theme is not known here, so nothing has a ground of its own: lines and marks are the text's colour, or one that can
be told from both.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any, TypeVar

from nesycd.core.markup import Child, Markup, tag

T = TypeVar("T")
MOST_SHOWN, MOST_CELL, MOST_ROWS = 1000, 200, 20
"""Characters of a text and of a table's cell, and rows of a table."""
_STYLE = Markup(
    ".nesycd .grid{overflow-x:auto}.nesycd p{margin:.4em 0;overflow-wrap:anywhere}"
    ".nesycd.nesycd table{border-collapse:collapse;margin:.3em 0;font-size:inherit}"
    ".nesycd.nesycd :is(th,td){text-align:left;vertical-align:top;padding:.2em .9em .2em 0;"
    "border-bottom:1px solid rgba(128,128,128,.45);max-width:32em;overflow-wrap:break-word;white-space:pre-line}"
    ".nesycd tbody th{font-weight:inherit}.nesycd small{opacity:.8}"
    ".nesycd u{text-decoration:underline dotted}"
    ".nesycd .lost b{border-left:.3em solid #d9460f;padding-left:.4em}"
    ".nesycd .gained b{border-left:.3em solid #2f8f5b;padding-left:.4em}"
    ".nesycd svg .track{fill:currentColor;opacity:.14}.nesycd svg .fill{fill:currentColor;opacity:.55}"
    ".nesycd svg .whisker{stroke:currentColor}"
)


def shown(*children: Child) -> Markup:
    """An object's HTML with the style of its parts; where a notebook leaves styles out, it is plain."""
    return tag("div", tag("style", _STYLE), *children, class_="nesycd")


def cut(text: str, most: int = MOST_SHOWN) -> str:
    """A text of `most` characters at most."""
    return text if len(text) <= most else f"{text[:most]}…"


def grid(heads: Sequence[Child], rows: Iterable[Sequence[Child]], classes: Sequence[str] = ()) -> Markup:
    """A table whose first column names the row; `classes`: of the rows, where they have any."""
    top = tag("thead", tag("tr", [tag("th", one, scope="col") for one in heads])) if heads else None
    body = [
        tag(
            "tr",
            tag("th", first, scope="row"),
            [tag("td", cell) for cell in rest],
            class_=classes[number] if classes else None,
        )
        for number, (first, *rest) in enumerate(rows)
    ]
    return tag("div", tag("table", top, tag("tbody", body)), class_="grid")


def listed(things: Sequence[Any]) -> Markup:
    """Things of one kind as a table: mappings, data classes, and what has `_cells`, by name."""
    rows = [cells_of(one) for one in things[:MOST_ROWS]]
    heads = list(dict.fromkeys(key for row in rows for key in row))
    more = len(things) - len(rows)
    return shown(
        grid(heads, [[_told(row.get(head)) for head in heads] for row in rows]) if rows else tag("p", "none"),
        tag("small", f"{more:,} more") if more else None,
    )


def cells_of(one: Any) -> Mapping[str, Any]:
    """A thing's row: its cells by the names of their columns."""
    if isinstance(one, Mapping):
        return one
    if hasattr(one, "_cells"):
        found: Mapping[str, Any] = one._cells()
        return found
    if is_dataclass(one):
        return {field.name: getattr(one, field.name) for field in fields(one)}
    return {"": one}


def _told(value: Any) -> Child:
    if isinstance(value, Markup):
        return value
    if value is None or value == "":
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list | tuple | set | frozenset):
        return cut(", ".join(map(str, value)), MOST_CELL) or "–"
    return cut(str(value), MOST_CELL)


class Listing(list[T]):
    """A list that shows itself as a table in notebooks."""

    def _repr_html_(self) -> str:
        return listed(self)
