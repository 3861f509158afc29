"""`comparison.json`: methods side by side over seeds, put together from their run folders (`docs/compare.md`).

Nothing is run here. Accuracies are fractions (0-1), differences fractions (-1 to 1), tokens and seconds as their names say.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from nesycd.errors import ConfigError, RunError
from nesycd.records import Attempt, Diagnosis, Example, Rationale
from nesycd.reports.causes import causes
from nesycd.reports.crossed import Answers, Draws, holm, interval, resample, two_sided
from nesycd.reports.results import Results, load_results
from nesycd.run import read_records
from nesycd.run_stage import read_states

SCHEMA = "comparison/1"
IN, OUT = "in domain", "out of domain"


@dataclass(frozen=True)
class Row:
    """A method as the comparison reads it: seed -> the run folder that holds its answers, and their name there."""

    name: str
    sort: str
    about: str
    folders: Mapping[int, Path]
    arm: str


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Figure(_Part):
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


class Cost(_Part):
    """What a method costs, a mean over seeds: what was paid for once, and what each test question takes."""

    teacher_tokens: float
    usd: float | None
    trained_tokens: float
    """Read in all trainings that the method needs, those of the students whose errors are diagnosed among them."""
    completion_tokens: float
    """With a loss, over the lineage of the student that answers: what methods have in common."""
    train_seconds: float
    prompt_tokens_each: float
    answer_tokens_each: float
    seconds_each: float


class MethodInfo(_Part):
    """What a row is."""

    sort: Literal["arm", "rival", "ablation"]
    about: str
    learning_rates: dict[str, float] = Field(default_factory=dict)
    """With tuning: seed -> the rate that was best on valid."""


class Primary(_Part):
    """The comparison that was named beforehand."""

    left: str
    right: str
    split: str
    kind: str
    difference: Difference | None
    """None where one of the two was not run."""


class Comparison(_Part):
    """All of `comparison.json`."""

    model_config = ConfigDict(populate_by_name=True)
    schema_: Literal["comparison/1"] = Field(alias="schema", default="comparison/1")
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
    leaks: dict[str, int]
    """Approved items that leak, by seed."""
    scored: dict[str, dict[str, int]]
    """METHOD, SPLIT: how often other answers were scored there under one seed, at most: 1 where nothing was tried twice."""
    resamples: int

    def to_json(self) -> dict[str, Any]:
        """The JSON object, `schema` first."""
        return self.model_dump(mode="json", by_alias=True)


@dataclass
class Material:
    """What is read from the folders of a comparison."""

    rows: Sequence[Row]
    seeds: Sequence[int]
    splits: Sequence[str]
    attempts: dict[tuple[str, int, str], dict[str, Attempt]] = field(default_factory=dict)
    """(method, seed, split) -> `Example.uid` -> attempt."""
    examples: dict[tuple[int, str], dict[str, Example]] = field(default_factory=dict)
    results: dict[int, Results] = field(default_factory=dict)

    @cached_property
    def kinds(self) -> dict[str, str]:
        """Task -> kind of question, "" where the benchmark does not say."""
        return {task: info.kind for one in self.results.values() for task, info in one.tasks.items()}


def read_material(rows: Sequence[Row], seeds: Sequence[int], splits: Sequence[str]) -> Material:
    """Read answers and questions.

    Raises:
        RunError: a damaged file, or a method that lacks answers.
    """
    made = Material(rows, seeds, splits)
    for row in rows:
        for seed in seeds:
            folder = row.folders[seed]
            for split in splits:
                if (seed, split) not in made.examples:
                    made.examples[seed, split] = {e.uid: e for e in read_records(folder, f"examples-{split}", Example)}
                found = {a.example: a for a in read_records(folder, f"eval-{split}-{row.arm}", Attempt)}
                if missing := made.examples[seed, split].keys() - found.keys():
                    raise RunError(
                        f"{folder}: {row.arm} has no answer to {min(missing)} of {split}; compare again to go on"
                    )
                made.attempts[row.name, seed, split] = found
    first = min(rows, key=lambda row: row.sort == "ablation")
    for seed in seeds:
        made.results[seed] = load_results(first.folders[seed] / "results.json")
    return made


def compare(
    name: str,
    material: Material,
    primary: tuple[str, str, str, str],
    scored: Mapping[str, Mapping[str, int]],
    rates: Mapping[str, Mapping[int, float]],
    resamples: int,
) -> Comparison:
    """Put a comparison together.

    Args:
        name: of the comparison.
        material: see `read_material`.
        primary: left and right method, split, kind.
        scored: how often each method's answers were scored on each split.
        rates: with tuning, method -> seed -> the learning rate chosen.
        resamples: of the bootstrap.

    Raises:
        ConfigError: the primary endpoint names a kind of question that its split does not have.
    """
    left, right, place, kind = primary
    names = [row.name for row in material.rows]
    scores: dict[str, dict[str, dict[str, Figure]]] = {one: {} for one in names}
    differences: dict[str, dict[str, Difference]] = {one: {} for one in names if one != left}
    benchmarks: dict[str, dict[str, list[tuple[Draws, Figure]]]] = {one: {IN: [], OUT: []} for one in names}
    tests: dict[str, Difference] = {}
    for split in material.splits:
        for group, answers in groups(material, split).items():
            drawn = resample(answers, resamples, len(group))
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
                sort=row.sort,  # type: ignore[arg-type]
                about=row.about,
                learning_rates={str(seed): rate for seed, rate in rates.get(row.name, {}).items()},
            )
            for row in material.rows
        },
        scores=scores,
        domains={one: _domains(benchmarks[one]) for one in names},
        primary=Primary(left=left, right=right, split=place, kind=kind, difference=first),
        differences=differences,
        costs={row.name: cost(material, row, place) for row in material.rows},
        errors={row.name: _causes(material, row, place) for row in material.rows},
        leaks={str(seed): _leaks(one) for seed, one in material.results.items()},
        scored={one: dict(counts) for one, counts in scored.items()},
        resamples=resamples,
    )


def domain(split: str) -> str:
    """Splits called `ood_...` are out of domain."""
    return OUT if split.startswith("ood_") else IN


def _benchmarks(material: Material, split: str) -> set[str]:
    found = {benchmark(e.task) for seed in material.seeds for e in material.examples[seed, split].values()}
    return found if len(found) > 1 and any("/" in e.task for e in _all_examples(material, split)) else {"all"}


def _all_examples(material: Material, split: str) -> list[Example]:
    return [e for seed in material.seeds for e in material.examples[seed, split].values()]


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
    value = float(answers.right[name].mean())
    low, high = interval(drawn, value)
    return Figure(n=len(answers), value=value, low=low, high=high, seeds=_by_seed(answers, answers.right[name]))


def _difference(answers: Answers, left: str, right: str, drawn: Mapping[str, Draws]) -> Difference:
    gap = answers.right[left] - answers.right[right]
    value, between = float(gap.mean()), drawn[left] - drawn[right]
    low, high = interval(between, value)
    return Difference(
        n=len(answers), value=value, low=low, high=high, seeds=_by_seed(answers, gap), p=two_sided(between)
    )


def _domains(found: Mapping[str, Sequence[tuple[Draws, Figure]]]) -> dict[str, Figure]:
    made = {}
    for name, parts in found.items():
        if parts:
            value = float(np.mean([figure.value for _, figure in parts]))
            low, high = interval(np.mean([drawn for drawn, _ in parts], axis=0), value)
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


def _leaks(results: Results) -> int:
    found = results.method.leaks if results.method else None
    return found.approved_leaking if found else 0


# --- costs -----------------------------------------------------------------------------------------------------------

READS_KB = ("kb", "nesycd", "facts_in_weights", "rules_alone")
"""In the names of methods that need the knowledge base, and so the diagnoses and the students whose errors were diagnosed."""


def cost(material: Material, row: Row, split: str) -> Cost:
    """What a method costs, as a mean over seeds."""
    each = [_cost(material, row, seed, split) for seed in material.seeds]
    usd = [one.usd for one in each]
    return Cost(
        usd=None if None in usd else float(np.mean([one or 0.0 for one in usd])),
        **{key: float(np.mean([getattr(one, key) for one in each])) for key in Cost.model_fields if key != "usd"},
    )


def _cost(material: Material, row: Row, seed: int, split: str) -> Cost:
    folder = row.folders[seed]
    answers = list(material.attempts[row.name, seed, split].values())
    n = max(1, len(answers))
    states = read_states(folder)
    own, needed = _trainings(row, states, _continues(folder))
    needs_base = row.sort == "ablation" or any(part in row.arm for part in READS_KB)
    asked: list[Rationale | Diagnosis] = []
    if needed or needs_base:
        asked += read_records(folder, "rationales", Rationale)
    if needs_base:
        asked += read_records(folder, "diagnoses", Diagnosis)
    usd = [one.usd for one in asked]
    tokens = sum(one.prompt_tokens + one.completion_tokens for one in asked)
    return Cost(
        teacher_tokens=tokens,
        usd=0.0 if not tokens else None if None in usd else sum(one or 0.0 for one in usd),
        trained_tokens=sum(states[name]["metadata"]["tokens"] for name in needed),
        completion_tokens=sum(states[name]["metadata"]["completion_tokens"] for name in own),
        train_seconds=sum(states[name]["seconds"] for name in needed),
        prompt_tokens_each=sum(one.prompt_tokens for one in answers) / n,
        answer_tokens_each=sum(one.completion_tokens for one in answers) / n,
        seconds_each=sum(one.seconds for one in answers) / n,
    )


def _continues(folder: Path) -> bool:
    """Whether S_E was trained on from S_P."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    return bool(config["augmented"]["init"] == "general")


def _trainings(row: Row, states: Mapping[str, Any], started: bool) -> tuple[list[str], list[str]]:
    """The stages that trained the answering student's lineage, and all trainings that the method needs."""
    folds = [name for name in states if name.startswith("fold-")]
    if row.arm in ("zero_shot", "few_shot", "rules_alone", "zero_shot_kb"):
        own: list[str] = []
    elif f"rival-{row.arm}" in states:
        own = [f"rival-{row.arm}"]
    elif row.arm.startswith("std_cot"):
        own = ["std-cot" if "std-cot" in states else "general"]
    elif row.arm == "whole_kb":
        own = ["general"]
    else:
        own = (["general"] if started else []) + (["augmented"] if "augmented" in states else ["general"])
    base = ["general", *folds] if row.sort == "ablation" or any(part in row.arm for part in READS_KB) else []
    return own, list(dict.fromkeys([*own, *base]))


def load_comparison(path: Path) -> Comparison:
    """Read a `comparison.json`.

    Raises:
        RunError: no such file, not JSON, or not the contract.
    """
    try:
        return Comparison.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise RunError(f"{path}: not a readable comparison: {str(error).splitlines()[0]}") from None
