"""RuleArena's airline questions read by regular expressions: a programmer's afternoon, spent on made training questions."""

from __future__ import annotations

import re

from nesycd.tasks.rulearena_rules import CLASSES

_ROUTES = (
    re.compile(r"On the way from (?P<start>.+?) to (?P<end>.+?) \w+ sits"),
    re.compile(r" to (?P<end>[A-Z].+?) from (?P<start>[A-Z].+?) is "),
    re.compile(r"[Ff]rom (?P<start>[A-Z].*?) to (?P<end>[A-Z].*?)(?: with| in | and |,|:|\. The(?:re)?\b|\n)"),
)
_CLASS = re.compile("|".join(CLASSES))
_PRICE = re.compile(r"\$(\d[\d,]*)")
_ITEM = re.compile(r"^(?:Item )?(?P<number>\d+)[.):] (?P<told>.*)$", re.MULTILINE)
_SIZE = re.compile(r"(\d+) x (\d+) x (\d+)")
_WEIGHT = re.compile(r"(\d+) lbs")


def read_ticket(question: str) -> tuple[str, ...]:
    """What a question says of a ticket and the items; what is not found is left out.

    >>> read_ticket("From Lyon to Reno in First, Ann packs\\n1. a trunk of 30 x 20 x 9 inches and 40 lbs")[:3]
    ('ticket | from | Lyon', 'ticket | to | Reno', 'ticket | class | First')
    """
    found = []
    route = next((match for pattern in _ROUTES if (match := pattern.search(question))), None)
    if route is not None:
        found += [f"ticket | from | {route['start']}", f"ticket | to | {route['end']}"]
    found += [f"ticket | class | {match.group()}" for match in [_CLASS.search(question)] if match]
    found += [f"ticket | costs | {match[1].replace(',', '')}" for match in [_PRICE.search(question)] if match]
    for item in _ITEM.finditer(question):
        name = f"item {item['number']}"
        found += [
            f"{name} | measures | {' | '.join(match.groups())}" for match in [_SIZE.search(item["told"])] if match
        ]
        found += [f"{name} | weighs | {match[1]}" for match in [_WEIGHT.search(item["told"])] if match]
    return tuple(found)
