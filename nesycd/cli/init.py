"""`nesycd init`: a commented recipe for a user's own questions."""

from __future__ import annotations

import shlex
import tomllib
from pathlib import Path
from typing import Annotated

import typer

from nesycd.api.build import data_root, endpoint_of, task_of
from nesycd.api.question_counts import QuestionCounts, count_questions
from nesycd.api.starter import Asked, starter
from nesycd.core.config import Recipe, recipe_of
from nesycd.core.errors import ConfigError, DataError, NesycdError
from nesycd.core.paths import locate_data
from nesycd.core.sections import ApiSection
from nesycd.core.storage import disk_errors, write_atomic
from nesycd.llm.reachable import reach

app = typer.Typer()


@app.command()
def init(
    name: Annotated[str, typer.Argument(help="Name of the recipe: NAME.toml is written here.", show_default=False)],
    questions: Annotated[Path, typer.Option("--questions", help="The file with your questions.")],
    server: Annotated[
        str, typer.Option("--server", help="A language model's server as the teacher, http://localhost:8000/v1.")
    ] = "",
    model: Annotated[str, typer.Option("--model", help="The teacher's name at its server, or at OpenAI.")] = "",
    knowledge: Annotated[
        list[Path] | None,
        typer.Option("--knowledge", help="A file of facts, rules or lessons, as nesycd kb import reads it."),
    ] = None,
    documents: Annotated[
        list[Path] | None,
        typer.Option("--document", help="A text or table that states knowledge (.md, .txt, .csv, .xlsx), or a folder."),
    ] = None,
) -> None:
    """Write a commented recipe for your own questions.

    With --server or --model a language model is the teacher (with --server alone, the one that the server lists); else the
    questions' own rationales are used, where there are some. Keys are read from the environment and never written down.

    Examples:

        nesycd init helpdesk --questions questions.jsonl --server http://localhost:8000/v1

        nesycd init helpdesk --questions questions.jsonl --model gpt-4o-mini

        nesycd init helpdesk --questions questions.jsonl --document handbook.md --document fees.csv
    """
    file = Path(f"{name}.toml")
    given = knowledge or [], documents or []
    _check(name, file, questions, [*given[0], *given[1]])
    written = starter(name, file, questions, None, *given)
    counts, fault = _counts(recipe_of(tomllib.loads(written)))
    asked, note = _teacher(server, model, counts)
    text = starter(name, file, questions, asked, *given)
    recipe_of(tomllib.loads(text))
    with disk_errors(file):
        write_atomic(file, text)
    typer.echo(f"Written: {file}")
    if counts is not None:
        sizes = ", ".join(f"{split} {count:,}" for split, count in counts.sizes.items())
        typer.echo(f"{questions}: {sizes}; {counts.rationales} training questions have a rationale")
    for told in filter(None, (fault, note)):
        typer.echo(f"note: {told}")
    typer.echo(f"Next: {shlex.join(['nesycd', 'check', str(file)])}")


def _check(name: str, file: Path, questions: Path, knowledge: list[Path]) -> None:
    """Refuse what no recipe could be written for.

    Raises:
        ConfigError: a name that none can have, or one that is taken.
        DataError: a file is not there.
    """
    recipe_of({"name": name, "task": {"name": "jsonl"}})
    if file.exists():
        raise ConfigError(f"{file}: there is such a recipe already; give another name, or remove it")
    root = data_root()
    for path in (questions, *knowledge):
        if not path.exists() and not (root is not None and (root / path).exists()):
            raise DataError(f"{path}: no such file")


def _counts(recipe: Recipe) -> tuple[QuestionCounts | None, str]:
    """What there is in the questions, or why they cannot be read as they are."""
    try:
        return count_questions(task_of(locate_data(recipe, data_root()))), ""
    except NesycdError as error:
        return None, str(error)


def _teacher(server: str, model: str, counts: QuestionCounts | None) -> tuple[Asked | None, str]:
    """The teacher, and what is odd about it.

    Raises:
        ConfigError: an address that cannot be used.
    """
    train = 0 if counts is None else counts.sizes.get("train", 0)
    known = 0 if counts is None else counts.rationales
    if not server and not model:
        if known:
            return None, ""
        return Asked(), "no question has a rationale, so a teacher must be asked: fill in teacher.api.model"
    writes = not train or known < train
    if not server:
        return Asked(model, rationales=writes), ""
    note = ""
    for url in (server, f"{server.rstrip('/')}/v1") if not server.rstrip("/").endswith("/v1") else (server,):
        found = reach(endpoint_of(_api(model, url)))
        if found.models:
            chosen = model or (found.models[0] if len(found.models) == 1 else "")
            told = found.note or ("" if chosen else "the server has several models: fill in teacher.api.model")
            return Asked(chosen, url, found.models, writes), told
        note = note or found.problem or found.note
    return Asked(model, server, (), writes), note or "the server lists no models: fill in teacher.api.model"


def _api(model: str, url: str) -> ApiSection:
    """The section of a recipe that names this server.

    Raises:
        ConfigError: an address that cannot be used.
    """
    given = {"model": model, "base_url": url}
    return recipe_of({"name": "init", "task": {"name": "jsonl"}, "teacher": {"api": given}}).teacher.api
