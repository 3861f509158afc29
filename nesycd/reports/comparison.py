"""`comparison.json`: methods side by side over seeds, put together from their run folders (`docs/compare.md`).

Nothing is run here. Accuracies are fractions (0-1), differences fractions (-1 to 1), tokens and seconds as their names say.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field

from nesycd.core.errors import ConfigError, RunError
from nesycd.core.records import Example
from nesycd.methods.method import Role
from nesycd.reports.causes import causes
from nesycd.reports.comparison_costs import Cost, cost
from nesycd.reports.crossed import Answers, Draws, holm, interval, resample, sign_test, two_sided
from nesycd.reports.folder import Material, Row
from nesycd.reports.results import Document, Part, Results
from nesycd.reports.stats import agresti_min, wilson

SCHEMA = "comparison/3"
IN, OUT = "in domain", "out of domain"


class Figure(Part):
    """A mean over seeds and questions with its 95 % interval; `seeds` holds each seed's own, in their order."""

    n: int
    value: float
    low: float
    high: float
    seeds: list[float]


class Difference(Figure):
    """`left` minus the method, with p-values as they are and, where it is one of several tests, as corrected by Holm."""

    p: float
    p_holm: float | None = None


class MethodInfo(Part):
    """What a row is."""

    role: Role
    about: str
    learning_rates: dict[str, float] = Field(default_factory=dict)
    """With tuning: seed -> the rate that was best on valid."""
    supervision: str = ""
    """What its student was trained on, where its base comes from, what it is told besides."""
    base: dict[str, dict[str, int]] = Field(default_factory=dict)
    """Seed -> approved items of its knowledge base, by kind; empty for a method that uses none."""


class Primary(Part):
    """The comparison that is not corrected."""

    named: bool
    """Whether the recipe names it; otherwise it is the default one, and says less."""
    left: str
    right: str
    split: str
    kind: str
    difference: Difference | None
    """None where one of the two was not run."""


class Comparison(Document):
    """All of `comparison.json`."""

    schema_: Literal["comparison/3"] = Field(alias="schema", default="comparison/3")
    name: str
    seeds: list[int]
    methods: dict[str, MethodInfo]
    scores: dict[str, dict[str, dict[str, Figure]]]
    """METHOD, SPLIT, then `all`, a kind of question or a benchmark."""
    domains: dict[str, dict[str, Figure]]
    """METHOD, then `in domain` or `out of domain`: the mean over its benchmarks, each counting alike."""
    primary: Primary
    differences: dict[str, dict[str, Difference]]
    """METHOD, then `SPLIT` or `SPLIT/KIND`: `primary.left` minus the method. Where the place is the primary's, corrected."""
    costs: dict[str, Cost]
    errors: dict[str, dict[str, float]]
    """METHOD, then cause: share of the answers on `primary.split`."""
    leaks: dict[str, int | None]
    """Approved items that leak, by seed; None where a run was not checked."""
    scored: dict[str, dict[str, int]]
    """METHOD, SPLIT: how often other answers were scored there under one seed, at most: 1 where nothing was tried twice."""
    resamples: int
    reviewed: str = ""
    """The reviewed base that all methods were given, and its version; "": each run built its own from errors."""
    hidden: dict[str, int] = Field(default_factory=dict)
    """Seed -> approved items of the reviewed base that were hidden, because they leak under its splits."""

    @property
    def results(self) -> list[dict[str, Any]]:
        """A row for each method, split and kind of question, as `OpenRun.results` has them: what `pandas.DataFrame` takes."""
        return [
            {
                "method": method,
                "split": split,
                "kind": kind,
                "n": one.n,
                "accuracy": one.value,
                "low": one.low,
                "high": one.high,
            }
            for method, by_split in self.scores.items()
            for split, by_kind in by_split.items()
            for kind, one in by_kind.items()
        ]

    def __repr__(self) -> str:
        """Its name and its size."""
        return f"<comparison {self.name}: {len(self.methods)} methods, seeds {', '.join(map(str, self.seeds))}>"

    def __str__(self) -> str:
        """The table that `nesycd compare` prints."""
        from nesycd.reports.comparison_page import plain_comparison

        return plain_comparison(self)

    def _repr_html_(self) -> str:
        """For notebooks."""
        from nesycd.reports.comparison_page import comparison_table

        return comparison_table(self)


