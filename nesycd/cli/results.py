"""`nesycd results`: what runs found, read again; of several runs the mean and how far they lie apart."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from nesycd.cli.runs import Root
from nesycd.core.errors import RunError
from nesycd.core.overrides import dotted
from nesycd.runs.folders import find_run

app = typer.Typer()

SEEDS = frozenset({"name", "seed", "task.settings.seed"})
"""Settings in which the runs of one recipe differ."""
SHARED = ("task.", "student.model", "student.template", "student.max_new_tokens")
"""Beginnings of the settings without which runs cannot be taken together: which questions, and who answers. All others
are the method's."""


@app.command()
def results(
    names: Annotated[list[str], typer.Argument(metavar="RUN...", help="Names of runs, or their folders.")],
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write mean, standard deviation, range and values into a file too.")
    ] = None,
    root: Root = Path("runs"),
) -> None:
    """Show the results of a run again, or those of several (seeds) together.

    Nothing is run. Of several runs each figure is the mean with the sample standard deviation and, below it, the range.

    Examples:

        nesycd results quickstart

        nesycd results seed-0 seed-1 seed-2 --json seeds.json
    """
    from nesycd.core.storage import write_json_atomic
    from nesycd.reports import load_results, print_advice, print_results, print_spread, spread_of_runs

    folders = _folders(root, names)
    for warning in _warnings(folders):
        typer.echo(f"note: {warning}", err=True)
    found = {name: load_results(folder / "results.json") for name, folder in folders.items()}
    summary = spread_of_runs(found)
    if len(found) == 1:
        print_results(next(iter(found.values())), Console())
        print_advice(next(iter(folders.values())), Console())
    else:
        print_spread(summary, Console())
    if json_file is not None:
        write_json_atomic(json_file, summary)


def _folders(root: Path, names: list[str]) -> dict[str, Path]:
    """Name as given -> folder.

    Raises:
        RunError: an unknown run, one without results, or one that is named twice.
    """
    folders: dict[str, Path] = {}
    for name in names:
        folder = find_run(root, name)
        if not (folder / "results.json").is_file():
            raise RunError(f"{folder}: no results yet (no results.json); finish the run by: nesycd run RECIPE")
        if folder.resolve() in {other.resolve() for other in folders.values()}:
            raise RunError(f"{name}: the same run twice")
        folders[name] = folder
    return folders


def _warnings(folders: Mapping[str, Path]) -> Iterator[str]:
    """What to mind when the runs are taken together.

    Raises:
        RunError: runs of different questions or students; the message names the setting and both values.
    """
    from nesycd.runs.manifest import read_config, read_manifest

    manifests = {name: read_manifest(folder) or {} for name, folder in folders.items()}
    for name, manifest in manifests.items():
        if manifest.get("finished") is None:
            yield f"{name}: the run has been begun again and is not finished; these are its earlier results"
    settings = {name: _settings(read_config(folder), manifests[name]) for name, folder in folders.items()}
    (first, one), *others = settings.items()
    for name, other in others:
        unlike = [key for key in sorted({*one, *other} - SEEDS) if one.get(key) != other.get(key)]
        told = {key: f"{key} is {_text(other.get(key))}, but {_text(one.get(key))} in {first}" for key in unlike}
        for key in unlike:
            if key.startswith(SHARED):
                raise RunError(f"{name}: {told[key]}; runs of different questions or students have no mean")
        if unlike:
            yield f"{name}: other settings of the method: {'; '.join(told.values())}"


def _settings(config: Mapping[str, Any], manifest: Mapping[str, Any]) -> dict[str, Any]:
    """The run's settings by dotted key, and the hashes of what settings only name."""
    hashes = {key: value for key, value in manifest.get("hashes", {}).items() if key in {"student", "prompts"}}
    return dict(dotted({**config, "hashes": hashes}))


def _text(value: Any) -> str:
    return "not set" if value is None else json.dumps(value, ensure_ascii=False)
