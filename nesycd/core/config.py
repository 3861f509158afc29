"""Recipes: what a run is to do, as TOML checked against their sections (`core/sections.py`).

The error for a wrong key or value is one sentence with the dotted key, its place and the nearest known key. Settings
that belong to one benchmark (`[task.settings]`) are checked by `nesycd.tasks.registry`, which knows the benchmarks.
`nesycd.core.paths` knows which settings are paths; `nesycd settings` prints every key.
"""

from __future__ import annotations

import difflib
import json
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, Field, PrivateAttr, ValidationError

from nesycd.core.errors import ConfigError
from nesycd.core.files import read_text
from nesycd.core.overrides import MOST_DEEP, apply_override, unusable
from nesycd.core.recipe_source import RecipeSource
from nesycd.core.sections import (
    AugmentedSection,
    CallsSection,
    CollectionSection,
    CompareSection,
    EngineSection,
    EvaluationSection,
    KnowledgeSection,
    OnPolicySection,
    RetrievalSection,
    RouterSection,
    Section,
    Seed,
    StudentSection,
    TaskSection,
    TeacherSection,
    TrainingSection,
)
from nesycd.core.text import printable, shortened


class Recipe(Section):
    """A whole recipe; each field is a section of the TOML file."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$")]
    """Name of the run's folder (`--name` gives another), and of the teacher's budget."""
    seed: Seed = 0
    """Seed of everything random: splits and samples of questions, folds, training order, distractors. Run several (`--set
    seed=1 --name seed-1`) to see how much results depend on it."""
    prompts: Path | None = None
    """A folder with prompt files of your own; for missing ones the package's (`nesycd/prompts`) are used."""
    task: TaskSection
    teacher: TeacherSection = TeacherSection()
    student: StudentSection = StudentSection()
    training: TrainingSection = TrainingSection()
    collection: CollectionSection = CollectionSection()
    knowledge: KnowledgeSection = KnowledgeSection()
    calls: CallsSection = CallsSection()
    retrieval: RetrievalSection = RetrievalSection()
    augmented: AugmentedSection = AugmentedSection()
    router: RouterSection = RouterSection()
    evaluation: EvaluationSection = EvaluationSection()
    compare: CompareSection = CompareSection()
    on_policy: OnPolicySection = OnPolicySection()
    engine: EngineSection = EngineSection()
    _source: RecipeSource = PrivateAttr(default_factory=lambda: RecipeSource())

    def __repr__(self) -> str:
        """A summary in one line; `model_dump()` gives everything."""
        parts = f"task {self.task.name}, teacher {self.teacher.name}, student {self.student.model}, seed {self.seed}"
        return f"<recipe {self.name}: {parts}>"

    __str__ = __repr__

    @property
    def key_variables(self) -> tuple[str, ...]:
        """The environment variables that it names for servers' keys; "" where a section names none."""
        return (self.teacher.api.key_env, self.student.server.key_env, self.on_policy.key_env)

    @property
    def names_primary(self) -> bool:
        """Whether the recipe itself, not an override of the command line, names the primary endpoint of a comparison."""
        return "primary" in self.compare.model_fields_set and not self._source.is_overridden("compare.primary")

    def tables(self) -> dict[str, Any]:
        """All settings as JSON values, the primary endpoint only where the recipe names it: comparisons tell whether it does."""
        return self.model_dump(mode="json", exclude=None if self.names_primary else {"compare": {"primary"}})

    def where(self, dotted: str) -> str:
        """The beginning of an error about a setting: the file and line or the override that set it, and its dotted key."""
        place = self._source.place(dotted)
        return f"{place}: {dotted}" if place else dotted


KINDS: tuple[str, ...] = KnowledgeSection().kinds
"""All kinds of knowledge items."""
EXTENDS = "extends"
"""A top-level key of a recipe: the file of another recipe (in the same folder) that it extends."""
_OPEN = "task.settings"
"""The table whose keys are a benchmark's own (as those of `task.sizes` are its splits)."""


def load_recipe(
    path: Path, overrides: Sequence[str] = (), limit: int | None = None, settings: Mapping[str, Any] | None = None
) -> Recipe:
    """Read a recipe file.

    Args:
        path: a TOML file.
        overrides: `a.b=value` each, as given to `--set`; the value in TOML, or a bare word.
        limit: as given to `--limit`: the same as `task.limit=N`.
        settings: tables that are merged over the file's, before the overrides.

    Raises:
        ConfigError: no such file, not TOML, or a wrong key or value.
    """
    data, texts = _read(path)
    return recipe_of(data, overrides, limit, settings, texts)


