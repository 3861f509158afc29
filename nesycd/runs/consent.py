"""Asking before finished work is redone or removed because settings changed: an option may have been forgotten."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from nesycd.core.overrides import dotted
from nesycd.core.text import printable, shortened

Consent = Callable[[str], None]
"""Called with one sentence, without its full stop: what would be redone or removed, and why; raises to refuse."""

_SHOWN = 4
"""Changed settings that are named."""


class Guard:
    """Asks once, before the first finished stage of a run is redone or removed under other settings than it was made with.

    Args:
        folder: of the run.
        before: the settings that it was made with; None: a new run, or not known.
        now: the present ones.
        ask: see `Consent`; None: nobody is asked.
    """

    def __init__(
        self, folder: Path, before: Mapping[str, Any] | None, now: Mapping[str, Any], ask: Consent | None
    ) -> None:
        self._folder, self._ask = folder, ask
        self._changed = {} if ask is None or before is None else changed_settings(before, now)

    @property
    def watches(self) -> bool:
        """Whether there is anything to ask about."""
        return bool(self._changed)

    def redo(self, name: str, later: Mapping[str, Mapping[str, Any]]) -> None:
        """Ask before a finished stage is redone. `later`: the states of the finished stages that may follow from it."""
        also = f" and up to {len(later)} finished stages after it" if later else ""
        seconds = sum(float(state["seconds"]) for state in later.values())
        self._asked(f"{name}{also} ({seconds:,.0f} s of work) would be redone")

    def remove(self, names: Sequence[str]) -> None:
        """Ask before finished stages are removed."""
        others = f" and {len(names) - 1} more finished stages" if len(names) > 1 else ""
        self._asked(f"{names[0]}{others} would be removed")

    def _asked(self, what: str) -> None:
        if self._ask is None or not self._changed:
            return
        told = [*self._changed.values()]
        more = f" and {len(told) - _SHOWN} more" if len(told) > _SHOWN else ""
        self._ask(f"{self._folder}: made with other settings ({'; '.join(told[:_SHOWN])}{more}): {what}")
        self._changed = {}


def changed_settings(before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, str]:
    """The settings that two configs both have, with other values: dotted key -> a phrase with both values."""
    old, new = dict(dotted(before)), dict(dotted(now))
    changed = [key for key in new if key in old and old[key] != new[key] and key != "name"]
    return {key: f"{printable(key)} was {_shown(old[key])}, is {_shown(new[key])}" for key in changed}


def _shown(value: Any) -> str:
    return "not given" if value is None else shortened(json.dumps(value), 60)
