"""`nesycd grade`: grades stored answers, of any model or of a run, by a benchmark's rules."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, get_args

import typer
from rich.console import Console

from nesycd.api.regrade import regraded
from nesycd.cli.runs import Root
from nesycd.cli.tables import Column, print_table
from nesycd.core.errors import ConfigError, DataError
from nesycd.core.files import read_jsonl
from nesycd.core.storage import whole_file
from nesycd.grading import CLOSING, Source
from nesycd.runs.folders import find_run
from nesycd.tasks.rows import RowGrader

app = typer.Typer()

SOURCES: tuple[Source, ...] = get_args(Source)
_RARE: frozenset[Source] = frozenset({"field", "whole", "sentence"})
"""Sources that the table has a column for only where they occur."""
_ALL = "\nall"
"""The name of the line of all rows: no task can have it."""
_NEARLY_ALL = 0.9
"""Share of rows without an answer from which on the file, rather than the model, is suspected."""


@dataclass
class Tally:
    """What is counted of some rows: how many, how many right, and where the answers stood."""

    total: int = 0
    right: int = 0
    lenient: int = 0
    unlike: int = 0
    """Graded unlike the run's record."""
    how: Counter[Source] = field(default_factory=Counter)

    def add(self, row: dict[str, Any]) -> None:
        """Count a graded row."""
        self.total += 1
        self.right += row["correct"]
        self.lenient += row["lenient"]
        self.unlike += row["correct"] != row.get("recorded", row["correct"])
        self.how[row["how"]] += 1


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
    answer found; "" where there is none), `correct`, `lenient` and `how` it was found: `closing` (a closing sentence, "So the
    answer is X."), or a fallback: `answer_is` (the last "answer is" elsewhere), `hashes` (####), `boxed`, `field` (JSON or
    <answer>), `whole` (the response is an option's letter), `sentence` (the last sentence's only number); else `none`. What
    stands in <think> is no answer. `correct` is strict and counts: nothing is guessed, and an answer that is not there is wrong.
    `lenient` takes the last number or letter anywhere, as other graders do, so that published scores compare. A row's own
    `correct` is kept as `given_correct`. The benchmark's own files are not needed.

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
        rows = regraded(find_run(root, run))
    else:
        if out.resolve() == file.resolve():
            raise ConfigError(f"--out {out}: this is the file with the answers; name another, so that they are kept")
        rows = _graded_rows(benchmark, file)
    tallies = _written(rows, out, benchmark)
    console = Console()
    _print(tallies, benchmark, out, console)
    if run:
        console.print(
            f"{tallies[_ALL].unlike} of {tallies[_ALL].total} graded unlike the run's record", highlight=False
        )


def _graded_rows(benchmark: str, file: Path) -> Iterator[dict[str, Any]]:
    """Every row of the file, graded.

    Raises:
        DataError: a malformed row, or none at all.
    """
    grader = RowGrader(benchmark)
    number = -1
    for number, (at, row) in enumerate(read_jsonl(file)):
        yield grader.graded(number, row, at)
    if number < 0:
        raise DataError(f"{file}: no rows in this file")


def _written(rows: Iterable[dict[str, Any]], out: Path, benchmark: str) -> dict[str, Tally]:
    """Write each row as it is graded, and count: by task (by method and split where the rows are a run's), and as `all`."""
    tallies: dict[str, Tally] = defaultdict(Tally)
    with whole_file(out) as part, part.open("w", encoding="utf-8") as lines:
        for row in rows:
            lines.write(json.dumps(row, ensure_ascii=False) + "\n")
            of_run = f"{row['method']} {row['split']}" if not benchmark else ""
            tallies[of_run or str(row.get("task") or benchmark)].add(row)
            tallies[_ALL].add(row)
    return tallies


def _print(tallies: dict[str, Tally], benchmark: str, out: Path, console: Console) -> None:
    """The table, and what is suspected where hardly any answer was found."""
    every = tallies[_ALL]
    # Of one task, its own line says it all; a run's methods are not added up.
    named = sorted(name for name in tallies if name != _ALL)
    shown = [*named, *([_ALL] if benchmark and len(named) > 1 else [])]
    sources = [source for source in SOURCES if source not in _RARE or every.how[source]]
    # How an answer was found is left out first, "none" last of these: it tells of a file that was not read as meant.
    ranks = {source: 1 if source == "none" else 3 + place for place, source in enumerate(sources)}
    columns = [Column("", wraps=True), Column("n", right=True), Column("correct", right=True, rank=2)]
    columns += [Column("accuracy", right=True), Column("lenient", right=True)]
    columns += [Column(source, right=True, rank=ranks[source]) for source in sources]
    rows = []
    for name in shown:
        tally = tallies[name]
        shares = [f"{100 * count / tally.total:.1f} %" for count in (tally.right, tally.lenient)]
        counts = [str(tally.how[source]) for source in sources]
        rows.append([name.removeprefix("\n"), str(tally.total), str(tally.right), *shares, *counts])
    print_table(console, columns, rows, elsewhere=f"by row in {out}")
    if every.how["none"] >= _NEARLY_ALL * every.total:
        console.print(
            f"{every.how['none']} of {every.total} responses state no answer: is `response` the whole response, and was a "
            f'closing sentence asked for ("{CLOSING} X.")? The last number or letter is right in {every.lenient}.',
            highlight=False,
        )
