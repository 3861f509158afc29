"""`nesycd unpack`: a run or a comparison from an archive of `nesycd pack`."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from nesycd.cli.pack import byte_bar
from nesycd.cli.runs import Root, size_text

app = typer.Typer()


@app.command()
def unpack(
    archive: Annotated[Path, typer.Argument(help="Written by nesycd pack.", show_default=False)],
    name: Annotated[str, typer.Option("--name", help="Name of the folder, if not the one that was packed.")] = "",
    student: Annotated[
        Path | None,
        typer.Option("--student", help="The folder of its student here, where that is local and was not packed."),
    ] = None,
    root: Root = Path("runs"),
) -> None:
    """Unpack what `nesycd pack` wrote, so that it goes on here.

    Every file is compared with the size and SHA-256 in the archive's contents; nothing is kept of an archive in which anything
    differs, and nothing of it is executed. An existing folder is never replaced. Data that the settings name come to
    RUN/inputs, and RUN/recipe.toml is the recipe with their places here.

    Examples:

        nesycd unpack quickstart.tar.gz

        nesycd unpack quickstart.tar.gz --name theirs --root elsewhere
    """
    from nesycd.api.unpacking import place_of
    from nesycd.api.unpacking import unpack as unpack_archive

    folder, contents = place_of(archive, root, name)
    typer.echo(f"unpacking to {folder}: {len(contents.files):,} files, {size_text(contents.size)}")
    with byte_bar("unpacking", contents.size) as watch:
        made = unpack_archive(archive, root, name, student, watch)
    for note in made.notes:
        typer.echo(f"note: {note}")
    beside = [] if root == Path("runs") else ["--root", str(root)]
    words = ["nesycd", "compare" if made.is_comparison else "run", str(made.recipe), "--name", folder.name, *beside]
    typer.echo(f"unpacked. Go on with it: {shlex.join(words)}")
    if not made.is_comparison:
        typer.echo(f"Ask it: {shlex.join(['nesycd', 'ask', 'QUESTION', '--run', str(folder)])}")
