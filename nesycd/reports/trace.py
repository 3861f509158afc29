"""The trace of an answer as text for people: one line a call, and the proof of what rules were asked."""

from __future__ import annotations

from nesycd.calls import DERIVE
from nesycd.core.answers import Call


def told_of(call: Call) -> str:
    """What was asked, what was found, from which items, and how; of a goal also what was stated, and the proof below.

    >>> told_of(Call(name="sum", asked="So 3 x 4 =", found="12"))
    'So 3 x 4 = -> 12'
    >>> told_of(Call(name="look_up", asked="[kaf | place]", found="11", items=("8c1d",), how="'kaf' is 'kaph'"))
    "[kaf | place] -> 11  (8c1d; 'kaf' is 'kaph')"
    """
    if call.name == DERIVE:
        stated = f"stated: {'; '.join(call.given) or 'nothing'}\n"
        proof = "".join(f"\n  {line}" for line in call.how.splitlines())
        return f"{stated}{call.asked} -> {call.found or 'nothing'}{proof}"
    why = "; ".join(filter(None, (", ".join(call.items), call.how)))
    return f"{call.asked} -> {call.found or 'nothing'}" + (f"  ({why})" if why else "")
