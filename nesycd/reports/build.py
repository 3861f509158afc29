"""From attempts to the numbers of `results.json`: pure functions over plain records."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from nesycd.calls import DERIVE, LOOK_UP
from nesycd.core.answers import Attempt
from nesycd.core.errors import DataError
from nesycd.core.records import Example
from nesycd.core.text import normal
from nesycd.methods import table
from nesycd.reports.results import SCHEMA, SPLITS, Knowledge, Results, in_order
from nesycd.reports.stats import Design, Interval, accuracy_interval, gap_closed, paired_difference

_BUCKETS = ((16, "16+"), (8, "8-15"), (4, "4-7"))
Answers = dict[str, Attempt]
"""`Example.uid` -> attempt."""
BUCKETS = ("0", "1", "2", "3", "4-7", "8-15", "16+")
"""Training frequencies in the order in which reports show them."""


@dataclass(frozen=True)
class Evaluation:
    """Everything the report of a run is made of."""

    examples: Iterable[Example]
    """All evaluated questions, of every split; `uid` is unique, and one question may serve several splits."""
    attempts: Mapping[tuple[str, str], Sequence[Attempt]]
    """(method, split) -> one attempt for each question."""
    kinds: Mapping[str, str]
    """`Example.task` -> `special`, `general` or ""."""
    frequency: Mapping[str, int | None]
    """`Example.uid` -> how many training questions the rarest of its needed facts occurs in; None: needs no fact."""
    knowledge: Mapping[str, Any]
    """`items`, `by_kind`, `by_status` of the knowledge base; `trained_with` and `used` where known."""
    recall: Mapping[str, float | None]
    """Split -> share of all needed facts that arrived in the prompt."""
    seconds: Mapping[str, float]
    """Stage -> seconds."""
    answer_in_context: Mapping[str, Mapping[str, bool]] = field(default_factory=dict)
    """Split -> `Example.uid` -> whether the question's retrieved context holds the gold answer."""
    router: Mapping[str, str | float] = field(default_factory=dict)
    method: Mapping[str, Any] | None = None
    """Counts and rates of the method's steps; None where only methods were scored."""
    supervision: Mapping[str, str] = field(default_factory=dict)
    """Method -> what it was trained on and is told (`reports.supervision`)."""
    total_seconds: float | None = None
    """Wall time of the run; None: the sum of the stages."""
    resamples: int = 2000
    seed: int = 0

    @cached_property
    def by_uid(self) -> dict[str, Example]:
        """The questions by `uid`."""
        return {example.uid: example for example in self.examples}


def build_results(evaluation: Evaluation) -> dict[str, Any]:
    """All of `results.json` as a JSON object that keeps the contract of `docs/results.md`.

    Raises:
        DataError: an attempt at an unknown question, or two attempts of a method at one question.
    """
    answered = {key: _by_uid(evaluation, *key) for key in evaluation.attempts}
    methods: dict[str, dict[str, Any]] = {}
    for method in table.in_order({method for method, _ in answered}):
        splits = in_order({split for name, split in answered if name == method}, SPLITS)
        methods[method] = {split: _method_score(evaluation, answered[method, split]) for split in splits}
    tasks = sorted({evaluation.by_uid[uid].task for attempts in answered.values() for uid in attempts})
    splits = in_order({split for _, split in answered}, SPLITS)
    return Results.model_validate(
        {
            "schema": SCHEMA,
            "tasks": {task: {"kind": evaluation.kinds.get(task, "")} for task in tasks},
            "methods": methods,
            "supervision": {name: evaluation.supervision[name] for name in methods if name in evaluation.supervision},
            **_comparisons(evaluation, answered, splits),
            "known_unknown": _known_unknown(evaluation, answered, splits),
            "retrieval": _retrieval(evaluation, answered),
            "knowledge": {
                key: evaluation.knowledge[key] for key in Knowledge.model_fields if key in evaluation.knowledge
            },
            "router": dict(evaluation.router),
            "method": evaluation.method,
            "seconds": dict(evaluation.seconds),
            "total_seconds": sum(evaluation.seconds.values())
            if evaluation.total_seconds is None
            else evaluation.total_seconds,
        }
    ).to_json()


SIDES = (("known", True), ("unknown", False))


def _retrieval(evaluation: Evaluation, answered: Mapping[tuple[str, str], Answers]) -> dict[str, Any]:
    """For each split recall, the share of contexts with the gold answer, and the accuracies on the questions without."""
    found: dict[str, Any] = {split: {"needed_fact_recall": value} for split, value in evaluation.recall.items()}
    for split, holds in evaluation.answer_in_context.items():
        part = found.setdefault(split, {"needed_fact_recall": None})
        part["answer_in_context"] = sum(holds.values()) / len(holds) if holds else None
        part["answer_not_in_context"] = {
            method: _score(evaluation, {uid: one for uid, one in answers.items() if not holds.get(uid, False)})
            for (method, name), answers in answered.items()
            if name == split and _reads_blocks(evaluation, method)
        }
    return found


