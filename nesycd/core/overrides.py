"""Settings as they are given: `--set` overrides, and values that no setting can have."""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Iterator, Mapping
from typing import Any

from nesycd.core.address import without_logins
from nesycd.core.errors import ConfigError
from nesycd.core.text import printable, shortened

MOST_DEEP = 20
"""Levels of tables and lists: more than any setting has, and fewer than any parser follows."""


def dotted(tables: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    """The values of nested tables, each with its dotted key."""
    for key, value in tables.items():
        if isinstance(value, Mapping):
            yield from dotted(value, f"{before}{key}.")
        else:
            yield f"{before}{key}", value


def unusable(tables: Mapping[str, Any], deep_only: bool = False) -> str:
    """What no setting can be: deep nesting, a number that is not finite, a text that no file or prompt can hold.

    Args:
        tables: of a recipe, or of a benchmark's settings.
        deep_only: look only at the nesting.

    Returns:
        The dotted key of the first one, and what is wrong with it; "" where there is none.
    """
    left: list[tuple[tuple[str, ...], Any]] = [((), tables)]
    while left:
        keys, value = left.pop()
        named = printable(".".join(keys[:3]))
        if isinstance(value, Mapping | list | tuple):
            if len(keys) == MOST_DEEP:
                return f"{shortened(named)}: lists or tables in it are nested more than {MOST_DEEP} deep"
            pairs = value.items() if isinstance(value, Mapping) else enumerate(value)
            left += [((*keys, str(key)), inner) for key, inner in pairs]
        elif deep_only:
            continue
        elif isinstance(value, float) and not math.isfinite(value):
            return f"{named}: must be a finite number, but it is {value}"
        elif isinstance(value, str) and (odd := re.search("[\0\ud800-\udfff]", value)):
            return f"{named}: holds {printable(odd[0])}, which cannot stand in a text; take it out"
    return ""


def apply_override(data: dict[str, Any], override: str) -> str:
    """Set `a.b=value` in nested tables; later ones win.

    Returns:
        The dotted key.

    Raises:
        ConfigError: no `=`, a broken value, or a key below something that is not a table.
    """
    dotted, equals, value = override.partition("=")
    dotted = dotted.strip()
    parts = dotted.split(".")
    shown = shortened(printable(without_logins(override)))
    if not equals or not all(re.fullmatch(r"[\w-]+", part) for part in parts):
        raise ConfigError(f"--set {shown}: write it as key=value, such as training.epochs=2")
    if len(parts) > MOST_DEEP:
        raise ConfigError(f"--set {shown}: has more than {MOST_DEEP} keys with dots between")
    table = data
    for depth, part in enumerate(parts[:-1], 1):
        table = table.setdefault(part, {})
        if not isinstance(table, dict):
            raise ConfigError(f"--set {shown}: {'.'.join(parts[:depth])} is a value, it has no keys below it")
    table[parts[-1]] = _value(value.strip(), shown)
    if problem := unusable({dotted: table[parts[-1]]}):
        raise ConfigError(f"--set {shown}: {problem}")
    return dotted


def _value(text: str, shown: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError as error:
        if not text or text[0] in "\"'[{":
            raise ConfigError(f"--set {shown}: not a TOML value ({error})") from None
        return text
    except RecursionError:
        raise ConfigError(f"--set {shown}: lists or tables in it are nested more than {MOST_DEEP} deep") from None
