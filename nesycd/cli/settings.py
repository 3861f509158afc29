"""`nesycd settings`: the reference of all recipe keys, made from the docstrings of `core.config` and of the benchmarks' settings.

`docs/settings.md` is what `nesycd settings --markdown` prints.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import annotated_types as bounds
import typer
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from rich.console import Console
from rich.markup import escape
from rich.padding import Padding

from nesycd.core.config import Recipe
from nesycd.core.errors import ConfigError
from nesycd.core.files import did_you_mean
from nesycd.tasks.registry import settings_class, task_names

app = typer.Typer()

OWN = "task.settings"
"""The section whose keys are the benchmark's."""

INTRO = """# Settings

Every key of a recipe, a TOML file whose tables are the sections below; benchmarks come last. Only `name` and `task.name`
must be given. `--set SECTION.KEY=VALUE` changes a key for one run; `extends = "other.toml"` at the top extends another recipe
in the same folder. In the terminal: `nesycd settings training` explains a section, `nesycd settings training.epochs` a key, and
`nesycd settings gsm8k` a benchmark's own. (This page is what `nesycd settings --markdown` prints.)
"""


@dataclass(frozen=True)
class Key:
    """One setting: its name as written after `--set`, type and default as written in a recipe, and what it does."""

    name: str
    type: str
    default: str
    about: str


@dataclass(frozen=True)
class Group:
    """The keys of one table of a recipe.

    Attributes:
        name: the table's, or a benchmark's.
        title: as printed.
        about: what the table is for.
    """

    name: str
    title: str
    about: str
    keys: tuple[Key, ...]


@app.command()
def settings(
    section: Annotated[str, typer.Argument(help="A section, a key or a benchmark; not given: all.")] = "",
    markdown: Annotated[bool, typer.Option("--markdown", help="Print as Markdown (docs/settings.md).")] = False,
) -> None:
    """Explain every key of a recipe.

    Examples:

        nesycd settings training

        nesycd settings knowledge.review

        nesycd settings gsm8k
    """
    groups = chosen(section)
    if markdown:
        typer.echo("\n".join([*([] if section else [INTRO]), *map(as_markdown, groups)]), nl=False)
        return
    console = Console(highlight=False)
    for group in groups:
        show(group, console)


def chosen(section: str) -> list[Group]:
    """The groups of a section and those below it, one key's, or a benchmark's; all for "".

    Raises:
        ConfigError: no such section, key or benchmark.
    """
    if section in task_names():
        return [task_group(section)]
    groups = [*recipe_groups(Recipe, "")]
    if not section:
        return [*groups, *map(task_group, task_names())]
    if below := [group for group in groups if group.name == section or group.name.startswith(f"{section}.")]:
        return below
    if found := [replace(group, keys=(key,)) for group in groups for key in group.keys if key.name == section]:
        return found
    sections = [*(group.name for group in groups if group.name), *task_names()]
    near = did_you_mean(section, [*sections, *(key.name for group in groups for key in group.keys)])
    hint = near if "did you mean" in near else f" (sections and benchmarks: {', '.join(sections)})"
    raise ConfigError(f"no section, key or benchmark {section!r}{hint}")


def recipe_groups(model: type[BaseModel], prefix: str) -> Iterator[Group]:
    """A table of a recipe and, after it, the tables in it; `prefix` is its dotted name."""
    fields = {f"{prefix}.{name}".lstrip("."): field for name, field in model.model_fields.items()}
    tables = {name: field.annotation for name, field in fields.items() if is_table(field.annotation)}
    keys = tuple(key_of(name, field) for name, field in fields.items() if name not in tables)
    if keys:
        about = "" if not prefix else sentence(model)
        yield Group(prefix, f"`[{prefix}]`" if prefix else "At the top of the file", about, keys)
    for name, table in tables.items():
        assert isinstance(table, type)
        yield from recipe_groups(table, name)