def _known_unknown(
    evaluation: Evaluation, answered: Mapping[tuple[str, str], Answers], splits: Iterable[str]
) -> dict[str, Any]:
    """The methods of `knowledge_cells` on the questions that the baseline answers rightly, and on the others, of each split."""
    found: dict[str, Any] = {}
    for split in splits:
        first = answered.get((table.BASELINE, split), {})
        sides = {name: {uid for uid, one in first.items() if one.correct is right} for name, right in SIDES}
        here = [(method, answered[method, split]) for method in table.knowledge_cells() if (method, split) in answered]
        if first:
            found[split] = {
                name: {
                    method: _by_kind(evaluation, {u: a for u, a in answers.items() if u in uids})
                    for method, answers in here
                }
                for name, uids in sides.items()
            }
    return found


def _by_kind(evaluation: Evaluation, answers: Answers) -> dict[str, Any]:
    parts = {kind: _score(evaluation, part) for kind, part in _kinds(evaluation, answers).items()}
    return {**_score(evaluation, answers), "by_kind": parts}


def frequency_bucket(count: int) -> str:
    """The key of `by_frequency` for a number of training questions (0 or more)."""
    return next((name for least, name in _BUCKETS if count >= least), str(count))


def _held_against(here: Iterable[str]) -> list[tuple[str, str]]:
    """Pairs of methods whose difference is reported: what each brings, and what each part of it does."""
    rows = [method for method in table.METHODS.values() if method.name in set(here)]
    return [(method.name, other) for method in rows for other in method.against]


def _reads_blocks(evaluation: Evaluation, name: str) -> bool:
    """Whether a method may see all that is retrieved for a question, as where S_E looks nothing up (`table.as_trained`)."""
    row = table.METHODS.get(name)
    if row is None or row.source == "kb":
        return row is not None
    return row.student == table.MAIN and row.calls == "kb" and not (evaluation.method or {"calls": True}).get("calls")


def _by_uid(evaluation: Evaluation, method: str, split: str) -> Answers:
    answers: Answers = {}
    for attempt in evaluation.attempts[method, split]:
        if attempt.example not in evaluation.by_uid:
            raise DataError(
                f"method {method}, split {split}: attempt at {attempt.example!r}, which is not among the examples"
            )
        if attempt.example in answers:
            raise DataError(f"method {method}, split {split}: two attempts at {attempt.example!r}")
        answers[attempt.example] = attempt
    return answers


def _method_score(evaluation: Evaluation, answers: Answers) -> dict[str, Any]:
    attempts = list(answers.values())
    tasks = _groups(answers, lambda uid: evaluation.by_uid[uid].task)
    buckets = _groups(answers, lambda uid: _bucket(evaluation, uid))
    return {
        **_kind_score(evaluation, answers),
        "by_task": {
            task: {
                "n": len(tasks[task]),
                "accuracy": _share(tasks[task], _correct),
                "routed": _share(tasks[task], _routed),
            }
            for task in sorted(tasks)
        },
        "by_kind": {kind: _kind_score(evaluation, part) for kind, part in _kinds(evaluation, answers).items()},
        "by_frequency": {name: _score(evaluation, buckets[name]) for name in BUCKETS if name in buckets},
        "look_ups": len(look_ups := [c for attempt in attempts for c in attempt.calls if c.name == LOOK_UP]),
        "look_ups_found": sum(call.kind == "value" for call in look_ups),
        "goals": _goals(evaluation, answers),
        "goals_by_task": {task: told for task in sorted(tasks) if (told := _goals(evaluation, tasks[task]))},
        "prompt_tokens": sum(attempt.prompt_tokens for attempt in attempts),
        "completion_tokens": sum(attempt.completion_tokens for attempt in attempts),
        "knowledge_tokens": sum(attempt.knowledge_tokens for attempt in attempts),
        "seconds": sum(attempt.seconds for attempt in attempts),
    }


def _goals(evaluation: Evaluation, answers: Answers) -> dict[str, Any] | None:
    """The goals that rules were asked, and what was stated for them; None where none was asked."""
    goals = {uid: [call for call in attempt.calls if call.name == DERIVE] for uid, attempt in answers.items()}
    asked = [call for calls in goals.values() for call in calls]
    if not asked:
        return None
    made = right = needed = 0
    for uid, calls in goals.items():
        truth = evaluation.by_uid[uid].truth
        wanted = {normal(one.text) for one in truth.stated} if truth is not None else set()
        stated = {normal(one) for call in calls for one in call.given}
        made, right, needed = made + len(stated), right + len(stated & wanted), needed + len(wanted)
    told = {"made": made, "right": right, "needed": needed} if needed else None
    return {"asked": len(asked), "reached": sum(call.kind == "value" for call in asked), "statements": told}


