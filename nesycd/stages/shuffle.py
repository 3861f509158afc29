"""A base with its contents exchanged: does what an item says matter, or only that something stands there?

Facts of one relation exchange their objects, rules of one form their conclusions, with another one wherever there is another.
Lessons stay: a set of texts is the same in any order.
"""

from __future__ import annotations

import random
import re
from collections import defaultdict
from collections.abc import Hashable, Sequence
from typing import TypeVar

from nesycd.core.records import Entry, Fact, Rule
from nesycd.core.text import normal

ALGORITHM = 1
"""Raised when the same base would be shuffled otherwise."""
_CONCLUDES = re.compile(r"(?P<head>[a-z]\w*)(?P<rest>\(.*)", re.DOTALL)
Content = TypeVar("Content", bound=Hashable)


def shuffled(entries: Sequence[Entry], seed: int) -> tuple[Entry, ...]:
    """The same entries with the contents of facts and rules exchanged.

    Example:
        >>> facts = [Fact(text=f"The fee of {a} is {b}.", subject=a, relation="fee", object=b) for a, b in ("ax", "by")]
        >>> [one.item.text for one in shuffled([Entry(item=fact) for fact in facts], 0)]
        ['The fee of a is y.', 'The fee of b is x.']
    """
    rng = random.Random(f"shuffled-{seed}")
    made = list(entries)
    facts = {place: one.item for place, one in enumerate(entries) if isinstance(one.item, Fact)}
    rules = {place: one.item for place, one in enumerate(entries) if isinstance(one.item, Rule)}
    objects = _exchanged({at: (normal(fact.relation), fact.object) for at, fact in facts.items()}, rng)
    conclusions = _exchanged({at: (_form(rule), _conclusion(rule)) for at, rule in rules.items()}, rng)
    for place, value in objects.items():
        made[place] = entries[place].model_copy(update={"item": _with_object(facts[place], value)})
    for place, conclusion in conclusions.items():
        made[place] = entries[place].model_copy(update={"item": _concluding(rules[place], *conclusion)})
    return tuple(made)


def _exchanged(contents: dict[int, tuple[Hashable, Content]], rng: random.Random) -> dict[int, Content]:
    """For each place the content of another place of its group, a different one where the group has several."""
    groups: dict[Hashable, list[int]] = defaultdict(list)
    for place, (group, _) in contents.items():
        groups[group].append(place)
    found: dict[int, Content] = {}
    for places in groups.values():
        # Equal contents stand together, so that moving on by the largest number of equals meets none of its own kind.
        order = sorted(rng.sample(places, len(places)), key=lambda place: str(contents[place][1]))
        values = [contents[place][1] for place in order]
        step = max(values.count(value) for value in set(values))
        found |= {place: values[(at + step) % len(values)] for at, place in enumerate(order)}
    return found


def _with_object(fact: Fact, value: str) -> Fact:
    text = re.sub(rf"(?<!\w){re.escape(fact.object)}(?!\w)", lambda match: value, fact.text)
    if text == fact.text and value != fact.object:
        text = f"{fact.subject}, {fact.relation}: {value}."
    return fact.model_copy(update={"text": text, "object": value})


def _form(rule: Rule) -> tuple[str, ...]:
    """What rules have in common whose conclusions can stand for each other."""
    clause = _CONCLUDES.match(rule.clause or "")
    variables = re.findall(r"\{\w+\}", rule.says)
    return (
        re.sub(r"[a-z]\w*", "p", clause["rest"]) if clause else "",
        " ".join(variables),
        "," if ", " in rule.text else "",
        *rule.scope,
    )


def _conclusion(rule: Rule) -> tuple[str, str, str]:
    """The predicate that a rule concludes, how its conclusion reads, and the end of its text."""
    clause = _CONCLUDES.match(rule.clause or "")
    return clause["head"] if clause else "", rule.says, rule.text.rpartition(", ")[2]


def _concluding(rule: Rule, head: str, says: str, end: str) -> Rule:
    clause = _CONCLUDES.match(rule.clause or "")
    before, comma, _ = rule.text.rpartition(", ")
    changed = {
        "text": f"{before}{comma}{end}",
        "clause": f"{head}{clause['rest']}" if clause else rule.clause,
        "says": says,
        "tests": (),
    }
    return rule.model_copy(update=changed)
