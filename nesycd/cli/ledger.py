"""`nesycd ledger`: what was asked of paid models, what it cost, and what is kept of it."""

from __future__ import annotations

import json
import sys
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from nesycd.cli.tables import Column, print_table
from nesycd.core.errors import ConfigError

ledger_app = typer.Typer(no_args_is_help=True)

Place = Annotated[Path | None, typer.Option("--ledger", help="A ledger; $NESYCD_LEDGER or your own if not given.")]
_GROUPS = {"model": ("model", "origin"), "budget": ("budget", "model")}


@ledger_app.callback()
def ledger() -> None:
    """Show, export and prune the ledger of paid calls.

    Every call of the teacher `api` stands in one file that all runs and recipes share; what was answered is never asked
    (and paid for) again.

    Examples:

        nesycd ledger show --by budget

        nesycd ledger export answers.jsonl

        nesycd ledger prune --failed
    """


def _open(path: Path | None) -> Any:
    from nesycd.llm.ledger import Ledger, default_path

    return Ledger.open(path or default_path(), create=False)


@ledger_app.command()
def show(
    by: Annotated[str, typer.Option("--by", help="What is summed up: model or budget.")] = "model",
    ledger: Place = None,
) -> None:
    """Sum up calls, tokens and cost."""
    from nesycd.llm.ledger import dollars

    if by not in _GROUPS:
        raise ConfigError(f"--by {by}: use {' or '.join(_GROUPS)}")
    from nesycd.llm.batch_ledger import pending

    with _open(ledger) as opened:
        rows, place, batches = opened.totals(*_GROUPS[by]), opened.path, pending(opened)
    if not rows:
        typer.echo(f"no calls in {place}")
        return
    first, second = _GROUPS[by]
    columns = [Column(first, wraps=True), Column(second, wraps=True, rank=2), Column("answered", right=True)]
    columns += [Column("in batches", right=True)] if batches else []
    columns += [Column("possibly paid", right=True, rank=4), Column("unpaid", right=True, rank=5)]
    columns += [Column("prompt tokens", right=True, rank=6), Column("answer tokens", right=True, rank=6)]
    columns += [Column("USD", right=True), Column("s each", right=True, rank=7), Column("last", rank=3)]
    shown = []
    for row in rows:
        names = [str(row[name]) for name in _GROUPS[by]]
        counts = [
            row["answered"],
            *([row["batched"]] if batches else []),
            row["possibly_paid"] + row["in_flight"],
            row["unpaid"],
        ]
        tokens = [row["prompt_tokens"], row["completion_tokens"]]
        usd = "price unknown" if row["usd"] is None else dollars(row["usd"])
        each = f"{row['seconds'] / row['timed']:.1f}" if row["timed"] else "-"
        last = datetime.fromtimestamp(row["last"]).strftime("%Y-%m-%d %H:%M")
        shown.append([*names, *map(str, [*counts, *tokens]), usd, each, last])
    print_table(Console(), columns, shown, elsewhere="by call: nesycd ledger export FILE")
    if bound := sum(row["bound"] for row in rows):
        typer.echo(
            f"{bound} calls count with the most they may have cost: how they ended, or their usage, is not known."
        )
    if batches:
        _show_batches(batches)
    typer.echo(str(place))


def _show_batches(batches: list[dict[str, Any]]) -> None:
    from nesycd.llm.ledger import dollars

    typer.echo("\nBatches at their providers; the command that submitted them collects the answers:")
    columns = [Column("batch", wraps=True), Column("model", wraps=True, rank=1), Column("origin", wraps=True, rank=4)]
    columns += [Column("budget", wraps=True, rank=3), Column("requests", right=True)]
    columns += [Column("USD at most", right=True), Column("submitted", rank=2)]
    rows = []
    for batch in batches:
        name = batch["remote"] or f"{batch['name']} (not known whether submitted)"
        usd = "price unknown" if batch["usd"] is None else dollars(batch["usd"])
        made = datetime.fromtimestamp(batch["made"]).strftime("%Y-%m-%d %H:%M")
        texts = [name, batch["model"], batch["origin"], batch["budget"]]
        rows.append([*texts, str(batch["waiting"]), usd, made])
    print_table(Console(), columns, rows)


@ledger_app.command()
def export(
    file: Annotated[Path, typer.Argument(help="Where to; - for standard output.", show_default=False)],
    ledger: Place = None,
) -> None:
    """Write every stored answer, with its request, tokens and cost, as JSONL."""
    from nesycd.core.storage import whole_file

    with _open(ledger) as opened:
        lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in opened.export())
        if str(file) == "-":
            sys.stdout.writelines(lines)
            return
        with whole_file(file) as part, part.open("w", encoding="utf-8") as out:
            out.writelines(lines)
    typer.echo(f"wrote {file}")


@ledger_app.command()
def prune(
    failed: Annotated[bool, typer.Option("--failed", help="Unusable answers: cut off, refused, empty.")] = False,
    model: Annotated[str, typer.Option("--model", help="Answers of this model.")] = "",
    before: Annotated[str, typer.Option("--before", help="Answers older than this day, such as 2026-01-31.")] = "",
    batch: Annotated[str, typer.Option("--batch", help="No answers, but this batch at its provider: give it up.")] = "",
    ledger: Place = None,
) -> None:
    """Forget stored answers that fulfil all conditions given; they are asked again when needed.

    What they cost stays known, and counts against the caps.
    """
    if batch:
        _give_up(batch, ledger)
        return
    if not (failed or model or before):
        raise ConfigError("nothing to prune was named; give --failed, --model, --before or --batch")
    try:
        limit = datetime.fromisoformat(before).timestamp() if before else None
    except (ValueError, OverflowError):
        raise ConfigError(f"--before {before}: write the day as 2026-01-31") from None
    with _open(ledger) as opened:
        typer.echo(f"forgot {opened.prune(failed=failed, model=model, before=limit)} answers")


def _give_up(batch: str, ledger: Path | None) -> None:
    from nesycd.llm.batch_ledger import give_up

    with _open(ledger) as opened:
        waited = give_up(opened, batch)
    if waited is None:
        raise ConfigError(f"--batch {batch}: no such batch waits; `nesycd ledger show` names those that do")
    typer.echo(f"gave up batch {batch}: its {waited} requests count as possibly paid, and are asked again when needed")


@ledger_app.command()
def prices() -> None:
    """Print the package's price table, as a form for your own (teacher.api.prices, NESYCD_PRICES)."""
    from nesycd.llm.prices import packaged_table

    typer.echo(packaged_table(), nl=False)
