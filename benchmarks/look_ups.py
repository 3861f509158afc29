"""How fast look-ups are (`nesycd/calls`), by the kind of name that a student writes.

    OMP_NUM_THREADS=1 python benchmarks/look_ups.py [--facts 100000] [--asked 5000]

Prints one JSON object. The facts are made up like those of `retrieval.py`. Questions name three entities, and each look-up is
made under a question of its own. Times are of one look-up, by the clock; other work on the machine lengthens the worst ones.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections.abc import Callable, Sequence
from typing import Any

from retrieval import made_up_facts  # the script beside this one

from nesycd.calls import LookUp
from nesycd.core.records import Entry, Fact, Status

_LETTERS = "abcdefghijklmnopqrstuvwxyz"


def named(fact: Fact, rng: random.Random) -> str:
    """The subject's own name."""
    return fact.subject


def by_alias(fact: Fact, rng: random.Random) -> str:
    """Another name of the subject, where it has one."""
    return rng.choice(fact.aliases or (fact.subject,))


def misspelled(fact: Fact, rng: random.Random) -> str:
    """The subject with a wrong letter."""
    place = rng.randrange(1, len(fact.subject))
    return fact.subject[:place] + rng.choice(_LETTERS) + fact.subject[place + 1 :]


def invented(fact: Fact, rng: random.Random) -> str:
    """A name that nothing has."""
    return "".join(rng.sample(_LETTERS, 9)).capitalize()


KINDS: dict[str, tuple[Callable[[Fact, random.Random], str], str]] = {
    "own name": (named, ""),
    "alias": (by_alias, ""),
    "slip of spelling": (misspelled, ""),
    "invented name": (invented, ""),
    "relation in other words": (named, "answer"),
}
"""How the name is made, and the relation where it is not the fact's."""


def measure(look: LookUp, facts: Sequence[Fact], count: int, seed: int) -> dict[str, Any]:
    """Percentiles in milliseconds, and the share of look-ups that found the fact's object."""
    told = {}
    for kind, (name_of, relation) in KINDS.items():
        rng = random.Random(f"{kind}/{seed}")
        times, right = [], 0
        for _ in range(count):
            fact, others = rng.choice(facts), rng.sample(facts, 2)
            name = name_of(fact, rng)
            question = f"What is the {fact.relation} of {name}, if {others[0].subject} knew {others[1].subject}?"
            started = time.perf_counter()
            found = look.find(name, relation or fact.relation, question)
            times.append(1000 * (time.perf_counter() - started))
            right += fact.object in found.found.split("; ")
        times.sort()
        told[kind] = {
            "p50_ms": round(times[count // 2], 3),
            "p99_ms": round(times[int(0.99 * count)], 3),
            "found": round(right / count, 3),
        }
    return told


def main() -> None:
    """Build the base, ask it, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--facts", type=int, default=100_000)
    parser.add_argument("--asked", type=int, default=5000)
    given = parser.parse_args()
    entries = [Entry(item=fact, status=Status.APPROVED) for fact in made_up_facts(given.facts)]
    started = time.perf_counter()
    look = LookUp(entries)
    built = time.perf_counter() - started
    facts = look.facts
    started = time.perf_counter()
    look.find("Nobody", "father", "Who was the father of Nobody?")
    first = time.perf_counter() - started
    told = measure(look, facts, given.asked, 0)
    print(
        json.dumps({"facts": len(facts), "build_s": round(built, 2), "first_miss_s": round(first, 2), "look_ups": told})
    )


if __name__ == "__main__":
    main()
