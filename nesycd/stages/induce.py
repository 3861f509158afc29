"""Step 3, induction: errors of one kind are put before the teacher together, which proposes what holds for all of them.

It comes beside the diagnoses of single errors. What tells the kind is the task and the words of the questions and of the causes
that the diagnoses name; gold facts and derivations are not read. A cluster has errors of one student, so that what is proposed
from it can be tried on questions of the other folds (`stages.lesson_gate`).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence

import numpy as np

from nesycd.core.protocols import ErrorCase, ErrorCluster
from nesycd.core.records import Diagnosis, Evidence, Induction, Item
from nesycd.stages.likeness import KIND, Likeness, Vectors

LEAST = 3
"""Errors of a cluster, at least."""
MOST = 6
"""At most: larger ones are divided, so that the teacher sees every error from which it proposes."""
_GROUP = 1000
"""Errors that are compared with each other at most."""


def clusters(cases: Sequence[ErrorCase], diagnoses: Iterable[Diagnosis]) -> list[ErrorCluster]:
    """The errors of each student and task in clusters of alike ones; errors that are like too few others are in none.

    Args:
        cases: the errors.
        diagnoses: of the single errors, for their causes.
    """
    causes = {one.example: one.cause for one in diagnoses}
    texts = {case.example.uid: f"{case.example.question}\n{causes.get(case.example.uid, '')}" for case in cases}
    groups: dict[tuple[str, str], list[ErrorCase]] = {}
    for case in cases:
        groups.setdefault((case.attempt.solver, case.example.task), []).append(case)
    alike = Likeness(texts)
    found: list[ErrorCluster] = []
    for _, together in sorted(groups.items()):
        for group in _divided(together, _GROUP):
            uids = [case.example.uid for case in group]
            for places in linked(alike.between(uids, uids)):
                members = [group[place] for place in places]
                if len(members) >= LEAST:
                    found += [ErrorCluster(tuple(part)) for part in _divided(members, MOST)]
    return found


def _divided(cases: list[ErrorCase], most: int) -> list[list[ErrorCase]]:
    """The cases in as few parts of like size as hold at most `most` each, in their order."""
    parts = -(-len(cases) // most)
    cuts = [len(cases) * part // parts for part in range(parts + 1)]
    return [cases[start:end] for start, end in itertools.pairwise(cuts)]


def linked(likeness: Vectors, least: float = KIND) -> list[list[int]]:
    """Clusters by average linkage: the two that are most alike are joined, as long as their mean likeness is `least`.

    Within a cluster, what was joined early stands together.

    >>> linked(np.array([[1.0, 0.1, 0.8], [0.1, 1.0, 0.0], [0.8, 0.0, 1.0]]))
    [[0, 2], [1]]

    Args:
        likeness: of all pairs, shape (n, n).
        least: see above.
    """
    near = np.array(likeness, dtype=np.float64)
    members = {place: [place] for place in range(len(near))}
    np.fill_diagonal(near, -1)
    while len(members) > 1:
        one, other = divmod(int(near.argmax()), len(near))
        if near[one, other] < least:
            break
        share = len(members[one]) / (len(members[one]) + len(members[other]))
        near[one] = near[:, one] = share * near[one] + (1 - share) * near[other]
        near[one, one] = near[other] = near[:, other] = -1
        members[one] += members.pop(other)
    return list(members.values())


def proposals(inductions: Iterable[Induction]) -> list[tuple[Item, Evidence]]:
    """Each proposed item with every error of its cluster, as evidence."""
    return [
        (item, Evidence(example=example, attempt=attempt, source=made.teacher))
        for made in inductions
        if not made.failure
        for item in made.items
        for example, attempt in zip(made.examples, made.attempts, strict=True)
    ]
