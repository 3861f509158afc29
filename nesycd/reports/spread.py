"""Several runs of one recipe (its seeds) as one: mean, standard deviation and range of what each run found.

The spread is between runs: it holds what seeds change (questions, folds, order of training), which the interval of a single
run does not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from statistics import fmean, stdev
from typing import Any

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from nesycd.methods import table
from nesycd.reports.results import SPLITS, Results, in_order, kinds_in_order, score_of
from nesycd.reports.terminal import SHORT_SPLITS, fits, titled

SCHEMA = "spread/1"
PAIRS = tuple(f"{table.MAIN} - {other}" for other in table.METHODS[table.MAIN].against[:2])
"""Differences that are reported over several runs."""

Spread = dict[str, Any]
"""`mean`, `sd` (sample; None for fewer than two values), `min`, `max`, and `values` in the order of the runs."""
Place = tuple[str, str]
"""Split, and kind of question or "all"."""


def spread_of_runs(runs: Mapping[str, Results]) -> dict[str, Any]:
    """What `nesycd results --json` writes (see `docs/results.md`): name of each run -> its results, put together."""
    every = list(runs.values())
    splits = in_order({split for run in every for split in run.splits()}, SPLITS)
    kinds = kinds_in_order(kind for run in every for kind in _kinds(run))
    methods = table.in_order({method for run in every for method in run.methods})

    def each(read: Callable[[Results, str, str], float | None]) -> dict[str, dict[str, Spread]]:
        """Split -> kind -> spread, where any run has a value."""
        made = {split: {kind: spread([read(run, split, kind) for run in every]) for kind in kinds} for split in splits}
        known = {
            split: {kind: one for kind, one in by_kind.items() if one["mean"] is not None}
            for split, by_kind in made.items()
        }
        return {split: by_kind for split, by_kind in known.items() if by_kind}

    recalled = in_order({split for run in every for split in run.retrieval}, ("valid", *SPLITS))
    return {
        "schema": SCHEMA,
        "runs": list(runs),
        "methods": {method: each(partial(_accuracy, method)) for method in methods},
        "differences": {pair: each(partial(_difference, pair)) for pair in PAIRS},
        "gap_closed": each(_gap),
        "retrieval": {
            split: {"needed_fact_recall": spread([_recall(run, split) for run in every])} for split in recalled
        },
    }


def spread(values: Sequence[float | None]) -> Spread:
    """Mean, sample standard deviation and range of the values that are known; all None where none is."""
    known = [value for value in values if value is not None]
    return {
        "mean": fmean(known) if known else None,
        "sd": stdev(known) if len(known) > 1 else None,
        "min": min(known, default=None),
        "max": max(known, default=None),
        "values": list(values),
    }


def _kinds(run: Results) -> set[str]:
    return {"all"} | {kind for splits in run.methods.values() for score in splits.values() for kind in score.by_kind}


def _accuracy(method: str, run: Results, split: str, kind: str) -> float | None:
    score = score_of(run.methods.get(method, {}).get(split), kind)
    return None if score is None else score.accuracy


def _difference(pair: str, run: Results, split: str, kind: str) -> float | None:
    estimate = run.differences.get(split, {}).get(pair, {}).get(kind)
    return None if estimate is None else estimate.value


def _gap(run: Results, split: str, kind: str) -> float | None:
    estimate = run.gap_closed.get(split, {}).get(kind)
    return None if estimate is None else estimate.value


def _recall(run: Results, split: str) -> float | None:
    part = run.retrieval.get(split)
    return None if part is None else part.needed_fact_recall


# --- in the terminal -------------------------------------------------------------------------------------------------


def print_spread(summary: Mapping[str, Any], console: Console) -> None:
    """Tables of methods and of differences (in one piece or in two, as the width has it), and recall."""
    runs = len(summary["runs"])
    title = f"Accuracy, %: mean ± standard deviation over {runs} runs (below: range)"
    _print_tables(title, "method", summary["methods"], console)
    rows = {name: places for name, places in summary["differences"].items() if places}
    if summary["gap_closed"]:
        rows["gap closed, %"] = summary["gap_closed"]
    if rows:
        _print_tables("Paired differences, points", "", rows, console, sign=True)
    recall = {split: found["needed_fact_recall"] for split, found in summary["retrieval"].items()}
    told = ", ".join(f"{split} {_one_line(one)}" for split, one in recall.items() if one["mean"] is not None)
    lines = [Text.assemble(("runs: ", "bold"), ", ".join(summary["runs"]))]
    if told:
        lines.append(Text.assemble(("recall of needed facts, %: ", "bold"), told))
    if any(
        None in one["values"] for by_split in (*summary["methods"].values(), *rows.values()) for one in _all(by_split)
    ):
        lines.append(Text("* not known in all runs", style="dim"))
    console.print(Padding(Text("\n").join(lines), (0, 1)))


def _all(by_split: Mapping[str, Mapping[str, Spread]]) -> Iterable[Spread]:
    return (one for by_kind in by_split.values() for one in by_kind.values())


def _print_tables(
    title: str, head: str, rows: Mapping[str, Mapping[str, Mapping[str, Spread]]], console: Console, sign: bool = False
) -> None:
    """All places as columns; where that is too wide, those of `test` and those of other splits one below the other."""
    kinds = kinds_in_order(kind for places in rows.values() for kind in places.get("test", {}))
    splits = in_order({split for places in rows.values() for split in places} - {"test"}, SPLITS)
    test: list[Place] = [("test", kind) for kind in kinds]
    others: list[Place] = [(split, "all") for split in splits]
    whole = _table(title, head, rows, [*test, *others], sign)
    if fits(whole, console):
        console.print(whole)
        return
    # "all" stands last of the kinds, and stays.
    for places, drops_first in ((test, True), (others, False)):
        parts = [places[n:] if drops_first else places[: len(places) - n] for n in range(len(places))]
        for shown in parts:
            made = _table(title, head, rows, shown, sign)
            if fits(made, console) or shown is parts[-1]:
                console.print(made)
                _tell_left_out([place for place in places if place not in shown], console)
                break


def _tell_left_out(places: Sequence[Place], console: Console) -> None:
    if places:
        told = ", ".join(kind if split == "test" else SHORT_SPLITS.get(split, split) for split, kind in places)
        text = f"left out, as the terminal is too narrow: {told} (all: --json FILE, or a wider terminal)"
        console.print(Padding(Text(text, style="dim"), (0, 1)))


def _table(
    title: str, head: str, rows: Mapping[str, Mapping[str, Mapping[str, Spread]]], places: Sequence[Place], sign: bool
) -> Table:
    table = titled(title)
    table.add_column(head, no_wrap=len(places) > 1, overflow="fold")
    for split, kind in places:
        table.add_column(kind if split == "test" else SHORT_SPLITS.get(split, split), justify="right", no_wrap=True)
    for name, found in rows.items():
        signed = sign and " - " in name
        table.add_row(Text(name), *(_cell(found.get(split, {}).get(kind), signed) for split, kind in places))
    return table


def _cell(one: Spread | None, sign: bool) -> Text:
    """`66.0 ±2.1` and below it `63.5–68.5`."""
    if one is None or one["mean"] is None:
        return Text("–", style="dim")
    plus = "+" if sign else ""
    text = Text(f"{100 * one['mean']:{plus}.1f}")
    if one["sd"] is not None:
        text.append(f" ±{100 * one['sd']:.1f}", style="dim")
    text.append("*" if None in one["values"] else "")
    between = "…" if sign else "–"
    return text.append(f"\n{100 * one['min']:{plus}.1f}{between}{100 * one['max']:{plus}.1f}", style="dim")


def _one_line(one: Spread) -> str:
    sd = "" if one["sd"] is None else f" ±{100 * one['sd']:.1f}"
    return f"{100 * one['mean']:.1f}{sd}"
