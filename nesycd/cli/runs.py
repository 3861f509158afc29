"""`nesycd runs`: lists the runs in a folder."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from nesycd.cli.tables import Column, print_table
from nesycd.runs.folders import list_runs

app = typer.Typer()

COLUMNS = (
    Column("run", wraps=True),
    Column("status"),
    Column("stages", right=True, rank=5),
    Column("time", right=True, rank=2),
    Column("size", right=True, rank=1),
    Column("checkpoints", right=True, rank=4),
    Column("last change", rank=3),
)
Root = Annotated[Path, typer.Option("--root", help="The folder with the runs.")]


@app.command()
def runs(root: Root = Path("runs")) -> None:
    """List the runs.

    Those of comparisons are listed as COMPARISON/seed-N, and other commands find them by that name.
    """
    found = list_runs(root, compared=True)
    if not found:
        typer.echo(f"no runs in {root}; begin one by: nesycd run recipes/quickstart.toml")
        return
    rows = []
    for run in found:
        changed = datetime.fromtimestamp(run.updated).strftime("%Y-%m-%d %H:%M")
        name = str(run.folder.relative_to(root))
        sizes = (size_text(run.size), size_text(run.checkpoints_size))
        rows.append([name, run.status, str(run.stages_done), time_text(run.seconds), *sizes, changed])
    print_table(Console(), COLUMNS, rows)


def size_text(count: int) -> str:
    """Bytes for people: `812 B`, `3.4 MB`."""
    size = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000 or unit == "GB":
            break
        size /= 1000
    return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"


def time_text(seconds: float) -> str:
    """Seconds for people: `48 s`, `6 min 02 s`, `1 h 05 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02} min"