def recipe_of(
    data: Mapping[str, Any],
    overrides: Sequence[str] = (),
    limit: int | None = None,
    settings: Mapping[str, Any] | None = None,
    texts: Mapping[Path, str] | None = None,
) -> Recipe:
    """A recipe from its tables; see `load_recipe`. `texts`: the files that they were read from.

    Raises:
        ConfigError: a wrong key or value.
    """
    for given_tables in (data, settings or {}):
        if problem := unusable(given_tables, deep_only=True):
            raise ConfigError(problem)
    changes = _plain(settings or {})
    tables = _over(changes, _plain(data))
    given = [*overrides, *([] if limit is None else [f"task.limit={limit}"])]
    source = RecipeSource(texts, {apply_override(tables, override): override for override in given}, changes)
    if problem := unusable(tables):
        place = source.place(problem.partition(":")[0])
        raise ConfigError(f"{place}: {problem}" if place else problem)
    try:
        recipe = Recipe.model_validate_json(json.dumps(tables, default=str))
    except ValidationError as error:
        # An unknown key explains more than the missing one it was meant for.
        first = min(error.errors(), key=lambda found: found["type"] != "extra_forbidden")
        dotted = _dotted(first["loc"])
        place = source.place(dotted)
        raise ConfigError(f"{place}: {_problem(dotted, first)}" if place else _problem(dotted, first)) from None
    recipe._source = source
    return recipe


def _plain(tables: Mapping[str, Any]) -> dict[str, Any]:
    """A deep copy of nested mappings as dictionaries, so that overrides do not change the caller's tables."""
    return {str(key): _plain(value) if isinstance(value, Mapping) else value for key, value in tables.items()}


def _read(path: Path, above: tuple[Path, ...] = ()) -> tuple[dict[str, Any], dict[Path, str]]:
    """A recipe's tables over those of the recipe that it `extends`, and the texts of both, its own first."""
    text = read_text(path, ConfigError)
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: not valid TOML: {error}") from None
    except RecursionError:
        raise ConfigError(f"{path}: lists or tables in it are nested more than {MOST_DEEP} deep") from None
    if problem := unusable(data, deep_only=True):
        raise ConfigError(f"{path}: {problem}")
    base = data.pop(EXTENDS, None)
    if base is None:
        return data, {path: text}
    if not isinstance(base, str) or (path.parent / base).resolve() in (seen := (*above, path.resolve())):
        raise ConfigError(f"{path}: {EXTENDS} must name the file of another recipe, beside this one")
    below, texts = _read(path.parent / base, seen)
    return _over(data, below), {path: text, **texts}


def _over(data: dict[str, Any], base: dict[str, Any]) -> dict[str, Any]:
    """`data` merged over `base`: tables are merged, other values replace those of `base`."""
    both = {key: _over(value, base[key]) for key, value in data.items() if _are_tables(value, base.get(key))}
    return {**base, **data, **both}


def _are_tables(one: Any, other: Any) -> bool:
    return isinstance(one, dict) and isinstance(other, dict)


def known_keys() -> tuple[str, ...]:
    """All dotted keys of a recipe, sections left out."""
    return tuple(_keys(Recipe, ""))


def _keys(section: type[BaseModel], prefix: str) -> Iterator[str]:
    for name, field in section.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _keys(field.annotation, f"{prefix}{name}.")
        else:
            yield prefix + name


def _dotted(location: tuple[int | str, ...]) -> str:
    return ".".join(printable(str(part)) for part in location)


def _problem(dotted: str, error: Any) -> str:
    if error["type"] == "extra_forbidden":
        return f"unknown key {dotted}{_nearest(dotted)}"
    if error["type"] == "missing":
        return f"{dotted} is missing"
    given = error["input"]
    # A secret key given by mistake in place of its variable's name must not be printed.
    message = error["msg"].removeprefix("Value error, ").replace("Input should be", "must be")
    hidden = isinstance(given, dict | list) or dotted.rpartition(".")[2] in ("key_env", "base_url", "server")
    shown = "" if hidden else f", but it is {shortened(json.dumps(given, default=str))}"
    return f"{dotted}: {message}{shown}"


def _nearest(dotted: str) -> str:
    """` (did you mean ...?)`: a key of the same section first, then the same name in another section."""
    keys = known_keys()
    section, _, name = dotted.rpartition(".")
    siblings = [key for key in keys if key.rpartition(".")[0] == section]
    names = {key.rpartition(".")[2]: key for key in siblings}
    elsewhere = {key.rpartition(".")[2]: key for key in keys}
    if section and section != "task" and name in elsewhere:
        return f" (did you mean {elsewhere[name]}?)"
    sections = {key.partition(".")[0]: key.partition(".")[0] for key in keys} if not section else {}
    if near := difflib.get_close_matches(name, [*names, *sections], n=1, cutoff=0.6):
        return f" (did you mean {(sections | names)[near[0]]}?)"
    if section == "task":
        return f" (a benchmark's own settings go below [{_OPEN}]: {_OPEN}.{name}?)"
    if near := difflib.get_close_matches(name, elsewhere, n=1, cutoff=0.6):
        return f" (did you mean {elsewhere[near[0]]}?)"
    return f" (known: {', '.join(siblings or keys)})"
