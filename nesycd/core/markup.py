"""HTML and SVG as Python calls: every text is escaped unless it is already markup.

Small on purpose: a page of one shape does not need a template engine, and with one type for markup and one function that
makes it no text of a model can become markup by oversight.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from html import escape

_VOID = frozenset({"meta", "link", "input", "br"})
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")


class Markup(str):
    """A string that is HTML already."""


Child = str | int | None | Iterable["Child"]


def tag(name: str, /, *children: Child, **attributes: str | float | bool | None) -> Markup:
    """An element. Attributes: `class_="x"`, `stroke_width=2` (becomes `stroke-width`); None and False are left out.

    >>> tag("p", "a < b", class_="note")
    '<p class="note">a &lt; b</p>'
    """
    parts = [name]
    for key, value in attributes.items():
        if value is None or value is False:
            continue
        key = key.rstrip("_").replace("_", "-")
        parts.append(key if value is True else f'{key}="{text(_number(value))}"')
    opening = f"<{' '.join(parts)}>"
    return Markup(opening if name in _VOID else f"{opening}{join(*children)}</{name}>")


def join(*children: Child) -> Markup:
    """Children one after the other."""
    return Markup("".join(_render(child) for child in children))


def text(value: str) -> str:
    """Escape a text; what HTML cannot hold (control characters, lone surrogates) becomes U+FFFD."""
    return escape(_CONTROL.sub("\ufffd", value), quote=True)


def _render(child: Child) -> str:
    if child is None:
        return ""
    if isinstance(child, Markup):
        return child
    if isinstance(child, str | int):
        return text(str(child))
    return "".join(_render(one) for one in child)


def _number(value: str | float) -> str:
    return value if isinstance(value, str) else f"{value:.2f}".rstrip("0").rstrip(".")
