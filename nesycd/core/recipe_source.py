"""Where a recipe's settings were written, for the start of error messages."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nesycd.core.address import without_logins
from nesycd.core.text import printable, shortened


class RecipeSource:
    """Where a recipe's settings were written.

    Args:
        texts: of its files, the recipe's own first.
        overrides: `--set` arguments by dotted key.
        laid_over: tables from Python that override those of the files.
    """

    def __init__(
        self,
        texts: Mapping[Path, str] | None = None,
        overrides: Mapping[str, str] | None = None,
        laid_over: Mapping[str, Any] | None = None,
    ) -> None:
        self._texts, self._overrides = dict(texts or {}), dict(overrides or {})
        self._laid_over = dict(laid_over or {})

    def __eq__(self, other: object) -> bool:
        """Always equal, so that recipes with the same settings are equal wherever they were written."""
        return isinstance(other, RecipeSource)

    __hash__ = None  # type: ignore[assignment]

    def is_overridden(self, dotted: str) -> bool:
        """Whether a `--set` override gives a key, a part of it, or a table around it."""
        return any(f"{dotted}.".startswith(f"{key}.") or f"{key}.".startswith(f"{dotted}.") for key in self._overrides)

    def place(self, dotted: str) -> str:
        """The override, or file and line, that set a key; the recipe's file where neither is known.

        "" where there is no file, or the file's value was overridden from Python.
        """
        for key, override in reversed(self._overrides.items()):
            if dotted == key or dotted.startswith(f"{key}.") or key.startswith(f"{dotted}."):
                return f"--set {shortened(printable(without_logins(override)))}"
        if _says(self._laid_over, dotted):
            return ""
        # Files that set the key come first; others may only contain its section.
        said = [(path, text) for path, text in self._texts.items() if _says(tomllib.loads(text), dotted)]
        lines = ((path, _line(text, dotted)) for path, text in [*said, *self._texts.items()])
        return next((f"{path}:{line}" for path, line in lines if line), str(next(iter(self._texts), "")))


def _says(tables: Mapping[str, Any], dotted: str) -> bool:
    """Whether tables set a key, a table that contains it, or a part of it."""
    found: Any = tables
    for part in dotted.split("."):
        if not isinstance(found, Mapping):
            return True
        if part not in found:
            return False
        found = found[part]
    return True


def _line(text: str, dotted: str) -> int:
    """The number of the line of a recipe that sets a key; 0 where none does."""
    table = ""
    best = 0
    for number, line in enumerate(text.splitlines(), 1):
        if header := re.match(r"\s*\[+\s*([\w.-]+)\s*\]", line):
            key = table = header[1]
        elif pair := re.match(r"\s*([\w.-]+)\s*=", line):
            key = f"{table}.{pair[1]}" if table else pair[1]
        else:
            continue
        if dotted == key or dotted.startswith(f"{key}."):
            best = number
    return best
