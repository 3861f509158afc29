"""Proof trees for what the engine derived: a shortest one for each conclusion, always the same. Knows no items.

clingo gives no proofs; it gives every firing of a clause, and of these the cheapest way to each conclusion is found as
Knuth did (A generalization of Dijkstra's algorithm, 1977): the size of a proof is the number of its firings, those for the
elements of an aggregate not counted.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from nesycd.rules.clauses import Atom
from nesycd.rules.program import Firing, Gathered, is_element

Key = tuple[Any, ...]


@dataclass(frozen=True)
class Proof:
    """Why `atom` holds: by clause number `clause` from `needs` and since nothing of `absent` holds; None: it is a fact."""

    atom: Atom
    clause: int | None = None
    needs: tuple[Proof, ...] = ()
    absent: tuple[Atom, ...] = ()
    size: int = 0
    """Firings in the tree, shared ones counted in each place."""
    gathered: tuple[Gathered, ...] = ()
    """Which of the needs are elements of what aggregates."""

    def steps(self) -> Iterator[Proof]:
        """Every proof in the tree, this one first; each atom once."""
        seen: set[Key] = set()
        waiting = [self]
        while waiting:
            proof = waiting.pop()
            if proof.atom.key not in seen:
                seen.add(proof.atom.key)
                yield proof
                waiting += reversed(proof.needs)


def shortest_proofs(facts: Iterable[Atom], firings: Sequence[Firing]) -> dict[Key, Proof]:
    """A shortest proof of each fact and each conclusion, by `Atom.key`; of equals the one by the earlier clause."""
    proofs: dict[Key, Proof] = {}
    needed_by: dict[Key, list[int]] = {}
    left: list[set[Key]] = []
    heap: list[tuple[int, int, int]] = []

    def offer(number: int) -> None:
        firing = firings[number]
        size = (not is_element(firing.head)) + sum(proofs[atom.key].size for atom in firing.needs)
        heapq.heappush(heap, (size, firing.clause, number))

    def settle(key: Key, proof: Proof) -> None:
        proofs[key] = proof
        for number in needed_by.get(key, ()):
            left[number].discard(key)
            if not left[number]:
                offer(number)

    for number, firing in enumerate(firings):
        left.append({atom.key for atom in firing.needs})
        for key in left[number]:
            needed_by.setdefault(key, []).append(number)
        if not left[number]:
            offer(number)
    for fact in facts:
        if fact.key not in proofs:
            settle(fact.key, Proof(fact))
    while heap:
        size, clause, number = heapq.heappop(heap)
        firing = firings[number]
        if firing.head.key not in proofs:
            needs = tuple(proofs[atom.key] for atom in firing.needs)
            settle(firing.head.key, Proof(firing.head, clause, needs, firing.absent, size, firing.gathered))
    return proofs