def _kind_score(evaluation: Evaluation, answers: Answers) -> dict[str, Any]:
    delivered = _share(answers, lambda attempt: bool(attempt.knowledge))
    return {**_score(evaluation, answers), "routed": _share(answers, _routed), "delivered": delivered}


def _score(evaluation: Evaluation, answers: Answers) -> dict[str, Any]:
    correct = [attempt.correct for attempt in answers.values()]
    interval = accuracy_interval(correct, _design(evaluation, list(answers)))
    return {
        "n": interval.n,
        "correct": sum(correct),
        "accuracy": interval.value,
        "low": interval.low,
        "high": interval.high,
        "interval": interval.method,
    }


def _comparisons(
    evaluation: Evaluation, answered: Mapping[tuple[str, str], Answers], splits: Iterable[str]
) -> dict[str, Any]:
    """Paired differences, the gap closed and the gain by frequency, of each split."""
    differences: dict[str, Any] = {}
    gaps: dict[str, Any] = {}
    gains: dict[str, Any] = {}
    for split in splits:
        here = {method: answers for (method, name), answers in answered.items() if name == split}
        pairs = [(left, right) for left, right in _held_against(here) if right in here]
        differences[split] = {
            f"{left} - {right}": {
                kind: _estimate(paired_difference, evaluation, uids, here[left], here[right])
                for kind, uids in _shared_by_kind(evaluation, here[left], here[right]).items()
            }
            for left, right in pairs
        }
        if (table.MAIN, table.BASELINE) not in pairs:
            continue
        method, baseline = here[table.MAIN], here[table.BASELINE]
        both = {uid: method[uid] for uid in method if uid in baseline}
        buckets = _groups(both, lambda uid: _bucket(evaluation, uid))
        gains[split] = {
            name: _estimate(paired_difference, evaluation, list(buckets[name]), method, baseline)
            for name in BUCKETS
            if name in buckets
        }
        if (ceiling := table.oracle_of(table.MAIN)) in here:
            trio = (method, baseline, here[ceiling])
            shared = _shared_by_kind(evaluation, *trio)
            gaps[split] = {kind: _estimate(gap_closed, evaluation, uids, *trio) for kind, uids in shared.items()}
    return {"differences": differences, "gap_closed": gaps, "gain_by_frequency": gains}


def _shared_by_kind(evaluation: Evaluation, first: Answers, *others: Answers) -> dict[str, list[str]]:
    """The questions that all methods answered: those of each kind, and "all"."""
    shared = {uid: first[uid] for uid in first if all(uid in other for other in others)}
    return {**{kind: list(part) for kind, part in _kinds(evaluation, shared).items()}, "all": list(shared)}


def _estimate(
    statistic: Callable[..., Interval], evaluation: Evaluation, uids: list[str], *methods: Answers
) -> dict[str, Any]:
    columns = [[method[uid].correct for uid in uids] for method in methods]
    interval = statistic(*columns, _design(evaluation, uids))
    return {
        "n": interval.n,
        "value": interval.value,
        "low": interval.low,
        "high": interval.high,
        "interval": interval.method,
    }


def _design(evaluation: Evaluation, uids: list[str]) -> Design:
    examples = [evaluation.by_uid[uid] for uid in uids]
    return Design(
        [example.task for example in examples],
        [example.template for example in examples],
        evaluation.resamples,
        evaluation.seed,
    )


def _kinds(evaluation: Evaluation, answers: Answers) -> dict[str, Answers]:
    """The answers to each kind of question, by name of the kind; questions without a kind are left out."""
    kinds = _groups(answers, lambda uid: evaluation.kinds.get(evaluation.by_uid[uid].task, ""))
    return {kind: kinds[kind] for kind in sorted(kinds) if kind}


def _groups(answers: Answers, key: Callable[[str], str]) -> dict[str, Answers]:
    groups: dict[str, Answers] = {}
    for uid, attempt in answers.items():
        groups.setdefault(key(uid), {})[uid] = attempt
    return groups


def _bucket(evaluation: Evaluation, uid: str) -> str:
    count = evaluation.frequency.get(uid)
    return "" if count is None else frequency_bucket(count)


def _share(answers: Answers, holds: Callable[[Attempt], bool]) -> float:
    return sum(map(holds, answers.values())) / len(answers) if answers else 0.0


def _correct(attempt: Attempt) -> bool:
    return attempt.correct


def _routed(attempt: Attempt) -> bool:
    return attempt.routed