def compare(
    name: str,
    material: Material,
    primary: tuple[str, str, str, str],
    scored: Mapping[str, Mapping[str, int]],
    rates: Mapping[str, Mapping[int, float]],
    resamples: int,
    named: bool = False,
    reviewed: str = "",
) -> Comparison:
    """Put a comparison together.

    Args:
        name: of the comparison.
        material: see `read_material`.
        primary: left and right method, split, kind.
        scored: how often each method's answers were scored on each split.
        rates: with tuning, method -> seed -> the learning rate chosen.
        resamples: of the bootstrap.
        named: whether the recipe names the primary endpoint.
        reviewed: the reviewed base that all methods were given; "": there is none.

    Raises:
        ConfigError: the primary endpoint's split has no questions, or none of the kind that it names.
    """
    left, right, place, kind = primary
    if place not in material.splits:
        raise ConfigError(f"compare.primary.split: {place} has no questions")
    names = [row.name for row in material.rows]
    scores: dict[str, dict[str, dict[str, Figure]]] = {one: {} for one in names}
    differences: dict[str, dict[str, Difference]] = {one: {} for one in names if one != left}
    benchmarks: dict[str, dict[str, list[tuple[Draws, Figure]]]] = {one: {IN: [], OUT: []} for one in names}
    tests: dict[str, Difference] = {}
    for split in material.splits:
        for group, answers in groups(material, split).items():
            drawn = resample(answers, resamples, 0, f"{split}/{group}")
            for one in names:
                figure = _figure(answers, one, drawn[one])
                scores[one].setdefault(split, {})[group] = figure
                if group in _benchmarks(material, split):
                    benchmarks[one][domain(split)].append((drawn[one], figure))
            for one in differences if left in names and group in ("all", "special", "general") else ():
                gap = _difference(answers, left, one, drawn)
                differences[one][split if group == "all" else f"{split}/{group}"] = gap
                if (split, group) == (place, kind):
                    tests[one] = gap
    if kind not in next(iter(scores.values()), {}).get(place, {kind: None}):
        raise ConfigError(f"compare.primary.kind: no question of {place} is {kind}")
    first = tests.pop(right, None)
    key = place if kind == "all" else f"{place}/{kind}"
    for one, corrected in holm({one: gap.p for one, gap in tests.items()}).items():
        differences[one][key] = differences[one][key].model_copy(update={"p_holm": corrected})
    return Comparison(
        name=name,
        seeds=list(material.seeds),
        methods={
            row.name: MethodInfo(
                role=row.method.role,
                about=row.method.about,
                supervision=material.supervision.get(row.name, ""),
                learning_rates={str(seed): rate for seed, rate in rates.get(row.name, {}).items()},
                base={str(seed): held for (name, seed), held in material.bases.items() if name == row.name},
            )
            for row in material.rows
        },
        scores=scores,
        domains={one: _domains(benchmarks[one]) for one in names},
        primary=Primary(named=named, left=left, right=right, split=place, kind=kind, difference=first),
        differences=differences,
        costs={row.name: cost(material, row, place) for row in material.rows},
        errors={row.name: _causes(material, row, place) for row in material.rows},
        leaks={str(seed): _leaks(one) for seed, one in material.results.items()},
        scored={one: dict(counts) for one, counts in scored.items()},
        resamples=resamples,
        reviewed=reviewed,
        hidden={str(seed): _hidden(one) for seed, one in material.results.items()} if reviewed else {},
    )


def domain(split: str) -> str:
    """Splits called `ood_...` are out of domain."""
    return OUT if split.startswith("ood_") else IN


def _benchmarks(material: Material, split: str) -> set[str]:
    tasks = {e.task for seed in material.seeds for e in material.examples[seed, split].values()}
    found = {benchmark(task) for task in tasks}
    return found if len(found) > 1 and any("/" in task for task in tasks) else {"all"}


def benchmark(task: str) -> str:
    """The benchmark of a task: `bbh` of `bbh/navigate`."""
    return task.partition("/")[0]


def groups(material: Material, split: str) -> dict[str, Answers]:
    """`all`, the kinds of question, and the benchmarks where a split has several: the answers of each group."""
    members: dict[str, list[tuple[int, Example]]] = defaultdict(list)
    several = _benchmarks(material, split)
    for seed in material.seeds:
        for example in material.examples[seed, split].values():
            members["all"].append((seed, example))
            if kind := material.kinds.get(example.task, ""):
                members[kind].append((seed, example))
            if (name := benchmark(example.task)) in several:
                members[name].append((seed, example))
    return {group: _answers(material, split, rows) for group, rows in members.items()}


