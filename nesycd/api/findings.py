"""What `nesycd doctor` and `nesycd check` find: one line each, with what is to be done where something is wrong."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        what: the thing, in a word or two.
        state: how it is.
        remedy: what is wrong and what to do; "" where all is well.
    """

    what: str
    state: str
    remedy: str = ""
