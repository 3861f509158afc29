"""The trace of an answer as text for people: one line a call."""

from __future__ import annotations

from nesycd.core.answers import Call


def told_of(call: Call) -> str:
    """What was asked, what was found, from which items, and how.

    >>> told_of(Call(name="sum", asked="So 3 x 4 =", found="12"))
    'So 3 x 4 = -> 12'
    >>> told_of(Call(name="look_up", asked="[kaf | place]", found="11", items=("8c1d",), how="'kaf' is 'kaph'"))
    "[kaf | place] -> 11  (8c1d; 'kaf' is 'kaph')"
    """
    why = "; ".join(filter(None, (", ".join(call.items), call.how)))
    return f"{call.asked} -> {call.found or 'nothing'}" + (f"  ({why})" if why else "")
