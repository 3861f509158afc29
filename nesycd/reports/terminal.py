"""The results of a run in the terminal: one table of arms, and below it what the parts brought and cost (rich)."""

from __future__ import annotations

from collections.abc import Iterator

from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from nesycd.reports.figures import method_figures
from nesycd.reports.results import ArmScore, Estimate, Results, Score

FEW = 30
"""Below so many questions an accuracy is marked: its interval is some 30 points wide."""
SLOWEST = 6
"""Stages named in the last line; the others are summed up."""
SHORT_SPLITS = {"ood_composed": "composed", "ood_unseen": "unseen", "ood_unseen_imported": "imported"}


def print_results(results: Results, console: Console) -> None:
    """Print the table of arms, the differences, and retrieval, knowledge base and times; made for 100 columns."""
    console.print(arms_table(results))
    notes = list(_notes(results))
    if notes:
        console.print(Padding(Text("\n".join(notes), style="dim"), (0, 1)))
    differences = differences_table(results)
    if differences.row_count:
        console.print(differences)
    console.print(Padding(Text("\n").join(_facts(results)), (0, 1)))


def arms_table(results: Results) -> Table:
    """Arms as rows: accuracy on `test` by kind with intervals, on the other splits, tokens a question, share routed."""
    kinds = _kinds(results)
    others = [split for split in results.splits() if split != "test"]
    table = Table(box=box.SIMPLE_HEAD, title="Accuracy, % (95 % interval)", title_justify="left", padding=0)
    table.add_column("arm", no_wrap=True)
    for kind in kinds:
        table.add_column(_head(kind, _questions(results, "test", kind)), justify="right", no_wrap=True)
    for split in others:
        table.add_column(
            _head(SHORT_SPLITS.get(split, split), _questions(results, split, "all")), justify="right", no_wrap=True
        )
    table.add_column("tokens\neach", justify="right", no_wrap=True)
    table.add_column("routed\n%", justify="right", no_wrap=True)
    best = {kind: max((_accuracy(results, arm, kind) for arm in _comparable(results)), default=-1.0) for kind in kinds}
    for arm, splits in results.arms.items():
        test = splits.get("test")
        cells = [
            accuracy_cell(
                _score(test, kind), arm in _comparable(results) and _accuracy(results, arm, kind) == best[kind]
            )
            for kind in kinds
        ]
        cells += [accuracy_cell(splits.get(split), interval=False) for split in others]
        main = test or next(iter(splits.values()))
        tokens = f"{(main.prompt_tokens + main.completion_tokens) / main.n:,.0f}" if main.n else "–"
        table.add_row(Text(arm), *cells, tokens, f"{100 * main.routed:.0f}")
    return table


def differences_table(results: Results) -> Table:
    """Paired differences between arms in points, and the gap closed, on `test` by kind and on the other splits."""
    table = Table(
        box=box.SIMPLE_HEAD,
        title="Differences, points (95 % interval, paired)",
        title_justify="left",
        padding=0,
    )
    kinds = _kinds(results)
    others = [split for split in results.differences if split != "test"]
    table.add_column("", no_wrap=True)
    for name in (*kinds, *(SHORT_SPLITS.get(split, split) for split in others)):
        table.add_column(name, justify="right", no_wrap=True)
    names = dict.fromkeys(name for pairs in results.differences.values() for name in pairs)
    places = [("test", kind) for kind in kinds] + [(split, "all") for split in others]
    for name in names:
        cells = [
            estimate_cell(results.differences.get(split, {}).get(name, {}).get(kind), split == "test")
            for split, kind in places
        ]
        table.add_row(Text(name), *cells)
    if results.gap_closed:
        gaps = [results.gap_closed.get(split, {}).get(kind) for split, kind in places]
        table.add_row(
            "gap closed, %",
            *(estimate_cell(gap, split == "test", sign=False) for gap, (split, _) in zip(gaps, places, strict=True)),
        )
    return table


