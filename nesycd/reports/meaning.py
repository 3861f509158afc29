"""What the figures of a run or a comparison mean, as one sentence: better, worse or not told apart, by how much, and where.

Pure functions of the figures. Two methods are told apart where the 95 % interval of their paired difference excludes zero.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from nesycd.methods.table import BASELINE, MAIN, METHODS, UNPLUGGED
from nesycd.reports.comparison import Comparison, Difference
from nesycd.reports.results import FEW, Estimate, Results, Score, kinds_in_order, score_of

Verdict = Literal["better", "worse", "not told apart", "not compared"]
SIGNIFICANT = 0.05
"""Below it a p-value corrected by Holm counts."""
_WHO = {
    MAIN: "the student with its knowledge base",
    BASELINE: "the student trained on rationales alone",
    UNPLUGGED: "the same student without the base",
}
_KINDS = {"special": "that need special knowledge", "general": "that need none"}


@dataclass(frozen=True)
class Meaning:
    """One sentence, and what it says of the first method that it names."""

    verdict: Verdict
    sentence: str


@dataclass(frozen=True)
class Pair:
    """Two methods held against each other on a split; `kinds` has the differences, that of `all` questions among them."""

    split: str
    left: str
    right: str
    kinds: Mapping[str, Estimate]

    @property
    def difference(self) -> Estimate:
        """Over all questions of the split."""
        return self.kinds["all"]


def verdict_of(value: float | None, low: float | None, high: float | None) -> Verdict:
    """What a paired difference and its interval say of the left method."""
    if value is None:
        return "not compared"
    if low is None or high is None or low <= 0 <= high:
        return "not told apart"
    return "better" if low > 0 else "worse"


def main_pair(results: Results) -> Pair | None:
    """What a run's sentence is about: NesyCD held against the first of its baselines, on the first split where that is known."""
    for split in results.splits():
        found = [
            Pair(split, left, right, kinds)
            for pair, kinds in results.differences.get(split, {}).items()
            for left, _, right in [pair.partition(" - ")]
            if "all" in kinds and kinds["all"].value is not None
        ]
        if found:
            return next((pair for pair in found if pair.left == MAIN), found[0])
    return None


def run_meaning(results: Results) -> Meaning:
    """What the figures of a run mean."""
    pair = main_pair(results)
    if pair is None:
        return Meaning("not compared", _alone(results))
    gap = pair.difference
    scores = [score_of(results.methods.get(name, {}).get(pair.split), "all") for name in (pair.left, pair.right)]
    # Accuracies over other questions than the difference would contradict it.
    shares = [score.accuracy if score is not None and score.n == gap.n else None for score in scores]
    where = f"On {_counted(gap.n, f'{pair.split} question')}"
    sentence = f"{where} {_held(pair.left, pair.right, shares[0], shares[1], gap.value, gap.low, gap.high)}"
    parts = [_by_kind(kind, pair.kinds[kind]) for kind in kinds_in_order(pair.kinds) if kind != "all"]
    known = [part for part in parts if part]
    return Meaning(
        verdict_of(gap.value, gap.low, gap.high),
        f"{sentence}{f'; {_listed(known)}' if len(known) > 1 else ''}.",
    )


def comparison_meaning(made: Comparison) -> Meaning:
    """What a comparison found at its primary endpoint, and how its left method stands against the other baselines and rivals."""
    first = made.primary
    questions = first.split if first.kind == "all" else f"{first.kind} {first.split}"
    if first.difference is None:
        figures = {name: by_split.get(first.split, {}).get(first.kind) for name, by_split in made.scores.items()}
        here = {name: figure for name, figure in figures.items() if figure is not None}
        missing = _listed([name for name in (first.left, first.right) if name not in made.methods])
        why = f"{missing} {'were' if ' and ' in missing else 'was'} not run" if missing else "no answers are shared"
        if not here:
            return Meaning("not compared", f"No answers were scored, so there is nothing to say: {why}.")
        shares = {name: figure.value for name, figure in here.items()}
        one = here[_highest(shares)[0]]
        told = _most(shares, f"the {questions} questions", one.low, one.high)
        return Meaning(
            "not compared", f"{told}; {why}, so {first.left} and {first.right} cannot be held against each other."
        )
    gap = first.difference
    pair = [made.scores[name].get(first.split, {}).get(first.kind) for name in (first.left, first.right)]
    values = [None if figure is None else figure.value for figure in pair]
    what = f"{questions} question"
    where = (
        f"On {_counted(gap.n, what)}"
        if len(made.seeds) == 1
        else f"Over {len(made.seeds)} seeds, in {gap.n:,} answers to {what}s,"
    )
    sentence = f"{where} {_held(first.left, first.right, values[0], values[1], gap.value, gap.low, gap.high)}"
    place = first.split if first.kind == "all" else f"{first.split}/{first.kind}"
    others = {
        name: _corrected(gaps[place])
        for name, gaps in made.differences.items()
        if name != first.right and place in gaps and made.methods[name].role in ("baseline", "rival")
    }
    return Meaning(verdict_of(gap.value, gap.low, gap.high), f"{sentence}{_against(others)}.")


