"""`nesycd grade`: grades stored answers, of any model or of a run, by a benchmark's rules."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, get_args

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from nesycd.api.regrade import regraded
from nesycd.cli.runs import Root
from nesycd.core.errors import ConfigError, DataError
from nesycd.core.files import read_jsonl
from nesycd.core.storage import write_atomic
from nesycd.grading import Source
from nesycd.runs.folders import find_run
from nesycd.tasks.rows import RowGrader

app = typer.Typer()

SOURCES: tuple[Source, ...] = get_args(Source)


@dataclass
class Tally:
    """What is counted of some rows: how many, how many right, and where the answers stood."""

    total: int = 0
    right: int = 0
    how: Counter[Source] = field(default_factory=Counter)


@app.command()
def grade(
    file: Annotated[
        Path | None, typer.Argument(help="JSONL (.gz too) of `question`, `answer`, `response`.", show_default=False)
    ] = None,
    out: Annotated[Path, typer.Option("--out", help="The graded JSONL file.")] = Path("graded.jsonl"),
    benchmark: Annotated[str, typer.Option("--benchmark", help="The benchmark of FILE; see nesycd tasks.")] = "",
    run: Annotated[
        str, typer.Option("--run", help="Grade this finished run's responses again, in place of FILE.")
    ] = "",
    root: Root = Path("runs"),
) -> None:
    """Grade stored answers to a benchmark: those of any model, or a run's again.

    A row has `question`, `answer` (the gold answer, as the benchmark's publisher or as we write it; a list where several
    are accepted) and `response`, and may have `task`, `options` and other keys: all are kept. Added are `extracted` (the
    answer found; "" where there is none), `correct`, and `how` it was found: `closing` (a closing sentence, "So the answer
    is X."), or a fallback: `answer_is` (the last "answer is" elsewhere), `hashes` (####), `boxed`; else `none`. Nothing is
    guessed: an answer that is not there is wrong. A row's own `correct` is kept as `given_correct`. The benchmark's own files
    are not needed.

    With --run, each response of the run is graded as its benchmark grades now; the run itself is not changed.

    Examples:

        nesycd grade --benchmark gsm8k outputs.jsonl --out graded.jsonl

        nesycd grade --run quickstart --out graded.jsonl
    """
    if bool(run) == (file is not None) or (file is not None and not benchmark):
        raise ConfigError("give a file and --benchmark NAME, or --run NAME")
    if run and benchmark:
        raise ConfigError(f"--run {run} is graded by its own benchmark; leave --benchmark out")
    if file is None:
        rows = list(regraded(find_run(root, run)))
    else:
        if out.resolve() == file.resolve():
            raise ConfigError(f"--out {out}: this is the file with the answers; name another, so that they are kept")
        rows = _graded_rows(benchmark, file)
    write_atomic(out, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    console = Console()
    _print(rows, benchmark, console)
    if run:
        unlike = sum(row["correct"] != row["recorded"] for row in rows)
        console.print(f"{unlike} of {len(rows)} graded unlike the run's record", highlight=False)


def _graded_rows(benchmark: str, file: Path) -> list[dict[str, Any]]:
    """Every row of the file, graded.

    Raises:
        DataError: a malformed row, or none at all.
    """
    grader = RowGrader(benchmark)
    rows = [grader.graded(number, row, at) for number, (at, row) in enumerate(read_jsonl(file))]
    if not rows:
        raise DataError(f"{file}: no rows in this file")
    return rows


def _print(rows: list[dict[str, Any]], benchmark: str, console: Console) -> None:
    """The table by task, or by method and split where the rows are a run's."""
    tallies: dict[str, Tally] = defaultdict(Tally)
    for row in rows:
        of_run = f"{row['method']} {row['split']}" if not benchmark else ""
        for name in (of_run or str(row.get("task") or benchmark), *(["all"] if benchmark else [])):
            tally = tallies[name]
            tally.total += 1
            tally.right += row["correct"]
            tally.how[row["how"]] += 1
    if len(tallies) == 2:
        tallies.pop("all", None)  # it says what the only task's line says
    table = Table(box=None, pad_edge=False)
    for column in ("", "n", "correct", "accuracy", *SOURCES):
        table.add_column(column, justify="right" if column else "left")
    for name, tally in sorted(tallies.items(), key=lambda named: (named[0] == "all", named[0])):
        counts = [str(tally.how[source]) for source in SOURCES]
        table.add_row(
            escape(name), str(tally.total), str(tally.right), f"{100 * tally.right / tally.total:.1f} %", *counts
        )
    console.print(table)
