"""`nesycd pack`: a run or a comparison with its inputs as one archive."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from nesycd.cli.runs import Root, size_text
from nesycd.core.errors import ConfigError

app = typer.Typer()

ENDING = ".tar.gz"


@contextmanager
def byte_bar(text: str, size: int) -> Iterator[Callable[[int], None]]:
    """A progress bar over so many bytes, on a terminal; gives what is called with the bytes that were done."""
    console = Console()
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(text, total=size)
        yield lambda count: progress.advance(task, count)


@app.command()
def pack(
    run: Annotated[str, typer.Argument(metavar="RUN", help="Name of a run or a comparison, or its folder.")],
    out: Annotated[
        Path | None, typer.Argument(metavar="[OUT]", help=f"The archive, or a folder for it; not given: RUN{ENDING}.")
    ] = None,
    without_checkpoints: Annotated[
        bool,
        typer.Option("--without-checkpoints", help="Leave trained adapters out; they are trained anew when needed."),
    ] = False,
    methods: Annotated[
        list[str] | None,
        typer.Option(
            "--method",
            help="Of the trained adapters pack only the one that this method answers with (as often as needed).",
        ),
    ] = None,
    with_models: Annotated[
        bool, typer.Option("--with-models", help="Pack local folders of models too (student.model, retrieval.model).")
    ] = False,
    root: Root = Path("runs"),
) -> None:
    """Pack a run or a comparison with all that it reads into one archive.

    The archive holds the folder, the files and folders that its settings name (questions, recordings, prompts, prices,
    knowledge, corpus), and what it used of the ledger of paid calls. `nesycd unpack` makes of it a folder that goes on
    elsewhere: nothing finished is computed or paid for again. Models are named, not packed. Locks, temporary and hidden files
    are left out, and nothing is packed while a run is in use, or where a file contains a key of the environment.

    Examples:

        nesycd pack quickstart

        nesycd pack quickstart --method nesycd

        nesycd pack compare-longtail results/ --without-checkpoints
    """
    from nesycd.api.packing import gathered, packed_folder
    from nesycd.core.archives import write_archive

    if methods and without_checkpoints:
        raise ConfigError("give --method or --without-checkpoints, not both")
    folder = packed_folder(root, run)
    name = folder.resolve().name + ENDING
    target = Path(name) if out is None else out / name if out.is_dir() else out
    with gathered(folder, not without_checkpoints, with_models, methods or ()) as found:
        sizes = found.sizes()
        size = sum(sizes.values())
        parts = ", ".join(f"{part} {size_text(count)}" for part, count in sizes.items() if count)
        typer.echo(f"packing {folder}: {len(found.files):,} files, {size_text(size)} ({parts})")
        for note in found.notes:
            typer.echo(f"note: {note}")
        with byte_bar("packing", 2 * size) as watch:
            write_archive(target, found.files, found.about, watch, found.secrets)
    typer.echo(f"wrote {target}, {size_text(target.stat().st_size)}; elsewhere: nesycd unpack {target.name}")
