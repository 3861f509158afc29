"""`nesycd clean`: remove runs, or only what takes most of their space."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nesycd.cli.runs import Root, size_text
from nesycd.runs.folders import find_run, remove_run, summarise

app = typer.Typer()


@app.command()
def clean(
    names: Annotated[list[str], typer.Argument(metavar="RUN...", help="Names of runs, or their folders.")],
    checkpoints: Annotated[
        bool, typer.Option("--checkpoints", help="Remove trained adapters only; they are trained anew when needed.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    root: Root = Path("runs"),
) -> None:
    """Remove runs, or only their checkpoints."""
    # All are looked up before the first is touched.
    for folder in [find_run(root, name) for name in names]:
        run = summarise(folder)
        what, size = ("the checkpoints of ", run.checkpoints_size) if checkpoints else ("", run.size)
        if not yes and not typer.confirm(f"remove {what}{folder} ({size_text(size)}, {run.status})?"):
            typer.echo(f"{folder}: kept")
            continue
        freed = remove_run(folder, checkpoints_only=checkpoints)
        typer.echo(f"{folder}: {'checkpoints ' if checkpoints else ''}removed, {size_text(freed)} freed")
