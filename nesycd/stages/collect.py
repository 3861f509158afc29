"""Step 2, demonstration collection: the student answers the training questions, to find those it gets wrong.

In-sample, the student has been trained on the same questions, so memorised answers do not show missing knowledge.
Out of fold, each question is answered by a student that was not trained on it (METHOD, fault 7). Folds keep a group
together, as the test split does.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from nesycd.core.answers import Attempt
from nesycd.core.records import Example


def assign_folds(examples: Sequence[Example], folds: int, seed: int) -> dict[str, int]:
    """`Example.uid` to fold number; groups stay whole and each task is spread evenly over the folds."""
    groups: dict[tuple[str, str], list[str]] = {}
    for example in examples:
        groups.setdefault((example.task, example.group or example.uid), []).append(example.uid)
    order = sorted(groups)
    random.Random(f"folds-{seed}").shuffle(order)
    order.sort(key=lambda key: key[0])
    return {uid: place % folds for place, key in enumerate(order) for uid in groups[key]}


def errors(attempts: Sequence[Attempt]) -> list[Attempt]:
    """D_E: the attempts that are wrong. Prompts that did not fit into the context are left out."""
    return [attempt for attempt in attempts if not attempt.correct and attempt.finish != "too_long"]


def error_rate(attempts: Sequence[Attempt]) -> float:
    """Share of wrong attempts, in [0, 1]; 0 for none."""
    return sum(not attempt.correct for attempt in attempts) / len(attempts) if attempts else 0.0
