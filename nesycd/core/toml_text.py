"""Writing TOML, which the standard library only reads."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any


def toml_string(text: str) -> str:
    """A TOML string; its escapes are those of JSON."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def toml_text(tables: Mapping[str, Any]) -> str:
    """JSON values as TOML; values that are None are left out, since TOML has none.

    >>> print(toml_text({"name": "a", "task": {"sizes": {}, "limit": None, "settings": {"parts": [{"name": "b"}]}}}), end="")
    name = "a"
    <BLANKLINE>
    [task]
    sizes = {}
    <BLANKLINE>
    [task.settings]
    parts = [{name = "b"}]
    """
    return "".join(f"{line}\n" for line in _lines(tables, ""))


def _lines(table: Mapping[str, Any], name: str) -> Iterator[str]:
    inner = {key: value for key, value in table.items() if isinstance(value, Mapping) and value}
    own = {key: value for key, value in table.items() if key not in inner and value is not None}
    if name and (own or not inner):
        yield f"[{name}]"
    yield from (f"{_key(key)} = {_value(value)}" for key, value in own.items())
    for number, (key, value) in enumerate(inner.items()):
        lines = _lines(value, f"{name}.{_key(key)}" if name else _key(key))
        if own or number:
            yield ""
        yield from lines


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return toml_string(value)
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{_key(key)} = {_value(one)}' for key, one in value.items() if one is not None)}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, int | float):
        return repr(value)
    raise TypeError(f"TOML has no {type(value).__name__}")


def _key(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else toml_string(key)