def task_group(name: str) -> Group:
    """A benchmark's own settings; those of a mixture's parts after its own."""
    model = settings_class(name)
    keys = [key_of(f"{OWN}.{key}", field) for key, field in model.model_fields.items()]
    for key, field in model.model_fields.items():
        inner = next((arg for arg in get_args(field.annotation) if is_table(arg)), None)
        if inner is not None:
            keys += [key_of(f"{OWN}.{key}[].{below}", one) for below, one in inner.model_fields.items()]
    return Group(name, f"`[{OWN}]` of {name}", sentence(model), tuple(keys))


def is_table(kind: Any) -> bool:
    """Whether a type is a table of its own."""
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def sentence(model: type[BaseModel]) -> str:
    """A class's docstring, on one line."""
    return " ".join((model.__doc__ or "").split())


def key_of(name: str, field: FieldInfo) -> Key:
    """A field as its reader sees it."""
    default = "required" if field.is_required() else as_toml(field.default)
    return Key(name, type_text(field.rebuild_annotation()), default, " ".join((field.description or "").split()))


def as_toml(value: Any) -> str:
    """A default as a recipe would give it; "not given" for None."""
    if value is None:
        return "not given"
    if isinstance(value, BaseModel):
        value = value.model_dump(mode="json")
    return f"`{json.dumps(value, ensure_ascii=False, default=str)}`"


NAMES: dict[Any, str] = {
    str: "text",
    int: "whole number",
    float: "number",
    bool: "`true` or `false`",
    Path: "path",
    Any: "any value",
}


def type_text(kind: Any) -> str:
    """A type in words, such as "whole number, at least 1"."""
    origin, inner = get_origin(kind), get_args(kind)
    if origin is Annotated:
        limits = [limit for one in inner[1:] for limit in limit_texts(one)]
        return ", ".join([type_text(inner[0]), *limits])
    if origin is Literal:
        return " or ".join(filter(None, [", ".join(f"`{json.dumps(one)}`" for one in inner[:-1]), f'`"{inner[-1]}"`']))
    if origin in (Union, UnionType):
        return " or ".join(type_text(one) for one in inner if one is not NoneType)
    if origin is tuple:
        return f"list of {plural(inner[0])}" if inner[-1] is Ellipsis else f"list of {len(inner)} {plural(inner[0])}"
    if origin is dict:
        return f"table of {plural(inner[1])}"
    return NAMES.get(kind, "table")


def plural(kind: Any) -> str:
    """The type of what a list or table holds, in words."""
    text = type_text(kind)
    head, comma, limits = text.partition(",")
    return f"{head}s{comma}{limits}" if head in {*NAMES.values(), "table"} - {NAMES[bool]} else text


def limit_texts(limit: Any) -> Iterator[str]:
    """What a bound on a value says."""
    if isinstance(limit, FieldInfo):
        for one in limit.metadata:
            yield from limit_texts(one)
    elif isinstance(limit, bounds.Ge):
        yield f"at least {limit.ge}"
    elif isinstance(limit, bounds.Gt):
        yield f"above {limit.gt}"
    elif isinstance(limit, bounds.Le):
        yield f"at most {limit.le}"
    elif isinstance(limit, bounds.Lt):
        yield f"below {limit.lt}"
    elif isinstance(limit, bounds.MinLen):
        yield "not empty"


def show(group: Group, console: Console) -> None:
    """Print a group for people: each key with type and default, and what it does below."""
    console.print(f"[bold]{escape(group.title.replace('`', ''))}[/bold]  {escape(group.about)}")
    for key in group.keys:
        told = f"{key.type}; {'default ' if key.default not in ('required', 'not given') else ''}{key.default}"
        console.print(
            Padding(f"[cyan]{escape(key.name)}[/cyan]  [dim]{escape(told.replace('`', ''))}[/dim]", (0, 0, 0, 2))
        )
        console.print(Padding(escape(key.about), (0, 0, 0, 6)))
    console.print()


def as_markdown(group: Group) -> str:
    """A group as a section with a table."""
    lines = [f"## {group.title}", "", *([group.about, ""] if group.about else [])]
    lines += ["| key | type | default | what it does |", "|---|---|---|---|"]
    for key in group.keys:
        cells = [f"`{key.name}`", key.type, key.default, key.about]
        lines.append(f"| {' | '.join(cell.replace('|', '&#124;') for cell in cells)} |")
    return "\n".join([*lines, ""])
