"""Which problems go into which split, so that each fact asked for in a test was trained once, twice or three times.

Training comes first: facts get a target frequency when they are first used, and problems that fill begun facts go
before others. Valid and test then draw problems over trained facts only. No (facts, numbers) stand on two sides.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from nesycd.core.errors import ConfigError
from nesycd.core.records import Fact, content_hash
from nesycd.tasks.longtail.families import Family, Lookup, Problem

_TRIES = 80
"""Draws looked at for each question."""
_FORM_WEIGHT = 0.1
"""What a form loses in score for each time it was chosen, so that all forms get their share."""
_SLACKS = (1.0,) * 4 + (1.2,) * 4 + (1.5,) * 4
"""How many more facts are trained than the frequencies ask for, tried in this order."""
_PATIENCE = 10
"""Rounds of `_TRIES` without a fit one before giving up."""

Key = tuple[str, str]
"""(subject, relation) of a fact."""


def group_of(problem: Problem, facts: Sequence[Fact]) -> str:
    """Hash of family, facts and numbers: the unit that stays on one side of every split."""
    triples = sorted(fact.triple for fact in facts)
    # Words tell general questions apart; with facts they would let one working stand on two sides.
    told = sorted(problem.numbers) if triples else [*problem.numbers, *problem.extra]
    return content_hash([problem.family, triples, told])


@dataclass
class Plan:
    """Problems by split for one family, and how often each fact was trained."""

    problems: dict[str, list[Problem]] = field(default_factory=dict)
    trained: Counter[Key] = field(default_factory=Counter)


@dataclass
class Planner:
    """Draws the splits of one family.

    Args:
        family: what to draw from.
        look: the world's facts.
        seed: text that all draws hang on.
        frequencies: shares of facts to be trained once, twice, three times, ...
    """

    family: Family
    look: Lookup
    seed: str
    frequencies: tuple[float, ...]
    groups: set[str] = field(default_factory=set)

    def plan(self, train: int, evaluation: Mapping[str, int], unseen: int) -> Plan:
        """Draw `train` questions, those of each evaluation split, and `unseen` over reserved entities.

        Where the trained facts give too few other questions (kin can only be asked along the pedigree), it is
        drawn again, then with more facts, each trained less often than asked for.

        Raises:
            ConfigError: the family has too few facts for so many questions.
        """
        for self._attempt, slack in enumerate(_SLACKS[:-1]):
            with suppress(ConfigError):
                return self._plan(train, evaluation, unseen, slack)
        self._attempt += 1
        return self._plan(train, evaluation, unseen, _SLACKS[-1])

    def _plan(self, train: int, evaluation: Mapping[str, int], unseen: int, slack: float) -> Plan:
        self.groups.clear()
        self._rngs.clear()
        plan = Plan({"train": []})
        targets: dict[Key, int] = {}
        bag = self._targets()
        forms: Counter[str] = Counter()
        most = len(self.frequencies)
        for done in range(train):
            # So many facts can reach their targets in all, going by the facts a question needed so far.
            arity = plan.trained.total() / done if done else 1.0
            wanted = slack * train * arity / self._mean_target()

            def gain(key: Key, wanted: float = wanted) -> float:
                if key not in targets:
                    return 0.0 if len(targets) < wanted else -1.0
                return 1.0 if plan.trained[key] < targets[key] else -0.5

            problem, keys = self._best(
                "train",
                forms,
                allowed=lambda keys: all(plan.trained[key] < most for key in keys),
                score=lambda keys: sum(map(gain, keys)) / max(len(keys), 1),
            )
            for key in keys:
                if key not in targets:
                    targets[key] = next(bag)
            plan.trained.update(keys)
            plan.problems["train"].append(problem)
        used: Counter[Key] = Counter()
        for split, count in evaluation.items():
            plan.problems[split] = self._draw_many(split, count, used, lambda keys: all(plan.trained[k] for k in keys))
        untrained = self._draw_many("ood_unseen", unseen, Counter(), lambda keys: True, reserved=True)
        plan.problems["ood_unseen"] = untrained
        return plan

    def composed(self, count: int, trained: Counter[Key]) -> list[Problem]:
        """`count` questions over trained facts only."""
        return self._draw_many("ood_composed", count, Counter(), lambda keys: all(trained[key] for key in keys))

    def _draw_many(
        self, split: str, count: int, used: Counter[Key], allowed: Callable[[list[Key]], bool], reserved: bool = False
    ) -> list[Problem]:
        """Questions that use their facts evenly."""
        forms: Counter[str] = Counter()
        problems = []
        for _ in range(count):
            problem, keys = self._best(
                split, forms, allowed, lambda keys: -max((used[key] for key in keys), default=0), reserved
            )
            used.update(keys)
            problems.append(problem)
        return problems

    def _best(
        self,
        split: str,
        forms: Counter[str],
        allowed: Callable[[list[Key]], bool],
        score: Callable[[list[Key]], float],
        reserved: bool = False,
    ) -> tuple[Problem, list[Key]]:
        """The best of some draws, the form most behind its share first; earlier draws win ties."""
        rng = self._rng(split)
        for _ in range(_PATIENCE):
            best: tuple[float, Problem, list[Key], str] | None = None
            for form in sorted(self.family.forms, key=lambda form: forms[form.name] / form.weight):
                for _ in range(_TRIES):
                    problem = self.family.draw(rng, form.name, reserved)
                    if problem is None:
                        continue
                    facts = self.family.needs(problem, self.look)
                    keys = [(fact.subject, fact.relation) for fact in facts]
                    if not allowed(keys):
                        continue
                    value = score(keys) - _FORM_WEIGHT * forms[form.name] / form.weight
                    if best is None or value > best[0]:
                        group = group_of(problem, facts)
                        best = (value, problem, keys, group) if group not in self.groups else best
            if best is not None:
                self.groups.add(best[3])
                forms[best[1].form] += 1
                return best[1], best[2]
        raise ConfigError(
            f"longtail: family {self.family.name!r} has too few facts for so many {split} questions; "
            "lower the split sizes, or train_special for fewer and more often trained facts"
        )

    def _rng(self, split: str) -> random.Random:
        if split not in self._rngs:
            self._rngs[split] = random.Random(f"{self.seed}/{self.family.name}/{split}/{self._attempt}")
        return self._rngs[split]

    def __post_init__(self) -> None:
        self._rngs: dict[str, random.Random] = {}
        self._attempt = 0

    def _mean_target(self) -> float:
        return sum(number * share for number, share in enumerate(self.frequencies, 1))

    def _targets(self) -> Iterator[int]:
        """Target frequencies for ever: each twenty have the shares asked for, in random order."""
        rng = self._rng("targets")
        bag = [number for number, share in enumerate(self.frequencies, 1) for _ in range(round(20 * share))]
        while True:
            rng.shuffle(bag)
            yield from bag