def _held(
    left: str,
    right: str,
    left_share: float | None,
    right_share: float | None,
    value: float | None,
    low: float | None,
    high: float | None,
) -> str:
    """`the student ... (nesycd, 83.1 % right) is better than ... by 57.6 points (95 % interval 47.8 to 66.0)`."""
    one, other = _named(left, left_share), _named(right, right_share)
    verdict = verdict_of(value, low, high)
    gap = 0.0 if value is None else value
    if verdict == "not told apart":
        ends = (
            "and has no interval"
            if low is None or high is None
            else f"its 95 % interval {100 * low:+.1f} to {100 * high:+.1f}"
        )
        told = f"the difference is {100 * gap:+.1f} points, {ends}"
        return f"{one} cannot be told apart from {other}: {told}"
    assert low is not None and high is not None
    least, most = (low, high) if verdict == "better" else (-high, -low)
    told = f"by {100 * abs(gap):.1f} points (95 % interval {100 * least:.1f} to {100 * most:.1f})"
    return f"{one} is {verdict} than {other} {told}"


def _named(name: str, share: float | None) -> str:
    right = "" if share is None else f"{100 * share:.1f} % right"
    who = _WHO.get(name)
    if who is None:
        return f"{name} ({right})" if right else name
    return f"{who} ({', '.join(filter(None, (name, right)))})"


def _by_kind(kind: str, gap: Estimate) -> str:
    if gap.value is None:
        return ""
    which = _KINDS.get(kind, f"of the kind {kind}")
    many = f"{'only' if gap.n < FEW else 'the'} {gap.n:,}"
    return f"{verdict_of(gap.value, gap.low, gap.high)} on {many} {which} ({100 * gap.value:+.1f})"


def _alone(results: Results) -> str:
    """Of a run in which no two methods are held against each other."""
    for split in results.splits():
        here: dict[str, Score] = {
            name: by_split[split] for name, by_split in results.methods.items() if split in by_split
        }
        shares = {name: one.accuracy for name, one in here.items() if one.accuracy is not None}
        if not shares:
            continue
        first = here[_highest(shares)[0]]
        told = _most(shares, _counted(first.n, f"{split} question"), first.low, first.high)
        if len(shares) == 1:
            return f"{told}; no other method was scored, so what the knowledge base brings cannot be said."
        return (
            f"{told}; no two methods are held against each other, so whether that is more than chance cannot be said."
        )
    return "No answers were scored, so there is nothing to say of accuracy."


def _highest(shares: Mapping[str, float]) -> list[str]:
    """The methods with the highest share, without ceilings, unless there are no others."""
    among = {name: one for name, one in shares.items() if not _is_ceiling(name)} or shares
    return [name for name, one in among.items() if one == max(among.values())]


def _corrected(gap: Difference) -> Verdict:
    """What a difference says once it is corrected for the number of tests."""
    if gap.p_holm is None:
        return verdict_of(gap.value, gap.low, gap.high)
    return "not told apart" if gap.p_holm >= SIGNIFICANT else "better" if gap.value > 0 else "worse"


def _against(others: Mapping[str, Verdict]) -> str:
    """How many other methods are behind, level and ahead; those ahead are named."""
    if not others:
        return ""
    ahead = [name for name, one in others.items() if one == "worse"]
    level = sum(one == "not told apart" for one in others.values())
    many = f"the {len(others)} other methods"
    if len(others) == 1:
        told = f"{next(iter(others.values()))} {'from' if level else 'than'} {next(iter(others))}"
    elif not ahead and level in (0, len(others)):
        told = f"not told apart from any of {many}" if level else f"better than each of {many}"
    else:
        counts = ((len(others) - level - len(ahead), "better than {}"), (level, "not told apart from {}"))
        parts = [form.format(count) for count, form in counts if count]
        told = f"{_listed([*parts, *([f'worse than {_listed(ahead)}'] if ahead else [])])} of {many}"
    return f"; it is {told} (p < {SIGNIFICANT:g} after Holm's correction)"


def _counted(count: int, what: str) -> str:
    if count == 1:
        return f"only one {what}"
    return f"{'only' if count < FEW else 'the'} {count:,} {what}s"


def _most(shares: Mapping[str, float], where: str, low: float | None, high: float | None) -> str:
    """`of the methods on the 118 test questions raft_kb has the highest accuracy, 64.4 % (95 % interval 55.4 to 72.6)`.

    `low` and `high` are those of the first of the best methods. Ceilings, which are given the needed facts, are left aside.
    """
    best = _highest(shares)
    ends = f" (95 % interval {100 * low:.1f} to {100 * high:.1f})" if low is not None and high is not None else ""
    share = f"{100 * shares[best[0]]:.1f} %{ends if len(best) == 1 else ''}"
    if len(shares) == 1:
        return f"{best[0]} answers {share} of {where} right"
    aside = ", ceilings aside," if any(_is_ceiling(name) for name in shares) else ""
    return f"On {where}{aside} {_listed(best)} {'has' if len(best) == 1 else 'have'} the highest accuracy, {share}"


def _is_ceiling(name: str) -> bool:
    return name in METHODS and METHODS[name].role == "ceiling"


def _listed(parts: Sequence[str]) -> str:
    """`a, b and c`; "" of nothing."""
    *rest, last = parts or [""]
    return f"{', '.join(rest)} and {last}" if rest else last
