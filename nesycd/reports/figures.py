"""What the steps of the method did, in a few named figures: the same in the terminal and on the page."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from nesycd.methods.table import is_routed
from nesycd.reports.results import (
    Goals,
    KnowledgeUse,
    Leaks,
    Method,
    MethodScore,
    Results,
    TeacherCost,
    TrainingCalls,
    kinds_in_order,
)


def method_figures(results: Results) -> Iterator[tuple[str, str]]:
    """Name and figures, in the order in which the method goes; what a run does not know is left out."""
    method = results.method
    if method is not None:
        yield "rationales", _counts(method.rationales)
        yield "S_P's errors", _errors(method)
        yield "leak filter", _leaks(method.leaks)
        if method.gate:
            counts = (f"{one.passed:,} of {one.judged:,} {kind}s" for kind, one in method.gate.items())
            yield "gate", f"{', '.join(counts)} proven"
        if method.self_check is not None:
            checked = method.self_check
            yield (
                "self-check",
                f"{checked.repaired:,} of {checked.asked:,} errors repaired by the items they gave rise to",
            )
        if method.knowledge_use is not None:
            yield "knowledge on valid", _use(method.knowledge_use)
        if method.teacher is not None:
            yield "teacher's answers", _cost(method.teacher)
    recall = {f"training {name}": share for name, share in method.train_recall if share is not None} if method else {}
    known = {split: part.needed_fact_recall for split, part in results.retrieval.items()}
    recall |= {split: share for split, share in known.items() if share is not None}
    if recall:
        yield "recall of needed facts", ", ".join(f"{name} {percent(share)}" for name, share in recall.items())
    if method is not None:
        yield "training mix of S_E", _counts(method.mix.items())
        if method.calls is not None:
            yield "look-ups in rationales", _places(method.calls)
        yield "completion tokens", ", ".join(f"{name} {count:,}" for name, count in method.completion_tokens.items())
    if asked := [f"{name}: {score.look_ups / score.n:.1f}" for name, score in _on_test(results) if score.look_ups]:
        yield "look-ups an answer, on test", ", ".join(asked)
    if asked := [f"{name}: {_goals(score.goals)}" for name, score in _on_test(results) if score.goals]:
        yield "goals for rules, on test", ", ".join(asked)
    if router := ", ".join(_router(results)):
        yield "router", router


def _on_test(results: Results) -> Iterator[tuple[str, MethodScore]]:
    """The methods with their scores on test."""
    for name, splits in results.methods.items():
        if (score := splits.get("test")) is not None and score.n:
            yield name, score


def _goals(goals: Goals) -> str:
    told = f"{goals.reached:,} of {goals.asked:,} reached"
    if (read := goals.statements) is None:
        return told
    right = percent(read.right / read.made if read.made else 0)
    return f"{told}, {right} of the statements right, {percent(read.right / read.needed)} of what is stated read"


def _places(calls: TrainingCalls) -> str:
    with_some = sum(count for size, count in calls.by_look_ups.items() if size != "0")
    others = ", ".join(f"{count:,} {reason}" for reason, count in calls.skipped.items() if count)
    left = f"; left as they are: {others}" if others else ""
    return f"{calls.look_ups:,} places in {with_some:,} of {calls.rationales:,} rationales{left}"


def percent(share: float | None) -> str:
    """`93.1 %`, or a dash."""
    return "–" if share is None else f"{100 * share:.1f} %"


def _errors(method: Method) -> str:
    rates = method.error_rates
    how = "out of fold" if rates.collection == "out_of_fold" else "in-sample"
    valid = "" if rates.valid is None else f", {percent(rates.valid)} on valid"
    return f"{percent(rates.collected)} {how}{valid}"


def _leaks(leaks: Leaks) -> str:
    others = leaks.ill_formed + leaks.instance_specific
    more = f"{others:,} more by other filters, " if others else ""
    share = percent(leaks.approved_leaking / leaks.approved if leaks.approved else 0.0)
    return (
        f"{leaks.refused:,} of {leaks.proposed:,} proposed items refused, {more}"
        f"{share} of {leaks.approved:,} approved items leak"
    )


def _use(use: KnowledgeUse) -> str:
    return f"{use.shown:,} of {use.approved:,} items shown, {use.useful:,} in prompts that turned a wrong answer right"


def _cost(cost: TeacherCost) -> str:
    tokens = f"{cost.prompt_tokens:,} + {cost.completion_tokens:,} tokens"
    if cost.usd is None:
        return f"{tokens}, price unknown"
    parts = {"a kept rationale": cost.usd_per_kept_rationale, "a useful item": cost.usd_per_useful_item}
    each = ", ".join(f"{_usd(usd)} {what}" for what, usd in parts.items() if usd is not None)
    return f"{tokens}, {_usd(cost.usd)}" + (f": {each}" if each else "")


def _usd(usd: float) -> str:
    """To a millionth of a dollar, without trailing zeros."""
    return f"{usd:.6f}".rstrip("0").rstrip(".") + " USD"


def _router(results: Results) -> Iterator[str]:
    for key, value in results.router.items():
        yield f"{key} {value:.3f}" if isinstance(value, float) else f"{key} {value}"
    if results.method is not None:
        made = results.method.calibration
        yield f"score {made.score:.3f} on {made.n:,} {made.split} drafts"
    routed = next((by_split.get("test") for name, by_split in results.methods.items() if is_routed(name)), None)
    if routed is not None:
        shares = {kind: routed.by_kind[kind].routed for kind in kinds_in_order(routed.by_kind)} or {
            "test": routed.routed
        }
        yield "routed " + ", ".join(f"{100 * share:.0f} % of {kind}" for kind, share in shares.items())


def _counts(counts: Iterable[tuple[str, int]]) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in counts)