def _answers(material: Material, split: str, rows: Sequence[tuple[int, Example]]) -> Answers:
    right = {
        row.name: np.array([float(material.attempts[row.name, seed, split][e.uid].correct) for seed, e in rows])
        for row in material.rows
    }
    # A question without a template is its own cluster, over all seeds that ask it.
    templates = [example.template or f"={example.uid}" for _, example in rows]
    return Answers([e.task for _, e in rows], templates, [seed for seed, _ in rows], right)


def _by_seed(answers: Answers, values: Any) -> list[float]:
    seeds = np.array(answers.seeds)
    return [float(values[seeds == seed].mean()) for seed in sorted(set(answers.seeds))]


def _figure(answers: Answers, name: str, drawn: Draws) -> Figure:
    right = answers.right[name]
    value = float(right.mean())
    low, high = interval(drawn, value)
    if right.min() == right.max() or _alone(answers):
        low, high = _independent(value, _each(answers))
    return Figure(n=len(answers), value=value, low=low, high=high, seeds=_by_seed(answers, answers.right[name]))


def _independent(value: float, n: int) -> tuple[float, float]:
    """The interval where nothing varies or nothing can be drawn: of one seed's questions, as if independent."""
    alone = wilson(round(value * n), n)
    return alone.low or 0.0, alone.high or 0.0


def _alone(answers: Answers) -> bool:
    """Whether there is one seed and one question template: no interval can be drawn from one unit."""
    return len(set(answers.seeds)) == 1 == len(set(zip(answers.tasks, answers.templates, strict=True)))


def _each(answers: Answers) -> int:
    """Questions of one seed, on the average."""
    return max(1, len(answers) // len(set(answers.seeds)))


def _difference(answers: Answers, left: str, right: str, drawn: Mapping[str, Draws]) -> Difference:
    gap = answers.right[left] - answers.right[right]
    value, between = float(gap.mean()), drawn[left] - drawn[right]
    low, high = interval(between, value)
    p = two_sided(between)
    if gap.min() == gap.max() or _alone(answers):
        # As in `_figure`.
        each = _each(answers)
        won, lost = (round(each * float((sign * gap > 0).mean())) for sign in (1, -1))
        alone = agresti_min(won, lost, each)
        low, high, p = alone.low or 0.0, alone.high or 0.0, sign_test(won, lost)
    return Difference(n=len(answers), value=value, low=low, high=high, seeds=_by_seed(answers, gap), p=p)


def _domains(found: Mapping[str, Sequence[tuple[Draws, Figure]]]) -> dict[str, Figure]:
    made = {}
    for name, parts in found.items():
        if parts:
            value = float(np.mean([figure.value for _, figure in parts]))
            drawn = np.mean([draws for draws, _ in parts], axis=0)
            if len(parts) == 1:
                low, high = parts[0][1].low, parts[0][1].high
            elif np.nanmin(drawn) == np.nanmax(drawn):
                low, high = _independent(value, sum(figure.n // len(figure.seeds) for _, figure in parts))
            else:
                low, high = interval(drawn, value)
            each = [float(np.mean(values)) for values in zip(*(figure.seeds for _, figure in parts), strict=True)]
            made[name] = Figure(n=sum(figure.n for _, figure in parts), value=value, low=low, high=high, seeds=each)
    return made


def _causes(material: Material, row: Row, split: str) -> dict[str, float]:
    pairs = [
        (example, material.attempts[row.name, seed, split][uid])
        for seed in material.seeds
        for uid, example in material.examples[seed, split].items()
    ]
    return {cause: count / len(pairs) for cause, count in causes(pairs).items()}


def _leaks(results: Results) -> int | None:
    found = results.method.leaks if results.method else None
    return found.approved_leaking if found else None


def _hidden(results: Results) -> int:
    found = results.method.leaks if results.method else None
    return found.refused if found else 0


def load_comparison(path: Path) -> Comparison:
    """Read a `comparison.json`.

    Raises:
        RunError: no such file, not JSON, or not the contract.
    """
    try:
        return Comparison.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, RecursionError) as error:
        raise RunError(f"{path}: not a readable comparison: {str(error).splitlines()[0]}") from None
