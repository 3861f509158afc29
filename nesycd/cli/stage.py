"""`nesycd stage`: do a part of the work that a run has dealt out to many machines."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Annotated

import typer

from nesycd.cli.run import Root
from nesycd.core.errors import ConfigError, RunError
from nesycd.core.text import printable, shortened

app = typer.Typer()


@app.command()
def stage(
    run: Annotated[str, typer.Argument(help="Name or folder of a run, or of a comparison.", show_default=False)],
    name: Annotated[
        str, typer.Argument(help="A stage; not given: all whose work is dealt out.", show_default=False)
    ] = "",
    shard: Annotated[str, typer.Option("--shard", help="I/N: the I-th of N parts, counted from 0.")] = "0/1",
    root: Root = Path("runs"),
) -> None:
    """Do a part of the work that a run has dealt out to many machines.

    With engine = "shards" in its recipe a run writes down the work of its next stages (trainings, batches of questions) and stops
    (exit code 3). This command does the I-th of N parts of that, on any machine that sees the run's folder: one batch after the
    other, each written whole, those that are there already passed over. So it may be killed and given again, and two that
    overlap do no harm. When all parts are done, give the run's command again: it merges them and goes on.

    Examples:

        nesycd run recipes/longtail.toml --set engine=shards

        nesycd stage longtail --shard 0/4

        nesycd stage longtail collect-fold-0 --shard 3/4

    In an array of batch jobs: --shard $SLURM_ARRAY_TASK_ID/$SLURM_ARRAY_TASK_COUNT (docs/many-machines.md).
    """
    from nesycd.api.working import Worker
    from nesycd.runs.shards import dealt_in

    part, parts = _parse(shard)
    folder = _folder(root, run)
    dealt = dealt_in(folder)
    stages = dict.fromkeys(shards.stage for shards, _ in dealt)
    if name and name not in stages:
        known = ", ".join(stages) or "of no stage"
        raise RunError(
            f"{folder}: nothing is dealt out of {shortened(printable(name))} (work is dealt out of: {known})"
        )
    if not dealt:
        typer.echo(f"{folder}: no work is dealt out")
        return
    units = [
        (shards, number) for shards, task in dealt if name in ("", shards.stage) for number in range(len(task.batches))
    ]
    if not (own := units[part::parts]):
        typer.echo(f"{folder}: part {shard} has nothing to do, there are fewer shards ({len(units)})")
        return
    with Worker() as worker:
        for shards, number in own:
            began = time.monotonic()
            made = worker.make(shards.run, shards.stage, number)
            told = f"made in {time.monotonic() - began:,.1f} s" if made else "there already"
            typer.echo(f"{shards.run.name}: shard {number} of {shards.stage} {told}")


def _parse(shard: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d{1,9})/(\d{1,9})", shard)
    if match is None or not int(match[1]) < int(match[2]):
        raise ConfigError(f"--shard {shortened(printable(shard))}: must be I/N with I from 0 to N-1, such as 0/4")
    return int(match[1]), int(match[2])


def _folder(root: Path, run: str) -> Path:
    from nesycd.runs.folders import COMPARISON, find_run

    if found := next((place for place in (root / run, Path(run)) if (place / COMPARISON).is_file()), None):
        return found
    return find_run(root, run)