def accuracy_cell(score: Score | None, best: bool = False, *, interval: bool = True) -> Text:
    """`62.4 (55–69)`, with a `*` where there are fewer than `FEW` questions."""
    if score is None or score.accuracy is None:
        return Text("–", style="dim")
    text = Text(f"{100 * score.accuracy:.1f}", style="bold" if best else "")
    if interval and score.low is not None and score.high is not None:
        text.append(f" ({100 * score.low:.0f}–{100 * score.high:.0f})", style="not bold dim")
    return text.append("*" if score.n < FEW else "", style="not bold")


def estimate_cell(estimate: Estimate | None, interval: bool = True, *, sign: bool = True) -> Text:
    """`+31.2 (+25…+37)`; green where the whole interval is above 0, red where it is below."""
    if estimate is None or estimate.value is None:
        return Text("–", style="dim")
    plus = "+" if sign else ""
    style = ""
    if estimate.low is None or estimate.high is None:
        style = "dim"
    elif sign:
        style = "green" if estimate.low > 0 else "red" if estimate.high < 0 else ""
    text = Text(f"{100 * estimate.value:{plus}.1f}", style=style)
    if interval and estimate.low is not None and estimate.high is not None:
        text.append(f" ({100 * estimate.low:{plus}.0f}…{100 * estimate.high:{plus}.0f})", style="dim")
    return text.append("*" if estimate.n < FEW else "")


def _notes(results: Results) -> Iterator[str]:
    scores = [
        (score, kind) for splits in results.arms.values() for score in splits.values() for kind in _kinds(results)
    ]
    shown = [part for score, kind in scores if (part := _score(score, kind)) is not None]
    if any(0 < score.n < FEW for score in shown):
        yield f"* fewer than {FEW} questions: says little"
    if any(score.interval == "bootstrap" for score in shown):
        yield "intervals: bootstrap over templates within each task"
    if any(
        gap.value is not None and gap.low is None for kinds in results.gap_closed.values() for gap in kinds.values()
    ):
        yield "gap closed without an interval: the oracle is not surely above std_cot there"
    if any(score.interval == "wilson" for score in shown):
        yield "where all answers are alike, or of one template: Wilson's formula (questions taken as independent)"


def _facts(results: Results) -> Iterator[Text]:
    for name, figures in method_figures(results):
        yield _line(name, figures)
    base = results.knowledge
    parts = ", ".join(f"{count:,} {name}" for name, count in (*base.by_kind.items(), *base.by_status.items()))
    yield _line("knowledge base", f"{base.items:,} items" + (f" ({parts})" if parts else ""))
    slowest = sorted(results.seconds.items(), key=lambda pair: -pair[1])
    named = [f"{stage} {_seconds(seconds)}" for stage, seconds in slowest[:SLOWEST]]
    if rest := slowest[SLOWEST:]:
        named.append(f"{len(rest)} others {_seconds(sum(seconds for _, seconds in rest))}")
    yield _line("seconds", f"{_seconds(results.total_seconds)} in all" + (f" ({', '.join(named)})" if named else ""))


def _seconds(value: float) -> str:
    return f"{value:,.1f}" if value < 10 else f"{value:,.0f}"


def _line(name: str, text: str) -> Text:
    return Text.assemble((f"{name}: ", "bold"), text)


def _kinds(results: Results) -> list[str]:
    """The kinds of the test split's questions, special first, and "all"."""
    found = {kind for splits in results.arms.values() if "test" in splits for kind in splits["test"].by_kind}
    return [*sorted(found, key=lambda kind: (kind != "special", kind)), "all"]


def _head(name: str, questions: int) -> str:
    return f"{name}\nn={questions:,}"


def _questions(results: Results, split: str, kind: str) -> int:
    scores = [_score(splits.get(split), kind) for splits in results.arms.values()]
    return max((score.n for score in scores if score is not None), default=0)


def _comparable(results: Results) -> list[str]:
    """Arms that compete: not the oracle, which is handed the needed facts."""
    return [arm for arm in results.arms if arm != "nesycd_oracle"]


def _accuracy(results: Results, arm: str, kind: str) -> float:
    score = _score(results.arms[arm].get("test"), kind)
    return -1.0 if score is None or score.accuracy is None else score.accuracy


def _score(arm: ArmScore | None, kind: str) -> Score | None:
    if arm is None:
        return None
    return arm if kind == "all" else arm.by_kind.get(kind)
