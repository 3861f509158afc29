"""The order of review: which items a person should look at first. One order, for `nesycd kb queue`, the pages and review files.

First comes what its document states no more, then what is not proven (`methods/gating.py`); what a reviewer left to others comes
last. Within these, an item's priority is its expected gain times the doubt about it:

- gain = log2(2 + n), with n the training questions that are expected to need the item: those whose accepted rationale states
  it, and those whose error gave rise to it, times the `need` of a fact's subject: the share, of the diagnosed questions that
  name it, from which anything was proposed about it. What many failed questions name, and few proposals are about
  (`A semitone is 1/12 of a tone.`), was hardly what was missing there; neither was what no question names. Of a proposed fact n
  is divided among the values that are given for its relation, by what speaks for each: one at most is right, and to refuse the
  others changes no answer.
- doubt = 1 - (1 - a)(1 - b)(1 - c), with a = (1 + against) / (1 + evidence + against), where `against` is what speaks for other
  values (one teacher's word against agreement), and at most 0.1 for what is proven; b the weight of the gravest reason in the
  queue (`WEIGHTS`); and c the measured probability that the item does harm.

Equals are ordered by their ids. Ids are hashes, so that no kind, name or number comes before others.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field

UNPROVEN = "not proven"
"""Begins the reason of an item that did not pass the gate (`methods/gating.py`), and PROVEN that of one that did."""
PROVEN = "proven"
UNSURE = "not sure"
"""Begins the reason of an item that a reviewer left to others."""
WRONG = "wrong answer"
"""Begins the reason of an item whose use gave an answer that a person called wrong."""
CHANGED = "the source changed"
"""Begins the reason of an item that its document states no more, and of what is stated instead."""
WEIGHTS = {
    UNPROVEN: 0.9,
    "contradiction": 0.9,
    WRONG: 0.9,
    CHANGED: 0.9,
    "ill-formed": 0.8,
    "suspected contradiction": 0.7,
    "several values": 0.6,
    "near-duplicate": 0.5,
    "subsumed": 0.4,
    PROVEN: 0.1,
}
"""How doubtful a reason in the queue makes an item; others count as `_OTHER`."""
_OTHER = 0.5
_UNNAMED = 0.25
"""The need of a subject that no question names: at best another fact leads to it."""

Naming = Callable[[Mapping[str, Collection[str]], Collection[str]], Mapping[str, Collection[str]]]
"""Of subjects with their names, and of questions, given by `Example.uid`: which of the questions name each subject."""


@dataclass(frozen=True)
class Background:
    """What a run tells of the items of its base; nothing of a base without a run.

    Attributes:
        stated: training questions whose accepted rationale states an item, by item id.
        harm: measured probability that an item does harm, by item id.
        naming: None: nothing is known of questions, and each subject is taken to be needed.
    """

    stated: Mapping[str, Collection[str]] = field(default_factory=dict)
    harm: Mapping[str, float] = field(default_factory=dict)
    naming: Naming | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """What the order needs to know of an item.

    Attributes:
        item_id: see `Entry`.
        subject, relation, value: of a fact, normalised; "" of other items.
        examples: training questions whose error gave rise to it.
        pieces: of evidence for it.
        stated, harm: see `Background`.
        is_used, is_living: whether it is approved; whether it is approved or proposed.
        reasons: why it was queued.
        unsure: line of the history in which a reviewer last left it to others; 0: never.
    """

    item_id: str
    subject: str
    relation: str
    value: str
    examples: frozenset[str]
    pieces: int
    stated: frozenset[str]
    harm: float
    is_used: bool
    is_living: bool
    reasons: tuple[str, ...]
    unsure: int

    @property
    def support(self) -> int:
        """What speaks for its value: pieces of evidence, and rationales that state it."""
        return max(1, self.pieces + len(self.stated))


@dataclass(frozen=True, slots=True)
class Priority:
    """Where an item stands, and why.

    Attributes:
        questions: training questions whose error gave rise to it, or whose accepted rationale states it.
        need: of its subject.
        against: pieces of evidence and rationales for another value.
        gain, doubt: see above.
        key: sort key of the queue.
    """

    questions: int
    need: float
    against: int
    gain: float
    doubt: float
    key: tuple[int, int, float, str]

    @property
    def score(self) -> float:
        """The priority itself."""
        return self.gain * self.doubt


def priorities(standings: Iterable[Standing], named: Mapping[str, Collection[str]] | None) -> dict[str, Priority]:
    """The priority of each item, by item id.

    Args:
        standings: items. What is known of a subject counts where all its facts are among them.
        named: the diagnosed questions that name each subject (`Background.naming`); None: nothing is known of questions.
    """
    standings = list(standings)
    proposed: dict[str, set[str]] = defaultdict(set)
    values: dict[tuple[str, str], dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for one in standings:
        if one.subject:
            proposed[one.subject] |= one.examples
            if one.is_living:
                values[one.subject, one.relation][one.value] += one.support
    made = {}
    for one in standings:
        need, against = 1.0, 0
        if one.subject:
            against = sum(count for value, count in values[one.subject, one.relation].items() if value != one.value)
            if named is not None:
                naming = named.get(one.subject, ())
                need = len(proposed[one.subject].intersection(naming)) / len(naming) if naming else _UNNAMED
        made[one.item_id] = _priority(one, need, against)
    return made


def _priority(one: Standing, need: float, against: int) -> Priority:
    share = 1.0 if one.is_used else one.support / (one.support + against)
    gain = math.log2(2 + share * (len(one.stated) + need * len(one.examples - one.stated)))
    told = {what(reason) for reason in one.reasons} - {UNSURE}
    single = (1 + against) / (1 + one.pieces + against)
    gravest = max((WEIGHTS.get(reason, _OTHER) for reason in told - {PROVEN}), default=0.0)
    doubts = (min(single, WEIGHTS[PROVEN]) if PROVEN in told else single, gravest, one.harm)
    doubt = 1 - math.prod(1 - each for each in doubts)
    rank = 0 if CHANGED in told else 1 if UNPROVEN in told else 2
    key = (one.unsure, rank, -round(gain * doubt, 9), one.item_id)
    return Priority(len(one.examples | one.stated), need, against, gain, doubt, key)


def what(reason: str) -> str:
    """What a reason in the queue is, without its details: `near-duplicate with 3fa9...: the same triple` is a near-duplicate."""
    head = reason.partition(": ")[0]
    return next(
        (name for name in (*WEIGHTS, UNSURE) if head == name or head.startswith((f"{name} ", f"{name}["))), head
    )
